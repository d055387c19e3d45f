"""A table of scores from an attack that ran elsewhere: read, aligned by record, and split for thresholds.

One row is one decision: `score`, `is_member`, and, as far as there are several, the `attack`, the `target` (the audited
model), the record's `id`, its `person` and `group`. A higher score always means "more likely member"; a missing score
and -inf rank lowest, +inf highest, tied; all of them are counted.

Rows whose `split` is `calibration` set thresholds, rows `test` are measured. A calibration row names in `target` the
audited model whose threshold it sets; if the score comes from another model, which was trained to rehearse, `model`
says so. If no calibration row names an audited target, all of them set one threshold for all targets. Without `split`,
all records are measured, and random halves of them set thresholds for each other, see `cross_fitting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import HALVES, CrossFit, halvings, usual_count
from dosimeter.families.membership.table.blocks import Part, align, calibration_rows, check_agreement, part_of
from dosimeter.families.membership.table.columns import Columns, read_columns
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.seeds import generator
from dosimeter.foundation.wording import one_line, quote
from dosimeter.statistics.evidence import Truth


@dataclass(frozen=True)
class Counts:
    """Numbers of scores of an attack that are not finite, over all its rows.

    Attributes:
        missing: empty, null or NaN, among non-members and members; ranked lowest.
        lowest: -inf.
        highest: +inf, ranked highest, all tied.
        rows: all, of non-members and members.
    """

    missing: tuple[int, int]
    lowest: int
    highest: int
    rows: tuple[int, int]


@dataclass(frozen=True)
class ScoresTable:
    """Content of a table of scores, with `t` targets and `n` measured records.

    Attributes:
        name: the file's name without its ending, as one printable line.
        attacks: names in order of appearance; "score" without the column.
        targets: names of the audited models in order of appearance; "target" without the column.
        truth: about the measured records. `ids` are the integers of the column `id`, else numbers by appearance, else
            row numbers; `record` is the person, else the record.
        scores: per attack `[t n]`, no NaN.
        calibration: what sets thresholds.
        groups: names `[n]` (dtype object), or None.
        persons: how many there are among the measured records, or None.
        counts: per attack what was not finite.
        fingerprint: SHA-256 over the rows that were read.
        notes: remarks that belong beside the numbers.
    """

    name: str
    attacks: tuple[str, ...]
    targets: tuple[str, ...]
    truth: Truth
    scores: Mapping[str, Float[Array, "t n"]]
    calibration: Calibration | CrossFit
    groups: Array | None
    persons: int | None
    counts: Mapping[str, Counts]
    fingerprint: str
    notes: tuple[str, ...]

    @property
    def group_names(self) -> tuple[str, ...]:
        """The different groups of the measured records in order of appearance."""
        return () if self.groups is None else tuple(dict.fromkeys(self.groups.tolist()))


def read_scores(path: Path, *, seed: int) -> ScoresTable:
    """Reads a table of scores.

    Args:
        path: `.csv` (commas, UTF-8, one header line) or `.parquet` with the columns `score` and `is_member`, and any of
            `attack`, `target`, `id`, `person`, `group`, `split`, `model`. Further columns are not read.
        seed: seed of the halves that set thresholds for each other, where no column `split` says which records do.

    Returns:
        The table. Scores, truth and calibration are what the recipe door makes of its own targets and rehearsals.

    Raises:
        DataError: the file cannot be read, or says contradictory things; with the row and the remedy.
    """
    columns = read_columns(path)
    calibrates = columns.calibrates
    everything = np.arange(len(columns.score))
    tested = part_of(columns, everything if calibrates is None else np.flatnonzero(~calibrates))
    if not len(tested.rows):
        raise DataError(f"{columns.place}: needs rows to be measured, got calibration rows only: add test rows")
    counts = _counts(tested)
    columns.score[np.isnan(columns.score)] = -np.inf
    rows = align(tested)
    table = _measured_rows(tested, rows, counts, one_line(path.stem, 80))
    if calibrates is None:
        return _cross_fit(table, columns, seed)
    given = part_of(columns, np.flatnonzero(calibrates))
    _check_classes(table.truth.is_member, "test rows", columns.place)
    return replace(
        table,
        calibration=_calibration(given, tested.attacks, tested.targets),
        notes=table.notes + _check_overlap(given, tested),
    )


def _counts(part: Part) -> dict[str, Counts]:
    """Numbers of scores that are not finite, for each attack, over the whole table."""
    score, is_member, column = part.columns.score, part.columns.is_member, part.columns.coded.get("attack")
    names = part.attacks if column is None else column.text()
    codes = np.zeros(len(score), np.int64) if column is None else column.codes

    def by_class(kind: Bool[Array, " n"]) -> Array:
        cells = 2 * codes[kind] + is_member[kind]
        return np.bincount(cells, minlength=2 * len(names)).reshape(-1, 2)

    kinds = (np.isnan(score), np.isneginf(score), np.isposinf(score), np.ones(len(score), bool))
    found = {}
    for name, missing, lowest, highest, rows in zip(names, *map(by_class, kinds), strict=True):
        found[name] = Counts(tuple(missing.tolist()), int(lowest.sum()), int(highest.sum()), tuple(rows.tolist()))
    return found


def _measured_rows(part: Part, rows: Int[Array, "b n"], counts: Mapping[str, Counts], name: str) -> ScoresTable:
    """The table of the measured rows, with an empty calibration."""
    columns, t = part.columns, len(part.targets)
    is_member = columns.is_member[rows].reshape(-1, t, rows.shape[1])
    check_agreement(is_member.reshape(len(is_member), -1), part, rows.reshape(len(is_member), -1), "is_member")
    found: dict[str, Array | None] = {}
    for what in ("id", "person", "group"):
        column = columns.coded.get(what)
        codes = None if column is None else column.by_appearance() if what == "person" else column.codes
        found[what] = None if codes is None else codes[rows[0]]
        if column is not None and len(rows) > 1 and what != "id":
            check_agreement(column.codes[rows], part, rows, what)
    record = np.arange(rows.shape[1])
    ids, person, group = found["id"], found["person"], found["group"]
    clusters = None if person is None else np.unique(person, return_inverse=True)[1].reshape(-1)
    groups = None if group is None else np.array(columns.coded["group"].text(), object)[group]
    return ScoresTable(
        name=name,
        attacks=part.attacks,
        targets=part.targets,
        truth=Truth(record if ids is None else ids, is_member[0], record if clusters is None else clusters),
        scores={attack: columns.score[rows[a * t : (a + 1) * t]] for a, attack in enumerate(part.attacks)},
        calibration=Calibration("split", np.zeros(t, np.int64), [], {}),
        groups=groups,
        persons=None if clusters is None else int(clusters.max()) + 1,
        counts=counts,
        fingerprint=columns.fingerprint(),
        notes=columns.notes + _ignored_note(columns),
    )


def _ignored_note(columns: Columns) -> tuple[str, ...]:
    """The note about columns that are not read."""
    if not columns.ignored:
        return ()
    listed = ", ".join(quote(name, 60) for name in columns.ignored[:5])
    more = f" and {len(columns.ignored) - 5} more" if len(columns.ignored) > 5 else ""
    return (f"Columns that were not read: {listed}{more}.",)


def _check_classes(is_member: Bool[Array, ...], what: str, place: str) -> None:
    """Refuses rows that are all members or all non-members."""
    members = int(is_member.sum())
    if members in (0, is_member.size):
        raise DataError(
            f"{place}: {what} must have members and non-members, got {members} members and {is_member.size - members} "
            "non-members: add records of the other class"
        )


def _cross_fit(table: ScoresTable, columns: Columns, seed: int) -> ScoresTable:
    """The table, with halves that set thresholds for each other."""
    truth = table.truth
    _check_classes(truth.is_member, "the rows", columns.place)
    for word, bits in (("members", truth.is_member), ("non-members", ~truth.is_member)):
        few = len(np.unique(truth.record[bits.any(0)]))
        if few < 2:
            raise DataError(
                f"{columns.place}: needs at least 2 {word} when halves of the records set thresholds for each other, "
                f"got {few}: give more records, or say in a column `split` which calibrate"
            )
    halves = halvings(truth.record, truth.is_member, generator(seed, HALVES))
    if not len(halves):
        raise DataError(
            f"{columns.place}: needs halves that both have members and non-members, whole persons together, got none "
            f"in {usual_count(truth.is_member.size)} draws: give records of more persons, or say in a column "
            "`split` which calibrate"
        )
    return replace(table, calibration=CrossFit(truth.is_member, truth.record, table.scores, halves))


def _calibration(part: Part, attacks: tuple[str, ...], targets: tuple[str, ...]) -> Calibration:
    """Calibration by the table's own rows: one block for each audited target, or one for all."""
    place = part.columns.place
    if not len(part.rows):
        raise DataError(f"{place}: needs calibration rows, got test rows only: add some, or remove the column split")
    if set(part.attacks) != set(attacks):
        alone = sorted(set(part.attacks) ^ set(attacks))[0]
        raise DataError(
            f"{place}: every attack must have calibration rows and test rows, got one kind only of {quote(alone)}: "
            "add the others or remove the attack"
        )
    shared = not set(targets) & set(part.targets)
    if not shared and set(targets) != set(part.targets):
        alone = sorted(set(targets) ^ set(part.targets))[0]
        raise DataError(
            f"{place}: calibration rows must name every audited target, or none of them and so set one threshold for "
            f"all, got some and not others, for example {quote(alone)}: complete them or rename their targets"
        )
    audited = {name: i for i, name in enumerate(targets)}
    number = np.zeros(len(part.targets), np.int64) if shared else np.array([audited[x] for x in part.targets])
    blocks = 1 if shared else len(targets)
    attack = np.array([attacks.index(name) for name in part.attacks])[part.attack]
    rows, ends = calibration_rows(part, attack, number[part.target], (len(attacks), blocks))
    bits = np.split(part.columns.is_member[rows[0]], ends)
    for i, one in enumerate(bits):
        _check_classes(one, "calibration rows" if shared else f"calibration rows of target {quote(targets[i])}", place)
    scores = {name: np.split(part.columns.score[rows[a]], ends) for a, name in enumerate(attacks)}
    return Calibration("split", np.zeros(len(targets), np.int64) if shared else np.arange(blocks), bits, scores)


