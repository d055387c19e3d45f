"""A topology on the page: a drawing of who runs what and what crosses, and the tables that say the same in words.

The drawing is one column, so that it fits a phone: parts of a model from top to bottom in the order in which they run,
those of one party at one distance from the left. What goes back, or past a part, runs along the right side and has the
number under which the table lists it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from dosimeter.results import words

WIDTH = 340
"""Width of a drawing, in pixels of a phone."""
LANE = 22
"""Distance of two things on the right side."""
STEP = 18
"""Distance from the left of one party to the next."""
MOST_COLUMNS = 3
"""Parties that have a distance of their own; further ones share the last."""
MOST_LANES = 4
"""Things on the right side that have a place of their own; further ones share the last."""
BOX, GAP = 66, 56
"""Height of a part, and of what lies between two."""
LETTER = 7.2
"""Width of a letter of 12 pixels, a little too wide."""
TRUST: Mapping[str, str] = {
    "full": "trusted", "honest-but-curious": "looks at what it sees", "malicious": "may do anything",
}  # fmt: skip


def topology_page(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the template shows of a topology; None without one.

    Args:
        result: the content of a valid result.json.
    """
    found = result.get("topology")
    if not found or not found.get("stages"):
        return None
    return {
        "stages": [
            {"name": one["stage"], "svg": Markup(drawing(found, one)), "crossings": _crossings(found, one)}
            for one in found["stages"]
        ],
        "risks": [_risk(one) for one in found.get("risks", ())],
    }


def _size(one: Mapping[str, Any]) -> str:
    """Bytes of what crosses, in words."""
    if one["bytes"] is None:
        return "not counted"
    return f"{words.number(one['bytes'])} bytes" + (" once" if one["sends"] == "weights" else "")


def _what(one: Mapping[str, Any]) -> str:
    """What crosses, in words."""
    return f"features after {one['cut']}" if one["sends"] == "features" else str(one["sends"])


