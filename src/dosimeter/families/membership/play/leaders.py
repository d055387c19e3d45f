"""Which attacks may be the headline: what is read of the headline alone is played for no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.play.arena import Arena
from dosimeter.families.membership.play.job import PlayJob, play_jobs
from dosimeter.families.membership.play.play import Part, divide_folds
from dosimeter.families.membership.rates import FPRS
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.job import Job
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.training.packs import PackJob


@dataclass(frozen=True)
class LeadersJob(KeyedJob):
    """Chooses the attacks that lead at one of the reported rates, by their rehearsals, as the measurement does.

    Attributes:
        arena: where they played.
        rows: attacks that may be chosen, in order.
        plays: their plays that hold rehearsals.
    """

    arena: Arena
    rows: tuple[NamedAttack, ...]
    plays: tuple[PlayJob, ...]

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.arena.store

    @property
    def place(self) -> str:
        """The choice, in words."""
        return "choice of the headline"

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {"kind": "leaders", "plays": [job.key for job in self.plays], "code": package_code(__name__)}

    @property
    def among(self) -> int:
        """Number of attacks that may be chosen."""
        return len(self.rows)

    def perform(self) -> None:
        """Chooses, and stores the places of the chosen among all."""
        design = self.arena.design
        bits, folds = design.member[design.rehearsal_rows], range(len(design.folds))
        names = [row.id for row in self.rows]
        given = Calibration(
            "shadow", np.empty(0, np.int64), [bits] * len(folds), {r.id: self._of(r) for r in self.rows}
        )
        chosen = {given.strongest(names, fpr) for fpr in FPRS} if names else set()
        places = torch.tensor([place for place, name in enumerate(names) if name in chosen], dtype=torch.int64)
        self.store.save(self.key, {"leaders": places}, self.definition)

    def _of(self, row: NamedAttack) -> list[Array]:
        """Rehearsed scores of one attack, fold by fold."""
        parts = divide_folds(self.arena.design, {job.part: job.load() for job in self.plays if job.row is row})
        return [parts[Part("rehearsal", fold)] for fold in range(len(self.arena.design.folds))]

    def load(self) -> tuple[str, ...]:
        """Ids of the attacks that were chosen."""
        return tuple(self.rows[place].id for place in self.store.load(self.key)["leaders"].tolist())


@dataclass(frozen=True)
class Plays:
    """The plays of a case, in the order in which they can be done.

    Attributes:
        first: that need no other.
        leaders: the choice of those for which the rest is played; None if it is played for all.
        halves: models of one half without shadows from the other.
    """

    first: tuple[PlayJob, ...] = ()
    leaders: LeadersJob | None = None
    halves: tuple[PlayJob, ...] = ()

    @property
    def every(self) -> tuple[PlayJob, ...]:
        """All plays."""
        return (*self.first, *self.halves)

    def phases(self, more: Sequence[Job] = ()) -> list[tuple[str, Sequence[Job]]]:
        """Phases of a case; `more` belongs to the first."""
        chosen = [] if self.leaders is None else [self.leaders]
        halves = [] if self.leaders is None else self.halves
        first = self.every if self.leaders is None else self.first
        return [("attacks", (*first, *more)), ("headline", chosen), ("halves of the models", halves)]


def plays_of(arena: Arena, rows: Sequence[NamedAttack], trains: PackJob | None = None) -> Plays:
    """The plays of some attacks.

    The lists of the most exposed records read the headline's scores in halves of the models, and no other attack's.
    Where shadows rehearse, it is among the leaders at the reported rates, so the halves wait for these. Where none
    does, halves of the records choose the headline, and all attacks play.

    Args:
        arena: where they play.
        rows: the attacks.
        trains: as in `PlayJob`.
    """
    plays = play_jobs(arena, rows, trains)
    first, halves = (tuple(one for one in plays if (one.part.role == "half") == side) for side in (False, True))
    if not halves or not len(arena.design.rehearsal_rows):
        return Plays(first, None, halves)
    able = tuple(row for row in rows if not row.attack.control and not getattr(row.attack, "reference", False))
    known = tuple(one for one in first if one.row in able and one.part.role in ("fold", "rehearsal"))
    leaders = LeadersJob(arena, able, known)
    return Plays(first, leaders, tuple(replace(one, leaders=leaders) for one in halves))
