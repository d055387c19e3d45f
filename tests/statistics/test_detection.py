"""The detection limit: the fast rule against the full one, growing leaks step by step, and known answers."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from scipy.stats import binom, norm

from dosimeter.statistics.detection_limit import (
    Calls,
    Coins,
    RateFloor,
    World,
    detection_limit,
    least_share,
    move_scores,
    p_in_closed_form,
    ranks_show,
)
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses.shown import leak_shown
from dosimeter.statistics.hypotheses.stated import stated_p
from dosimeter.statistics.intervals.cells import centred_ranks
from dosimeter.statistics.intervals.crossed import clopper_pearson, difference_interval, rate_interval
from dosimeter.statistics.intervals.margins import place_pairs
from dosimeter.statistics.large_audits import auc_in_closed_form, by_coins, tpr_in_closed_form
from dosimeter.statistics.paired import rate_difference
from dosimeter.statistics.rates import auc, randomisation_p, tpr_at_threshold


def world(targets, n, rng, *, persons=1, drawn=True, fpr=0.02, members=0.5):
    """Normal scores that share an effect of the record; what leaks stands far above."""
    sizes = np.resize([1, 1, 1, 1, 1, 8], n // 2) if persons == "unequal" else np.full(n // persons, persons)
    record = np.repeat(np.arange(len(sizes)), sizes)
    k, n = len(sizes), len(record)
    rows = [rng.permutation(k) < round(members * k) for _ in range(-(-targets // 2))]
    bits = np.stack([row for one in rows for row in (one, ~one)])[:targets][:, record]
    values = rng.normal(size=k)[record] + rng.normal(size=(targets, n))
    thresholds = np.full(targets, norm.isf(fpr) * np.sqrt(2))
    return World(values, bits, record, thresholds, np.full(values.shape, inf), rng.random(k), drawn)


def shares(one):
    """Every share at which one more cluster leaks."""
    return [0.0, *np.nextafter(np.sort(one.moment), inf)]


def by_calls(one, share):
    """The decision by calls, written out: intervals in closed form of the calls themselves, where they are asked."""
    hits = np.where(one.leaks(share), one.leaky_hits, one.hits)
    if one.drawn:
        return True, p_in_closed_form(one, hits)
    rng = np.random.default_rng(0)
    worth = place_pairs(one.values, one.is_member, one.record).worth if one.by_interval else (None, None)
    rates = [
        rate_interval(hits, of, record=one.record, rng=rng, level=0.975, draws=0, distinct=own)
        for of, own in zip((one.is_member, ~one.is_member), worth, strict=True)
    ]
    found = difference_interval(hits, one.is_member, record=one.record, tpr=rates[0], fpr=rates[1], level=0.975)
    return found.low > 0, 0.0 if one.by_interval else p_in_closed_form(one, hits)


CASES = {
    "one target": dict(targets=1, n=120),
    "one target, persons": dict(targets=1, n=120, persons=3),
    "stated, persons": dict(targets=1, n=150, persons=3, drawn=False, members=0.8),
    "stated, unequal persons": dict(targets=1, n=120, persons="unequal", drawn=False),
    "four targets": dict(targets=4, n=80),
    "nine targets": dict(targets=9, n=60),
    "nine targets, persons": dict(targets=9, n=60, persons=2),
    "stated, three targets": dict(targets=3, n=80, drawn=False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_step_of_a_growing_leak_is_the_decision_about_its_calls(case):
    one = world(rng=np.random.default_rng(3), fpr=0.05, **case)
    calls, decisions = (Coins if one.drawn else Calls)(one), []
    for step, share in enumerate(shares(one)):
        beyond, p = by_calls(one, share)
        assert calls.p_value(step) == pytest.approx(p, rel=1e-9)
        assert calls.shows(step) == (beyond and p <= 0.025)
        decisions.append(calls.shows(step))
    assert not decisions[0]
    assert decisions[-1]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("guess", [0.0, 0.1, 0.9])
def test_the_least_share_is_the_first_that_is_shown(case, guess):
    one = world(rng=np.random.default_rng(4), fpr=0.05, **case)
    for share in shares(one):
        beyond, p = by_calls(one, share)
        if (beyond and p <= 0.025) or ranks_show(one, share):
            assert least_share(one, guess=guess) == share
            return
    pytest.fail("a leak of every record must be shown")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_fast_rule_decides_as_the_full_one(case):
    """Near each world's own limit; the full rule draws permutations, and from 8 targets on a bootstrap."""
    rng, agreed, decisions = np.random.default_rng(5), 0, 0
    for _ in range(12):
        one = world(rng=rng, fpr=0.05, **case)
        limit = least_share(one)
        for share in (0.6 * limit, 1.5 * limit):
            agreed += full_rule(one, share) == (share >= limit)
            decisions += 1
    assert agreed >= decisions - 4, f"{agreed} of {decisions}"


