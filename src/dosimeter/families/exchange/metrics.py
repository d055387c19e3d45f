"""What exchange measures."""

from __future__ import annotations

from collections.abc import Mapping

from dosimeter.families.exchange.threat import NAME
from dosimeter.results.metrics import Metric

BATCHES = ("batches",)
"""Counts of every number of an attack: batches that were guessed, over all runs."""
WHERE = ("mixture", "channel")
"""Conditions: shares of records with the property on both sides, such as "0.7/0.3", and what the attack reads."""
METRICS: Mapping[str, Metric] = {
    "property_auc": Metric(
        "auc", needs=("mixture",), may=("channel",), by=("attack",), counts=BATCHES,
        example={"mixture": "0.7/0.3", "max": 0.6},
    ),
    "beyond_labels": Metric(
        "auc_difference", needs=("mixture",), may=("channel",), by=("attack",), counts=BATCHES
    ),
    "dose": Metric("bits", may=WHERE, by=("attack",), counts=BATCHES),
    "accuracy_alone": Metric("share", by=(), counts=("records",), bad="low", example={"min": 0.8}),
    "transfer_gain": Metric("share_difference", by=(), counts=("records",), bad="low"),
    "property_auc_change": Metric(
        "auc_difference", needs=("mixture",), may=("channel",), by=("attack",), counts=BATCHES
    ),
    "task_auc": Metric("auc", by=("attack",), counts=("tasks",), example={"max": 0.6}),
    "task_dose": Metric("bits", by=("attack",), counts=("tasks",), example={"max": 0.2}),
    "task_auc_change": Metric("auc_difference", by=("attack",), counts=("tasks",)),
    "distribution_auc": Metric("auc", by=("attack",), counts=("trainings",), example={"max": 0.6}),
    "distribution_dose": Metric("bits", by=("attack",), counts=("trainings",), example={"max": 0.2}),
    "distribution_auc_change": Metric("auc_difference", by=("attack",), counts=("trainings",)),
    "recovered": Metric("share", may=("channel",), by=("attack",), counts=BATCHES, example={"max": 0.05}),
    "identified": Metric("share", may=("channel",), by=("attack",), counts=BATCHES, example={"max": 0.2}),
    "record_place": Metric("auc", may=("channel",), by=("attack",), counts=BATCHES, example={"max": 0.6}),
    "mse": Metric("number", may=("channel",), by=("attack",), counts=BATCHES, bad="low", example={"min": 0.05}),
    "psnr": Metric("number", may=("channel",), by=("attack",), counts=BATCHES, example={"max": 15}),
    "recovered_change": Metric("share_difference", may=("channel",), by=("attack",), counts=BATCHES),
    "identified_change": Metric("share_difference", may=("channel",), by=("attack",), counts=BATCHES),
    "record_place_change": Metric("auc_difference", may=("channel",), by=("attack",), counts=BATCHES),
}  # fmt: skip
"""What it measures.

`property_auc`: of a batch with the property and one without, how often an attack tells which is which. `beyond_labels`:
that minus the AUC of `label_only`. `accuracy_alone`: of a model of the receiver that nothing was exchanged for.
`transfer_gain`: accuracy of the jointly trained model minus that. Of records: `recovered`, the share that is made again
nearly exactly; `identified` and `record_place`, whether the true one is picked out of others of its class by what an
attack made; `mse` and `psnr`, how near it is. Of tasks: `task_auc`, of one trained on and one left out, how often an
attack tells which is which, and `task_dose`, bits about one task. Of a distribution: `distribution_auc`, of a
training of each world, how often an attack tells which is which, and `distribution_dose`, bits about the world of one.
"""

__all__ = ["BATCHES", "METRICS", "NAME", "WHERE"]
