"""Membership as a family: the interface filled in, and the only file of the folder that the rest needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dosimeter.results.metrics import Metric
from dosimeter.results.schema import read_schema
from dosimeter.results.views import View

if TYPE_CHECKING:
    from dosimeter.results.page.section import Section


DECISIONS = ("members", "nonmembers")
"""Counts of every rate and AUC."""


class Membership:
    """Was a record, or a person, used to train a model?"""

    name: ClassVar[str] = "membership"
    question: ClassVar[str] = "Was this {noun} used to train the model?"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "tpr": Metric(
            "share", needs=("fpr",), may=("threshold",), counts=DECISIONS, example={"fpr": 0.01, "max": 0.05}
        ),
        "auc": Metric("auc", counts=DECISIONS),
        "precision": Metric(
            "share", needs=("prior",), may=("fpr", "threshold"), counts=DECISIONS, example={"prior": 0.5, "max": 0.05}
        ),
        "exposure": Metric("share", may=("unit",), fixed=("fpr",), by=()),
        "fpr": Metric(
            "share", needs=("fpr",), may=("threshold",), bad="low", counts=DECISIONS, example={"fpr": 0.01, "max": 0.05}
        ),
        "auc_change": Metric("auc_difference"),
    }

    @property
    def details_schema(self) -> Mapping[str, Any]:
        """What only a threat of membership holds."""
        return _details_schema()

    def section(self, threat: View, provenance: Mapping[str, Any]) -> Section:
        """Its part of the page.

        Args:
            threat: of a valid result.json, without the rows of its variants.
            provenance: the content of provenance.json; every key is optional.
        """
        from dosimeter.families.membership.section.section import section  # loads Matplotlib, which takes a second

        return section(threat, provenance)


@cache
def _details_schema() -> Mapping[str, Any]:
    """The fragment, read once."""
    return read_schema(Path(__file__).with_name("details.schema.json"))


MEMBERSHIP = Membership()
