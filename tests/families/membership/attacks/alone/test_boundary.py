from typing import get_args

import numpy as np
import pytest
from oracles import unchecked
from synthetic import fleet

from dosimeter.families.membership.attacks import Boundary
from dosimeter.families.membership.attacks.alone.boundary import Queries
from dosimeter.families.membership.observe.probes import PROBES, boundary


def test_its_score_is_the_distance_that_the_budget_finds():
    game, _ = fleet(1, leakage=1.0)
    for queries in boundary.QUERIES:
        attack = Boundary(queries=queries)
        score = attack.run(game, np.random.default_rng(0)).values
        np.testing.assert_array_equal(score, game.outputs[f"boundary_distance_{queries}"][:, 0])


def test_its_budgets_are_those_of_the_probe():
    assert get_args(Queries) == boundary.QUERIES
    assert all(Boundary(queries=queries).signals[0] in PROBES for queries in boundary.QUERIES)
    with pytest.raises(ValueError, match="queries must be known, got 500: "):
        unchecked(Boundary, queries=500)
