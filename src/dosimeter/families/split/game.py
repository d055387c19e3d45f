"""What an attack of split gets, and what it may need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.split.threat import Knows
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.training.learners.halves.hijacking import Trained

Source = Literal["features", "answers", "inputs"]
"""What an attack reads of a victim: features at a cut, the model's answer, or, as a yardstick, the input itself."""
Goal = Literal["input", "attribute"]
"""What an attack is after."""


@dataclass(frozen=True)
class Needs:
    """Requirements of an attack of split.

    Attributes:
        goal: what it is after.
        reads: what it reads of a victim; an attack that reads inputs gets no model.
        knows: what it must know of the first half, at least.
        pictures: whether records must be pictures, channels by height by width.
        rest: whether it runs the second half, as the server does.
        asks: whether it runs the first half on records of its own making.
        plain: whether records must be plain numbers, and not texts; they always must if the input is sought.
        gradients: whether it reads, in the place of features, what comes back over the cut in training.
        active: whether it decides, as the server, what comes back over the cut in training.
        form: whether it knows the layers of the first half, and runs these with weights of its own.
        access: always features.

    Raises:
        ValueError: an attack that reads inputs needs something of the model.
    """

    goal: Goal
    reads: Source = "features"
    knows: Knows = "queries"
    pictures: bool = False
    rest: bool = False
    asks: bool = False
    plain: bool = False
    gradients: bool = False
    active: bool = False
    form: bool = False
    access: Access = Access.FEATURES

    def __post_init__(self) -> None:
        more = [name for name in ("rest", "asks", "gradients", "active", "form") if getattr(self, name)]
        more += ["knows"] if self.knows == "weights" else []
        if self.reads == "inputs" and more:
            raise ValueError(f"an attack that reads inputs gets no model, got {more[0]}: remove it, or read features")

    @property
    def in_words(self) -> str:
        """The requirements as text."""
        seen = {"features": "features at a cut", "answers": "the model's answers", "inputs": "the inputs themselves"}
        read = "gradients that come back over a cut" if self.gradients else seen[self.reads]
        known = {
            "weights": "the first half's weights",
            "queries": "what the first half makes of records of their own",
            "nothing": "the layers of the first half without their weights"
            if self.form
            else "nothing of the first half",
        }
        labels = ", labels of the attribute" if self.goal == "attribute" else ""
        rest = ", the second half" if self.rest else ""
        active = ", what comes back in training" if self.active else ""
        return f"{read}, {known[self.knows]}{rest}{active}{labels}"


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
        seen: what an attack reads of them, as of the victims `[p ...]`; of no record `[0 ...]` if it knows nothing of
            the first half, since then nobody can make features of records of their own.
        inputs: the records `[p ...]`, as models take them.
        labels: their classes `[p]`; -1 where the class is sought and the adversary does not know it.
        persons: whose each is, as a number `[p]`.
    """

    seen: Float[Tensor, "s ..."]
    inputs: Tensor
    labels: Int[Array, " p"]
    persons: Int[Array, " p"]


@runtime_checkable
class Asked(Protocol):
    """The first half as somebody who can send records of their own through it: no weights, no gradients."""

    def sent(self, records: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """What the device sends for some records, behind the defenses of the cut, as victims' features are sent.

        Args:
            records: as models take them, on the device of the game.
            rng: from which the defenses draw.
        """
        ...


@runtime_checkable
class FirstHalf(Protocol):
    """The first half as somebody who has its weights; gradients flow to the records."""

    @property
    def random(self) -> bool:
        """Returns whether there are defenses at the cut, which may draw at random."""
        ...

    def features(self, records: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Features of some records, before any defense."""
        ...

    def sent(self, records: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """The same, behind the defenses of the cut; gradients flow as if those changed nothing.

        Many defenses, such as rounding, have no gradient of use (Athalye, Carlini, Wagner, ICML 2018,
        https://arxiv.org/abs/1802.00420, section 4.1).
        """
        ...


@runtime_checkable
class SecondHalf(Protocol):
    """The second half, which runs at the server; gradients flow to the features."""

    def __call__(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b c"]:
        """The model's answers to some features."""
        ...


@runtime_checkable
class Form(Protocol):
    """The layers of the first half without the weights of the true one."""

    def fresh(self, seed: int) -> nn.Module:
        """Another one with fresh weights, which can be trained; it maps records to what the adversary reads.

        Args:
            seed: of the weights.
        """
        ...


@dataclass(frozen=True)
class SplitGame:
    """What crosses the cut of one deployed model, before an adversary who wants the inputs or an attribute of them.

    It holds no input, no label and no attribute of a victim; only a yardstick that reads inputs is given those.

    Attributes:
        ids: of the victims `[n]`.
        seen: what the attack reads of each victim `[n ...]`.
        auxiliary: records of others.
        secret: the attribute that is sought; None if the input is.
        asked: the first half for records of the adversary's own; None if the attack knows nothing of it.
        half: the first half; None unless the attack knows its weights.
        rest: the second half; None unless the attack needs it.
        training: the first half before its training and in it, with the victims' records; None unless the attack
            decides what comes back.
        form: the layers of the first half; None unless the attack runs these with weights of its own.
    """

    ids: Array
    seen: Float[Tensor, "n ..."]
    auxiliary: Auxiliary
    secret: Secret | None = None
    asked: Asked | None = None
    half: FirstHalf | None = None
    rest: SecondHalf | None = None
    training: Trained | None = None
    form: Form | None = None

    @property
    def device(self) -> str:
        """Where features and records are."""
        return str(self.seen.device)
