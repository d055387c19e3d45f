"""BREP-MI: from labels alone, move a latent away from where the model names other classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dosimeter.families.inversion.attacks.reading import each, handed_over
from dosimeter.families.inversion.game import InversionGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class BrepMI:
    """Find the latent round which the model names the class farthest out, by asking for labels alone.

    Paper: Kahla, Chen, Just, Jia, "Label-Only Model Inversion Attacks via Boundary Repulsion", CVPR 2022,
    https://arxiv.org/abs/2203.01925, algorithm 1.
    Threat model: labels, and records of other people for the prior.
    Deviations: the prior is the one of the case; every step counts, also one that is taken back, and the last point
    that kept its class at the largest radius is handed over, not the last point at all. An identity that no sample is
    named for starts, and may end, at the centre of the prior.
    Cost: (directions + 1) x steps answers for each identity.

    Attributes:
        samples: random records among which a start is sought.
        steps: number of steps.
        directions: points on the sphere at each step.
        radius: of the first sphere, in standard deviations of the latent.
        growth: by which the radius grows when `inside` of the points are named for the class.
        inside: share of the points.
        reach: largest absolute number of a latent.
    """

    paper: ClassVar[str] = "Kahla et al., CVPR 2022, https://arxiv.org/abs/2203.01925"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.LABELS)
    signals: ClassVar[tuple[str, ...]] = ()

    samples: int = 1000
    steps: int = 200
    directions: int = 32
    radius: float = 2.0
    growth: float = 1.3
    inside: float = 0.75
    reach: float = 3.0

    def __post_init__(self) -> None:
        for name in ("samples", "steps", "directions", "radius", "reach"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not (self.growth > 1 and 0 < self.inside <= 1):
            raise ValueError(f"growth must be above 1 and inside in (0, 1], got {self.growth} and {self.inside}")

    @property
    def passes(self) -> int:
        """Answers for each identity."""
        return self.steps * (self.directions + 1)

    def run(self, game: InversionGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model.

        Args:
            game: the game.
            rng: draws the directions.
        """
        wanted = each(game, 1).cpu()
        at, known = self._starts(game, wanted)
        best, radius = at.clone(), torch.full((len(at),), self.radius)
        for _ in range(self.steps):
            units = torch.from_numpy(rng.normal(size=(len(at), self.directions, at.shape[1])).astype(np.float32))
            units /= units.norm(dim=2, keepdim=True)
            points = (at[:, None] + radius[:, None, None] * units).clamp(-self.reach, self.reach)
            out = self._named(game, points.flatten(0, 1)).reshape(len(at), -1) != wanted[:, None]
            grown = known & (out.float().mean(1) <= 1 - self.inside)
            best[grown], radius[grown] = at[grown], radius[grown] * self.growth
            moved = self._moved(at, units, out, radius)
            stays = known & ~grown & (self._named(game, moved) == wanted)
            at = torch.where(stays[:, None], moved, at)
            best = torch.where((radius == self.radius)[:, None], at, best)  # until a radius is reached, the last point
        records = game.prior.decode(best.to(game.device))[:, None]
        return handed_over(game, records, torch.zeros(len(best), 1))

    def _starts(
        self, game: InversionGame, wanted: Int[Tensor, " n"]
    ) -> tuple[Float[Tensor, "n k"], Bool[Tensor, " n"]]:
        """A sample that the model names for each class, and which classes have one."""
        latents = game.starts.samples(self.samples).clamp(-self.reach, self.reach)
        named = self._named(game, latents)[None] == wanted[:, None]
        known = named.any(1)
        return torch.where(known[:, None], latents[named.int().argmax(1)], 0.0), known

    def _named(self, game: InversionGame, latents: Float[Tensor, "b k"]) -> Int[Tensor, " b"]:
        """The class that the model names for the record of each latent."""
        return torch.cat(
            [game.asked.labels(game.prior.decode(one.to(game.device))) for one in torch.split(latents, 2048)]
        )

    def _moved(self, at: Tensor, units: Tensor, out: Tensor, radius: Tensor) -> Tensor:
        """Each latent, one step away from the points that the model named for other classes."""
        push = -(units * out[:, :, None]).mean(1)
        push = push / push.norm(dim=1, keepdim=True).clamp_min(1e-12)
        step = (radius / 3).clamp_max(3.0)
        moved: Tensor = (at + step[:, None] * push).clamp(-self.reach, self.reach)
        return moved
