"""Compares two results: differences of the audits, numbers that moved, and whether the intervals show a move."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dosimeter.results import words
from dosimeter.results.rows import ORACLE, Key, Row, clean, figure, rows

Change = Literal["up", "down", "none", "new", "gone", "status"]
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
}


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
    old: Row | None
    new: Row | None
    change: Change

    @property
    def delta(self) -> float | None:
        """New value minus old value, None without both."""
        if self.old is None or self.new is None or not (self.old.ok and self.new.ok):
            return None
        return self.new.ends[0] - self.old.ends[0]

    @property
    def line(self) -> str:
        """The row as text."""
        row = self.new or self.old
        assert row is not None
        text = f"{row.who}, {row.key.what}: "
        if self.old is None or self.new is None:
            return text + row.said
        text += f"{self.old.said} -> {self.new.said}"
        if self.delta is None:
            return text
        return f"{text}, {_signed(self.key.metric, self.delta)}"


@dataclass(frozen=True)
class Comparison:
    """Differences between two results.

    Attributes:
        differences: differences of the audits: adversary, data, chain, attacks.
        verdicts: status before and after.
        gates: checks whose status changed, as text.
        moves: moves of every row of either result.
        leading: rates at which the results lead, before and after.
    """

    differences: tuple[str, ...]
    verdicts: tuple[str, str]
    gates: tuple[str, ...]
    moves: tuple[Move, ...]
    leading: tuple[float | None, float | None]

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
        still = self.of("none")
        leading = [move for move in still if leads(move.new, self.leading[1])]
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
                    **asdict(move.key),
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
    before, after = ({row.key: row for row in rows(one)} for one in (old, new))
    keys = list(dict.fromkeys([*after, *before]))
    return Comparison(
        differences=tuple(differences(old, new)),
        verdicts=(str(old["verdict"]["status"]), str(new["verdict"]["status"])),
        gates=tuple(_gates(old, new)),
        moves=tuple(
            Move(key, before.get(key), after.get(key), _change(before.get(key), after.get(key))) for key in keys
        ),
        leading=(old["verdict"]["fpr"], new["verdict"]["fpr"]),
    )


def leads(row: Row | None, leading: float | None) -> bool:
    """Returns whether a row is a headline figure: TPR at the leading rate, or AUC, of an attack that is no control."""
    if row is None or row.control or row.key.attack is None or row.key.group is not None:
        return False
    rate = row.key.fpr is not None and leading is not None and math.isclose(row.key.fpr, leading, rel_tol=1e-6)
    return row.key.metric == "auc" or (row.key.metric == "tpr" and rate and row.key.threshold != ORACLE)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Differences between the audits, one line each; none for equal audits.

    Args:
        old: the content of a valid result.json.
        new: the same.
    """
    found = False
    for part in ("name", "noun", "door", "seed", "threat", "data", "chain"):
        for place, before, after in _leaves(old.get(part), new.get(part), part):
            found = True
            yield clean(f"{place}: {words.setting(before)} -> {words.setting(after)}")
    attacks = [{attack["id"]: attack for attack in one["attacks"]} for one in (old, new)]
    for name in dict.fromkeys([*attacks[0], *attacks[1]]):
        before, after = (one.get(name) for one in attacks)
        for line in _attack(before, after):
            found = True
            yield clean(f"attack {name}: {line}")
    if not found and old["audit_key"] != new["audit_key"]:
        yield "audit_key: differs, though nothing that results hold does: a seed, data or code"


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
    before, after = ({gate["id"]: gate for gate in one["gates"]} for one in (old, new))
    for key in dict.fromkeys([*before, *after]):
        was, now = (one[key]["status"] if key in one else "absent" for one in (before, after))
        if was != now:
            yield clean(f"{key} {(after.get(key) or before[key])['name']}: {was} -> {now}")


def _change(old: Row | None, new: Row | None) -> Change:
    """The move that the intervals of a row show."""
    if old is None or new is None:
        return "new" if old is None else "gone"
    if not (old.ok and new.ok):
        return "none" if old.status == new.status else "status"
    if new.ends[1] > old.ends[2]:
        return "up"
    return "down" if new.ends[2] < old.ends[1] else "none"


def _signed(metric: str, delta: float) -> str:
    """A difference with its sign; shares are in points."""
    size = figure(metric, abs(delta)).replace(" %", " points")
    return f"{'+' if delta > 0 else '-' if delta < 0 else ''}{size}"


def _numbers(row: Row | None) -> dict[str, Any] | None:
    """A row's numbers in a form for machines."""
    if row is None:
        return None
    names: Sequence[str] = ("value", "low", "high", "status", "reason", "n", "n_targets")
    return {name: getattr(row, name) for name in names}
