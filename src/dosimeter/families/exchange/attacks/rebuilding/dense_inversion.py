"""Dense inversion: the gradient of a dense first layer holds each record that activates a neuron alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from dosimeter.families.exchange.attacks.rebuilding.making import each_batch
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.inverting.dense import dense_records, first_records
from dosimeter.families.exchange.inverting.observed import Observed
from dosimeter.families.exchange.records.first_layer import dense_first
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class DenseInversion:
    """Divide the gradient of the first layer's weights by that of its biases: records, exactly, where they stand alone.

    Paper: Geiping, Bauermeister, Dröge, Moeller, "Inverting Gradients", NeurIPS 2020, https://arxiv.org/abs/2003.14053,
    proposition 3.1.
    Threat model: the gradient of a dense first layer with biases; no head, no label, no parameter.
    Deviations: of all quotients those come first on which many neurons agree, and mixtures of others are left out.
    Cost: none.

    Attributes:
        channel: what of the messages is read.
    """

    paper: ClassVar[str] = "Geiping et al., NeurIPS 2020, https://arxiv.org/abs/2003.14053"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ()

    channel: Literal["gradient", "update"] = "gradient"

    @property
    def mode(self) -> str:
        """The channel, which names the attack in results."""
        return self.channel

    @property
    def needs(self) -> Needs:
        """Messages of the channel, and a dense first layer."""
        return Needs(self.channel, question="records", dense=True)

    def run(self, game: RecordsGame, rng: np.random.Generator) -> Reconstructions:
        """Makes records of each batch; `rng` is not used."""

        def make(seen: Observed) -> Tensor:
            weight, bias = dense_first(seen.trunk, seen.shape) or ("", "")
            if not bool(seen.gradient[bias].any()):
                return torch.zeros(0, *seen.shape)
            shown = dense_records(seen.gradient[weight], seen.gradient[bias], seen.box)
            return first_records(shown, seen.size, seen.box).reshape(-1, *seen.shape)

        return each_batch(game, make)
