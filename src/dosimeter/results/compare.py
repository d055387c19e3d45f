"""Compares two results: differences of the audits, numbers that moved, and whether the intervals show a move."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dosimeter.results import words
from dosimeter.results.lines import Line, lines
from dosimeter.results.rows import APART, DOSE, ORACLE, Key, alike, clean, figure
from dosimeter.results.views import all_gates

Change = Literal["up", "down", "none", "new", "gone", "status", "not_compared", "withdrawn", "another"]
TEST = (
    "Moved means that the two intervals do not overlap. That is a conservative test: a small move can be real and stay "
    "unseen, and what does not move is not shown to be equal."
)
SAID: Mapping[str, str] = {
    "up": "moved up",
    "down": "moved down",
    "none": "no move shown",
    "new": "new",
    "gone": "gone",
    "status": "changed status",
    "not_compared": "not compared",
    "withdrawn": "not compared",
    "another": "not compared",
}
WITHOUT: Mapping[Change, str] = {
    "not_compared": APART,
    "withdrawn": "a check of one of the two audits failed, and a number that is withdrawn has not moved",
    "another": "the attack of that id is another one",
}
"""Why rows of both results are not compared."""


@dataclass(frozen=True)
class Move:
    """One row in both results.

    Attributes:
        key: the quantity of the row.
        old: the row before, None if it is new.
        new: the row after, None if it is gone.
        change: the move that the intervals show.
    """

    key: Key
    old: Line | None
    new: Line | None
    change: Change

    @property
    def delta(self) -> float | None:
        """New value minus old value, None without both."""
        if self.old is None or self.new is None or not (self.old.row.ok and self.new.row.ok):
            return None
        if self.change in WITHOUT:
            return None
        return self.new.row.ends[0] - self.old.row.ends[0]

    @property
    def line(self) -> str:
        """The row as text."""
        line = self.new or self.old
        assert line is not None
        text = f"{line.who}, {line.key.what}: "
        if self.old is None or self.new is None:
            return text + line.row.said
        text += f"{self.old.row.said} -> {self.new.row.said}"
        if self.delta is None:
            return text
        return f"{text}, {_signed(line.row.unit, self.delta)}"


@dataclass(frozen=True)
class Comparison:
    """Differences between two results.

    Attributes:
        differences: differences of the audits: adversary, data, chain, attacks.
        verdicts: status before and after.
        gates: checks whose status changed, as text.
        moves: moves of every row of either result.
        leading: rate at which each threat of the later result leads.
    """

    differences: tuple[str, ...]
    verdicts: tuple[str, str]
    gates: tuple[str, ...]
    moves: tuple[Move, ...]
    leading: Mapping[str, float | None]

    def of(self, *changes: Change) -> list[Move]:
        """The moves of the given kinds."""
        return [move for move in self.moves if move.change in changes]

    def lines(self) -> list[str]:
        """Lines for a terminal: differences, moves, and of the other rows only the leading ones."""
        found = [
            "The audits differ:" if self.differences else "The audits do not differ in anything that results hold."
        ]
        found += [f"  {one}" for one in self.differences]
        before, after = (status.replace("_", " ") for status in self.verdicts)
        found.append(f"Verdict: {before}" if before == after else f"Verdict: {before} -> {after}")
        found += [f"Check {one}" for one in self.gates]
        for change in ("up", "down", "status", "new", "gone"):
            found += [f"{SAID[change]}: {move.line}" for move in self.of(change)]
        apart = {change: self.of(change) for change in WITHOUT}
        found += [f"{SAID[one]}: {len(rows)} rows, since {WITHOUT[one]}" for one, rows in apart.items() if rows]
        still = self.of("none")
        leading = [move for move in still if leads(move.new, self.leading)]
        found += [f"{SAID['none']}: {move.line}" for move in leading]
        if len(still) > len(leading):
            found.append(f"{SAID['none']} in {len(still) - len(leading)} more rows; --json lists them")
        return [*found, TEST]

    def as_json(self) -> dict[str, Any]:
        """The whole comparison in a form for machines."""
        return {
            "differences": list(self.differences),
            "verdict": {"old": self.verdicts[0], "new": self.verdicts[1]},
            "gates": list(self.gates),
            "rows": [
                {
                    **move.key.to_json(),
                    "change": move.change,
                    "delta": move.delta,
                    "old": _numbers(move.old),
                    "new": _numbers(move.new),
                }
                for move in self.moves
            ],
            "test": TEST,
        }


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    """Matches the rows of two results and says what moved.

    Args:
        old: the content of a valid result.json.
        new: the same, of later.
    """
    before, after = ({line.key: line for line in lines(one)} for one in (old, new))
    keys = list(dict.fromkeys([*after, *before]))
    return Comparison(
        differences=tuple(differences(old, new)),
        verdicts=(str(old["verdict"]["status"]), str(new["verdict"]["status"])),
        gates=tuple(_gates(old, new)),
        moves=tuple(
            Move(key, before.get(key), after.get(key), _change(before.get(key), after.get(key))) for key in keys
        ),
        leading=leading_rates(new),
    )


def leading_rates(result: Mapping[str, Any]) -> dict[str, float | None]:
    """Rate at which each threat leads, by its id: None where none is resolvable, absent where its family has none."""
    return {str(entry["id"]): entry["verdict"]["fpr"] for entry in result["threats"] if "fpr" in entry["verdict"]}


def leads(line: Line | None, leading: Mapping[str, float | None]) -> bool:
    """Returns whether a row is a headline figure: TPR at the leading rate, AUC or dose of an attack that is no control.

    Of a family without a leading rate every number of all records is one.

    Args:
        line: the row.
        leading: rate at which each threat leads, by its id.
    """
    if line is None or line.control or line.row.attack is None or line.row.group is not None:
        return False
    row = line.row
    if row.threat not in leading:
        return not row.unit.endswith("_difference")
    rate = leading[row.threat]
    at = row.rate is not None and rate is not None and math.isclose(row.rate, rate, rel_tol=1e-6)
    return row.metric in ("auc", DOSE) or (row.metric == "tpr" and at and row.threshold != ORACLE)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Differences between the audits, one line each; none for equal audits.

    Args:
        old: the content of a valid result.json.
        new: the same.
    """
    told = [*_parts(old, new, ("name", "noun", "door"))]
    threats = [{entry["id"]: entry for entry in one["threats"]} for one in (old, new)]
    several, shared = max(map(len, threats)) > 1, [name for name in threats[0] if name in threats[1]]
    pairs = {f"threat {name}: " if several else "": (threats[0][name], threats[1][name]) for name in shared}
    for name in dict.fromkeys([*threats[0], *threats[1]]):
        if name not in shared:
            told.append(f"threat {name}: {'new' if name in threats[1] else 'gone'}")
    for whose, (before, after) in pairs.items():
        told += [f"{whose}{line}" for line in _threat(before, after)]
    told += _parts(old, new, ("topology", "chain"))
    for whose, (before, after) in pairs.items():
        told += [f"{whose}{line}" for line in _attacks(before, after)]
    yield from map(clean, told)
    if not told and old["audit_key"] != new["audit_key"]:
        yield "audit_key: differs, though nothing that results hold does: a seed, data or code"


