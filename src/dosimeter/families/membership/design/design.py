"""The design: split of the records at risk, membership matrix, and the games that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.design.labelled import Labelled
from dosimeter.families.membership.design.person_split import halvable, person_half
from dosimeter.families.membership.game import MembershipGame, Population, Seats
from dosimeter.families.membership.known import Known
from dosimeter.families.membership.threat import rehearses
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.seeds import generator
from dosimeter.statistics.evidence import Truth


@dataclass(frozen=True)
class Split:
    """Division of the records of the stage at risk; all indices are rows of its data set.

    Attributes:
        pool: records of which each model trains on one half `[p]`.
        candidates: the pool's records that are judged, as positions in `pool` `[n]`.
        population: records outside every model `[z]`.
        known: the pool's records whose membership the adversary knows, as positions in `pool` `[k]`.
    """

    pool: Int[Array, " p"]
    candidates: Int[Array, " n"]
    population: Int[Array, " z"]
    known: Int[Array, " k"] = field(default_factory=lambda: np.empty(0, np.int64))


def split_records(
    labels: Int[Array, " r"],
    *,
    population: int,
    candidates: int | None,
    stratify: bool,
    seed: int,
    person: Int[Array, " r"] | None = None,
) -> Split:
    """Draws the population and the candidates, disjoint, by seed; the rest of the pool can be halved.

    Args:
        labels: classes of all records.
        population: how many records stay outside every model.
        candidates: how many of the others are judged; None for all.
        stratify: draw the population equally from every class.
        seed: seed of the audit.
        person: whose record each is, 0 to u - 1; then whole persons are drawn until `population` is reached, and one
            more if only so the others fill two halves. None draws single records.

    Raises:
        ConfigError: more records are asked for than there are, or classes are to be drawn equally of whole persons.
    """
    n = len(labels)
    if population + (candidates or 2) > n:
        raise ConfigError(
            f"threat: population + candidates must be at most {n}, the records of the stage at risk, got "
            f"{population} + {candidates or 2}: lower one"
        )
    if stratify and person is not None:
        raise ConfigError(
            "threat.stratify: draws single records, got unit = 'person', which draws whole persons: remove one of them"
        )
    rng = generator(seed, "population")
    order = rng.permutation(n)
    if stratify and population:
        classes = np.unique(labels)
        each, rest = divmod(population, len(classes))
        by_class = [order[labels[order] == c] for c in classes]
        if rest or min(map(len, by_class)) < each:
            raise ConfigError(
                f"threat.population: with stratify it must be a multiple of {len(classes)} classes and at most "
                f"{min(map(len, by_class))} a class, got {population}: use {max(each, 1) * len(classes)} or "
                f"stratify = false"
            )
        outside = np.concatenate([rows[:each] for rows in by_class])
    elif person is None:
        outside = order[:population]
    else:
        outside = np.flatnonzero(np.isin(person, _persons(person, population, rng)))
    pool = np.setdiff1d(np.arange(n), outside)
    if len(pool) % 2 and person is None:
        outside, pool = np.append(outside, pool[-1]), pool[:-1]
    judged = np.arange(len(pool))
    if candidates is not None and candidates < len(pool):
        judged = np.sort(generator(seed, "candidates").choice(len(pool), candidates, replace=False))
    return Split(pool, judged, np.sort(outside))


def _persons(person: Int[Array, " r"], population: int, rng: np.random.Generator) -> Int[Array, " q"]:
    """Random persons with at least `population` records, and one more if the rest then fills two halves."""
    size = np.bincount(person)
    order = rng.permutation(len(size))
    outside = int(np.searchsorted(np.cumsum(size[order]), population)) + 1 if population else 0
    drawn, rest = order[:outside], order[outside:]
    if halvable(size[rest]):
        return np.asarray(drawn)
    for one in np.unique(size[rest])[:20]:
        last = int(np.flatnonzero(size[rest] == one)[-1])
        if halvable(np.delete(size[rest], last)):
            return np.append(drawn, rest[last])
    raise ConfigError(
        f"threat.unit: whole persons must fill halves of equal size, got {len(rest)} persons with up to "
        f"{size[rest].max()} of {size[rest].sum()} records: use unit = 'record', or leave out persons with many records"
    )


def membership_matrix(
    pool: int, models: int, seed: int, purpose: str = "membership", *, person: Int[Array, " p"] | None = None
) -> Bool[Array, "m p"]:
    """Draws which model trains on which record of the pool: complementary pairs of rows, each with half of it.

    Args:
        pool: number of records, even.
        models: number of models, even.
        seed: seed of the audit.
        purpose: another word gives an independent matrix (the null audit needs one).
        person: whose record each is, 0 to u - 1; then no person is divided by a row. None draws single records.

    Raises:
        ConfigError: whole persons do not fill equal halves.

    >>> matrix = membership_matrix(6, 4, seed=0)
    >>> matrix.sum(1).tolist(), bool((matrix[0] ^ matrix[1]).all())
    ([3, 3, 3, 3], True)
    """
    matrix = np.zeros((models, pool), bool)
    for pair in range(models // 2):
        rng = generator(seed, purpose, pair)
        if person is None:
            matrix[2 * pair, rng.permutation(pool)[: pool // 2]] = True
        else:
            matrix[2 * pair] = person_half(person, rng)
        matrix[2 * pair + 1] = ~matrix[2 * pair]
    return matrix


@dataclass(frozen=True)
class Design:
    """The design of an audit: who was trained on what, and each model's part. Attacks get games, not this.

    Attributes:
        ids: ids of the candidates `[n]`.
        labels: labels of the candidates `[n]`.
        classes: number of classes.
        member: `[m n]`, rows in complementary pairs; if `lone`, row 0 stands before the pairs and is the only target.
        targets: models 0 to `targets - 1` take turns as target.
        rehearsals: pairs of models beyond the targets that play target to set thresholds.
        record: cluster of each candidate `[n]` (person, or the record itself).
        population_ids: `[z]`.
        population_labels: `[z]`.
        lone: the target was supplied; it has no complement.
        groups: group of each candidate, for separate numbers `[n]`, or None.
        persons: of each candidate, whose record it is `[n]`, or None; of a supplied model `record` says so.
        fold_pairs: complementary pairs of targets that are attacked with the same shadows.
        labelled: records whose membership the adversary knows, or None.
    """

    ids: Array
    labels: Int[Array, " n"]
    classes: int
    member: Bool[Array, "m n"]
    targets: int
    rehearsals: int
    record: Int[Array, " n"]
    population_ids: Array
    population_labels: Int[Array, " z"]
    lone: bool = False
    groups: Array | None = None
    persons: Array | None = None
    fold_pairs: int = 1
    labelled: Labelled | None = None

    @property
    def folds(self) -> list[Int[Array, " f"]]:
        """Targets of each fold: whole complementary pairs, of which the last may be single."""
        width = 2 * self.fold_pairs
        return [np.arange(start, min(start + width, self.targets)) for start in range(0, self.targets, width)]

    @property
    def rehearsal_rows(self) -> Int[Array, " k"]:
        """Rows of the models that rehearse, in pairs; none if a pair would leave no shadow to attack it with."""
        if not rehearses(len(self.member) - self._width):
            return np.empty(0, np.int64)
        first = self._width * len(self.folds)
        pairs = min(self.rehearsals, (len(self.member) - first) // 2)
        return np.arange(first, first + 2 * pairs)

    @property
    def rehearsal_pairs(self) -> range:
        """The rehearsing pairs, as numbers among the shadows of every fold's game."""
        first = len(self.folds) * self._width - self._width
        return range(first // 2, (first + len(self.rehearsal_rows)) // 2)

    @property
    def _width(self) -> int:
        """Number of rows of a fold in the matrix."""
        return 1 if self.lone else 2 * self.fold_pairs

    @property
    def training(self) -> Bool[Array, "m r"]:
        """Which model trains on which candidate, then on which labelled record `[m n+k]`."""
        return self.member if self.labelled is None else np.concatenate([self.member, self.labelled.member], axis=1)

    @property
    def known_of_each(self) -> int:
        """Fewest known members or non-members, for any model; 0 without labelled records."""
        return 0 if self.labelled is None else self.labelled.fewest

    def truth(self, member: Bool[Array, "m n"] | None = None) -> Truth:
        """The truth about the targets, or about them under another matrix."""
        return Truth(self.ids, (self.member if member is None else member)[: self.targets], self.record)

    def game(
        self, fold: int, signals: Mapping[str, Float[Array, "m q r *c"]], member: Bool[Array, "m n"] | None = None
    ) -> MembershipGame:
        """The game of one fold: its targets' outputs, and the shadows of all other pairs.

        Args:
            fold: which fold.
            signals: what the attack declared, of the whole fleet: candidates, labelled records, population.
            member: another membership matrix (the null audit), or None for the true one.
        """
        return self.before(*self.seats(fold), signals, member)

    def seats(self, fold: int) -> Seats:
        """Rows of the targets of a fold, and of the shadows of all other pairs."""
        others = np.delete(np.arange(len(self.member)), np.arange(self._width * fold, self._width * (fold + 1)))
        return self.folds[fold], others

    def before(
        self, rows: Int[Array, " t"], others: Int[Array, " s"], signals: Mapping[str, Float[Array, "m q r *c"]],
        member: Bool[Array, "m n"] | None = None,
    ) -> MembershipGame:  # fmt: skip
        """The game in which some models play target and others, in whole pairs, are the shadows.

        Args:
            rows: rows of the targets.
            others: of the shadows.
            signals: as in `game`.
            member: as in `game`.
        """
        matrix, n, labelled = self.member if member is None else member, len(self.ids), self.labelled
        end = n if labelled is None else n + len(labelled.ids)

        def pick(which: Array, first: int, last: int | None) -> dict[str, Array]:
            return {name: values[which][:, :, first:last] for name, values in signals.items()}

        population = known = None
        if len(self.population_ids):
            outside = (pick(rows, end, None), pick(others, end, None))
            population = Population(self.population_ids, self.population_labels, *outside)
        if labelled is not None:
            bits = labelled.member if member is None else labelled.null_member
            own = (pick(rows, n, end), pick(others, n, end))
            known = Known(labelled.ids, labelled.labels, bits[rows], bits[others], *own)
        return MembershipGame(
            self.ids,
            self.labels,
            self.classes,
            pick(rows, 0, n),
            pick(others, 0, n),
            matrix[others],
            population,
            known=known,
        )