def _crossings(found: Mapping[str, Any], stage: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of the table of what crosses."""
    at = {one["name"]: one["at"] for one in found["parts"]}
    return [
        {
            "number": str(number), "what": _what(one), "from": f"{one['from']} ({at[one['from']]})",
            "to": f"{one['to']} ({at[one['to']]})", "size": _size(one),
            "shape": " and ".join("x".join(map(str, shape)) or "1" for shape in one["shapes"]),
        }
        for number, one in enumerate(stage["crossings"], 1)
    ]  # fmt: skip


def _risk(one: Mapping[str, Any]) -> dict[str, str]:
    """A row of the table of what could be learned."""
    whose = one["data"] or f"stage {one['at_risk']}"
    return {
        "who": " and ".join(one["adversary"]),
        "learns": one["learns"] + (f" ({', '.join(one['attributes'])})" if one["attributes"] else ""),
        "whose": whose + (f" of {one['holder']}" if one["holder"] else ""),
        "from": f"{one['access']} ({one['knows']})" if one["knows"] else one["access"],
        "tested": "threat " + " and ".join(one["threats"]) if one["threats"] else "",
        "reason": one["reason"],
    }


def in_words(found: Mapping[str, Any], stage: Mapping[str, Any]) -> str:
    """A drawing in words, for those who do not see it."""
    at, trust = _parties(found)
    told = [f"Model of stage {stage['stage']}."]
    told += [f"{name} is run by {at[name]}, who {_trusted(trust[at[name]])}." for name in stage["parts"]]
    told += [f"{_what(one)} cross from {one['from']} to {one['to']}: {_size(one)}." for one in stage["crossings"]]
    return " ".join(words.visible(one) for one in told)


def _trusted(trust: str) -> str:
    """Trust, as the end of a sentence."""
    return {"full": "is trusted", "malicious": "may do anything"}.get(trust, "looks at what they see")


def _parties(found: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Who runs each part, and how far each party is trusted."""
    return (
        {one["name"]: one["at"] for one in found["parts"]},
        {one["name"]: one["trust"] for one in found["parties"]},
    )


def drawing(found: Mapping[str, Any], stage: Mapping[str, Any]) -> str:
    """One model as an SVG element.

    Args:
        found: `topology` of a result.
        stage: one of its stages.
    """
    names, at = list(stage["parts"]), _parties(found)[0]
    beside = [
        (number, one)
        for number, one in enumerate(stage["crossings"], 1)
        if one["from"] in names and one["to"] in names and names.index(one["to"]) != names.index(one["from"]) + 1
    ]
    down = [(number, one) for number, one in enumerate(stage["crossings"], 1) if (number, one) not in beside]
    columns = list(dict.fromkeys(at[name] for name in names))
    right = WIDTH - 2 - LANE * min(len(beside), MOST_LANES)
    height = len(names) * (BOX + GAP) - GAP + 4
    lefts = [2 + STEP * min(columns.index(at[name]), MOST_COLUMNS) for name in names]
    shapes = [
        *(_box(found, name, lefts[place], right, _top(place)) for place, name in enumerate(names)),
        *(_down(one, number, names, right) for number, one in _pairs(down, names)),
        *(_inside(place) for place, name in enumerate(names[:-1]) if at[name] == at[names[place + 1]]),
        *(_back(number, names.index(one["from"]), names.index(one["to"]), right, min(lane, MOST_LANES))
          for lane, (number, one) in enumerate(beside, 1)),
    ]  # fmt: skip
    return (
        f'<svg class="plot topology" role="img" viewBox="0 0 {WIDTH} {height}" '
        f'aria-label="{escape(in_words(found, stage))}" font-size="12">{"".join(shapes)}</svg>'
    )


def _pairs(down: Sequence[tuple[int, Mapping[str, Any]]], names: Sequence[str]) -> list[tuple[int, Mapping[str, Any]]]:
    """What goes straight down, once for each pair of parts: features if they cross, else the first."""
    seen: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for number, one in down:
        if one["from"] in names and (one["from"] not in seen or one["sends"] == "features"):
            seen[one["from"]] = (number, one)
    return list(seen.values())


def _top(place: int) -> int:
    """Upper end of a part."""
    return 2 + place * (BOX + GAP)


def _cut(text: str, width: float) -> str:
    """Text that fits, escaped."""
    told, most = words.visible(text), int(width / LETTER)
    return str(escape(told if len(told) <= most else told[: most - 1] + "…"))


def _text(x: float, y: float, text: str, width: float, more: str = 'fill="var(--ink-2)"') -> str:
    """A line of text."""
    return f'<text x="{x}" y="{y}" {more}>{_cut(text, width)}</text>'


def _box(found: Mapping[str, Any], name: str, left: int, right: int, top: int) -> str:
    """A part: its name, who runs it, and whose data they hold. Adversaries have a dashed border."""
    party = _parties(found)[0][name]
    trust, room = _parties(found)[1][party], right - left - 16
    held = [one["data"] for one in found["holds"] if one["party"] == party]
    known = next((one["auxiliary"] for one in found["parties"] if one["name"] == party), None)
    has = [f"holds {', '.join(held)}"] if held else []
    has += [f"has {known}"] if known else []
    edge = "var(--series-3)" if trust == "full" else "var(--series-2)"
    dash = "" if trust == "full" else ' stroke-dasharray="6 3"'
    return (
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{BOX}" rx="7" fill="var(--wash)" '
        f'stroke="{edge}" stroke-width="2"{dash}/>'
        + _text(left + 8, top + 19, name, room, 'fill="var(--ink)" font-weight="650"')
        + _text(left + 8, top + 37, f"{party}: {TRUST[trust]}", room)
        + _text(left + 8, top + 55, "; ".join(has), room)
    )


def _down(one: Mapping[str, Any], number: int, names: Sequence[str], right: int) -> str:
    """An arrow from a part to the next one, with what crosses."""
    start = _top(names.index(one["from"])) + BOX
    end = start + GAP
    label = f"{number}: {_what(one)}"
    return (
        f'<path d="M60 {start}V{end - 8}" stroke="var(--ink)" stroke-width="2" fill="none"/>'
        f'<path d="M54 {end - 9}h12l-6 9z" fill="var(--ink)"/>'
        + _text(74, start + 23, label, right - 74, 'fill="var(--ink)"')
        + _text(74, start + 40, _size(one), right - 74)
    )


def _inside(place: int) -> str:
    """A line from a part to the next one of the same party: nothing crosses."""
    return f'<path d="M60 {_top(place) + BOX}v{GAP}" stroke="var(--rule)" stroke-width="2" fill="none"/>'


def _back(number: int, start: int, end: int, right: int, lane: int) -> str:
    """An arrow along the right side from one part to another, with its number."""
    x, y, back = right + LANE * lane - 9, _top(start) + BOX / 2 + 6 * lane, _top(end) + BOX / 2 + 6 * lane
    middle = (y + back) / 2
    return (
        f'<path d="M{right} {y}H{x}V{back}H{right + 8}" stroke="var(--ink-2)" stroke-width="1.5" fill="none"/>'
        f'<path d="M{right + 9} {back - 5}v10l-9 -5z" fill="var(--ink-2)"/>'
        f'<circle cx="{x}" cy="{middle}" r="9" fill="var(--card)" stroke="var(--ink-2)"/>'
        f'<text x="{x}" y="{middle + 4}" text-anchor="middle" fill="var(--ink)">{number}</text>'
    )
