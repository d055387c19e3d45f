"""The doses of all threats of a run side by side, as shares of what there is to tell, in the order of the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dosimeter.results import words
from dosimeter.results.figures import Bar, Figure
from dosimeter.results.page import doses
from dosimeter.results.page.section import Section
from dosimeter.results.views import View

LEAST = 2
"""Doses that stand side by side, at least."""


@dataclass(frozen=True)
class Line:
    """One threat among all.

    Attributes:
        anchor: of its part of the page.
        id: of the threat.
        stage: at which it learns.
        about: how that stage came to be, or empty.
        who: the adversary.
        share: of all that there is to tell, in percent; a reason where there is none.
        bits: the same in bits.
        bar: the share on an axis from 0 to 100 %; None where there is none.
    """

    anchor: str
    id: str
    stage: str
    about: str
    who: str
    share: Figure
    bits: Figure
    bar: Bar | None


def side_by_side(result: Mapping[str, Any], listed: Sequence[tuple[View, Section]]) -> list[Line]:
    """A line for each threat in the order in which stages follow each other; none with fewer than two doses.

    Args:
        result: the content of a valid result.json.
        listed: each threat with what its family puts on the page, in the order of the file.
    """
    order = [stage["stage"] for stage in result["chain"]]
    known = [_quotable(view) for view, _ in listed]
    if sum(one is not None for one in known) < LEAST:
        return []
    lines = [
        _line(result, view, section, dose, number)
        for number, ((view, section), dose) in enumerate(zip(listed, known, strict=True), 1)
    ]
    places = [order.index(one.stage) if one.stage in order else len(order) for one in lines]
    return [one for _, one in sorted(zip(places, lines, strict=True), key=lambda pair: pair[0])]


def _quotable(view: View) -> Mapping[str, Any] | None:
    """The dose of a threat; None where it has no number, or none that may be quoted."""
    dose: Mapping[str, Any] | None = view["dose"]
    if dose is None or view["verdict"]["status"] == "withdrawn" or not dose["ceiling"]:
        return None
    return None if None in (dose["value"], dose["shown"], dose["not_excluded"]) else dose


def _line(
    result: Mapping[str, Any], view: View, section: Section, dose: Mapping[str, Any] | None, number: int
) -> Line:  # fmt: skip
    """One line."""
    stage = next((one for one in result["chain"] if one["stage"] == view["at_risk"]), None)
    about = "" if stage is None else words.visible(f"{stage['transfer']}, {_data(stage)}")
    status = view["verdict"]["status"]
    share, bar = Figure({"withdrawn": "withdrawn"}.get(status, "not measured"), ok=False), None
    if dose is not None:
        value, low, high = (max(0.0, dose[key]) / dose["ceiling"] for key in ("value", "shown", "not_excluded"))
        high = min(1.0, high)
        spread = (high - low) or None
        ends = f"{words.percent(low, spread=spread, away='down')} to {words.percent(high, spread=spread, away='up')}"
        share = Figure(words.percent(value, spread=spread), ends)
        bar = Bar(_at(low), _at(high - low), _at(min(1.0, value)), "0%")
    return Line(
        f"threat-{number}", view["id"], view["at_risk"], about, section.who, share, doses.figure(dose), bar
    )  # fmt: skip


def _data(stage: Mapping[str, Any]) -> str:
    """What a stage was trained on: its data, or who trained it together."""
    parties = stage["settings"].get("parties")
    if parties:
        return "by " + " and ".join(parties)
    return f"on {stage['data']}" if stage["data"] else "given"


def _at(share: float) -> str:
    """A place on the axis."""
    return f"{100 * share:.2f}%"
