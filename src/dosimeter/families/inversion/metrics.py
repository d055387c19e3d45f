"""What inversion measures."""

from __future__ import annotations

from collections.abc import Mapping

from dosimeter.families.inversion.threat import NAME
from dosimeter.results.metrics import Metric

IDENTITIES = ("identities",)
"""Counts of every number."""
TOPS = (1, 5)
"""How many names a judge may give."""
ACCEPTING = "false_acceptance"
"""Condition of numbers that rest on a threshold: the share of records of somebody else that it accepts."""
EXAMPLE: Mapping[str, float | str] = {ACCEPTING: 0.05, "max": 0.1}
METRICS: Mapping[str, Metric] = {
    "recognised": Metric("share", needs=("top",), by=("attack",), counts=IDENTITIES, example={"top": 1, "max": 0.1}),
    "classified": Metric("share", needs=("top",), by=("attack",), counts=IDENTITIES, example={"top": 1, "max": 0.1}),
    "placed": Metric("auc", by=("attack",), counts=IDENTITIES, example={"max": 0.6}),
    "dose": Metric("bits", by=("attack",), counts=IDENTITIES),
    "accepted": Metric("share", needs=(ACCEPTING,), by=("attack",), counts=IDENTITIES, example=EXAMPLE),
    "confirmed": Metric("share", needs=(ACCEPTING,), by=("attack",), counts=IDENTITIES, example=EXAMPLE),
    "rejected": Metric("share", needs=(ACCEPTING,), by=("attack",), counts=IDENTITIES, example=EXAMPLE),
    "knn_distance": Metric("number", by=("attack",), counts=IDENTITIES, bad="low", example={"min": 1}),
    "feature_distance": Metric("number", by=("attack",), counts=IDENTITIES, bad="low", example={"min": 1}),
    "kid_lite0": Metric("number", by=("attack",), counts=IDENTITIES, bad="low", example={"min": 0.05}),
    "recognised_change": Metric("share_difference", needs=("top",), by=("attack",), counts=IDENTITIES),
    "chosen_change": Metric("share_difference", by=("attack",), counts=IDENTITIES),
    "chosen_cost": Metric("share_difference", by=("attack",), counts=IDENTITIES, bad="low"),
}
"""What it measures.

`recognised` and `placed` are what the lineup says, a judge that was trained on other people and compares with real
records of each identity. `classified` is what a classifier says that was trained on other records of the same
identities, the attack accuracy of the literature. `accepted` counts what the lineup takes for the identity where it
may also say "nobody": a threshold accepts the share `false_acceptance` of records of somebody else. `confirmed` counts
those that the classifier names right and the lineup accepts, and `rejected` is the share of the classifier's successes
that the lineup does not accept: an independent judge does not see what the literature would count. `knn_distance` and
`feature_distance` are distances in the lineup's space, to the nearest record of the identity that the models learned,
and to the mean of those by which the lineup knows it. `kid_lite0` is the distance of all that was made, as a set, from
such records, in the features of EfficientNet-lite0; it may be below 0. `chosen_change` is
what the recommended variant changes of `recognised`, and `chosen_cost` what it changes of accuracy, both on identities
that had no part in its choice.
"""

__all__ = ["IDENTITIES", "METRICS", "NAME", "TOPS"]
