"""What an attack on the input said, each victim's answer given to another: the null audit without a second play."""

from __future__ import annotations

from dataclasses import dataclass

from dosimeter.families.attack import NamedAttack
from dosimeter.families.split.play.job import PlayJob
from dosimeter.families.split.play.record import Recording
from dosimeter.foundation.arrays import Array
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.store import Store


@dataclass(frozen=True)
class Exchanged:
    """A play whose victims are exchanged after it, and not before.

    An attack that judges each victim by itself would learn the same again from the same auxiliary records, and say the
    same of the same features. So only the order of what it said has to change.

    Attributes:
        play: with the victims in their own order.
        moved: rows by which they are exchanged `[n]`.
    """

    play: PlayJob
    moved: Array

    @property
    def store(self) -> Store:
        """The store that holds what was said."""
        return self.play.store

    @property
    def record(self) -> Recording:
        """What was recorded of the model."""
        return self.play.record

    @property
    def key(self) -> str:
        """What it depends on: the play, and the exchange."""
        return f"{self.play.key} {arrays_hash(moved=self.moved)}"

    @property
    def place(self) -> str:
        """The attack, in words."""
        return self.play.place

    def load(self) -> Array:
        """Reconstructions `[n ...]`."""
        return self.play.load()[self.moved]


def by_itself(row: NamedAttack) -> bool:
    """Returns whether an attack seeks the input and says of a victim the same whoever the other victims are.

    Its class says so, by `separate`; a class of the user's that does not is played anew.
    """
    return row.attack.needs.goal == "input" and bool(getattr(row.attack, "separate", False))
