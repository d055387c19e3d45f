"""What split measures."""

from __future__ import annotations

from collections.abc import Mapping

from dosimeter.families.split.threat import NAME
from dosimeter.results.metrics import Metric

TOPS = (1, 5)
"""How many records of a lineup may be named."""
RECORDS = ("records",)
"""Counts of every number: victims, of whom those of one person count as one cluster."""
CUT = ("cut", "repeats", "adaptive", "reads")
"""Conditions of what is made of features: the cut, which yardsticks that read none have not, and how often each record
was sent, if more than once. Behind a defense of the cut rows say whether the attack learned on what it sends, and
whether it read the answers there, in place of features."""
METRICS: Mapping[str, Metric] = {
    "identified": Metric(
        "share", needs=("top",), may=CUT, by=("attack",), counts=RECORDS, example={"top": 1, "max": 0.1}
    ),
    "input_place": Metric("auc", may=CUT, by=("attack",), counts=RECORDS, example={"max": 0.6}),
    "mse": Metric("number", may=CUT, by=("attack",), counts=RECORDS, bad="low", example={"min": 0.05}),
    "psnr": Metric("number", may=CUT, by=("attack",), counts=RECORDS, example={"max": 12}),
    "ssim": Metric("number", may=CUT, by=("attack",), counts=RECORDS, example={"max": 0.3}),
    "recognised_class": Metric("share", may=CUT, by=("attack",), counts=RECORDS, example={"max": 0.5}),
    "attribute_auc": Metric(
        "auc", needs=("attribute",), may=CUT, by=("attack",), counts=RECORDS,
        example={"attribute": "sex", "max": 0.6},
    ),
    "attribute_accuracy": Metric(
        "share", needs=("attribute",), may=CUT, by=("attack",), counts=RECORDS,
        example={"attribute": "sex", "max": 0.6},
    ),
    "leakage_index": Metric(
        "share", needs=("attribute",), may=CUT, by=("attack",), counts=RECORDS,
        example={"attribute": "sex", "max": 0.2},
    ),
    "fisher_information": Metric(
        "number", needs=("cut",), may=("repeats",), by=(), counts=RECORDS, example={"cut": "2", "max": 1.0}
    ),
    "mse_unbiased": Metric(
        "number", needs=("cut",), may=("repeats",), by=(), counts=RECORDS, bad="low", example={"cut": "2", "min": 0.05}
    ),
    "mse_predicted": Metric(
        "number", needs=("cut",), may=("repeats",), by=(), counts=RECORDS, bad="low", example={"cut": "2", "min": 0.05}
    ),
    "channel": Metric(
        "bits", needs=("cut",), may=("repeats",), by=(), counts=RECORDS, example={"cut": "2", "max": 10.0}
    ),
    "dose": Metric("bits", may=(*CUT, "attribute"), by=("attack",), counts=RECORDS),
    "identified_change": Metric("share_difference", needs=("top",), may=CUT, by=("attack",), counts=RECORDS),
    "attribute_auc_change": Metric(
        "auc_difference", needs=("attribute",), may=CUT, by=("attack",), counts=RECORDS
    ),
}  # fmt: skip
"""What it measures.

`identified` and `input_place` say whether the true record is told from others by what an attack made of its features;
`mse`, `psnr` and `ssim` how near it is, and `recognised_class` whether it shows the right class.
`attribute_auc` and `attribute_accuracy`, the balanced accuracy, say how well an attribute is told, and `leakage_index`
how much of what could be told beyond the answers. Where noise is added at the cut, `fisher_information` is
dFIL = tr(I) / d, `mse_unbiased` the least error of attacks without bias, `mse_predicted` the error that is expected of
the best attack, which is no bound, and `channel` the most bits that can cross.
"""

__all__ = ["METRICS", "NAME", "RECORDS", "TOPS"]
