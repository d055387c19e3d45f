"""Blocks of a table of scores, each for one attack and one target, with records in the same order in all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from dosimeter.families.membership.table.columns import Columns
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote


@dataclass(frozen=True)
class Part:
    """Rows of one kind, in blocks (attack-major) of one attack and one target.

    Attributes:
        columns: the table.
        rows: positions in the table `[r]`.
        attack: index of each row's attack `[r]`.
        target: index of each row's target `[r]`.
        attacks: names.
        targets: names.
    """

    columns: Columns
    rows: Int[Array, " r"]
    attack: Int[Array, " r"]
    target: Int[Array, " r"]
    attacks: tuple[str, ...]
    targets: tuple[str, ...]

    def values(self, name: str) -> Int[Array, " r"] | None:
        """The codes of a column in these rows, or None without it."""
        column = self.columns.coded.get(name)
        return None if column is None else column.codes[self.rows]

    def block(self, index: int) -> str:
        """The name of a block, in words."""
        attack, target = divmod(index, len(self.targets))
        return f"attack {quote(self.attacks[attack])}, target {quote(self.targets[target])}"


def part_of(columns: Columns, rows: Int[Array, " r"]) -> Part:
    """The given rows, with attacks and targets numbered by first appearance."""
    found: list[tuple[Array, tuple[str, ...]]] = []
    for name, alone in (("attack", "score"), ("target", "target")):
        column = columns.coded.get(name)
        if column is None:
            found.append((np.zeros(len(rows), np.int64), (alone,)))
            continue
        codes, names = column.codes[rows], column.text()
        present = np.flatnonzero(np.bincount(codes, minlength=len(names)))
        number = np.zeros(len(names), np.int64)
        number[present] = np.arange(len(present))
        found.append((number[codes], tuple(names[code] for code in present)))
    (attack, attacks), (target, targets) = found
    return Part(columns, rows, attack, target, attacks, targets)


def _sort_order(key: Int[Array, " r"]) -> Int[Array, " r"] | slice:
    """The stable order of small numbers; a full slice if they are sorted already."""
    if (key[1:] >= key[:-1]).all():
        return slice(None)
    return np.argsort(key.astype(np.uint16) if key.max() < 1 << 16 else key, kind="stable")  # radix sort below 2**16


def align(part: Part) -> Int[Array, "b n"]:
    """Positions of each block's rows, with records in the same order in all blocks."""
    blocks = len(part.attacks) * len(part.targets)
    key = part.attack * len(part.targets) + part.target
    ids, place = part.values("id"), part.columns.place
    if blocks > len(key):
        empty = int(np.setdiff1d(np.arange(len(key) + 1), key)[0])
        raise DataError(
            f"{place}: every attack must score every target, got no row of {part.block(empty)}: add the rows or "
            "write one table for each attack"
        )
    order = _sort_order(key)
    sizes = np.bincount(key, minlength=blocks)
    if (sizes != sizes[0]).any():
        if ids is not None:
            raise _id_problem(part, key, ids)
        other = int(np.argmax(sizes != sizes[0]))
        raise DataError(
            f"{place}: every attack and target must have the same records, got {sizes[0]} rows of {part.block(0)} and "
            f"{sizes[other]} of {part.block(other)}: complete the rows, and add a column id"
        )
    rows = part.rows[order].reshape(blocks, -1)
    if ids is not None:
        grid = ids[order].reshape(blocks, -1)
        if (grid != grid[0]).any():
            ranked = np.argsort(grid, axis=1, kind="stable")
            if (np.take_along_axis(grid, ranked, 1) != grid[0, ranked[0]]).any():
                raise _id_problem(part, key, ids)
            rank_of = np.empty(grid.shape[1], np.int64)
            rank_of[ranked[0]] = np.arange(grid.shape[1])
            rows = np.take_along_axis(rows, ranked[:, rank_of], 1)
        if not (grid[0, 1:] > grid[0, :-1]).all() and (np.diff(np.sort(grid[0])) == 0).any():
            raise _id_problem(part, key, ids)
    return rows


def _id_problem(part: Part, key: Int[Array, " r"], ids: Int[Array, " r"]) -> DataError:
    """The first record that a block has twice, or the first that is missing in it."""
    column, place = part.columns.coded["id"], part.columns.place
    order = np.lexsort((ids, key))
    twice = np.flatnonzero((np.diff(ids[order]) == 0) & (np.diff(key[order]) == 0))
    if len(twice):
        later = int(order[twice + 1].min())
        times = int(((ids == ids[later]) & (key == key[later])).sum())
        return DataError(
            f"{place}: every id must occur once per attack and target, got {column.show(ids[later])} {times} times in "
            f"{part.block(int(key[later]))} (row {part.rows[later]}): remove repeated rows, or name the attack, the "
            "target or the split in a column of its own"
        )
    blocks = len(part.attacks) * len(part.targets)
    names, first, count = np.unique(ids, return_index=True, return_counts=True)
    short = np.flatnonzero(count < blocks)
    one = int(short[np.argmin(first[short])])
    lacks = int(np.setdiff1d(np.arange(blocks), key[ids == names[one]])[0])
    return DataError(
        f"{place}: every attack and target must have the same ids, got {column.show(names[one])} in {count[one]} of "
        f"{blocks} and not in {part.block(lacks)} ({len(short)} such ids): add the rows, with an empty score if there "
        "is none, or remove the id everywhere"
    )


def check_agreement(values: Array, part: Part, rows: Int[Array, "b n"], name: str) -> None:
    """Refuses blocks that contradict the first block about a record."""
    wrong = values != values[0]
    if wrong.any():
        block, at = np.argwhere(wrong)[0].tolist()
        remedy = "correct them" if "id" in part.columns.coded else "add a column id, or give all blocks the same order"
        raise DataError(
            f"{part.columns.place}: {name} of a record must agree between the rows that are about it, got another "
            f"value in row {rows[block, at]} than in row {rows[0, at]}: {remedy}"
        )


def calibration_rows(
    part: Part, attack: Int[Array, " r"], block: Int[Array, " r"], shape: tuple[int, int]
) -> tuple[Int[Array, "a k"], Int[Array, " e"]]:
    """Positions of each attack's calibration rows, in the same order, and whether a further block begins there."""
    key, ids = attack * shape[1] + block, part.values("id")
    sizes = np.bincount(key, minlength=shape[0] * shape[1]).reshape(shape) if len(key) >= shape[0] * shape[1] else None
    rows = None if sizes is None or (sizes != sizes[0]).any() else _in_step(part, key, ids, shape[0])
    if sizes is None or rows is None:
        remedy = "complete or correct them" if ids is not None else "complete them or add a column id"
        raise DataError(
            f"{part.columns.place}: all attacks must have the same calibration rows (target, id, is_member), got "
            f"others for some: {remedy}"
        )
    return part.rows[rows], np.cumsum(sizes[0])[:-1]


def _in_step(part: Part, key: Int[Array, " r"], ids: Int[Array, " r"] | None, attacks: int) -> Int[Array, "a k"] | None:
    """Rows of each attack in file order, or else by record, if they then agree on records and bits."""
    models = part.values("model")
    same = [part.columns.is_member[part.rows], *(one for one in (ids, models) if one is not None)]
    by_record = tuple(one for one in (ids, models, part.target, key) if one is not None)
    for order in (_sort_order(key), *([] if ids is None else [np.lexsort(by_record)])):
        rows: Array = np.arange(len(key))[order].reshape(attacks, -1)
        if all((one[rows] == one[rows[0]]).all() for one in same):
            return rows
    return None
