"""What a family of attack measures: for each metric its unit, the conditions of its rows, and which end is bad.

Readers of result.json and of policies are given the families by their caller, since rooms above this one know none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Literal, Protocol

Unit = Literal["share", "auc", "bits", "number", "share_difference", "auc_difference"]
BOUNDS: Mapping[str, tuple[float, float]] = {
    "share": (0.0, 1.0),
    "auc": (0.0, 1.0),
    "bits": (0.0, float("inf")),
    "share_difference": (-1.0, 1.0),
    "auc_difference": (-1.0, 1.0),
}
"""Range of a number in each unit that has one."""
WORDS: Mapping[str, tuple[str, ...]] = {
    "threshold": ("shadow", "split", "oracle"),
    "split": ("train", "nonmember", "test"),
    "unit": ("record", "person", "group"),
}
"""What conditions that all families write alike may be."""
UTILITY = "utility"
"""Family of rows about how well the model does its task; all families share it."""


@dataclass(frozen=True)
class Metric:
    """One kind of number.

    Attributes:
        unit: what its values are in.
        needs: conditions without which it has no meaning; every row has them, and every limit.
        may: further conditions that rows may have and limits may choose by.
        fixed: conditions that rows have and no limit chooses by.
        by: which of "attack" and "group" tell its rows apart.
        counts: numbers n that every row has.
        bad: the end that is worse: "high" for a leak, "low" for a utility.
        example: for each key of a limit a value that a message may propose.
        graded: whether its rows may have grades, which a limit may bound.
        names_threshold: whether its needed conditions say which threshold is meant, so that a limit need not.
    """

    unit: Unit
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    by: tuple[str, ...] = ("attack", "group")
    counts: tuple[str, ...] = ()
    bad: Literal["high", "low"] = "high"
    example: Mapping[str, float | str] = field(default_factory=lambda: MappingProxyType({"max": 0.05}))
    graded: bool = False
    names_threshold: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys by which a limit may choose among its rows."""
        return (*self.needs, *self.may, *self.by)

    @property
    def limited(self) -> bool:
        """Returns whether a policy may limit it: a difference to another model is no property of this one."""
        return not self.unit.endswith("_difference")


UTILITIES: Mapping[str, Metric] = {
    "accuracy": Metric(
        "share", may=("split", "cut"), by=("group",), bad="low", counts=("records",), example={"min": 0.8}
    ),
    "accuracy_change": Metric("share_difference", may=("split", "cut"), by=("group",), bad="low"),
    "perturbed_accuracy": Metric(
        "share", needs=("epsilon",), may=("split",), by=("group",), bad="low", counts=("records",),
        example={"epsilon": 0.0025, "min": 0.8},
    ),
    "perturbed_accuracy_change": Metric(
        "share_difference", needs=("epsilon",), may=("split",), by=("group",), bad="low"
    ),
}  # fmt: skip
"""Metrics of utilities; a change is that of a variant to the audit without it.

`perturbed_accuracy` counts records that stay right whatever is changed by up to `epsilon`, a share of the range of a
record's numbers. Families give it where it tells how a defense works.
"""


class Described(Protocol):
    """What readers need to know of a family of attack."""

    @property
    def name(self) -> str:
        """Its name, as in a threat of result.json."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Its metrics by name."""

    @property
    def details_schema(self) -> Mapping[str, Any]:
        """JSON schema of what only its threats hold; it applies to a whole entry of `threats`."""


Families = Mapping[str, Described]
"""Families by name."""


def metrics_of(families: Families, pattern: str = "*") -> Iterator[tuple[str, Metric]]:
    """Metrics of all families whose name fits, then those of utilities.

    Args:
        families: all that are installed.
        pattern: name or glob of a family.
    """
    for name, family in families.items():
        if name == pattern or fnmatchcase(name, pattern):
            yield from family.metrics.items()
    yield from UTILITIES.items()


def metric_of(families: Families, family: str, name: str) -> Metric | None:
    """The metric of a row; None if its family does not have it.

    Args:
        families: all that are installed.
        family: of the row, `UTILITY` for a utility.
        name: of the metric.
    """
    if family == UTILITY:
        return UTILITIES.get(name)
    return families[family].metrics.get(name) if family in families else None