def _check_overlap(given: Part, tested: Part) -> tuple[str, ...]:
    """Refuses thresholds that were fitted to the scores they judge; adds a note about persons on both sides."""
    number = {name: i for i, name in enumerate(tested.targets)}
    target = np.array([number.get(name, -1) for name in given.targets])[given.target]
    fitted = target >= 0
    models, tested_models = given.values("model"), tested.values("model")
    if models is not None and tested_models is not None:
        names = given.columns.coded["model"].text()
        pairs = np.unique(tested.target * len(names) + tested_models)
        fitted &= np.isin(target * len(names) + models, pairs) | (np.array(names)[models] == "")
    ids, tested_ids = given.values("id"), tested.values("id")
    if ids is not None and tested_ids is not None:
        both = fitted & np.isin(ids, tested_ids)
        if both.any():
            row = int(np.argmax(both))
            raise DataError(
                f"{given.columns.place}: a record must not set the threshold that judges it, got id "
                f"{given.columns.coded['id'].show(ids[row])} of target {quote(given.targets[given.target[row]])} in "
                f"calibration row {given.rows[row]} and in a test row ({int(both.sum())} such rows): name the other "
                "model that gave the score in a column model, or remove the row"
            )
    persons, tested_persons = given.values("person"), tested.values("person")
    if persons is not None and tested_persons is not None:
        shared = int(np.isin(np.unique(persons[fitted]), tested_persons).sum())
        if shared:
            return (f"{shared} persons have records that set a target's threshold and records that it judges.",)
    return ()
