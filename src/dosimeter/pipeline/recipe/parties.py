"""The parties of a joint stage with their records, which must be of one form."""

from __future__ import annotations

from collections.abc import Mapping

from dosimeter.config.audit import Audit
from dosimeter.config.stages.joint import PAIR
from dosimeter.config.tables import Stage
from dosimeter.data import Dataset
from dosimeter.data.parts.apart import with_classes_of
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote
from dosimeter.pipeline.recipe.parts import of_stage
from dosimeter.training.preflight import Together, about
from dosimeter.training.system import JointStage


def party_names(stage: Stage) -> list[str]:
    """Parties in the order in which they take part: the source before the receiver, others as they are written."""
    names = list(stage.parties or ())
    return sorted(names, key=PAIR.index) if set(names) == set(PAIR) else names


def joint_of(audit: Audit, parts: Mapping[str, Dataset], together: Together) -> JointStage | None:
    """The parties of the last stage if these train it together; None otherwise, or where a part could not be read.

    Args:
        audit: the settings.
        parts: the named parts that could be read.
        together: collects what is wrong: records of another form, and classes that the first party has not.
    """
    stage, place = audit.stages[-1], f"stage[{len(audit.stages) - 1}].parties"
    held = {name: (stage.parties or {})[name] for name in party_names(stage)}
    if not stage.joint or not held or not set(held.values()) <= set(parts):
        return None
    found: dict[str, Dataset] = {}
    for name, part in held.items():
        with together, about(f"{place}.{name}"):
            own = of_stage(parts[part], None)
            first = next(iter(found.values()), own)
            own = with_classes_of(own, first)
            if problem := _unlike(own, first, next(iter(found), name)):
                raise DataError(problem)
            found[name] = own
    return JointStage(found, stage.alignment, stage.local_steps) if len(found) == len(held) else None


def _unlike(own: Dataset, first: Dataset, name: str) -> str:
    """Why the records of a party cannot pass through the trunk of the first one; empty if they can."""
    if (own.inputs.shape[1:], own.inputs.dtype) != (first.inputs.shape[1:], first.inputs.dtype):
        return (
            f"its records must have the form of those of {name!r}, {first.inputs.dtype} {first.inputs.shape[1:]}, got "
            f"{own.inputs.dtype} {own.inputs.shape[1:]}: prepare both alike"
        )
    if own.columns != first.columns:
        return (
            f"its records must have the columns of those of {name!r} in their order, got others: name the same "
            "`categories` in data_options"
        )
    if own.classes != first.classes:
        odd = sorted(set(own.classes) ^ set(first.classes))[:1]
        return (
            f"must have the classes of {name!r}, {quote(', '.join(first.classes))}, got a difference in "
            f"{quote(', '.join(odd))}: name the same `classes` in data_options, or choose other records"
        )
    return ""
