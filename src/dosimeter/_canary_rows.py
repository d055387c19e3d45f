"""The canaries' own numbers, which no number of a natural record enters, and what they say of averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from dosimeter._material import Material
from dosimeter.canaries import CanaryScores
from dosimeter.config import FPRS
from dosimeter.games import Array
from dosimeter.metrics.estimate import Estimate
from dosimeter.metrics.intervals import auc_interval, rate_interval
from dosimeter.validity import Gate
from dosimeter.validity_runs import worst_case

CONFIDENCE = 0.95
"""Of all intervals of canaries together."""


def canary_rows(material: Material, attack: str) -> list[dict[str, Any]]:
    """One row per grade: how the attack finds these canaries at the thresholds of the natural non-members.

    TPR and AUC of all grades hold together at 95 % (Bonferroni).

    Args:
        material: of the audit.
        attack: the headline attack.
    """
    canaries, lead = material.canaries, material.leading
    if canaries is None:
        return []
    level = 1 - (1 - CONFIDENCE) / (2 * len(canaries.grades))
    rows = []
    for kind, copies in canaries.grades:
        own = canaries.of(kind, copies)
        base = {
            "kind": kind, "copies": copies, "n": int(own.sum()), "n_targets": len(canaries.member), "attack": attack,
            "fpr": lead or FPRS[0], "level": level,
        }  # fmt: skip
        reason = _reason(canaries, attack, lead)
        if reason:
            names = ("tpr", "low", "high", "fpr_reached", "auc", "auc_low", "auc_high")
            status = "refused" if attack not in canaries.scores else "not_resolvable"
            rows.append({**base, **dict.fromkeys(names), "method": "", "status": status, "reason": reason})
        else:
            rows.append({**base, **_measured(material, attack, canaries, own, f"{kind} x {copies}", level)})
    return rows


def _reason(canaries: CanaryScores, attack: str, lead: float | None) -> str:
    """Why there is no number, or nothing."""
    if attack not in canaries.scores:
        return "this attack holds more than answers, which is known of natural records only, so it judged no canary"
    return "" if lead is not None else "no threshold can be certified with so few natural non-members"


def _measured(
    material: Material, attack: str, canaries: CanaryScores, own: Array, name: str, level: float
) -> dict[str, Any]:
    """The numbers of one grade."""
    lead = material.leading
    assert lead is not None
    member, values = canaries.member[:, own], canaries.scores[attack][:, own]
    hits, record = values > material.thresholds(attack, lead)[:, None], np.arange(member.shape[1])
    tpr = rate_interval(hits, member, record=record, rng=material.rng(f"canaries {name} tpr"), level=level)
    area = auc_interval(values, member, record=record, rng=material.rng(f"canaries {name} auc"), level=level)
    ends = {"tpr": tpr.value, "low": tpr.low, "high": tpr.high, "fpr_reached": float(hits[~member].mean())}
    ranked = {"auc": area.value, "auc_low": area.low, "auc_high": area.high}
    return {**ends, **ranked, "method": tpr.method, "status": "ok", "reason": ""}


def found_when_used(material: Material, attack: str) -> Float[Array, " c"]:
    """Of each canary the share of the models that trained on it, targets and rehearsing ones, under which it is called.

    Args:
        material: of an audit with canaries that this attack judged.
        attack: the attack.
    """
    canaries, lead = material.canaries, material.leading
    assert canaries is not None
    assert lead is not None
    thresholds = material.thresholds(attack, lead)
    called = (canaries.scores[attack] > thresholds[:, None]) & canaries.member
    # A model that rehearses is judged once per fold; its call is the share of the folds in which it is made.
    folds = canaries.rehearsed[attack] > thresholds[::2][:, None, None]
    again = folds.mean(0) * canaries.rehearsal_in
    used = canaries.member.sum(0) + canaries.rehearsal_in.sum(0)
    return np.asarray(np.where(used > 0, (called.sum(0) + again.sum(0)) / np.maximum(used, 1), np.nan))


def beside_average(
    material: Material, rows: Sequence[Mapping[str, Any]], attack: str | None, natural: Estimate | None
) -> Gate:
    """P4 of a recipe.

    Args:
        material: of the audit.
        rows: of the canaries; none if none were planted.
        attack: the headline attack, or None.
        natural: its TPR at the leading rate, or None.
    """
    measured = attack is not None and any(row["status"] == "ok" for row in rows)
    rates = found_when_used(material, str(attack)) if measured else np.empty(0)
    return worst_case(rows, rates[~np.isnan(rates)], natural)
