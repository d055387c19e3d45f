"""The table `[topology]`: parties, parts of models, edges and holdings, whose names must fit together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from dosimeter.families.topology import Edge, Holding, ModelPart, Party, Sent, Topology, Trust
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.findings import findings, lines
from dosimeter.foundation.table import NAME, Reference, Table
from dosimeter.foundation.wording import one_line, quote


class PartyRow(Table):
    """One row of `parties`."""

    name: str = Field(pattern=NAME)
    trust: Trust
    auxiliary: Reference | None = None


class PartRow(Table):
    """One row of `parts`."""

    name: str = Field(pattern=NAME)
    stage: Reference
    first: Reference | None = Field(default=None, alias="from")
    last: Reference | None = Field(default=None, alias="to")
    at: Reference


class EdgeRow(Table):
    """One row of `edges`."""

    sender: Reference = Field(alias="from")
    receiver: Reference = Field(alias="to")
    sends: Sent


class HoldRow(Table):
    """One row of `holds`."""

    party: Reference
    data: Reference
    attributes: tuple[Reference, ...] = ()


ROWS: dict[str, type[Table]] = {"parties": PartyRow, "parts": PartRow, "edges": EdgeRow, "holds": HoldRow}
"""Lists of `[topology]`, each with its kind of row."""
REQUIRED = ("parties", "parts")
"""Lists that must have a row."""
MOST_ROWS = 1000
"""Most rows of one list."""


def keys_of(row: type[Table]) -> dict[str, Any]:
    """Keys of a row as a file spells them."""
    return {field.alias or name: field for name, field in row.model_fields.items()}


def read_topology(
    whole: Mapping[str, Any], *, stages: Collection[str], data: Collection[str]
) -> tuple[Topology | None, list[str]]:
    """The topology of an audit file, None if there is none or it is wrong, and the problems with it.

    Args:
        whole: the file's tables, with tuples for lists.
        stages: names of the stages.
        data: names of the parts of data.
    """
    raw = whole.get("topology")
    if not isinstance(raw, Mapping):
        return None, []  # the file's own validation tells of another type
    problems = [f"topology.{key}: unknown key, {suggest(str(key), ROWS)}" for key in raw if key not in ROWS]
    if "target" in whole:
        problems.append("topology: names stages, got it beside [target], which has none: remove one of them")
    rows: dict[str, list[Any]] = {}
    for key in ROWS:
        rows[key], wrong = _rows(raw.get(key, ()), key)
        problems += wrong
    if problems:
        return None, [one_line(line, 600) for line in problems]
    problems = [
        *_repeated(rows),
        *_unknown(rows, stages=stages, data=data),
        *_edges(rows["edges"]),
        *_holds(rows["holds"]),
    ]
    return (None if problems else _built(rows)), [one_line(f"topology.{line}", 600) for line in problems]


def _rows(raw: Any, key: str) -> tuple[list[Any], list[str]]:
    """The valid rows of a list, and the problems with all of them."""
    place = f"topology.{key}"
    if not isinstance(raw, tuple):
        return [], [f"{place}: must be a list of tables, got {quote(raw, 80)}: write [{{ ... }}, {{ ... }}]"]
    if key in REQUIRED and not raw:
        return [], [f"{place}: must have a row, got none: add one"]
    if len(raw) > MOST_ROWS:
        return [], [f"{place}: must be a list of at most {MOST_ROWS}, got {len(raw)}: shorten it"]
    found, problems = [], []
    for index, row in enumerate(raw):
        try:
            if not isinstance(row, Mapping):
                problems.append(f"{place}[{index}]: must be a table, got {quote(row, 80)}: write {{ ... }}")
                continue
            found.append(ROWS[key].model_validate(row))
        except ValidationError as error:
            problems += lines(findings(error, f"{place}[{index}]", keys_of(ROWS[key])))
    return found, problems


def _repeated(rows: Mapping[str, Sequence[Any]]) -> list[str]:
    """Names that occur twice in one list."""
    problems = []
    for key in ("parties", "parts"):
        names = [row.name for row in rows[key]]
        problems += [
            f"{key}: names must be distinct, got {twice!r} {names.count(twice)} times: rename one"
            for twice in sorted({one for one in names if names.count(one) > 1})
        ]
    return problems


def _unknown(rows: Mapping[str, Sequence[Any]], *, stages: Collection[str], data: Collection[str]) -> list[str]:
    """References to a party, part, stage or part of data that does not exist."""
    parties, parts = {row.name for row in rows["parties"]}, {row.name for row in rows["parts"]}
    found: list[tuple[str, str | None, str, Collection[str]]] = []
    for index, row in enumerate(rows["parties"]):
        found.append((f"parties[{index}].auxiliary", row.auxiliary, "part of data", data))
    for index, row in enumerate(rows["parts"]):
        found.append((f"parts[{index}].stage", row.stage, "stage", stages))
        found.append((f"parts[{index}].at", row.at, "party", parties))
    for index, row in enumerate(rows["edges"]):
        found.append((f"edges[{index}].from", row.sender, "part of a model", parts))
        found.append((f"edges[{index}].to", row.receiver, "part of a model", parts))
    for index, row in enumerate(rows["holds"]):
        found.append((f"holds[{index}].party", row.party, "party", parties))
        found.append((f"holds[{index}].data", row.data, "part of data", data))
    return [
        f"{place}: no such {kind}, got {quote(name)}, {suggest(name, known) if known else _absent(kind, name)}"
        for place, name, kind, known in found
        if name is not None and name not in known
    ]


def _absent(kind: str, name: str) -> str:
    """Remedy if there is nothing of a kind."""
    return f"write [data.{name}]" if kind == "part of data" else f"there is no {kind}, add one"


def _edges(edges: Sequence[EdgeRow]) -> list[str]:
    """Edges that go nowhere, or stand there twice."""
    problems = []
    for index, edge in enumerate(edges):
        if edge.sender == edge.receiver:
            problems.append(
                f"edges[{index}]: must go from one part to another, got {quote(edge.sender)} twice: correct one end"
            )
        elif edge in edges[:index]:
            problems.append(f"edges[{index}]: must be distinct, got the same as edges[{edges.index(edge)}]: remove it")
    return problems


def _holds(holds: Sequence[HoldRow]) -> list[str]:
    """Holdings that stand there twice, and attributes that do."""
    problems = []
    pairs = [(row.party, row.data) for row in holds]
    for index, row in enumerate(holds):
        if pairs[index] in pairs[:index]:
            problems.append(
                f"holds[{index}]: must be distinct, got {quote(row.party)} with {quote(row.data)} twice: put all "
                "attributes into one row"
            )
        if len(set(row.attributes)) < len(row.attributes):
            problems.append(
                f"holds[{index}].attributes: must be distinct, got {quote(list(row.attributes))}: name each once"
            )
    return problems


def _built(rows: Mapping[str, Sequence[Any]]) -> Topology:
    """The topology of valid rows."""
    return Topology(
        parties=tuple(Party(**row.model_dump()) for row in rows["parties"]),
        parts=tuple(ModelPart(**row.model_dump()) for row in rows["parts"]),
        edges=tuple(Edge(**row.model_dump()) for row in rows["edges"]),
        holds=tuple(Holding(**row.model_dump()) for row in rows["holds"]),
    )
