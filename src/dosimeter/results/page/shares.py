"""The doses of all threats of a run side by side, as shares of what there is to tell, in the order of the chain.

Beside each stand the accuracy and what an exchange adds to it; below it what each variant changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dosimeter.results import figures, words
from dosimeter.results.figures import NOTHING, Bar, Figure
from dosimeter.results.page import doses
from dosimeter.results.page.section import Section
from dosimeter.results.page.variants import points
from dosimeter.results.rows import DOSE, Row
from dosimeter.results.views import View

LEAST = 2
"""Doses that stand side by side, at least."""
GAIN = "transfer_gain"
"""Metric of what an exchange adds to the accuracy."""


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
        accuracy: of the model for test records.
        gain: of the accuracy by an exchange.
        variant: what was tried, which changes something here; empty for the audit itself.
    """

    anchor: str
    id: str
    stage: str
    about: str
    who: str
    share: Figure
    bits: Figure
    bar: Bar | None
    accuracy: Figure = NOTHING
    gain: Figure = NOTHING
    variant: str = ""


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
    blocks = []
    for number, ((view, section), dose) in enumerate(zip(listed, known, strict=True), 1):
        own = _line(result, view, section, dose, number)
        blocks.append([own, *_tried(view, own, dose)])
    places = [order.index(one[0].stage) if one[0].stage in order else len(order) for one in blocks]
    ordered = sorted(zip(places, blocks, strict=True), key=lambda pair: pair[0])
    return [line for _, block in ordered for line in block]


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
        ends = [dose[key] / dose["ceiling"] for key in ("value", "shown", "not_excluded")]
        share, bar = _share(ends)
    return Line(
        f"threat-{number}", view["id"], view["at_risk"], about, section.who, share, doses.figure(dose), bar,
        _accuracy(view, "none"), _gain(view, "none"),
    )  # fmt: skip


def _share(ends: Sequence[float]) -> tuple[Figure, Bar]:
    """Best estimate and both ends of a share, in words and on the axis."""
    value, low, high = (min(1.0, max(0.0, one)) for one in ends)
    spread = (high - low) or None
    told = f"{words.percent(low, spread=spread, away='down')} to {words.percent(high, spread=spread, away='up')}"
    return Figure(words.percent(value, spread=spread), told), Bar(_at(low), _at(high - low), _at(value), "0%")


def _tried(view: View, own: Line, dose: Mapping[str, Any] | None) -> list[Line]:
    """A line for each variant that changes something here."""
    base, found = _dose_row(view, "none", view["verdict"]["attack"]), list[Line]()
    for entry in view["variants"]:
        if entry["status"] != "ok":
            continue
        row, accuracy = _dose_row(view, entry["id"], entry["attack"]), _accuracy(view, entry["id"])
        if row is not None and base is not None and row.value == base.value and accuracy == own.accuracy:
            continue  # of another chain
        share, bits, bar = Figure(entry["verdict"].replace("_", " "), ok=False), NOTHING, None
        if entry["verdict"] != "withdrawn" and row is not None and row.ok and dose is not None:
            (share, bar), bits = _share([end / dose["ceiling"] for end in row.ends]), figures.bits(row)
        gain = _gain(view, entry["id"])
        found.append(Line(own.anchor, own.id, own.stage, "", own.who, share, bits, bar, accuracy, gain, entry["id"]))
    return found


def _dose_row(view: View, variant: str, attack: str | None) -> Row | None:
    """The dose of an attack; of several conditions the largest."""
    rows = [row for row in view["estimates"] if (row.metric, row.variant, row.attack) == (DOSE, variant, attack)]
    return max((row for row in rows if row.ok and row.group is None), key=lambda row: row.ends[0], default=None)


def _accuracy(view: View, variant: str) -> Figure:
    """The share of test records that a model names rightly."""
    rows = [row for row in view["utility"] if row.metric == "accuracy" and row.variant == variant]
    return figures.rate(next((row for row in rows if row.conditions.get("split") == "test"), None))


def _gain(view: View, variant: str) -> Figure:
    """What an exchange adds to the accuracy."""
    rows = [row for row in view["estimates"] if row.metric == GAIN and row.variant == variant and row.ok]
    return points(rows[0]) if rows else NOTHING


def _data(stage: Mapping[str, Any]) -> str:
    """What a stage was trained on: its data, or who trained it together."""
    parties = stage["settings"].get("parties")
    if parties:
        return "by " + " and ".join(parties)
    return f"on {stage['data']}" if stage["data"] else "given"


def _at(share: float) -> str:
    """A place on the axis."""
    return f"{100 * share:.2f}%"
