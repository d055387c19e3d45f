"""Numbers about canaries, which no number of a natural record enters, and what they say about averages."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.design.canaries import CanaryScores
from dosimeter.families.membership.measures.material import Material
from dosimeter.families.membership.rates import FPRS
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.intervals.crossed import auc_interval, difference_interval, rate_interval
from dosimeter.statistics.rates import randomisation_p

CONFIDENCE = 0.95
"""Joint level of all intervals of canaries."""
MEASURED = (
    "tpr", "low", "high", "fpr_reached", "fpr_low", "fpr_high", "excess", "excess_low", "excess_high", "p",
    "auc", "auc_low", "auc_high",
)  # fmt: skip
"""Keys of a row that are numbers, or all null."""
STATISTICS = 4
"""Number of intervals in a row."""
DRAWS = 10_000
"""Draws of the membership coins: enough for a p-value that holds over sixty grades."""


def canary_rows(material: Material, attack: str) -> list[dict[str, Any]]:
    """One row per grade: how the attack finds these canaries at the thresholds of the natural non-members.

    TPR, FPR, their difference (the excess) and AUC of all grades hold together at 95 % (Bonferroni). Canaries that a
    target did not train on are unlike natural non-members, so only the excess over them speaks of leakage.

    Args:
        material: material of the audit.
        attack: the headline attack.
    """
    canaries, lead = material.canaries, material.leading
    if canaries is None:
        return []
    level = 1 - (1 - CONFIDENCE) / (STATISTICS * len(canaries.grades))
    rows = []
    for kind, copies in canaries.grades:
        own = canaries.of(kind, copies)
        base = {
            "kind": kind, "copies": copies, "n": int(own.sum()), "n_targets": len(canaries.member), "attack": attack,
            "fpr": lead or FPRS[0], "level": level,
        }  # fmt: skip
        reason = _reason(canaries, attack, lead)
        if reason:
            status = "refused" if attack not in canaries.scores else "not_resolvable"
            rows.append({**base, **dict.fromkeys(MEASURED), "method": "", "status": status, "reason": reason})
        else:
            rows.append({**base, **_measure_grade(material, attack, (kind, copies), level)})
    return rows


def _reason(canaries: CanaryScores, attack: str, lead: float | None) -> str:
    """Text: why there is no number; empty if there is one."""
    if attack not in canaries.scores:
        return "an attack that holds more than answers, which is known of natural records only, judges no canary"
    return "" if lead is not None else "no threshold can be certified with so few natural non-members"


def _measure_grade(material: Material, attack: str, grade: tuple[str, int], level: float) -> dict[str, Any]:
    """The numbers of one grade, for its row."""
    canaries, (kind, copies) = material.canaries, grade
    assert canaries is not None
    lead = material.leading
    assert lead is not None
    own, name = canaries.of(kind, copies), f"{kind} x {copies}"
    member, values = canaries.member[:, own], canaries.scores[attack][:, own]
    hits, record = values > material.thresholds_of_canaries(attack, lead)[:, None], np.arange(member.shape[1])
    tpr, fpr = (
        rate_interval(hits, side, record=record, rng=material.rng(f"canaries {name} {of}"), level=level)
        for of, side in (("tpr", member), ("fpr", ~member))
    )
    excess = difference_interval(hits, member, record=record, tpr=tpr, fpr=fpr, level=level)
    area = auc_interval(values, member, record=record, rng=material.rng(f"canaries {name} auc"), level=level)
    numbers = [end for one in (tpr, fpr, excess) for end in (one.value, one.low, one.high)]
    p = p_of_use(material, attack, grade)
    found = dict(zip(MEASURED, [*numbers, p, area.value, area.low, area.high], strict=True))
    return {**found, "method": tpr.method, "status": "ok", "reason": ""}


def p_of_use(material: Material, attack: str, grade: tuple[str, int]) -> float:
    """One-sided p-value of "canaries of this grade are called as often where they were not used".

    Which models use a canary is drawn by coins, so they are thrown anew; few targets cost nothing, since this is about
    these models.

    Args:
        material: material of an audit with canaries that this attack judged.
        attack: the attack.
        grade: kind and copies.
    """
    canaries, lead = material.canaries, material.leading
    assert canaries is not None
    assert lead is not None
    own = canaries.of(*grade)
    part = Truth(np.flatnonzero(own), canaries.member[:, own], np.arange(int(own.sum())))
    return randomisation_p(
        Scores(part.ids, canaries.scores[attack][:, own]), part,
        thresholds=material.thresholds_of_canaries(attack, lead),
        rng=material.rng(f"canaries {grade[0]} x {grade[1]} p"), draws=DRAWS,
    ).p_tpr  # fmt: skip


def call_rate_gains(material: Material, attack: str) -> Float[Array, " c"]:
    """Share of models that call each canary, among those that trained on it, minus that among the others.

    Both shares are over targets and rehearsing models.

    Args:
        material: material of an audit with canaries that this attack judged.
        attack: the attack.

    Returns:
        Between -1 and 1; NaN for a canary that all or none of these models trained on.
    """
    canaries, lead = material.canaries, material.leading
    assert canaries is not None
    assert lead is not None
    thresholds = material.thresholds_of_canaries(attack, lead)
    called = canaries.scores[attack] > thresholds[:, None]
    # A model that rehearses is judged once per fold; its call is the share of the folds in which it is made.
    again = np.zeros(canaries.rehearsal_in.shape)
    if len(again):
        again = (canaries.rehearsed[attack] > thresholds[::2][:, None, None]).mean(0)
    shares = []
    for targets, rehearsing in ((canaries.member, canaries.rehearsal_in), (~canaries.member, ~canaries.rehearsal_in)):
        models = targets.sum(0) + rehearsing.sum(0)
        found = (called & targets).sum(0) + (again * rehearsing).sum(0)
        shares.append(np.where(models > 0, found / np.maximum(models, 1), np.nan))
    return np.asarray(shares[0] - shares[1])
