"""Attacks that only look: at samples of the prior, at the public records; and one that looks at nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from dosimeter.families.inversion.attacks.reading import KEPT, handed_over
from dosimeter.families.inversion.game import InversionGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Reconstructions

OWN = "none; a yardstick of this project"


@dataclass(frozen=True)
class PriorBest:
    """Take, of many random records of the prior, the one that the model is surest about; nothing is optimised.

    A yardstick: what an attack adds to it is the work of its optimisation.
    Threat model: probabilities, and records of other people for the prior.
    Cost: one answer for each sample.

    Attributes:
        samples: random records.
    """

    paper: ClassVar[str] = OWN
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS)
    signals: ClassVar[tuple[str, ...]] = ()

    samples: int = 1000

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be positive, got {self.samples}")

    @property
    def passes(self) -> int:
        """Answers for all identities together."""
        return self.samples

    def run(self, game: InversionGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model; `rng` is not used, since the game has the samples."""
        records = game.prior.decode(game.starts.samples(self.samples).to(game.device))
        return _surest(game, records)


@dataclass(frozen=True)
class NearestPublic:
    """Take the public record, of somebody else, that the model is surest about.

    A yardstick: it makes nothing at all. Whoever is recognised by it has a double among the public records.
    Threat model: probabilities, and records of other people.
    Cost: one answer for each public record.
    """

    paper: ClassVar[str] = OWN
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS)
    signals: ClassVar[tuple[str, ...]] = ()

    @property
    def passes(self) -> int:
        """Too few to count."""
        return 1

    def run(self, game: InversionGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model; `rng` is not used, since nothing is drawn."""
        return _surest(game, game.public)


@dataclass(frozen=True)
class MeanPublic:
    """Show the mean of the public records for everybody: a control, which must be at chance.

    A judge takes it for one identity, whoever it is said to be, so it is right for exactly one.
    Threat model: records of other people; the model is not asked.
    Cost: none.
    """

    paper: ClassVar[str] = OWN
    control: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(Access.LABELS)
    signals: ClassVar[tuple[str, ...]] = ()

    @property
    def passes(self) -> int:
        """None."""
        return 0

    def run(self, game: InversionGame, rng: np.random.Generator) -> Reconstructions:
        """Hands over the same record for everybody; `rng` is not used."""
        mean = game.public.mean(0)
        records = mean.expand(len(game.classes), 1, *mean.shape)
        return handed_over(game, records, torch.zeros(len(records), 1))


def _surest(game: InversionGame, records: torch.Tensor) -> Reconstructions:
    """The records that the model is surest about, for each identity."""
    found = game.asked.log_probs(records)[:, torch.from_numpy(game.classes)].T
    trust, best = found.topk(min(KEPT, len(records)), 1)
    return handed_over(game, records[best.to(records.device)], trust)
