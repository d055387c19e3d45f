"""Plays of attacks as jobs: one for each attack and part, cached by everything that can change its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any, Protocol, runtime_checkable

import torch

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.design.target_halves import half_games
from dosimeter.families.membership.play.arena import Arena
from dosimeter.families.membership.play.play import Part, Played, join_parts, parts_of, play_part
from dosimeter.families.play import attack_key, place_of
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.training.packs import PackJob

SECONDS = 3e-8
"""Seconds for each number that an attack reads, measured with the built-in attacks on one core of 2024."""
GAME_SECONDS = 1e-3
"""Seconds for each game, however small."""


@runtime_checkable
class Leaders(Protocol):
    """A job that chooses attacks."""

    @property
    def key(self) -> str:
        """Key of its entry."""
        ...

    @property
    def among(self) -> int:
        """Number of attacks that may be chosen."""
        ...

    def load(self) -> tuple[str, ...]:
        """Ids of the attacks that were chosen."""
        ...


@dataclass(frozen=True)
class PlayJob(KeyedJob):
    """One part of the play of one attack; its entry holds the scores.

    Attributes:
        arena: where it plays.
        row: the attack.
        part: who is judged.
        trains: a pack of models such as an attack trains that trains, as a measure of its cost.
        leaders: the choice of those attacks that play this part; None if each does. The entry of another is empty.
    """

    arena: Arena
    row: NamedAttack
    part: Part
    trains: PackJob | None = None
    leaders: Leaders | None = None

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.arena.store

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on; of the answers only the signals that the attack reads."""
        row, arena = self.row, self.arena
        return {
            "kind": "play",
            "attack": attack_key(row),
            "part": [self.part.role, self.part.number],
            "seed": arena.seed,
            "design": arena.digest,
            "answers": arena.answers.definition(row.attack.signals),
            "holdings": arena.holdings.definition(row.attack.needs),
            "code": package_code(__name__),
            **({} if self.leaders is None else {"leaders": self.leaders.key}),
        }

    @property
    def place(self) -> str:
        """The attack, in words."""
        return place_of(self.row)

    @property
    def attack(self) -> str:
        """Id of the attack."""
        return self.row.id

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("play", self.part.role, self.judged, id(self.arena), self.row.trainings, id(self.trains))

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return int(self.judged * self.arena.design.member.shape[1] * 8)

    @property
    def _among(self) -> int:
        """Attacks of which, as a rule, one plays this part."""
        return 1 if self.leaders is None else self.leaders.among

    @property
    def _reading(self) -> float:
        """Seconds to read what the attack reads, and to work on it as long as the attack says."""
        design = self.arena.design
        games = len(design.rehearsal_rows) // 2 if self.part.role == "rehearsal" else 1
        more = float(getattr(self.row.attack, "game_seconds", 0.0))
        return games * (self.arena.views * float(design.member.size) * SECONDS + GAME_SECONDS + more) / self._among

    @property
    def brief(self) -> float:
        """Rough duration on one core where the attack trains nothing, else infinite."""
        return self._reading if self.row.trainings == 0 else inf

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: numbers to read, and models to train, an upper limit."""
        if not self.row.trainings or self.trains is None:
            return self._reading
        return self._reading + self.row.trainings * self.judged * float(pace.whole(self.trains)) / self._among

    @property
    def judged(self) -> int:
        """Number of models that it judges."""
        design, number = self.arena.design, self.part.number
        if self.part.role == "rehearsal":
            return len(design.rehearsal_rows)
        if self.part.role == "half":
            return len(half_games(design, self.row.attack.needs, self.arena.views)[number][0])
        more = len(design.rehearsal_rows) if self.part.role == "fold" else 0
        return len(design.folds[number]) + more

    def perform(self) -> None:
        """Plays, and stores the scores `[r n]`, `[0 n]` of an attack that was not chosen."""
        arena, row = self.arena, self.row
        if self.leaders is not None and row.id not in self.leaders.load():
            self.store.save(self.key, {"scores": torch.empty((0, len(arena.design.ids)))}, self.definition)
            return
        scores = play_part(
            row, self.part, arena.design, arena.answers.load(row.attack.signals), null_member=arena.null_member,
            seed=arena.seed, knowledge=arena.holdings.load(row.attack.needs),
        )  # fmt: skip
        self.store.save(self.key, {"scores": torch.from_numpy(scores)}, self.definition)

    def load(self) -> Array:
        """The stored scores `[r n]`."""
        found: Array = self.store.load(self.key)["scores"].numpy()
        return found


def play_jobs(arena: Arena, rows: Sequence[NamedAttack], trains: PackJob | None = None) -> tuple[PlayJob, ...]:
    """The jobs of some attacks, attack by attack; `trains` as in `PlayJob`, for attacks that train."""
    return tuple(
        PlayJob(arena, row, part, trains if row.trainings else None)
        for row in rows
        for part in parts_of(row, arena.design, arena.views)
    )


def played(arena: Arena, row: NamedAttack, jobs: Sequence[PlayJob]) -> Played:
    """The stored results of one attack.

    Args:
        arena: where it played.
        row: the attack.
        jobs: jobs of any attacks, of which its own are done.
    """
    own: Mapping[Part, PlayJob] = {job.part: job for job in jobs if job.row is row}
    scores = {part: job.load() for part, job in own.items()}
    return join_parts(row, arena.design, arena.views, scores)
