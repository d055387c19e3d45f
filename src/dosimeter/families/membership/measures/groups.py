"""Numbers about groups of records: the rows of declared groups, and the attack on whole persons."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import CrossFit
from dosimeter.families.membership.measures.material import Material
from dosimeter.families.membership.measures.rows import rate_rows, row_of
from dosimeter.families.membership.rates import FPRS
from dosimeter.foundation.arrays import Array
from dosimeter.results.rows import Row
from dosimeter.statistics import exposure as metric
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import auc, shadow_threshold, tpr_at_threshold

MOST_GROUPS = 50
"""Most groups that get numbers of their own."""
POOLED = "mean over a person's records of the normal scores of their ranks within one model"


def group_rows(material: Material, attack: str) -> list[Row]:
    """Rows of the headline attack on each group, at the common thresholds; intervals hold for all groups jointly.

    Groups of one class, and all groups if there are more than `MOST_GROUPS`, have no rows.
    """
    names = _groups(material)
    if not 1 < len(names) <= MOST_GROUPS:
        return []
    lead, rows = material.leading or FPRS[0], list[Row]()
    thresholds, truth = material.thresholds(attack, lead), material.truth
    for name in names:
        mask = material.groups == name
        part = Truth(truth.ids[mask], truth.is_member[:, mask], truth.record[mask])
        if part.is_member.all() or not part.is_member.any():
            continue
        scores = Scores(part.ids, material.scores[attack][:, mask])
        share = 0.05 / len(names)  # Bonferroni over the groups
        found = auc(scores, part, rng=material.rng(f"{attack} auc group {name}"), level=1 - share)
        own = thresholds[:, mask] if thresholds.ndim == 2 else thresholds
        rng = material.rng(f"{attack} tpr group {name}")
        pair = tpr_at_threshold(scores, part, thresholds=own, fpr=lead, rng=rng, level=1 - share / 2)
        rows.append(row_of(material, attack, "auc", found, group=str(name)))
        source = material.calibration.source
        rows += rate_rows(material, attack, pair, group=str(name), fpr=lead, threshold=source)
    return rows


def too_many_groups(material: Material) -> list[str]:
    """The sentence about groups that have no numbers."""
    count = len(_groups(material))
    if count <= MOST_GROUPS:
        return []
    told = (
        f"Single groups: there are {count:,}, and numbers that hold for all together are given for up to {MOST_GROUPS}"
    )
    return [f"{told}; merge groups to have them."]


def _groups(material: Material) -> list[str]:
    """The distinct groups, sorted."""
    return [] if material.groups is None else sorted(set(material.groups.tolist()))


def measure_persons(material: Material, attack: str, persons: Int[Array, " n"]) -> dict[str, Any]:
    """The attack on persons: was any record of this person used? Thresholds come from scores that are pooled alike."""
    first = np.unique(persons, return_index=True)[1]
    fpr = material.leading or 0.1
    pooled = metric.pool_persons(material.scores[attack], persons)
    truth = Truth(np.arange(len(first)), material.truth.is_member[:, first], np.arange(len(first)))
    scores, cuts = Scores(truth.ids, pooled), _thresholds_of_persons(material.calibration, attack, persons, pooled, fpr)
    ranked = auc(scores, truth, rng=material.rng("exposure person auc"))
    pair = tpr_at_threshold(
        scores, truth, thresholds=cuts, fpr=fpr, rng=material.rng("exposure person tpr"), level=0.975
    )
    return {"rule": POOLED, "fpr": fpr, "auc": _short(ranked), "tpr": _short(pair.tpr), "reached": _short(pair.fpr)}


def _thresholds_of_persons(
    given: Calibration | CrossFit, attack: str, persons: Int[Array, " n"], pooled: Float[Array, "t u"], fpr: float
) -> Float[Array, " t"] | Float[Array, "t u"]:
    """Thresholds of pooled scores, from rehearsals, or from halves of the persons for each other."""
    first = np.unique(persons, return_index=True)[1]
    if isinstance(given, CrossFit):
        whole = CrossFit(given.is_member[:, first], np.arange(len(first)), {attack: pooled}, given.halves[:, first])
        return whole.thresholds(attack, fpr)
    blocks = [
        shadow_threshold(metric.pool_persons(values, persons), bits[:, first], fpr)
        for values, bits in zip(given.scores[attack], given.is_member, strict=True)
    ]
    return np.array(blocks)[given.block]


def _short(estimate: Estimate) -> dict[str, Any]:
    """An estimate without its counts."""
    return {key: getattr(estimate, key) for key in ("value", "low", "high", "level", "method", "status", "reason")}
