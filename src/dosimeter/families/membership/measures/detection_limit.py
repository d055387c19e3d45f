"""The smallest leak that this audit would have shown, from worlds without a leak that are made of its own evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp, inf, sqrt
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from dosimeter.families.membership.gates.persons import few
from dosimeter.families.membership.measures.baseline import CROSS_FIT_VARIANCE, Baseline
from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.canaries import p_of_use
from dosimeter.families.membership.measures.cross_fitting import CrossFit
from dosimeter.families.membership.measures.material import Material, Measured
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.detection_limit import DetectionLimit, RateFloor, World, detection_limit, move_scores
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.intervals.cells import centred_ranks, clusters, exceeds
from dosimeter.statistics.large_audits import auc_in_closed_form, by_coins, tpr_in_closed_form
from dosimeter.statistics.paired import point_at

POWER = 0.9
"""Probability with which a leak of the printed size is shown."""
AIM = 0.925
"""Power that limits are computed for. A limit is itself uncertain, and power rises less above it than it falls below,
so limits computed for 0.9 were shown 88 times in 100 (`docs/zoo.md`)."""
AIM_BESIDE = (0.96, 0.98)
"""Power that limits beside blind classifiers are computed for, since a difference of the records may or may not be
seen: of one attack, and of a choice of other halves, where two attacks must both gain. With `AIM`, and members shifted
by 0.2 standard deviations, which most audits do not see, a choice was shown in 130 of 160 audits at its limit (81 %, 74
to 87)."""
MOST_CELLS = 60_000
"""Most scores for which worlds are made; beyond, calls are so many that the closed form holds."""
MARGIN = 1 + float(ndtri(AIM)) / float(ndtri(0.975))
"""Distance of a statistic from its limit, in half widths of a 95 % interval, at which it is shown with power `AIM`."""
WORLDS = 300
"""Number of worlds of an audit with up to `MANY_CELLS` scores; half as many for a larger one."""
MANY_CELLS = 20_000


@dataclass(frozen=True)
class Detection:
    """The leak that would have been shown with power `POWER`.

    Attributes:
        fpr: the leading false positive rate.
        tpr: of the least leak in which some records are named; None if none is shown, or none can be named, or if
            canaries were planted and are not shown to be named more often where they were used.
        auc: AUC of the least leak that moves all members' scores alike; None if none is shown.
        worlds: in which `tpr` was found; 0 for the closed form.
        source: where the scores of leaking members come from, "canaries" or "top scores".
    """

    fpr: float
    tpr: float | None
    auc: float | None
    worlds: int
    source: str

    def row(self, sentence: str) -> dict[str, Any]:
        """The content of `result.json`."""
        return {**vars(self), "power": POWER, "sentence": sentence}


def detect(material: Material, measured: Measured, attack: str, baseline: Baseline | None = None) -> Detection:
    """The detection limit of an audit that shows no leak.

    Args:
        material: material of the audit.
        measured: the headline attack's estimates.
        attack: the headline attack.
        baseline: the blind baseline that the attack must exceed, for a supplied model.
    """
    lead = material.leading
    assert lead is not None
    pair, cells = measured.pairs[lead], material.truth.is_member.size
    if not material.drawn and few(material.truth):
        return Detection(lead, None, None, 0, "top scores")  # power hangs on who the few persons are: none is promised
    planted, beside = planted_leak(material, attack), AIM_BESIDE[attack in material.choice]
    if planted is None and has_scored_canaries(material, attack):
        # Canaries were judged, but use is not shown to raise the calls of any grade: no limit can be promised.
        limit, source = DetectionLimit(inf, lead, lead, 0), "canaries"
    elif cells > MOST_CELLS:
        assert pair.fpr.value is not None
        gap = pair.difference
        if material.drawn:
            hits = exceeds(material.scores[attack], material.thresholds(attack, lead))
            gap = by_coins(hits, material.truth, gap)
        limit, source = tpr_in_closed_form(gap, pair.fpr.value, material.truth, power=AIM), "top scores"
        if baseline is not None:  # a share w that is named surely lifts the AUC by w / 2, and the TPR by w
            gained = 2 * baseline.reach * MARGIN
            if baseline.rates is not None:
                at_one_rate = tpr_in_closed_form(_widen(baseline), limit.fpr, material.truth, power=beside)
                gained = min(gained, at_one_rate.share)
            share = max(limit.share, gained)
            limit = replace(limit, share=share, tpr=limit.fpr + share)
    else:
        count = WORLDS if cells <= MANY_CELLS else WORLDS // 2
        worlds = worlds_of(material, attack, count=count, planted=planted)
        if baseline is not None:
            rng = material.rng(f"{attack} detection limit, baseline")
            worlds = _beside(worlds, material, baseline, rng, count=count)
        limit = detection_limit(worlds, power=AIM if baseline is None else beside)
        source = "top scores" if planted is None else "canaries"
    area = measured.auc
    if material.drawn:
        area = by_coins(centred_ranks(material.scores[attack]) / cells, material.truth, area)
    auc = auc_in_closed_form(area, power=AIM)
    if baseline is not None:
        auc = max(auc, 0.5 + baseline.reach * MARGIN)
    return Detection(lead, _smallest_leak_rate(limit), auc if auc < 1 else None, limit.worlds, source)


def _beside(
    worlds: Iterator[World], material: Material, baseline: Baseline, rng: np.random.Generator, *, count: int
) -> Iterator[World]:
    """Worlds in which a gain over the baseline must be shown too.

    Its AUC is a normal draw about one half. Its point at one rate is that of its own scores when bits change places;
    since cross-fitted scores vary more than fixed ones, a normal draw adds what `CROSS_FIT_VARIANCE` counts beyond
    that.
    """
    floors, luck = 0.5 + baseline.reach + baseline.error * rng.normal(size=count), rng.normal(size=count)
    rates, truth = baseline.rates, material.truth
    assert material.blind is not None
    kept = np.isfinite(material.blind)
    scores = np.tile(material.blind[kept], (len(truth.is_member), 1))
    for world, floor, one in zip(worlds, floors.tolist(), luck.tolist(), strict=True):
        asked = None
        if rates is not None:
            bits = move_scores(truth.is_member[:, kept], truth.record[kept], rng)
            point = point_at(scores, bits, max(rates.fpr, float(world.hits[~world.is_member].mean())))
            slope = max(point.slope, _steepest(baseline, rates.fpr))
            # The error of TPR - s FPR grows with s about as sqrt(1 + s^2), since both rates vary alike.
            error = rates.error * sqrt((1 + slope**2) / (1 + rates.slope**2))
            net = float(point.calls[bits].mean() - slope * point.calls[~bits].mean())
            asked = RateFloor(slope, net + one * error * sqrt(1 - 1 / CROSS_FIT_VARIANCE), error)
        yield replace(world, floor=floor, rate_floor=asked)


def _steepest(baseline: Baseline, fpr: float) -> float:
    """Largest slope of the classifiers' ROC curve at a rate that their AUC does not exclude.

    The steeper the curve is, the more false accusations count. Members and non-members may differ more than this audit
    shows, and a new audit would then see it. The curve is binormal: two normal laws of equal spread.
    """
    assert baseline.auc.high is not None
    apart = sqrt(2) * max(float(ndtri(min(baseline.auc.high, 1 - 1e-9))), 0.0)
    return exp(-apart * float(ndtri(fpr)) - apart**2 / 2)


def _widen(baseline: Baseline) -> Estimate:
    """The gain at one rate, with the interval that it has at the steepest curve that is not excluded."""
    rates = baseline.rates
    assert rates is not None
    assert rates.gain.value is not None
    assert rates.gain.low is not None
    slope = max(rates.slope, _steepest(baseline, rates.fpr))
    reach = (rates.gain.value - rates.gain.low) * sqrt((1 + slope**2) / (1 + rates.slope**2))
    return replace(rates.gain, low=rates.gain.value - reach)


def _smallest_leak_rate(limit: DetectionLimit) -> float | None:
    """The rate of the smallest leak, if at most all records leak and some of them are called."""
    return limit.tpr if limit.share <= 1 and limit.tpr > limit.fpr else None


def worlds_of(material: Material, attack: str, *, count: int, planted: Planted | None = None) -> Iterator[World]:
    """Worlds without a leak: labels are permuted over records, so that scores do not depend on them.

    What targets and persons share stays: all scores of a record cluster move together. The chance error of thresholds
    is drawn again as far as the evidence allows. If halves of the records set thresholds for each other, they do so
    with the new labels. If shadows rehearsed and membership was drawn, they take turns as the targets.

    Args:
        material: material of the audit.
        attack: whose scores.
        count: how many worlds.
        planted: what leaking members look like, from `planted_leak`; without, they stand above all others.
    """
    assert material.leading is not None
    given, record = material.calibration, material.truth.record
    rng, thresholds = material.rng(f"{attack} detection limit"), material.thresholds(attack, material.leading)
    index, k = clusters(record)
    for _ in range(count):
        values, bits = _again(material, attack, rng)
        if isinstance(given, CrossFit):
            # Halves set thresholds from the new labels, so that the chance error of thresholds is part of the world.
            thresholds = given.thresholds_of(values, material.leading, bits)
        # Without canaries a leaking record is always called.
        leak = np.full(values.shape, inf)
        if planted is not None:
            place = np.arange(k) if index is None else index
            chosen, moves = rng.integers(planted.scores.shape[1], size=k), rng.random(k) < planted.share
            leak = np.where(moves[place], planted.scores[:, chosen[place]], values)
        yield World(values, bits, record, thresholds, leak, rng.random(k), material.drawn)


def has_scored_canaries(material: Material, attack: str) -> bool:
    """Returns whether there are canaries that this attack scored."""
    return material.canaries is not None and attack in material.canaries.scores


@dataclass(frozen=True)
class Planted:
    """Scores of a leaking record, taken from the canaries of the most exposed grade.

    Attributes:
        scores: of canaries where models trained on them, per target `[t c]`.
        share: of leaking records that get such a score; the others keep their own.
    """

    scores: Float[Array, "t c"]
    share: float


def planted_leak(material: Material, attack: str) -> Planted | None:
    """Scores of a leak, from the canaries of the grade whose calls increase most by use.

    The score of a used canary is not all leak: canaries are odd, and some are called where they were not used. Let v be
    the rate at which used canaries are called, u that of unused ones, and f that of natural non-members. Use adds v - u
    only. So a leaking natural record gets a used canary's score with probability (v - u) / (v - f) and else keeps its
    own. It is then called at the rate f + (v - u), and the limit is about what use adds. If u = f, every leaking record
    gets such a score.

    Where a target did not train on a canary, the score is that of the next target that did.

    Args:
        material: material of the audit.
        attack: whose scores.

    Returns:
        None if no canary was judged, or if no grade is shown to be called more often where it was used.
    """
    canaries, lead = material.canaries, material.leading
    if canaries is None or lead is None or not has_scored_canaries(material, attack):
        return None
    cuts, grades = material.thresholds_of_canaries(attack, lead)[:, None], canaries.grades
    shown = [grade for grade in grades if p_of_use(material, attack, grade) <= 0.05 / len(grades)]
    rates = {}
    for grade in shown:
        own = canaries.of(*grade)
        hits, member = canaries.scores[attack][:, own] > cuts, canaries.member[:, own]
        rates[grade] = float(hits[member].mean()), float(hits[~member].mean())
    if not rates:
        return None
    worst = max(rates, key=lambda grade: rates[grade][0] - rates[grade][1])
    used, unused = rates[worst]
    named = exceeds(material.scores[attack], material.thresholds(attack, lead))
    natural = float(named[~material.truth.is_member].mean())
    own = canaries.of(*worst)
    scores, member = canaries.scores[attack][:, own], canaries.member[:, own]
    scores, member = scores[:, member.any(0)], member[:, member.any(0)]
    rows = np.arange(len(scores))
    ahead = (rows[:, None] + rows) % len(rows)  # [t t]: for each target all targets, itself first
    chosen = ahead[rows[:, None], member[ahead].argmax(1)]
    share = (used - unused) / (used - natural) if used > natural else 0.0
    return Planted(np.asarray(np.take_along_axis(scores, chosen, axis=0)), min(share, 1.0))


def _again(material: Material, attack: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """Scores and bits after a permutation of the bits."""
    truth, given = material.truth, material.calibration
    values = material.scores[attack]
    if material.drawn and isinstance(given, Calibration) and given.source == "shadow":
        values = _by_turns(values, given, attack, rng)
    return values, move_scores(truth.is_member, truth.record, rng)


def _by_turns(
    own: Float[Array, "t n"], given: Calibration, attack: str, rng: np.random.Generator
) -> Float[Array, "t n"]:
    """Scores when a random pair of models plays each pair of targets: its own, or one that rehearsed in the fold."""
    values, rehearsed = own.copy(), given.scores[attack]
    pairs = len(rehearsed[0]) // 2
    order = rng.permutation(pairs)
    for pair in range(min(-(-len(own) // 2), pairs)):
        # The targets' own pair is one of pairs + 1 that may play; with this probability another one does.
        if rng.random() * (pairs + 1) < pairs:
            place, turn = slice(2 * pair, 2 * pair + 2), slice(2 * order[pair], 2 * order[pair] + 2)
            playing = rehearsed[int(given.block[2 * pair])][turn]
            values[place] = playing[rng.permutation(2)][: len(values[place])]
    return values
