import dataclasses

import numpy as np
import pytest
from contracts.synthetic import fleet
from oracles import quantile, unchecked

from dosimeter.attacks import Quantile


def run(attack, game, seed=0):
    return attack.run(game, np.random.default_rng(seed)).values


def test_agrees_with_features_put_together_record_by_record():
    game, _ = fleet(0, leakage=1.0, n_shadows=8, n_records=60, n_population=120, n_views=2)
    np.testing.assert_allclose(run(Quantile(5), game), quantile(game, 5), rtol=1e-9, atol=1e-9)


def test_reads_no_in_shadow_and_no_class_that_only_the_population_has():
    game, _ = fleet(1, leakage=1.0, n_shadows=8)
    hinge = game.shadow_outputs["hinge"]
    changed = dataclasses.replace(game, shadow_outputs={"hinge": np.where(game.shadow_in[:, None], 99.0, hinge)})
    assert np.array_equal(run(Quantile(3), game), run(Quantile(3), changed))
    labels = game.population.labels + 1
    wider = dataclasses.replace(game, classes=3, population=dataclasses.replace(game.population, labels=labels))
    assert np.isfinite(run(Quantile(3), wider)).all()


def test_nonmembers_are_standardised():
    game, truth = fleet(2, leakage=3.0, n_records=2000, n_population=2000)
    for row, member in zip(run(Quantile(), game), truth.is_member, strict=True):
        assert abs(np.median(row[~member])) < 0.15
        assert abs(np.quantile(row[~member], 0.84) - 1) < 0.2


def test_no_tree_is_refused():
    with pytest.raises(ValueError, match=r"trees must be in \[1, 1000\], got 0"):
        unchecked(Quantile, trees=0)
