"""Distribution inference: models of two simulated worlds, tests by loops, and chance where worlds are the same."""

import dataclasses
import inspect

import numpy as np
import pytest

from dosimeter.families.exchange.inferring import distributions
from dosimeter.families.exchange.inferring.distributions import (
    Own,
    Verdicts,
    kl_test,
    logits_test,
    loss_test,
    mean_prediction,
    threshold_test,
)

ALL = (loss_test, threshold_test, mean_prediction, kl_test, logits_test)
FITTED = (threshold_test, mean_prediction, kl_test, logits_test)


def models(rng, world, count, gap, share):
    """Predictions of simulated models: a common answer to each record, moved by the world, and noise of the training.

    `gap` moves the odds of single records up and down, so that the mean stays; `share` moves them all up.
    """
    signs, base = probes()[2:]
    moved = base + world * (gap * signs + share)
    odds = moved + rng.normal(0, 0.6, (count, len(base)))
    odds += rng.normal(0, 0.3, (count, 1))
    positive = 1 / (1 + np.exp(-odds))
    return np.stack([1 - positive, positive], axis=2)


def probes(n=60):
    """Labels, the world that each probe record was drawn from, signs and base odds of records."""
    rng = np.random.default_rng(99)
    base = rng.normal(0, 1.0, n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-base))).astype(np.int64)
    return labels, np.arange(n) % 2, rng.choice([-1.0, 1.0], n), base


def game(seed, gap=0.0, share=0.0, victims=20, own=15):
    rng = np.random.default_rng(seed)
    labels, drawn, *_ = probes()
    known = np.concatenate([models(rng, world, own, gap, share) for world in (0, 1)])
    asked = np.concatenate([models(rng, world, victims, gap, share) for world in (0, 1)])
    return asked, Own(known, np.repeat([0, 1], own), labels, drawn), np.repeat([0, 1], victims)


def right(test, **settings):
    found = []
    for seed in range(8):
        asked, own, truth = game(seed, **settings)
        found.append(test(asked, own).right(truth))
    return np.mean(found)


@pytest.mark.parametrize("test", ALL)
def test_worlds_that_are_the_same_are_at_chance(test):
    assert right(test) == pytest.approx(0.5, abs=0.06)


def test_a_moved_share_of_positives_is_seen_by_the_baseline_and_by_both_strong_tests():
    found = {test.__name__: right(test, share=0.4) for test in FITTED}
    assert found["mean_prediction"] > 0.65
    assert found["kl_test"] > 0.6
    assert found["logits_test"] > 0.65


def test_records_that_move_apart_are_seen_beyond_the_baseline():
    found = {test.__name__: right(test, gap=0.3) for test in FITTED}
    assert found["mean_prediction"] < 0.65
    assert found["kl_test"] > found["mean_prediction"] + 0.15
    assert found["logits_test"] > found["mean_prediction"] + 0.15


def test_a_larger_gap_is_told_more_often():
    assert right(kl_test, gap=0.4) > right(kl_test, gap=0.15) > 0.55


def test_a_cut_at_zero_is_biased_and_a_fitted_one_is_not():
    """Models of world 0 spread wider, so everything is further from them; the fitted cut takes that out."""
    labels, drawn, _, base = probes()
    found = {True: [], False: []}
    for seed in range(6):
        rng = np.random.default_rng(seed)

        def make(world, count, rng=rng):
            odds = base + 0.5 * world * probes()[2] + rng.normal(0, (1.0, 0.5)[world], (count, len(base)))
            positive = 1 / (1 + np.exp(-odds))
            return np.stack([1 - positive, positive], axis=2)

        own = Own(np.concatenate([make(0, 15), make(1, 15)]), np.repeat([0, 1], 15), labels, drawn)
        asked, truth = np.concatenate([make(0, 20), make(1, 20)]), np.repeat([0, 1], 20)
        for calibrated in found:
            found[calibrated].append(kl_test(asked, own, calibrated=calibrated).right(truth))
    assert np.mean(found[True]) > 0.9
    assert np.mean(found[False]) < 0.6


def test_the_loss_test_names_the_world_that_a_model_fits_better():
    labels, drawn, *_ = probes()
    sure = np.where(np.arange(2) == labels[:, None], 0.99, 0.01)
    unsure = np.full((len(labels), 2), 0.5)
    victims = np.stack([np.where((drawn == world)[:, None], sure, unsure) for world in (0, 1)])
    own = game(0)[1]
    assert loss_test(victims, own).world.tolist() == [0, 1]


def test_divergence_and_losses_are_those_of_loops():
    rng = np.random.default_rng(0)
    first, second = rng.dirichlet(np.ones(3), (2, 5)), rng.dirichlet(np.ones(3), (4, 5))
    found = inspect.unwrap(distributions._divergence)(first, second)
    for i, j in np.ndindex(2, 4):
        slow = np.mean(
            [sum(p * np.log(p / q) for p, q in zip(first[i, n], second[j, n], strict=True)) for n in range(5)]
        )
        assert found[i, j] == pytest.approx(slow, abs=1e-9)
    labels = np.array([0, 2, 1, 1, 0])
    loss = inspect.unwrap(distributions._log_loss)(first, labels)
    assert loss[1, 1] == pytest.approx(-np.log(first[1, 1, 2]))


def test_the_cut_is_the_best_of_all():
    rng = np.random.default_rng(3)
    for _ in range(20):
        score, world = np.round(rng.normal(size=12), 1), np.arange(12) % 2
        cut, best = inspect.unwrap(distributions._cut)(score, world)
        slow = max(
            ((score[world == 1] >= one).mean() + (score[world == 0] < one).mean()) / 2 for one in [*score, np.inf]
        )
        assert best == pytest.approx(slow)
        reached = ((score[world == 1] >= cut).mean() + (score[world == 0] < cut).mean()) / 2
        assert reached == pytest.approx(slow)
    assert Verdicts(np.array([0.0, 1.0]), 0.5).world.tolist() == [0, 1]


def test_what_does_not_fit_is_refused():
    asked, own, _ = game(0)
    for change, message in (
        ({"world": np.zeros(30, dtype=np.int64)}, "two models or more of each"),
        ({"drawn": np.zeros(60, dtype=np.int64)}, "drawn must be 0 or 1"),
        ({"predictions": own.predictions - 1}, "must be probabilities of 60 probe records"),
        ({"predictions": np.full_like(own.predictions, np.nan)}, "predictions must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(own, **change)
    for test in ALL:
        with pytest.raises(ValueError, match="the same probe records and classes"):
            test(asked[:, :5], own)
