"""Random decoder: a decoder that has seen nothing but noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from dosimeter.families.split.attacks.reading import predicted, remade
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.foundation.errors import AccessError
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.inverting import fit_inverse

FOR_EACH, FEWEST = 4, 16
"""Random records for each auxiliary record, and the fewest that the decoder can learn on."""


@dataclass(frozen=True)
class RandomDecoder:
    """Train the network of `decoder` on random numbers in place of records.

    A yardstick: it says what records of the right kind are worth to the adversary. It works where the first half is
    near to linear, and fails after deep first halves, which the paper found as well. It is no attack of which a finding
    is made.
    Paper: He, Zhang, Lee, ACSAC 2019, https://doi.org/10.1145/3359789.3359824, table 3, random data.
    Threat model: features at the cut, and the same of random records; of the auxiliary records their range alone.
    Cost: as of `decoder`, and one answer for each random record.

    Attributes:
        queries: most random records, of which each number is drawn evenly over the records' range; four for each
            auxiliary record if those are fewer, since the yardstick is read beside `decoder`, which learns on those.
        epochs: passes over them.
        lr: learning rate of Adam.
    """

    paper: ClassVar[str] = "He, Zhang, Lee, ACSAC 2019, https://doi.org/10.1145/3359789.3359824"
    control: ClassVar[bool] = False
    reference: ClassVar[bool] = True
    counterpart: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("input", asks=True)
    separate: ClassVar[bool] = True
    signals: ClassVar[tuple[str, ...]] = ()

    queries: int = 2000
    epochs: int = 30
    lr: float = 0.001

    def __post_init__(self) -> None:
        if self.queries < 16:
            raise ValueError(f"queries must be 16 or more, got {self.queries}")
        for name in ("epochs", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def run(self, game: SplitGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model at one cut; `rng` draws the records and gives the seed of the training.

        Raises:
            AccessError: the game lets nobody send records of their own.
        """
        if game.asked is None:
            raise AccessError("needs what the first half makes of random records: set knows = 'queries' or 'weights'")
        known = game.auxiliary.inputs.float()
        low, high = known.amin(0), known.amax(0)
        count = min(self.queries, max(FEWEST, FOR_EACH * len(known)))
        drawn = torch.from_numpy(rng.random((count, *known.shape[1:]), dtype=np.float32)).to(known.device)
        records = low + drawn * (high - low)
        seen = game.asked.sent(records, rng)
        network = fit_inverse(seen, records, self.epochs, self.lr, int(rng.integers(2**31)))
        return remade(game, predicted(network, game.seen))
