"""What inversion measures."""

from __future__ import annotations

from collections.abc import Mapping

from dosimeter.families.inversion.threat import NAME
from dosimeter.results.metrics import Metric

IDENTITIES = ("identities",)
"""Counts of every number."""
TOPS = (1, 5)
"""How many names a judge may give."""
METRICS: Mapping[str, Metric] = {
    "recognised": Metric("share", needs=("top",), by=("attack",), counts=IDENTITIES, example={"top": 1, "max": 0.1}),
    "classified": Metric("share", needs=("top",), by=("attack",), counts=IDENTITIES, example={"top": 1, "max": 0.1}),
    "placed": Metric("auc", by=("attack",), counts=IDENTITIES, example={"max": 0.6}),
    "dose": Metric("bits", by=("attack",), counts=IDENTITIES),
    "recognised_change": Metric("share_difference", needs=("top",), by=("attack",), counts=IDENTITIES),
}
"""What it measures.

`recognised` and `placed` are what the lineup says, a judge that was trained on other people and compares with real
records of each identity. `classified` is what a classifier says that was trained on other records of the same
identities, the attack accuracy of the literature.
"""

__all__ = ["IDENTITIES", "METRICS", "NAME", "TOPS"]
