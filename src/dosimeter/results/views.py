"""A threat of a result together with what the whole run says: what sections, sentences and figures read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dosimeter.results.rows import Row

View = Mapping[str, Any]
"""An entry of `threats` with the run's common keys, its rows as `Row` objects, and the run's gates before its own."""
MEANING = ("P10", "P16", "I7", "I8")
"""Checks whose warning says that numbers may be about something else than intended: they meet no limit."""
COMMON = ("audit_key", "name", "noun", "door", "chain")
"""Keys of the run that every view has."""


def views(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One view for each threat, in order.

    Args:
        result: the content of a valid result.json.
    """
    return [_view(result, entry) for entry in result["threats"]]


def _view(result: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The view of one threat."""
    utility = [row for row in result["utility"] if row["threat"] == entry["id"]]
    return {
        **{key: result[key] for key in COMMON},
        **entry,
        "chain": chain_of(result["chain"], entry["at_risk"]),
        "estimates": tuple(Row.from_json(row) for row in entry["estimates"]),
        "utility": tuple(Row.from_json(row) for row in utility),
        "gates": [*result["gates"], *entry["gates"]],
        "variants": [own for one in result["variants"] for own in _variants(one, entry["id"])],
    }


def chain_of(chain: Sequence[Mapping[str, Any]], at_risk: str) -> list[dict[str, Any]]:
    """The chain as one threat sees it: of several stages that are at risk in a run, only its own."""
    return [{**stage, "at_risk": stage["stage"] == at_risk} for stage in chain]


def _variants(entry: Mapping[str, Any], threat: str) -> list[dict[str, Any]]:
    """A variant with what it did to one threat; none if it was not tried on it, but one that failed is everybody's."""
    kept = {key: value for key, value in entry.items() if key != "threats"}
    if entry["status"] != "ok":
        return [kept]
    return [{**kept, **one} for one in entry["threats"] if one["threat"] == threat]


def own_rows(view: View) -> dict[str, Any]:
    """The view without the rows of its variants."""
    kept = {kind: tuple(row for row in view[kind] if row.variant == "none") for kind in ("estimates", "utility")}
    return {**view, **kept}


def all_gates(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Gates of the whole run (with an empty id), then those of each threat with its id."""
    whole = [("", gate) for gate in result["gates"]]
    return whole + [(str(entry["id"]), gate) for entry in result["threats"] for gate in entry["gates"]]


def doubt_of(gates: Sequence[Mapping[str, Any]]) -> str:
    """Text: why no number meets a limit while certain checks warn; empty where none does.

    Args:
        gates: checks of one audit.

    >>> doubt_of([{"id": "I7", "status": "warn"}, {"id": "P2", "status": "warn"}])
    'what the numbers mean is in doubt: see the warnings of I7'
    """
    ids = [str(gate["id"]) for gate in gates if gate["id"] in MEANING and gate["status"] == "warn"]
    return f"what the numbers mean is in doubt: see the warnings of {', '.join(ids)}" if ids else ""
