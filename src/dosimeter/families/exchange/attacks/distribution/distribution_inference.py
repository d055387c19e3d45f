"""Distribution inference: is the joint model more like those of one world, or like those of the other?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dosimeter.families.exchange.distribution.game import DistributionGame
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.inferring.distributions import (
    Verdicts,
    kl_test,
    logits_test,
    loss_test,
    mean_prediction,
    threshold_test,
)
from dosimeter.statistics.evidence import Guesses

Test = Literal["loss", "threshold", "mean", "kl", "logits"]
"""On which world's probe records the loss is smaller; on which side of a cut it is; the same of the mean prediction; to
which world's models predictions are nearer; a logistic regression of all of them."""
TESTS: Mapping[Test, Callable[..., Verdicts]] = {
    "loss": loss_test, "threshold": threshold_test, "mean": mean_prediction, "kl": kl_test, "logits": logits_test,
}  # fmt: skip


@dataclass(frozen=True)
class DistributionInference:
    """Ask the joint model about records of one's own, and compare with joint trainings that one played in both worlds.

    Paper: Suri and Evans, "Formalizing and Estimating Distribution Inference Risks", PETS 2022,
    https://arxiv.org/abs/2109.06024; of several parties Zhang, Tople and Ohrimenko, USENIX Security 2021,
    https://arxiv.org/abs/2006.07267.
    Threat model: the shared layers at the end with a last layer of their own; records of their own with the property.
    Deviations: what is played are whole joint trainings with the adversary's own part, defenses and all.
    Cost: as many joint trainings as the threat has `shadows`, which all tests share.

    Attributes:
        test: "kl" and the others of `inferring.distributions`.
    """

    paper: ClassVar[str] = "Suri and Evans, PETS 2022, https://arxiv.org/abs/2109.06024"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("trunk", question="distribution")
    signals: ClassVar[tuple[str, ...]] = ()

    test: Test = "kl"

    @property
    def mode(self) -> str:
        """The test, which names the attack in results."""
        return self.test

    def run(self, game: DistributionGame, rng: np.random.Generator) -> Guesses:
        """Guesses each training; `rng` is not used."""
        said = TESTS[self.test](game.predictions, game.own)
        beyond = said.score - said.cut
        return Guesses(game.ids, np.stack([-beyond, beyond], -1)[None])