def _parts(old: Mapping[str, Any], new: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    """Differences of parts of two tables."""
    for part in names:
        for place, before, after in _leaves(old.get(part), new.get(part), part):
            yield f"{place}: {words.setting(before)} -> {words.setting(after)}"


def _threat(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Differences of a threat's family, adversary and records."""
    adversaries = [{"threat": {"at_risk": one["at_risk"], **one["adversary"]}} for one in (old, new)]
    yield from _parts(old, new, ("family",))
    yield from _parts(adversaries[0], adversaries[1], ("threat",))
    yield from _parts(old, new, ("data",))


def _attacks(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Differences of a threat's attacks."""
    attacks = [{attack["id"]: attack for attack in one["attacks"]} for one in (old, new)]
    for name in dict.fromkeys([*attacks[0], *attacks[1]]):
        for line in _attack(*(one.get(name) for one in attacks)):
            yield f"attack {name}: {line}"


def _attack(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[str]:
    """Differences of one attack."""
    if old is None or new is None:
        yield "new" if old is None else "gone"
        return
    for key in ("name", "mode", "status", "settings"):
        for place, before, after in _leaves(old[key], new[key], key):
            yield f"{place}: {words.setting(before)} -> {words.setting(after)}"


def _leaves(old: object, new: object, place: str) -> Iterator[tuple[str, object, object]]:
    """The places below which two values differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            yield from _leaves(old.get(key), new.get(key), f"{place}.{key}")
    elif _tables(old) and _tables(new) and isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _leaves(before, after, f"{place}[{index}]")
    elif _tables(old) or _tables(new):
        yield place, _names(old), _names(new)
    elif old != new:
        yield place, old, new


def _tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _names(value: object) -> object:
    """The stages of a chain by name."""
    return [item.get("stage", "?") for item in value] if isinstance(value, list) else value


def _gates(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Checks whose status changed."""
    before, after = ({(of, gate["id"]): gate for of, gate in all_gates(one)} for one in (old, new))
    several = max(len(one["threats"]) for one in (old, new)) > 1
    for key in dict.fromkeys([*before, *after]):
        was, now = (one[key]["status"] if key in one else "absent" for one in (before, after))
        if was != now:
            of = f" of threat {key[0]}" if several and key[0] else ""
            yield clean(f"{key[1]} {(after.get(key) or before[key])['name']}{of}: {was} -> {now}")


def _change(old: Line | None, new: Line | None) -> Change:
    """The move that the intervals of a row show."""
    if old is None or new is None:
        return "new" if old is None else "gone"
    before, after = old.row, new.row
    if old.withdrawn or new.withdrawn:
        return "withdrawn"
    if old.of != new.of:
        return "another"
    if not alike(before, after):
        return "not_compared"
    if not (before.ok and after.ok):
        return "none" if before.status == after.status else "status"
    if after.ends[1] > before.ends[2]:
        return "up"
    return "down" if after.ends[2] < before.ends[1] else "none"


def _signed(unit: str, delta: float) -> str:
    """A difference with its sign; shares are in points."""
    size = figure(unit.removesuffix("_difference"), abs(delta)).replace(" %", " points")
    return f"{'+' if delta > 0 else '-' if delta < 0 else ''}{size}"


def _numbers(line: Line | None) -> dict[str, Any] | None:
    """A row's numbers in a form for machines."""
    if line is None:
        return None
    names: Sequence[str] = ("value", "low", "high", "status", "reason", "n_targets")
    return {**{name: getattr(line.row, name) for name in names}, "n": line.row.counted[0], "counts": dict(line.row.n)}
