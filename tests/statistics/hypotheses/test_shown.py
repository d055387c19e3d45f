"""Who is shown to leak: the rule by cases, and the intervals that take trained models as given."""

from dataclasses import replace

import numpy as np
import pytest

from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses.shown import leak_shown, of_these_models
from dosimeter.statistics.rates import Randomisation, RatePair, auc, tpr_at_threshold


def estimate(value, low, high, targets):
    return Estimate(value, low, high, 0.975, "m", 5, 6, targets)


def shown(p_auc, auc_low, p_tpr, difference_low, *, drawn, targets=2):
    rate = estimate(0.5, 0.4, 0.6, targets)
    pair = RatePair(rate, rate, estimate(0.1, difference_low, 0.3, targets))
    p = Randomisation(p_auc, p_tpr, 99)
    return leak_shown(estimate(0.6, auc_low, 0.7, targets), pair, p, drawn=drawn)


def test_a_stated_membership_needs_both_the_p_value_and_the_interval():
    for p_auc, low, p_tpr, gap, by in [
        (0.02, 0.51, 1.0, -0.1, (True, False)),
        (1.0, 0.4, 0.025, 0.01, (False, True)),
        (0.03, 0.51, 1.0, 0.01, (False, False)),
        (0.02, 0.5, 0.02, 0.0, (False, False)),
    ]:
        found = shown(p_auc, low, p_tpr, gap, drawn=False)
        assert (found.by_auc, found.by_tpr) == by
        assert found.leak == any(by)
        assert found.scope == ("models" if any(by) else None)


def test_where_membership_was_drawn_the_p_value_decides_and_the_interval_says_of_whom():
    for p_auc, low, p_tpr, gap, by, scope in [
        (0.02, 0.51, 1.0, -0.1, (True, False), "recipe"),
        (0.02, 0.49, 1.0, -0.1, (True, False), "models"),
        (0.02, 0.5, 0.02, 0.0, (True, True), "models"),
        (0.02, 0.5, 0.02, 0.01, (True, True), "recipe"),
        (0.02, 0.5, 0.03, 0.01, (True, False), "models"),  # only the AUC is unlikely, and its interval holds 0.5
        (0.03, 0.6, 0.03, 0.01, (False, False), None),
    ]:
        found = shown(p_auc, low, p_tpr, gap, drawn=True)
        assert (found.by_auc, found.by_tpr, found.scope) == (*by, scope)
    assert shown(0.02, 0.51, 0.02, 0.01, drawn=True, targets=1).scope == "models"


@pytest.mark.parametrize("drawn", [True, False])
def test_what_is_not_resolvable_shows_nothing(drawn):
    withheld = Estimate(None, None, None, 0.975, "m", 5, 6, 2, status="not_resolvable")
    pair = RatePair(withheld, withheld, withheld)
    assert not leak_shown(withheld, pair, Randomisation(0.001, 0.001, 999), drawn=drawn).leak


def measured(targets, persons=1, seed=0):
    """Scores with effects of targets, and what is measured of them."""
    rng = np.random.default_rng(seed)
    k = 240 // persons
    half = [rng.permutation(k) < k // 2 for _ in range(-(-targets // 2))]
    record = np.repeat(np.arange(k), persons)
    bits = np.stack([row for one in half for row in (one, ~one)])[:targets][:, record]
    values = 0.5 * bits + rng.normal(size=bits.shape) + rng.normal(size=k)[record]
    values += np.linspace(-1.2, 1.2, targets)[:, None]
    scores, truth = Scores(np.arange(240), values), Truth(np.arange(240), bits, record)
    cuts = np.full(targets, 1.5)
    pair = tpr_at_threshold(scores, truth, thresholds=cuts, fpr=0.1, rng=rng, level=0.975)
    return auc(scores, truth, rng=rng), pair, scores, truth, cuts


@pytest.mark.parametrize("persons", [1, 3])
def test_of_one_target_nothing_changes(persons):
    area, pair, scores, truth, cuts = measured(1, persons)
    found, rates = of_these_models(area, pair, scores, truth, thresholds=cuts)
    for one, other in (
        (found, area),
        (rates.tpr, pair.tpr),
        (rates.fpr, pair.fpr),
        (rates.difference, pair.difference),
    ):
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-9)
        assert "this trained model only" in one.method


@pytest.mark.parametrize("targets", [2, 3, 9])
def test_targets_as_given_leave_out_what_trainings_differ_by(targets):
    """Targets that differ much: the interval over retraining is far wider; values and levels stay."""
    area, pair, scores, truth, cuts = measured(targets)
    found, rates = of_these_models(area, pair, scores, truth, thresholds=cuts)
    assert rates.tpr.high - rates.tpr.low < 0.6 * (pair.tpr.high - pair.tpr.low)
    for one, other in ((found, area), (rates.tpr, pair.tpr), (rates.difference, pair.difference)):
        assert f"these {targets} trained models only" in one.method
        assert replace(one, low=0.0, high=0.0, method="") == replace(other, low=0.0, high=0.0, method="")
        assert one.low < one.value < one.high
