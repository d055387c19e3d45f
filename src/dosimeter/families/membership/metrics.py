"""Name of the family, and what it measures."""

from __future__ import annotations

from collections.abc import Mapping

from dosimeter.results.metrics import Metric

NAME = "membership"
DECISIONS = ("members", "nonmembers")
"""Counts of every rate and AUC."""
METRICS: Mapping[str, Metric] = {
    "tpr": Metric("share", needs=("fpr",), may=("threshold",), counts=DECISIONS, example={"fpr": 0.01, "max": 0.05}),
    "auc": Metric("auc", counts=DECISIONS),
    "precision": Metric(
        "share", needs=("prior",), may=("fpr", "threshold"), counts=DECISIONS, example={"prior": 0.5, "max": 0.05}
    ),
    "exposure": Metric("share", may=("unit",), fixed=("fpr",), by=()),
    "fpr": Metric(
        "share", needs=("fpr",), may=("threshold",), bad="low", counts=DECISIONS, example={"fpr": 0.01, "max": 0.05}
    ),
    "dose": Metric("bits", counts=DECISIONS),
    "auc_change": Metric("auc_difference"),
}
"""What it measures."""
