"""A stronger L2 penalty on the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dosimeter.foundation import checks
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class L2:
    """Train with a stronger L2 penalty: the gradient of each weight w gets λ w added, as `weight_decay` does.

    Paper: Shokri, Stronati, Song, Shmatikov, "Membership Inference Attacks Against Machine Learning Models", 2017,
    https://arxiv.org/abs/1610.05820, section VIII.

    Stronger: a larger λ. From a λ on that depends on the learning rate, the model no longer fits at all.
    Deviations: biases are penalised too, as `torch.optim` does.
    Cost: that of one training.

    Attributes:
        weight_decay: λ, added to the stage's own `weight_decay`, above 0.
    """

    paper: ClassVar[str] = "Shokri et al., 2017, https://arxiv.org/abs/1610.05820"
    place: ClassVar[str] = "recipe"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = (
        {"weight_decay": 0.003}, {"weight_decay": 0.03}, {"weight_decay": 0.3},
    )  # fmt: skip

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        checks.in_range("weight_decay", self.weight_decay, 0, 1e3, open_low=True)

    def recipe(self, hp: Hyperparameters) -> Hyperparameters:
        """The recipe with a larger weight decay."""
        return replace(hp, weight_decay=hp.weight_decay + self.weight_decay)
