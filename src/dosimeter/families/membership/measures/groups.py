"""The rows of `result.json` about groups of records."""

from __future__ import annotations

from dosimeter.families.membership.measures.material import Material
from dosimeter.families.membership.measures.rows import rate_rows, row_of
from dosimeter.families.membership.rates import FPRS
from dosimeter.results.rows import Row
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import auc, tpr_at_threshold

MOST_GROUPS = 50
"""Most groups that get numbers of their own."""


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
