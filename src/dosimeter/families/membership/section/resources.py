"""The table of what the attacks used, and the figure of what each found for its seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dosimeter.results import words
from dosimeter.results.figures import CALIBRATED, find, leading
from dosimeter.results.page import plots
from dosimeter.results.views import View

LEAST = 1e-4
"""Seconds at which whatever took less is drawn."""


@dataclass(frozen=True)
class Line:
    """What one attack used; its number in the figure, or nothing if it is not drawn."""

    number: str
    name: str
    labelled: str
    shadows: str
    trainings: str
    queries: str
    seconds: str


@dataclass(frozen=True)
class Table:
    """Rows in the order of the attacks, whether any has seconds, a sentence on the training of models, the figure."""

    rows: list[Line]
    timed: bool
    training: str
    figure: Markup


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
    points = _points(result, work)
    numbers = {name: str(number) for number, name in enumerate(points, 1)}
    rows = [
        Line(
            number=numbers.get(attack["id"], ""),
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
    timed, figure = any(seconds.get(name) is not None for name in used), Markup("")
    if points:
        drawn = [(number, *point) for number, point in enumerate(points.values(), 1)]
        share = f"members recognised, at {words.percent(leading(result))} false accusations"
        figure = Markup(plots.over_seconds(drawn, share=share, title="Members recognised for the seconds it takes"))
    return Table(rows, timed, _training(work), figure)


def _points(result: View, work: Mapping[str, Any]) -> dict[str, tuple[float, float, float, float]]:
    """Seconds of each attack and of the shadows it reads, and the share of members with its ends, cheapest first.

    Controls find nothing, and are not drawn. Without the seconds of the trainings no attack can be placed.
    """
    models, training, seconds = work.get("models"), work.get("training"), work.get("attacks") or {}
    if not models or training is None:
        return {}
    found = {}
    for attack in result["attacks"]:
        own, played = result["details"]["resources"].get(attack["id"]), seconds.get(attack["id"])
        row = find(result, attack["id"], "tpr", fpr=leading(result), threshold=CALIBRATED)
        if attack["control"] or own is None or played is None or row is None or row.status != "ok":
            continue
        value, low, high = row.ends
        found[attack["id"]] = (max(LEAST, own["shadows"] * training / models + played), value, low, high)
    return dict(sorted(found.items(), key=lambda one: one[1][0]))


def _seconds(value: float | None) -> str:
    """Seconds, or a dash where they are not known."""
    return "–" if value is None else f"{value:.2g} s" if value < 10 else f"{value:,.0f} s"


def _training(work: Mapping[str, Any]) -> str:
    """Text: how long the training of all models took; empty if that is not known."""
    models, seconds = work.get("models"), work.get("training")
    if not models or seconds is None:
        return ""
    return f"The training of {words.count(models, 'model')}, targets and shadows, took {_seconds(seconds)} of one core."
