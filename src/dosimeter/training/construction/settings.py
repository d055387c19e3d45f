"""Settings of adversaries that take part in a training: whom they are after, how, and how much they count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dosimeter.foundation import checks
from dosimeter.foundation.wording import quote

INPUT = "input"
"""What an adversary is after who wants the record itself."""
ATTRIBUTE = "attribute:"
"""Start of what an adversary is after who wants an attribute; its name follows."""
Objective = Literal["confusion", "reversal", "mean_input", "hinge", "perceptual"]
OF_ATTRIBUTES: tuple[Objective, ...] = ("confusion", "reversal")
"""Objectives against an adversary who wants an attribute, the default first."""
OF_INPUTS: tuple[Objective, ...] = ("mean_input", "reversal", "hinge", "perceptual")
"""Objectives against an adversary who wants the input, the default first."""
OF_PICTURES = ("hinge", "perceptual")
"""Objectives that compare pictures."""


@dataclass(frozen=True)
class Aim:
    """What one kind of adversary is after.

    Attributes:
        attribute: name of the attribute; None for the input.
        objective: what the layers before the cut are trained for against them.
    """

    attribute: str | None
    objective: Objective


@dataclass(frozen=True)
class Construction:
    """Settings of the adversaries, as of the defense `adversarial`, which documents them.

    Attributes:
        against: "input", "attribute:NAME", or several of them.
        objective: one for all, or one for each of `against`; empty for the defaults.
        weight: of what the adversaries can do, beside the loss of the task, from 0 on.
        steps: updates of each adversary for each one of the model.
        pool: adversaries of each kind; what they can do is averaged.
        reset: epochs after which one adversary of each kind begins anew; 0 for never.
        warm_up: epochs without weight, in which adversaries learn alone.
        ramp: share of the epochs in which the weight grows from 0, after the warm-up.
        adversary_lr: learning rate of the adversaries, who use Adam.
        threshold: SSIM below which "hinge" is content.
    """

    against: str | tuple[str, ...] = INPUT
    objective: str | tuple[str, ...] = ()
    weight: float = 1.0
    steps: int = 3
    pool: int = 1
    reset: int = 0
    warm_up: int = 0
    ramp: float = 0.25
    adversary_lr: float = 0.001
    threshold: float = 0.3

    def __post_init__(self) -> None:
        checks.in_range("weight", self.weight, 0, 1e6)
        checks.in_range("steps", self.steps, 1, 1000)
        checks.in_range("pool", self.pool, 1, 100)
        checks.in_range("reset", self.reset, 0, 100_000)
        checks.in_range("warm_up", self.warm_up, 0, 100_000)
        checks.in_range("ramp", self.ramp, 0, 1)
        checks.in_range("adversary_lr", self.adversary_lr, 0, 10, open_low=True)
        checks.in_range("threshold", self.threshold, -1, 1)
        _ = self.aims

    @property
    def aims(self) -> tuple[Aim, ...]:
        """What each kind of adversary is after.

        Raises:
            ValueError: `against` or `objective` names something else.
        """
        against = (self.against,) if isinstance(self.against, str) else tuple(self.against)
        wrong = [one for one in against if one != INPUT and not one.removeprefix(ATTRIBUTE).strip()]
        wrong += [one for one in against if one != INPUT and not one.startswith(ATTRIBUTE)]
        if wrong or not against or len(set(against)) < len(against):
            raise ValueError(
                f"against must be 'input', 'attribute:NAME' or several of them, each once, got {quote(self.against)}"
            )
        names = self._objectives(len(against))
        return tuple(_aim(one, name) for one, name in zip(against, names, strict=True))

    def _objectives(self, count: int) -> list[str]:
        """One objective for each of `against`, empty for the default."""
        if isinstance(self.objective, str):
            return [self.objective] * count
        if len(self.objective) not in (0, 1, count):
            raise ValueError(f"objective must be one for all or one for each of `against`, got {quote(self.objective)}")
        return [*(self.objective if len(self.objective) == count else tuple(self.objective) * count or ("",) * count)]

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes that must be known of the training records."""
        return tuple(one.attribute for one in self.aims if one.attribute is not None)

    @property
    def after_input(self) -> bool:
        """Returns whether an adversary wants the input."""
        return any(one.attribute is None for one in self.aims)

    def weight_at(self, epoch: int, epochs: int) -> float:
        """The weight in an epoch: 0 in the warm-up, then growing over the ramp.

        Args:
            epoch: counts from 0.
            epochs: of the whole training.

        >>> [Construction(weight=2.0, warm_up=1, ramp=0.5).weight_at(epoch, 8) for epoch in (0, 1, 3, 5, 7)]
        [0.0, 0.0, 1.0, 2.0, 2.0]
        """
        if epoch < self.warm_up:
            return 0.0
        length = self.ramp * epochs
        return self.weight * (1.0 if length == 0 else min(1.0, (epoch - self.warm_up) / length))


def _aim(against: str, objective: str) -> Aim:
    """One aim with its objective.

    Raises:
        ValueError: the objective is none of its kind.
    """
    known = OF_INPUTS if against == INPUT else OF_ATTRIBUTES
    attribute = None if against == INPUT else against.removeprefix(ATTRIBUTE)
    for one in known:
        if objective in ("", one):
            return Aim(attribute, one)
    raise ValueError(f"objective against {against} must be one of {', '.join(known)}, got {quote(objective)}")
