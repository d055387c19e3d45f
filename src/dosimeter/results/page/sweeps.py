"""Leak against gain where variants change one setting step by step: what more or less of a transfer tells and is worth.

Measures nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from dosimeter.results.figures import find, rate
from dosimeter.results.page import plots
from dosimeter.results.page.section import Section
from dosimeter.results.page.variants import points
from dosimeter.results.rows import Row
from dosimeter.results.views import View
from dosimeter.results.words import count

GAIN = "transfer_gain"
"""Metric of what a transfer adds to the accuracy."""
DRAWN = 3
"""Settings that one figure can tell apart."""
PAIR = re.compile(r"(\w+) (-?\d+(?:\.\d+)?(?:e-?\d+)?)(?: |$)")
"""A word and its number in a table that is told in words, such as `width 16`."""


@dataclass(frozen=True)
class Swept:
    """The figure, with the words around it.

    Attributes:
        figure: as SVG.
        sentence: what is seen, in plain words.
        knobs: the settings that are drawn, each with its values, for the legend.
        left_out: names of further settings, for which the figure has no mark.
        unjudged: number of trainings that gain nothing, about whose leak nothing is said.
    """

    figure: Markup
    sentence: str
    knobs: Sequence[tuple[str, str]]
    left_out: Sequence[str]
    unjudged: int


@dataclass(frozen=True)
class _Point:
    """One training: its id, gain, leak and accuracy, and whether its leak is judged."""

    id: str
    gain: Row
    leak: Row
    accuracy: Row | None
    judged: bool

    def at(self, value: float) -> tuple[float, ...]:
        """As the figure takes it."""
        return (value, *self.gain.ends, *self.leak.ends, float(self.judged))


def sweep(view: View, section: Section) -> Swept | None:
    """The figure; None where no setting has two values with a gain and a leak.

    Args:
        view: one threat of a result, with the rows of its variants.
        section: what its family puts on the page; the number by which it compares variants is the leak.
    """
    if section.leads is None or all(row.metric != GAIN for row in view["estimates"]):
        return None
    itself = {"id": "none", "attack": view["verdict"]["attack"], "verdict": view["verdict"]["status"]}
    base = _point(view, itself, section)
    if base is None:
        return None
    lines, shown = dict[str, list[tuple[float, _Point]]](), {"none": base}
    for entry in view["variants"]:
        knob = _knob(entry, view["chain"]) if entry["status"] == "ok" else None
        point = None if knob is None else _point(view, entry, section)
        if knob is not None and point is not None:
            name, value, before = knob
            lines.setdefault(name, [] if before is None else [(before, base)]).append((value, point))
    lines = {name: sorted(found, key=lambda one: one[0]) for name, found in lines.items() if len(found) > 1}
    if not lines:
        return None
    drawn = dict(list(lines.items())[:DRAWN])
    shown |= {point.id: point for found in drawn.values() for _, point in found}
    metric, _, heading = section.leads
    figure = plots.swept(
        [[point.at(value) for value, point in found] for found in drawn.values()], base.at(0.0), leak=heading,
        chance=0.5 if metric.endswith("auc") else None, title="Leak against gain by the settings of the transfer",
    )  # fmt: skip
    return Swept(
        Markup(figure),
        _sentence(drawn, list(shown.values()), heading),
        [(name, ", ".join(f"{value:g}" for value, _ in found)) for name, found in drawn.items()],
        list(lines)[DRAWN:],
        sum(not one.judged for one in shown.values()),
    )


def _point(view: View, entry: Mapping[str, Any], section: Section) -> _Point | None:
    """Gain and leak of one training, if it has both."""
    if section.leads is None:
        return None
    metric, conditions, _ = section.leads
    # The strongest attack may read another channel than that of the audit itself.
    conditions = {key: value for key, value in conditions.items() if key != "channel"}
    mine = [row for row in view["estimates"] if row.variant == entry["id"]]
    own = {**view, "estimates": [replace(row, variant="none") for row in mine]}
    gain, leak = find(own, None, GAIN), find(own, entry["attack"], metric, **conditions)
    if gain is None or leak is None or not gain.ok or not leak.ok:
        return None
    fits = [row for row in view["utility"] if (row.variant, row.metric) == (entry["id"], "accuracy")]
    accuracy = next((row for row in fits if row.conditions.get("split") == "test"), None)
    return _Point(entry["id"], gain, leak, accuracy, entry["verdict"] != "withdrawn" and gain.ends[0] > 0)


def _knob(
    entry: Mapping[str, Any], chain: Sequence[Mapping[str, Any]]
) -> tuple[str, float, float | None] | None:  # fmt: skip
    """The setting that a variant changes, its value there and in the audit itself; None if it is not one number."""
    if entry["defense"] or entry["place"] != "chain":
        return None
    settings = {name: value for name, value in entry["settings"].items() if name != "guarantee"}
    changed = dict[str, tuple[float, float | None]]()
    for name, value in settings.items():
        stage, _, key = name.partition(".")
        before = next((one["settings"].get(key) for one in chain if one["stage"] == stage), None)
        if isinstance(value, int | float) and not isinstance(value, bool):
            changed[name] = (float(value), float(before) if isinstance(before, int | float) else None)
            continue
        pairs = {word: float(number) for word, number in PAIR.findall(str(value))}
        if " ".join(f"{word} {number:g}" for word, number in pairs.items()) != str(value):
            return None
        known = before if isinstance(before, Mapping) else {}
        for word, number in pairs.items():
            old = known.get(word)
            if old != number:
                changed[f"{name}.{word}"] = (number, float(old) if isinstance(old, int | float) else None)
    if len(changed) != 1:
        return None
    ((name, (value, old)),) = changed.items()
    return name, value, old


def _sentence(
    lines: Mapping[str, Sequence[tuple[float, _Point]]], shown: Sequence[_Point], heading: str
) -> str:  # fmt: skip
    """What the figure shows, in plain words; the values are those of the marks."""
    judged = [one for one in shown if one.judged]
    if not judged:
        return (
            f"None of {count(len(shown), 'training')} makes a better model than one without the exchange, so there is "
            "nothing to weigh a leak against."
        )
    least, most = (pick(judged, key=lambda one: one.gain.ends[0]) for pick in (min, max))
    named = {point.id: f"{name} = {value:g}" for name, found in lines.items() for value, point in found}
    named["none"] = "this audit"
    if least is most:
        told = f"one setting gains anything, {named[most.id]}"
        return f"Of {count(len(shown), 'training')}, {told}: {_both(most, heading)}."
    return (
        f"Of {count(len(shown), 'training')}, {len(judged)} make a better model than one without the exchange. Most is "
        f"gained by {named[most.id]}: {_both(most, heading)}. Least of these by {named[least.id]}: "
        f"{_both(least, heading)}."
    )


def _both(point: _Point, heading: str) -> str:
    """Gain and leak of a training with their intervals, and its accuracy: a poor model may gain much."""
    gain, leak, accuracy = points(point.gain), rate(point.leak), rate(point.accuracy)
    reached = f" to an accuracy of {accuracy.value}" if accuracy.ok else ""
    return f"{gain.value} ({gain.ends}){reached}, {heading} {leak.value} ({leak.ends})"
