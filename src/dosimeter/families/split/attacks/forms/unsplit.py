"""UnSplit: seek inputs and a copy of the first half together, from the features and the form of that half alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from dosimeter.families.split.attacks.reading import remade
from dosimeter.families.split.attacks.searching import are_pictures, spreads, variation
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.foundation.errors import AccessError
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.halves.cloning import Sought, Turns, seek_both


@dataclass(frozen=True)
class UnSplit:
    """Optimise inputs and the weights of a copy of the first half in turn, until the copy makes the features of them.

    Paper: Erdoğan, Küpçü, Çiçek, "UnSplit: Data-Oblivious Model Inversion, Model Stealing, and Label Inference Attacks
    Against Split Learning", WPES 2022, https://arxiv.org/abs/2108.09033, algorithm 1.
    Threat model: features at the cut, and the layers of the first half without their weights. The adversary asks
    nothing of that half. Of their own records they use mean, range, spread and usual total variation.
    Deviations: one copy for all victims, where the paper makes one for each record. Searches start at the mean record
    and not at grey, and records that are far from it are penalised in place of bright ones. There are 40 rounds of 25
    and 25 steps at higher, falling rates, where the paper has 1,000 rounds of 100 and 100, and several starts, where it
    has one. Labels are not sought. Defenses of the cut are taken for noise.
    Cost: 1.5 x `rounds` x 2 x `steps` gradients of the first half for each victim, cut and model, again for the null
    audit, and as many of the whole model for the answers.

    Attributes:
        starts: copies with other weights, of which after a quarter of the rounds the best one goes on.
        rounds: turns of inputs and weights.
        steps: of Adam in each turn, for the inputs and then for the weights.
        lr: learning rate of the inputs, as a share of the records' range.
        weights_lr: learning rate of the weights.
        smooth: weight of the total variation of pictures; 1 counts a usual record's as much as the features' variance.
        near: weight of the squared distance to the mean record, by the records' variance; 1 counts as much.
    """

    paper: ClassVar[str] = "Erdoğan, Küpçü, Çiçek, WPES 2022, https://arxiv.org/abs/2108.09033"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs("input", knows="nothing", form=True)
    signals: ClassVar[tuple[str, ...]] = ()

    starts: int = 3
    rounds: int = 40
    steps: int = 25
    lr: float = 0.05
    weights_lr: float = 0.01
    smooth: float = 0.05
    near: float = 0.1

    def __post_init__(self) -> None:
        for name in ("starts", "rounds", "steps", "lr", "weights_lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("smooth", "near"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")

    @property
    def passes(self) -> int:
        """Answers with a gradient for each victim."""
        first = max(1, self.rounds // 4)
        return 2 * self.steps * (self.rounds + (self.starts - 1) * first)

    def run(self, game: SplitGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model at one cut; `rng` gives the weights of the copy and the order of its batches.

        Raises:
            AccessError: the game has no form of the first half.
        """
        if game.form is None:
            raise AccessError("needs the form of the first half, and the game has none: declare `form` in its needs")
        known = game.auxiliary.inputs.float()
        pictures = are_pictures(known)
        low, high = (known.min(), known.max()) if pictures else (known.amin(0), known.amax(0))
        mean, spread = known.mean(0), known.std(correction=0) if pictures else spreads(known, pictures=False)
        usual = variation(known).mean().clamp_min(1e-12) if pictures else torch.ones(())

        def decode(points: Tensor) -> Tensor:
            return low + points * (high - low)

        def penalty(points: Tensor) -> Tensor:
            records = decode(points)
            apart = ((records - mean) / spread).flatten(1).pow(2).mean(1)
            return self.near * apart + (self.smooth * variation(records) / usual if pictures else 0.0)

        copies = [game.form.fresh(int(rng.integers(2**31))) for _ in range(self.starts)]
        begin = torch.where(high > low, (mean - low) / (high - low).clamp_min(1e-12), torch.zeros_like(mean))
        turns = Turns(self.rounds, self.steps, self.lr, self.weights_lr)
        found = seek_both(Sought(game.seen, penalty), [_From(decode, one) for one in copies], begin, turns, rng)
        return remade(game, decode(found))


class _From(nn.Module):
    """A copy that takes points of the search.

    Args:
        decode: from points to records.
        copy: from records to features.
    """

    def __init__(self, decode: Callable[[Tensor], Tensor], copy: nn.Module) -> None:
        super().__init__()
        self.decode, self.copy = decode, copy

    def forward(self, points: Tensor) -> Tensor:
        """Features of some points."""
        found: Tensor = self.copy(self.decode(points))
        return found
