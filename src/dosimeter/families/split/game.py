"""What an attack of split gets, and what it may need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.families.split.threat import Knows
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access

Source = Literal["features", "answers", "inputs"]
"""What an attack reads of a victim: features at a cut, the model's answer, or, as a yardstick, the input itself."""
Goal = Literal["input", "attribute"]
"""What an attack is after."""


@dataclass(frozen=True)
class Needs:
    """Requirements of an attack of split.

    Attributes:
        goal: what it is after.
        reads: what it reads of a victim.
        knows: what it must know of the first half, at least.
        pictures: whether records must be pictures, channels by height by width.
        access: always features.
    """

    goal: Goal
    reads: Source = "features"
    knows: Knows = "queries"
    pictures: bool = False
    access: Access = Access.FEATURES

    @property
    def in_words(self) -> str:
        """The requirements as text."""
        seen = {"features": "features at a cut", "answers": "the model's answers", "inputs": "the inputs themselves"}
        known = {
            "weights": "the first half's weights",
            "queries": "what the first half makes of records of their own",
            "nothing": "nothing of the first half",
        }
        labels = ", labels of the attribute" if self.goal == "attribute" else ""
        return f"{seen[self.reads]}, {known[self.knows]}{labels}"


@dataclass(frozen=True)
class Secret:
    """A private attribute as far as the adversary knows it.

    Attributes:
        name: of the attribute.
        values: its values in words, in order.
        rows: auxiliary records whose value they know `[l]`.
        known: these values, positions among `values` `[l]`.
    """

    name: str
    values: tuple[str, ...]
    rows: Int[Array, " l"]
    known: Int[Array, " l"]


@dataclass(frozen=True)
class Auxiliary:
    """Records of others that the adversary has.

    Attributes:
        seen: what an attack reads of them, as of the victims `[p ...]`.
        inputs: the records `[p ...]`, as models take them.
        labels: their classes `[p]`.
        persons: whose each is, as a number `[p]`.
    """

    seen: Float[Tensor, "p ..."]
    inputs: Tensor
    labels: Int[Array, " p"]
    persons: Int[Array, " p"]


@dataclass(frozen=True)
class SplitGame:
    """What crosses the cut of one deployed model, before an adversary who wants the inputs or an attribute of them.

    It holds no input, no label and no attribute of a victim; only a yardstick that reads inputs is given those.

    Attributes:
        ids: of the victims `[n]`.
        seen: what the attack reads of each victim `[n ...]`.
        auxiliary: records of others.
        secret: the attribute that is sought; None if the input is.
    """

    ids: Array
    seen: Float[Tensor, "n ..."]
    auxiliary: Auxiliary
    secret: Secret | None = None

    @property
    def device(self) -> str:
        """Where features and records are."""
        return str(self.seen.device)
