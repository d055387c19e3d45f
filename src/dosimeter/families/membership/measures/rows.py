"""What an audit measured as rows, and curves and histograms."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from dosimeter.families.membership.measures.material import Material, Measured
from dosimeter.families.membership.metrics import METRICS, NAME
from dosimeter.families.membership.rates import FPRS
from dosimeter.results.metrics import UTILITY
from dosimeter.results.rows import Condition, Row
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores
from dosimeter.statistics.rates import RatePair, histogram, roc
from dosimeter.statistics.utility import accuracy


def row_of(
    material: Material, attack: str, metric: str, estimate: Estimate, *, group: str | None = None,
    **conditions: Condition,
) -> Row:  # fmt: skip
    """One estimate as a row.

    Args:
        material: material of the audit.
        attack: id of the attack.
        metric: one of the family's.
        estimate: the number.
        group: the group whose records alone were measured.
        conditions: what the number holds for.
    """
    return Row(
        threat=NAME,
        family=NAME,
        stage=str(material.summary["threat"]["at_risk"]),
        variant="none",
        attack=attack,
        metric=metric,
        unit=METRICS[metric].unit,
        group=group,
        conditions=conditions,
        **_numbers(estimate),
        n={"members": estimate.n_members, "nonmembers": estimate.n_nonmembers},
    )


def _numbers(estimate: Estimate) -> dict[str, Any]:
    """The fields that an estimate shares with its row."""
    names = ("value", "low", "high", "level", "method", "n_targets", "status", "reason")
    return {name: getattr(estimate, name) for name in names}


def rate_rows(
    material: Material, attack: str, pair: RatePair, *, group: str | None = None, **conditions: Condition
) -> list[Row]:  # fmt: skip
    """The true positive rate, and the false positive rate that its threshold reached, under the same conditions."""
    rows = [row_of(material, attack, "tpr", pair.tpr, group=group, **conditions)]
    if pair.fpr.value is not None:
        rows.append(row_of(material, attack, "fpr", pair.fpr, group=group, **conditions))
    return rows


def rows_of(material: Material, attack: str, measured: Measured) -> list[Row]:
    """The estimates of one attack as rows."""
    row, source = functools.partial(row_of, material, attack), material.calibration.source
    rows = [row(metric, estimate) for metric, estimate in measured.direct.items()]
    for fpr, pair in measured.pairs.items():
        rows += rate_rows(material, attack, pair, fpr=fpr, threshold=source)
        rows.append(row("tpr", measured.oracles[fpr], fpr=fpr, threshold="oracle"))
    lead = material.leading or FPRS[0]
    rows += [
        row("precision", estimate, fpr=lead, prior=prior, threshold=source)
        for prior, estimate in measured.precisions.items()
    ]
    return rows


def utility_rows(material: Material) -> list[Row]:
    """Accuracy of the targets on members, non-members, and records outside every model."""
    if material.correct is None:
        return []
    member = material.truth.is_member
    n = member.shape[1]
    inside, outside = material.correct[:, :n], material.correct[:, n:]
    splits = [("train", inside, member, material.truth.record), ("nonmember", inside, ~member, material.truth.record)]
    tested = outside if material.test_correct is None else material.test_correct
    if tested.shape[1]:
        splits.append(("test", tested, np.ones_like(tested), np.arange(tested.shape[1])))
    rows = []
    for split, correct, counted, record in splits:
        estimate = accuracy(correct, counted, record=record, rng=material.rng(f"accuracy {split}"))
        rows.append(
            Row(
                threat=NAME,
                family=UTILITY,
                stage=str(material.summary["threat"]["at_risk"]),
                variant="none",
                attack=None,
                metric="accuracy",
                conditions={"split": split},
                **_numbers(estimate),
                n={"records": estimate.n_nonmembers},
            )
        )
    return rows


def curve_of(material: Material, attack: str) -> dict[str, list[float]]:
    """The pooled oracle ROC of an attack."""
    curve = roc(Scores(material.truth.ids, material.scores[attack]), material.truth)
    return {name: [float(x) for x in getattr(curve, name)] for name in ("fpr", "tpr", "low", "high")}


def histogram_of(material: Material, attack: str) -> dict[str, list[float]]:
    """Counts of scores of members and non-members, in bins."""
    found = histogram(material.scores[attack], material.truth.is_member)
    return {name: [float(x) for x in getattr(found, name)] for name in ("edges", "members", "nonmembers")}
