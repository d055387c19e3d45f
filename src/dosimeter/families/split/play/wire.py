"""One cut of one trained model with the defenses that stand there: what is sent, and what the second half answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.defenses.sending import CutDefense, noisy_step, send, settle
from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import ModelGraph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import ModelCut
from dosimeter.models.cuts.recorder import flat, folded
from dosimeter.models.last_layer import at_rest
from dosimeter.statistics.leakage.information import GROUPS, channel_bits, left_out, predicted_mse
from dosimeter.training.cuts.fisher import matrices, traces
from dosimeter.training.cuts.place import CutPlace
from dosimeter.training.recipe import Release

BATCH = 256
"""Records that run together."""
PROBES = 16
"""Random vectors for each record's Fisher information."""
MEASURED = 256
"""Most records on which Fisher information is measured."""
WIDEST = 1024
"""Most numbers of a record, and of what crosses, for which the whole matrix is computed."""


@runtime_checkable
class Asked(Protocol):
    """How a model takes records, and how its answers are read; a `Host` has both."""

    @property
    def device(self) -> str:
        """Where the model is."""
        ...

    def prepare(self, records: Tensor) -> Tensor:
        """Records in the form that the model takes."""
        ...

    def read(self, answer: Tensor) -> Tensor:
        """What the model returned as logits or log-probabilities."""
        ...


@dataclass(frozen=True)
class AsFractions:
    """Implements `Asked`: of a model that takes bytes as fractions, and answers with logits.

    Attributes:
        device: where the model is.
    """

    device: str

    def prepare(self, records: Tensor) -> Tensor:
        """Implements `Asked`."""
        return as_float(records).to(self.device)

    def read(self, answer: Tensor) -> Tensor:
        """Implements `Asked`."""
        return answer.float()


@dataclass(frozen=True, eq=False)
class Wire:
    """One cut behind its defenses.

    Attributes:
        graph: of the model, in evaluation mode.
        cut: the place.
        defenses: in order.
        asked: how the model takes records, and how its answers are read.
    """

    graph: ModelGraph
    cut: ModelCut
    defenses: Sequence[CutDefense]
    asked: Asked

    def __post_init__(self) -> None:
        odd = [one for one in self.cut.tensors if "float" not in one.dtype]
        if odd:
            raise ConfigError(
                f"defenses: must change numbers with fractions, but after {self.cut.name!r} {odd[0].dtype} crosses: "
                "cut elsewhere, or leave the defenses of the cut out"
            )

    @cached_property
    def _halves(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """The first and the second half."""
        first, second = halves(self.graph, self.cut)
        return first.eval(), second.eval()

    def first(self, records: Tensor) -> Tensor:
        """From records to what crosses, before any defense; differentiable where the form of the records is."""
        return flat(self._halves[0](self.asked.prepare(records)))

    def settled(self, records: Tensor, rng: np.random.Generator, *, trial: bool = False) -> tuple[Release, ...]:
        """The defenses, with what they take from the model and from its owner's records.

        Args:
            records: some training records, as fractions.
            rng: from which defenses draw.
            trial: whether it is only asked if they can act here.

        Raises:
            ConfigError: a defense cannot act here.
        """
        records = records.to(self.asked.device)
        with at_rest(self.graph.program.module):
            features = torch.cat([self.first(some.clone()) for some in torch.split(records, BATCH)])
        place = CutPlace(self.first, self._halves[1], records, features, self._said, trial)
        return settle(self.defenses, place, rng)

    def _said(self, sent: Float[Tensor, "b ..."]) -> Float[Tensor, "b c"]:
        """What the second half answers to what it was sent, on the model's device; differentiable."""
        return self.asked.read(self._halves[1](*(one.clone() for one in folded(sent, self.cut)))[0])

    def send(self, features: Tensor, settled: Sequence[Release], rng: np.random.Generator) -> Tensor:
        """What is sent in place of features, on the CPU."""
        return send(features, settled, rng, BATCH).contiguous()

    def answers(self, sent: Float[Tensor, "n ..."]) -> Float[Tensor, "n c"]:
        """What the second half answers to what it was sent, on the CPU."""
        found = []
        with at_rest(self.graph.program.module):
            for some in torch.split(sent, BATCH):
                found.append(self._said(some.to(self.asked.device)).cpu())
        return torch.cat(found).contiguous()

    def informed(
        self, settled: Sequence[Release], records: Tensor, units: Tensor, seed: int, *, repeats: int = 1
    ) -> dict[str, Float[Tensor, " _"]]:
        """Fisher information of what is sent, and what follows; nothing where it is not defined.

        Args:
            settled: the defenses.
            records: of others, as fractions.
            units: of each number of a record, in which errors are measured.
            seed: of the random vectors.
            repeats: how often each record is sent, so that information adds up.

        Returns:
            `trace` `[m]` of each record, tr(I); `predicted` and `channel` `[g + 1]`, of all records and without each
            group, if records and features are not too wide, and if the noise is Gaussian.
        """
        steps = noisy_step(settled)
        if steps is None or not records.is_floating_point():
            return {}
        clean, noise = steps
        device = self.asked.device
        records, units = records[:MEASURED].to(device), units.to(device)

        def first(some: Tensor) -> Tensor:
            return clean(self.first(some))

        # Independent sends: information adds up, and so the noise of their mean is smaller.
        scale = noise.scale / repeats**0.5
        power = scale**2
        found = {"trace": traces(first, records, units, probes=PROBES, seed=seed) / power}
        with torch.no_grad():
            features = torch.cat([first(some.clone()) for some in torch.split(records, BATCH)]).flatten(1).double()
        if max(features.shape[1], units.numel()) > WIDEST or len(records) < 2 * GROUPS:
            return found
        fisher = (matrices(first, records, units, GROUPS) / power).numpy()
        rows, sent = (records.flatten(1) * units.flatten().reciprocal()).double().cpu().numpy(), features.cpu().numpy()
        group = np.arange(len(rows)) % GROUPS

        def predicted(kept: np.ndarray) -> float:
            return predicted_mse(fisher[kept].mean(0), np.cov(rows[np.isin(group, kept)], rowvar=False))

        def channel(kept: np.ndarray) -> float:
            return channel_bits(np.cov(sent[np.isin(group, kept)], rowvar=False), scale)

        found["predicted"] = torch.from_numpy(left_out(predicted))
        if noise.law == "gaussian":
            found["channel"] = torch.from_numpy(left_out(channel))
        return found