def full_rule(one, share):
    """`leak_shown` on a world with a leak, as an audit would decide."""
    ids = np.arange(len(one.record))
    scores, truth = Scores(ids, one.with_leak(share)), Truth(ids, one.is_member, one.record)
    rng = np.random.default_rng(0)
    pair = tpr_at_threshold(scores, truth, thresholds=one.thresholds, fpr=0.2, rng=rng, level=0.975)
    test = randomisation_p if one.drawn else stated_p
    p = test(scores, truth, thresholds=one.thresholds, rng=rng, draws=400)
    return leak_shown(auc(scores, truth, rng=rng), pair, p, drawn=one.drawn).leak


@pytest.mark.parametrize(
    ("case", "share"), [(dict(targets=1), 0.12), (dict(targets=4), 0.06), (dict(targets=9, persons=2), 0.06)], ids=str
)
def test_p_values_in_closed_form_are_those_of_the_coins(case, share):
    one = world(n=400, fpr=0.1, rng=np.random.default_rng(6), **case)
    values = one.with_leak(share)
    ids = np.arange(len(one.record))
    scores, truth = Scores(ids, values), Truth(ids, one.is_member, one.record)
    drawn = randomisation_p(scores, truth, thresholds=one.thresholds, rng=np.random.default_rng(1), draws=20_000)
    hits = values > one.thresholds[:, None]
    # Of one target the law is exact given the number of calls; the coins also tell apart tables of equally many calls.
    tied = binom.pmf(hits[one.is_member].sum(), hits.sum(), 0.5) if len(values) == 1 else 0.0
    assert drawn.p_tpr - 0.02 <= p_in_closed_form(one, hits) <= drawn.p_tpr + tied + 0.02
    ranks = np.argsort(np.argsort(values, axis=None)).reshape(values.shape) + 1.0
    assert p_in_closed_form(one, ranks) == pytest.approx(drawn.p_auc, abs=0.02)


