"""Controls: attacks that must stay at chance. If one does not, the audit is broken and its numbers are withdrawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class Constant:
    """Give every record the same score.

    Paper: Yeom, Giacomelli, Fredrikson, Jha, "Privacy Risk in Machine Learning", 2018,
    https://arxiv.org/abs/1709.01604, definition 4: an adversary who ignores the record has advantage 0.
    Threat model: none. What it shows: that ties are counted against the attack and not broken by the order of records.
    Deviations: none. Cost: O(t n).
    """

    paper: ClassVar[str] = "control; Yeom et al., 2018, https://arxiv.org/abs/1709.01604, definition 4"
    control: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(Access.LABELS)
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records 0; `rng` is not used."""
        return Scores(game.ids, np.zeros((game.n_targets, len(game.ids))))


@dataclass(frozen=True)
class Count:
    """Score a record by how few shadows trained on it.

    Paper: a control for the balanced design of Carlini, Chien, Nasr, Song, Terzis, Tramer, "Membership Inference
    Attacks From First Principles", 2022, https://arxiv.org/abs/2112.03570, section V: `s(x) = -#{i : x in D_i}`.
    Threat model: the adversary knows their shadows' training sets and queries nothing.
    What it shows: if each record is in exactly half of all models and a target's complement stays among the shadows,
    or one of a pair is lost, the count gives the target's bit away. In an honest game all counts are equal.
    Deviations: none. Cost: O(s n).
    """

    paper: ClassVar[str] = "control; design of Carlini et al., 2022, https://arxiv.org/abs/2112.03570"
    control: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(Access.LABELS)
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records by minus the number of their in-shadows, for every target alike; `rng` is not used."""
        count = -game.shadow_in.sum(axis=0, dtype=np.float64)
        return Scores(game.ids, np.tile(count, (game.n_targets, 1)))
