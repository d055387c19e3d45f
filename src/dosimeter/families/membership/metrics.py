"""Name of the family, and what it measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from dosimeter.results.metrics import Metric

NAME = "membership"
DECISIONS = ("members", "nonmembers")
"""Counts of every rate and AUC."""
DIRECT: Mapping[str, str] = {"auc": "dosimeter.statistics.rates:auc"}
"""Metrics that a function gives of scores and truth alone, `(scores, truth, *, rng) -> Estimate`, each with its place.

Every attack is measured by each of them; a further measure is a line here and one in `METRICS`.
"""
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
    "log_mia": Metric(
        "number",
        needs=("regime",),
        may=("fpr", "threshold"),
        counts=DECISIONS,
        graded=True,
        names_threshold=True,
        example={"regime": "preset", "max": 0.5},
    ),
    "auc_change": Metric("auc_difference"),
}
"""What it measures."""


def function_at(place: str) -> Callable[..., Any]:
    """The function that `module:name` names, imported when it is needed."""
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