def test_the_share_is_that_of_the_binomial_law():
    """Without false calls six called members are shown and five are not, so P(Bin(m, share) >= 6) must be 0.9."""
    rng, n = np.random.default_rng(7), 300

    def silent():
        one = world(1, n, rng)
        return replace(one, values=np.minimum(one.values, one.thresholds[:, None] - 1))

    one = silent()
    members = np.sort(one.when[one.is_member[0]])
    assert least_share(one) == np.nextafter(members[5], inf)
    limit = detection_limit(silent() for _ in range(800))
    assert binom.sf(5, n // 2, limit.share) == pytest.approx(0.9, abs=0.032)  # three standard errors of 800 worlds
    assert limit.tpr == pytest.approx(limit.share)
    assert limit.fpr == 0


def test_a_few_records_show_no_leak_of_any_size():
    limit = detection_limit(world(1, 4, np.random.default_rng(i)) for i in range(20))
    assert limit.share == inf


def test_a_threshold_that_nothing_passes_leaves_the_ranking():
    rng = np.random.default_rng(8)
    limit = detection_limit(replace(world(1, 200, rng), thresholds=np.array([inf])) for _ in range(50))
    assert 0.05 < limit.share < 0.4
    assert limit.tpr == limit.fpr == 0


def test_weak_leaks_need_more_records():
    rng = np.random.default_rng(9)
    worlds = [world(1, 300, rng) for _ in range(100)]
    faint = [replace(one, leak=one.values + 1.0) for one in worlds]
    strong, weak = detection_limit(worlds), detection_limit(faint)
    assert weak.share > 2 * strong.share


@pytest.mark.parametrize("persons", [1, 2])
def test_a_large_audit_has_its_limit_in_closed_form(persons):
    """Against worlds, at 16,000 records and 1 % false calls."""
    rng = np.random.default_rng(10)
    worlds = [world(1, 16_000, rng, persons=persons, fpr=0.01) for _ in range(50)]
    one, ids = worlds[0], np.arange(16_000)
    scores, truth = Scores(ids, one.values), Truth(ids, one.is_member, one.record)
    pair = tpr_at_threshold(scores, truth, thresholds=one.thresholds, fpr=0.01, rng=rng, level=0.975)
    closed, drawn = tpr_in_closed_form(pair.difference, pair.fpr.value, truth), detection_limit(worlds)
    assert closed.worlds == 0
    assert closed.share == pytest.approx(drawn.share, rel=0.2)


def test_the_auc_in_closed_form_has_its_power():
    """400 audits whose members' scores are shifted to that AUC: 90 % +- 6 % have an interval above one half."""
    rng, ids = np.random.default_rng(11), np.arange(300)
    bits = (ids < 150)[None]

    def audit(shift):
        scores = Scores(ids, rng.normal(size=(1, 300)) + shift * bits)
        return auc(scores, Truth(ids, bits, ids), rng=rng)

    limit = np.mean([auc_in_closed_form(audit(0.0)) for _ in range(20)])
    shown = np.mean([audit(np.sqrt(2) * norm.ppf(limit)).low > 0.5 for _ in range(400)])
    assert shown == pytest.approx(0.9, abs=0.06)


@pytest.mark.parametrize("whole", [True, False])
def test_labels_change_places_between_clusters(whole):
    rng = np.random.default_rng(12)
    record = np.repeat(np.arange(40), rng.integers(1, 4, 40))
    labels = (rng.random((2, 40)) < 0.5)[:, record] if whole else rng.random((2, len(record))) < 0.5
    found = move_scores(labels, record, rng)
    assert (found != labels).any()
    if whole:
        first = np.unique(record, return_index=True)[1]
        assert (found == found[:, first][:, record]).all()
        assert found[:, first].sum() == labels[:, first].sum()
    else:
        assert found.sum() == labels.sum()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="worlds must not be empty"):
        detection_limit([])
    with pytest.raises(ValueError, match="power"):
        detection_limit([], power=1.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_floor_asks_for_that_auc_beside_the_rest(seed):
    """The first step, by trying all, at which the rest shows the leak and the AUC of all pairs is above the floor."""
    one = world(2, 60, np.random.default_rng(seed))
    free, floored = least_share(one), replace(one, floor=0.95)

    def area(share):
        values = one.with_leak(share)
        members, others = values[one.is_member][:, None], values[~one.is_member]
        return (members > others).mean() + (members == others).mean() / 2

    wanted = next((share for share in shares(one) if share >= free and area(share) > 0.95), inf)
    assert least_share(floored) == wanted > free
    assert least_share(replace(one, floor=1.1)) == inf


@pytest.mark.parametrize("seed", range(3))
def test_calls_may_exceed_a_floor_of_their_own_instead(seed):
    """By trying all: the rest, and then the AUC above its floor or the paired interval of the calls above theirs."""
    one = world(1, 400, np.random.default_rng(seed), drawn=False)
    floor = RateFloor(slope=1.3, value=-0.006, error=0.05)
    free, asked = least_share(one), replace(one, floor=1.1, rate_floor=floor)
    nobody = np.zeros_like(one.is_member)

    def exceeds(share):
        calls = one.with_leak(share) > one.thresholds[:, None]
        found = rate_difference(calls, nobody, one.is_member, record=one.record, slope=1.3).gain
        value, half = found.value + 0.006, found.high - found.value
        unseen = clopper_pearson(0, 200)[1]
        return value > np.hypot(half, norm.ppf(0.975) * 0.05) and (1 - unseen) * value > unseen

    wanted = next(share for share in shares(one) if share >= free and exceeds(share))
    assert least_share(asked) == wanted > free
    assert least_share(replace(one, floor=0.01, rate_floor=floor)) == free


@pytest.mark.parametrize("targets", [1, 3])
def test_a_large_audit_of_a_recipe_has_its_limits_from_the_coins(targets):
    """Against worlds whose records and targets differ, 4,000 records; of the AUC against 200 audits at the limit."""
    rng = np.random.default_rng(13)

    def drawn():
        one = world(targets, 4000, rng, fpr=0.02)
        return replace(one, values=one.values + 0.5 * rng.normal(size=(targets, 1)), thresholds=one.thresholds)

    worlds = [drawn() for _ in range(40)]
    found = [limits_from_coins(one) for one in worlds[:20]]
    share = np.mean([one.share for one, _ in found])
    assert share == pytest.approx(detection_limit(worlds).share, rel=0.25)
    area = np.mean([area for _, area in found])
    shift = 2 * area - 1
    powers = [ranks_show(replace(one, leak=lifted(one, shift, rng)), 1.1) for one in (drawn() for _ in range(200))]
    assert np.mean(powers) == pytest.approx(0.9, abs=0.08)


def lifted(one, share, rng):
    """Scores of members among which a share stands above all others, which gives an AUC of (1 + share) / 2."""
    return np.where(rng.random(one.values.shape) < share, 100 + rng.random(one.values.shape), one.values)


def limits_from_coins(one):
    """What `detect` makes of a large audit of a recipe."""
    truth, hits = one.truth, one.hits
    value = float(hits[one.is_member].mean() - hits[~one.is_member].mean())
    gap = Estimate(value, value, value, 0.975, "", 1, 1, len(hits))
    limit = tpr_in_closed_form(by_coins(hits, truth, gap), float(hits[~one.is_member].mean()), truth)
    area = replace(gap, value=0.5)
    return limit, auc_in_closed_form(by_coins(centred_ranks(one.values) / hits.size, truth, area))
