"""The tables `[data.NAME]`: parts of data with a name, for stages, parties and threats."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from dosimeter.config.tables import DataOptions, Stage
from dosimeter.data import DATASETS
from dosimeter.data.options import parse_rows
from dosimeter.data.parts.choose import Filter
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.findings import findings, lines
from dosimeter.foundation.table import NAME, Reference, Table
from dosimeter.foundation.wording import one_line, quote

TAKEN = ("members", "nonmembers", "population")
"""Names of the parts that a supplied model has."""


class DataPart(Table):
    """A part of data: where it comes from, which rows, and which of them a filter keeps."""

    data: Reference
    rows: str | None = None
    data_options: DataOptions = DataOptions()
    where: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    without: dict[str, tuple[Any, ...]] = Field(default_factory=dict, alias="not")
    disjoint: tuple[Reference, ...] = ()

    @property
    def filter(self) -> Filter:
        """The conditions of `where` and `not`."""
        return Filter(self.where, self.without)


KEYS = {field.alias or name: field for name, field in DataPart.model_fields.items()}
"""Keys of `[data.NAME]` as a file spells them."""


def read_parts(
    whole: Mapping[str, Any], stages: Sequence[Stage | None], base: Path
) -> tuple[dict[str, DataPart], list[str]]:
    """The valid `[data.NAME]` tables by name, and the problems with all of them.

    Args:
        whole: the file's tables, with tuples for lists.
        stages: valid stages, None for the others.
        base: folder of the audit file.
    """
    raw = whole.get("data", {})
    if not isinstance(raw, Mapping) or not raw:
        return {}, []  # the file's own validation tells of another type
    target = whole.get("target")
    if target is not None and not (isinstance(target, Mapping) and "transcript" in target):
        return {}, [
            "data: parts belong to stages, got [data.NAME] beside [target]: name the records in target.members, "
            "target.nonmembers and target.population, and further ones in [target.data]"
        ]
    parts: dict[str, DataPart] = {}
    problems: list[str] = []
    for name, table in raw.items():
        place = f"data.{name}"
        wrong = _name_problems(name, [stage.name for stage in stages if stage], base)
        problems += wrong
        if wrong and not re.fullmatch(NAME, name):
            continue
        if not isinstance(table, Mapping):
            problems.append(f"{place}: must be a table, got {quote(table, 80)}: write it below [data.NAME]")
            continue
        try:
            parts[name] = DataPart.model_validate(table)
        except ValidationError as error:
            problems += lines(findings(error, place, KEYS))
    for name, part in parts.items():
        problems += [one_line(f"data.{name}.{text}", 600) for text in _part_problems(name, part, raw)]
    return parts, problems + _stage_problems(stages, raw, base)


def further_problems(names: Sequence[str], takes: Sequence[str]) -> list[str]:
    """Problems with the further records of a supplied model.

    Args:
        names: of the records.
        takes: what the threats of the file read beside a model and its members.
    """
    problems = [
        f"{one_line(f'target.data.{name}')}: a name must be 1 to 64 letters, digits, dots, hyphens and underscores "
        f"that begin with a letter or digit, and not {' or '.join(TAKEN)}, got {quote(name)}: rename it"
        for name in names
        if name in TAKEN or not re.fullmatch(NAME, name)
    ]
    if names and "data" not in takes:
        problems.append(
            f"target.data: no threat of this file reads it, got {quote(names[0])}: remove it, or add the threat that "
            "does"
        )
    return problems


def _name_problems(name: str, stages: Sequence[str], base: Path) -> list[str]:
    """Problems with the name of a part, which must mean nothing else."""
    place = one_line(f"data.{name}")
    if not re.fullmatch(NAME, name):
        return [
            f"{place}: a part's name must be 1 to 64 letters, digits, dots, hyphens and underscores that begin with a "
            f"letter or digit, got {quote(name)}: rename it"
        ]
    taken = {"a data set that ships": name in DATASETS, "a part of a supplied model": name in TAKEN}
    taken |= {"a stage": name in stages, "a file or folder beside the audit file": (base / name).exists()}
    return [
        f"{place}: a part's name must be its own, got that of {what}: rename it" for what, is_taken in taken.items()
        if is_taken
    ][:1]  # fmt: skip


def _part_problems(name: str, part: DataPart, raw: Mapping[str, Any]) -> list[str]:
    """Problems with the keys of a part, as the tail of its place."""
    problems = []
    if part.data in raw:
        problems.append(f"data: must be a data set or a file, got the part {quote(part.data)}: name what it is made of")
    try:
        parse_rows(part.rows, "rows")
    except DataError as error:
        problems += [line.replace("rows: rows", "rows:", 1) for line in error.problems]
    for word, conditions in (("where", part.where), ("not", part.without)):
        for key, values in conditions.items():
            if not values:
                problems.append(f"{word}.{key}: must list a value, got []: add one, or remove the key")
            for value in values:
                if isinstance(value, bool) or not isinstance(value, str | int | float):
                    shown = str(value).lower() if isinstance(value, bool) else quote(value)
                    problems.append(f"{word}.{key}: must list text or numbers, got {shown}: put it in quotes")
    for place, other in enumerate(part.disjoint):
        if other == name:
            problems.append(f"disjoint: must name other parts, got {quote(other)} itself: remove it")
        elif other not in raw:
            known = [one for one in raw if one != name]
            remedy = suggest(other, known) if known else "there is no other part, write one"
            problems.append(f"disjoint: no such part, got {quote(other)}, {remedy}")
        elif other in part.disjoint[:place]:
            problems.append(f"disjoint: must be distinct, got {quote(other)} twice: name it once")
    return problems


def _stage_problems(stages: Sequence[Stage | None], raw: Mapping[str, Any], base: Path) -> list[str]:
    """Problems with stages that name a part, or nearly name one."""
    problems = []
    for index, stage in enumerate(stages):
        if stage is None:
            continue
        named = [one for one in (stage.data, stage.test) if one is not None]
        if stage.data in raw and all(one in raw for one in named) and stage.data_options != DataOptions():
            problems.append(
                f"stage[{index}].data_options: a part is read with its own, got them beside data = {quote(stage.data)}"
                f": write them below [data.{stage.data}]"
            )
        for key, reference in (("data", stage.data), ("test", stage.test)):
            near = difflib.get_close_matches(reference or "", list(raw), n=1)
            if reference and near and reference not in raw and _names_nothing(reference, base):
                problems.append(
                    f"stage[{index}].{key}: no such part, got {quote(reference)}, did you mean {near[0]!r}?"
                )
    return problems


def _names_nothing(reference: str, base: Path) -> bool:
    """Returns whether a reference is a plain name that no data set and no file has."""
    return bool(re.fullmatch(NAME, reference)) and reference not in DATASETS and not (base / reference).exists()
