"""The area under an ROC curve, beside a well-kept library's."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dosimeter.statistics.area import area


@pytest.mark.parametrize("shape", [(7,), (300,), (2, 40)])
@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_that_of_another_library(shape, ties):
    rng = np.random.default_rng(0)
    bits = np.arange(np.prod(shape)).reshape(shape) % 3 == 0
    values = rng.normal(bits.astype(float))
    if ties:
        values = np.round(values)
    assert area(values, bits) == pytest.approx(roc_auc_score(bits.ravel(), values.ravel()), abs=1e-12)


def test_infinite_scores_rank_last_and_first():
    bits = np.array([True, False, True, False])
    assert area(np.array([np.inf, np.inf, -np.inf, -np.inf]), bits) == 0.5
    assert area(np.array([np.inf, 0.0, np.inf, -np.inf]), bits) == 1.0
