import dataclasses

import numpy as np
import pytest
from oracles import population
from synthetic import fleet

from dosimeter.families.membership.attacks import Loss, PopulationTest


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("per_class", [True, False])
def test_agrees_with_counting(per_class):
    game, _ = fleet(0, leakage=1.0, n_records=60, n_population=50)
    coarse = {"logit_confidence": np.round(game.outputs["logit_confidence"], 1)}
    theirs = {"logit_confidence": np.round(game.population.outputs["logit_confidence"], 1)}
    tied = dataclasses.replace(game, outputs=coarse, population=dataclasses.replace(game.population, outputs=theirs))
    assert len(np.intersect1d(coarse["logit_confidence"], theirs["logit_confidence"])) > 10
    values = run(PopulationTest(per_class), dataclasses.replace(tied, shadow_outputs={}))
    np.testing.assert_allclose(values, population(tied, per_class), rtol=1e-9, atol=1e-9)


def test_ranks_as_the_loss_does():
    game, _ = fleet(1, leakage=1.0)
    for row, loss in zip(run(PopulationTest(), game), run(Loss(), game), strict=True):
        assert (np.diff(row[np.argsort(loss)]) >= 0).all()


def test_the_threshold_one_minus_fpr_needs_no_label():
    """At most 5 % of non-members reach 0.95, give or take what 2,000 + 2,000 draws allow."""
    game, truth = fleet(2, leakage=1.0, n_records=4000, n_population=2000, n_targets=2)
    for row, member in zip(run(PopulationTest(), game), truth.is_member, strict=True):
        assert abs((row[~member] >= 0.95).mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 * 2 / 2000)


def test_a_class_without_population_has_score_0():
    game, _ = fleet(3, leakage=1.0)
    others = dataclasses.replace(game.population, labels=np.zeros_like(game.population.labels))
    values = run(PopulationTest(True), dataclasses.replace(game, population=others))
    assert (values[:, game.labels == 1] == 0).all()
    assert (values[:, game.labels == 0] > 0).any()
