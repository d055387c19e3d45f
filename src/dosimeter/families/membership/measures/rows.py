"""Rows of `result.json`: estimates, curves, histograms, utility."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from dosimeter.families.membership.measures.material import Material, Measured
from dosimeter.families.membership.rates import FPRS
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores
from dosimeter.statistics.rates import RatePair, histogram, roc
from dosimeter.statistics.utility import accuracy


def row_of(material: Material, attack: str, metric: str, estimate: Estimate, **more: Any) -> dict[str, Any]:
    """One estimate as a row."""
    keys = ("fpr", "prior", "group", "threshold", "fpr_reached", "fpr_low", "fpr_high")
    base = {"family": "membership", "stage": material.summary["threat"]["at_risk"], "variant": "none", "attack": attack}
    return {**base, "metric": metric, **dict.fromkeys(keys), **dataclasses.asdict(estimate), **more}


def with_rate_reached(pair: RatePair) -> dict[str, float | None]:
    """The pair's estimate, with the false positive rate that was reached."""
    return {"fpr_reached": pair.fpr.value, "fpr_low": pair.fpr.low, "fpr_high": pair.fpr.high}


def rows_of(material: Material, attack: str, measured: Measured) -> list[dict[str, Any]]:
    """The estimates of one attack as rows."""
    row, source = functools.partial(row_of, material, attack), material.calibration.source
    rows = [row("auc", measured.auc)]
    for fpr, pair in measured.pairs.items():
        rows.append(row("tpr", pair.tpr, fpr=fpr, threshold=source, **with_rate_reached(pair)))
        rows.append(row("tpr", measured.oracles[fpr], fpr=fpr, threshold="oracle"))
    lead = material.leading or FPRS[0]
    rows += [
        row("precision", estimate, fpr=lead, prior=prior, threshold=source)
        for prior, estimate in measured.precisions.items()
    ]
    return rows


def utility_rows(material: Material) -> list[dict[str, Any]]:
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
        kept = {key: getattr(estimate, key) for key in ("value", "low", "high", "level", "method", "n_targets")}
        rows.append({"variant": "none", "metric": "accuracy", "split": split, "n": estimate.n_nonmembers, **kept})
    return rows


def curve_of(material: Material, attack: str) -> dict[str, list[float]]:
    """The pooled oracle ROC of an attack."""
    curve = roc(Scores(material.truth.ids, material.scores[attack]), material.truth)
    return {name: [float(x) for x in getattr(curve, name)] for name in ("fpr", "tpr", "low", "high")}


def histogram_of(material: Material, attack: str) -> dict[str, list[float]]:
    """Counts of scores of members and non-members, in bins."""
    found = histogram(material.scores[attack], material.truth.is_member)
    return {name: [float(x) for x in getattr(found, name)] for name in ("edges", "members", "nonmembers")}
