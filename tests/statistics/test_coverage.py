"""Do the intervals cover the truth as often as they say? Simulated audits whose true rates are known in closed form.

Estimands. One target: this trained model's rates over records (its random effects are given). Several targets: the
rates over retraining and records; for the pooled AUC its expectation at this number of targets. Thresholds come from a
rehearsal of 8 other rows and are given. Nominal level 95 %; seeds are fixed: a run always passes or always fails.
"""

import numpy as np
import pytest
from simulated_audits import World

from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses.shown import of_these_models
from dosimeter.statistics.intervals.crossed import auc_interval, difference_interval, rate_interval
from dosimeter.statistics.rates import auc, shadow_threshold, tpr_at_threshold

WORLDS = {
    "none": World(gain=0.0, extra=0.0, boost_sd=0.0),
    "weak": World(gain=0.1, extra=1.0),
    "strong": World(gain=1.0, extra=3.0),
    "weak, persons of 4": World(gain=0.1, extra=1.0, persons=4),
    "weak, large target effect": World(gain=0.1, extra=1.0, target_sd=0.6),
}


def coverage(world, targets, *, n, repetitions, fpr=0.02):
    """Shares of intervals that cover, and mean widths, of TPR, FPR, TPR - FPR and AUC."""
    rng = np.random.default_rng([targets, n, repetitions])
    covered, widths = np.zeros(4), np.zeros(4)
    for _ in range(repetitions):
        rehearsal, audit = world.draw(8, n, rng), world.draw(targets, n, rng)
        threshold = shadow_threshold(rehearsal.values, rehearsal.is_member, fpr)
        hits, bits, record = audit.values > threshold, audit.is_member, audit.record
        tpr, fpr_reached = (rate_interval(hits, which, record=record, rng=rng) for which in (bits, ~bits))
        difference = difference_interval(hits, bits, record=record, tpr=tpr, fpr=fpr_reached)
        auc = auc_interval(audit.values, bits, record=record, rng=rng)
        true_tpr, true_fpr = world.rates(threshold, audit)
        truths = (true_tpr, true_fpr, true_tpr - true_fpr, world.auc(audit))
        for i, (found, true) in enumerate(zip((tpr, fpr_reached, difference, auc), truths, strict=True)):
            covered[i] += found.low <= true <= found.high
            widths[i] += found.high - found.low
    return covered / repetitions, widths / repetitions


def test_closed_form_of_the_simulator():
    rng = np.random.default_rng(0)
    world = WORLDS["strong"]
    audits = [world.draw(4, 100, rng) for _ in range(800)]
    calls = np.mean([((a.values > 2)[a.is_member].mean(), (a.values > 2)[~a.is_member].mean()) for a in audits], axis=0)
    np.testing.assert_allclose(calls, world.rates(2.0, audits[0]), atol=0.012)
    aucs = [auc_interval(a.values, a.is_member, record=a.record, rng=rng, draws=0).value for a in audits[:300]]
    assert np.mean(aucs) == pytest.approx(world.auc(audits[0]), abs=0.008)


@pytest.mark.parametrize("targets", [1, 4, 8])
def test_coverage_in_small(targets):
    """100 repetitions; at a true coverage of 95 % fewer than 88 happen with probability 0.2 % per number."""
    covered, _ = coverage(WORLDS["weak"], targets, n=200, repetitions=100)
    assert (covered >= 0.88).all(), covered


@pytest.mark.slow
@pytest.mark.parametrize("targets", [1, 4, 8, 16, 32])
@pytest.mark.parametrize("world", WORLDS)
def test_coverage_is_at_least_nominal_less_two_points(world, targets, record_figure):
    """600 repetitions, n = 400 records: the standard error of a coverage of 95 % is 0.9 points."""
    covered, widths = coverage(WORLDS[world], targets, n=400, repetitions=600)
    print(
        f"\n{world}, {targets} targets: tpr fpr difference auc cover {covered.round(3)}, mean width {widths.round(4)}"
    )
    record_figure(
        "coverage of nominal 95 % intervals",
        world=world,
        targets=targets,
        n=400,
        repetitions=600,
        numbers=["tpr", "fpr", "difference", "auc"],
        coverage=covered.round(4).tolist(),
        mean_width=widths.round(5).tolist(),
    )
    assert (covered >= 0.93).all(), covered


def coverage_of_these(world, targets, *, n, repetitions):
    """Shares of intervals that take the models as given and cover their own truth: TPR, FPR, TPR - FPR and AUC."""
    rng, covered = np.random.default_rng([targets, n, repetitions, 1]), np.zeros(4)
    for _ in range(repetitions):
        audit = world.draw(targets, n, rng)
        scores, truth = Scores(np.arange(n), audit.values), Truth(np.arange(n), audit.is_member, audit.record)
        cuts, area = np.full(targets, 1.8), auc(scores, truth, rng=rng)
        pair = tpr_at_threshold(scores, truth, thresholds=cuts, fpr=0.1, rng=rng, level=0.95)
        found, rates = of_these_models(area, pair, scores, truth, thresholds=cuts)
        tpr, fpr = world.rates_of_these(1.8, audit)
        truths = (tpr, fpr, tpr - fpr, world.auc_of_these(audit))
        for i, (one, true) in enumerate(zip((rates.tpr, rates.fpr, rates.difference, found), truths, strict=True)):
            covered[i] += one.low <= true <= one.high
    return covered / repetitions


def test_coverage_of_given_models_in_small():
    """100 repetitions; at a true coverage of 95 % fewer than 88 happen with probability 0.2 % per number."""
    covered = coverage_of_these(WORLDS["weak, large target effect"], 2, n=200, repetitions=100)
    assert (covered >= 0.88).all(), covered


@pytest.mark.slow
@pytest.mark.parametrize("targets", [1, 2, 3, 8])
@pytest.mark.parametrize("world", WORLDS)
def test_coverage_of_given_models_is_at_least_nominal_less_two_points(world, targets, record_figure):
    """600 repetitions, n = 400 records: the standard error of a coverage of 95 % is 0.9 points."""
    covered = coverage_of_these(WORLDS[world], targets, n=400, repetitions=600)
    print(f"\n{world}, {targets} given targets: tpr fpr difference auc cover {covered.round(3)}")
    record_figure(
        "coverage of nominal 95 % intervals of given models",
        world=world,
        targets=targets,
        n=400,
        repetitions=600,
        numbers=["tpr", "fpr", "difference", "auc"],
        coverage=covered.round(4).tolist(),
    )
    assert (covered >= 0.93).all(), covered
