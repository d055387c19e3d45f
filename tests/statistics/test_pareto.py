"""The Pareto set against its definition, row by row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dosimeter.statistics.pareto import pareto


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 10_000))
def test_it_is_what_nothing_beats(rows, columns, seed):
    costs = np.random.default_rng(seed).integers(0, 4, size=(rows, columns)).astype(float)
    wanted = [
        not any(all(a <= b for a, b in zip(other, one, strict=True)) and tuple(other) != tuple(one) for other in costs)
        for one in costs
    ]
    found = pareto(costs)
    assert found.tolist() == wanted
    assert found.any()


def test_nan_and_no_columns_are_refused():
    for wrong in (np.array([[np.nan]]), np.zeros((2, 0))):
        with pytest.raises(ValueError, match="costs must be"):
            pareto(wrong)
