"""The table of what the attacks used: labelled records, models, queries, seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dosimeter.results import words
from dosimeter.results.views import View


@dataclass(frozen=True)
class Line:
    """What one attack used."""

    name: str
    labelled: str
    shadows: str
    trainings: str
    queries: str
    seconds: str


@dataclass(frozen=True)
class Table:
    """Rows in the order of the attacks, whether any has seconds, and a sentence on the training of models."""

    rows: list[Line]
    timed: bool
    training: str


def table(result: View, provenance: Mapping[str, Any], names: Mapping[str, str]) -> Table | None:
    """The table; None if the result does not say what was used.

    Args:
        result: a threat of a valid result.json.
        provenance: the content of provenance.json; every key is optional.
        names: names of the attacks by id.
    """
    used = result["details"].get("resources")
    if not used:
        return None
    work = (provenance.get("work") or {}).get(result["id"]) or {}
    seconds = work.get("attacks") or {}
    rows = [
        Line(
            name=names[attack["id"]],
            labelled=f"{own['labelled']:,}",
            shadows=f"{own['shadows']:,}",
            trainings="not known" if own["trainings"] is None else f"{own['trainings']:,}",
            queries=f"{own['queries']:,}",
            seconds=_seconds(seconds.get(attack["id"])),
        )
        for attack in result["attacks"]
        if (own := used.get(attack["id"])) is not None
    ]
    return Table(rows, any(seconds.get(name) is not None for name in used), _training(work))


def _seconds(value: float | None) -> str:
    """Seconds, or a dash where they are not known."""
    return "–" if value is None else f"{value:.2g} s" if value < 10 else f"{value:,.0f} s"


def _training(work: Mapping[str, Any]) -> str:
    """Text: how long the training of all models took; empty if that is not known."""
    models, seconds = work.get("models"), work.get("training")
    if not models or seconds is None:
        return ""
    return f"The training of {words.count(models, 'model')}, targets and shadows, took {_seconds(seconds)} of one core."
