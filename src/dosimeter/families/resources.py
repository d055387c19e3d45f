"""Resources that an attack uses to judge one target, as plan, result and report show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dosimeter.results.words import count


@dataclass(frozen=True)
class Resources:
    """Resources of one attack, for one target.

    Attributes:
        labelled: records whose membership in the target the adversary must know, those that only choose settings too.
        shadows: models of the adversary that it reads.
        trainings: further models that it trains; None if it does not say how many.
        queries: answers of the target that it is given for one judged record, at most.
    """

    labelled: int
    shadows: int
    trainings: int | None
    queries: int

    @property
    def in_words(self) -> str:
        """The resources in words.

        >>> Resources(0, 16, 0, 2).in_words
        '16 shadows, 2 queries a record'
        """
        parts = [count(self.labelled, "labelled record")] if self.labelled else []
        parts += [count(self.shadows, "shadow")] if self.shadows else []
        own = "models of its own" if self.trainings is None else f"{count(self.trainings, 'model')} of its own"
        parts += [own] if self.trainings != 0 else []
        parts.append(f"{self.queries:,} {'query' if self.queries == 1 else 'queries'} a record")
        return ", ".join(parts).replace("\u00a0", " ")  # a terminal breaks no lines there


@runtime_checkable
class UsesResources(Protocol):
    """A case that knows what its attacks will use."""

    def resources(self) -> Mapping[str, Resources]:
        """What each attack that is not refused uses, by its id."""
        ...
