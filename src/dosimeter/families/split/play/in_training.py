"""Job that asks the adversaries of a training about the victims: what they can do at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.families.split.play.record import RecordJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.places import ModelCut
from dosimeter.statistics.leakage.pixels import mse, spreads
from dosimeter.training.construction.joining import fighter, inform, settings_of_fight
from dosimeter.training.construction.partition import AdversarialPartition
from dosimeter.training.construction.settings import INPUT
from dosimeter.training.deployment.hosts import TrainedHost
from dosimeter.training.system import TrainedSystem


@dataclass(frozen=True)
class InTrainingJob(FollowingJob):
    """Job that asks the adversaries that took part in the training of one model.

    Its entry holds `attribute:NAME` `[n v]`, log-probabilities of each attribute that they were after, and `input`
    `[n]`, the mean squared errors of their reconstructions, if they were after the input.

    Attributes:
        record: what was recorded of the model.
        source: number of the cut that they were trained at.
        pictures: whether records are pictures with numbers in [0, 1].
    """

    record: RecordJob
    source: int
    pictures: bool

    @property
    def follows(self) -> RecordJob:
        """Implements `FollowingJob`."""
        return self.record

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "adversaries of a training", "family": "split", "recording": self.record.key,
            "source": self.source, "pictures": self.pictures, "code": package_code(__name__),
        }  # fmt: skip

    def perform(self) -> None:
        """Asks, and stores what they say."""
        host = self.record.host
        assert isinstance(host, TrainedHost), "the case looked"
        pack = host.pack
        data, rows = self.store.load(pack.data), torch.from_numpy(pack.rows[host.number])
        found = fighter(pack.links[-1].hyperparameters)
        _, told = inform(pack.links[-1].hyperparameters, data, rows)
        assert found is not None, "the case looked"
        assert told is not None, "the case looked"
        settings = settings_of_fight(found)
        epochs = pack.links[-1].hyperparameters.epochs
        fight = AdversarialPartition(settings, data["inputs"][rows], told.attributes, epochs=epochs)
        victims, _ = self.record.load(self.source)
        fight.build(tuple(victims.shape[1:]), "cpu")
        fight.load(pack.adversaries())
        said = fight.says(victims)
        if INPUT in said:
            said[INPUT] = self._errors(said[INPUT])
        self.store.save(self.key, {name: one.contiguous() for name, one in said.items()}, self.definition)

    def _errors(self, made: Tensor) -> Tensor:
        """Mean squared error of each victim's reconstruction `[n]`."""
        true, known = (as_float(self.store.load(key)["inputs"]).double().numpy() for key in self.record.data)
        scale = 1.0 if self.pictures else spreads(known)
        return torch.from_numpy(mse(made.double().numpy() / scale, true / scale))

    def load(self) -> dict[str, Array]:
        """What they said, by "input" (the errors) and "attribute:NAME" (log-probabilities)."""
        return {name: one.numpy() for name, one in self.store.load(self.key).items()}


def fought(system: TrainedSystem, places: Sequence[ModelCut]) -> int | None:
    """Number of the cut at which the deployed model was trained against adversaries; None if it was not, or elsewhere.

    Args:
        system: the chain.
        places: the cuts of a threat.
    """
    found = fighter(system.links[-1].hyperparameters)
    if found is None or system.links[-1].fit is not None:
        return None
    return next((source for source, cut in enumerate(places) if found.after() in cut.names), None)


def values_said(
    said: Float[np.ndarray, "t n w"], trained: Sequence[str], values: Sequence[str]
) -> Float[np.ndarray, "t n v"]:
    """Log-probabilities of the values of a threat, from those of the values that training records have.

    Args:
        said: of the latter.
        trained: these values, in words.
        values: of the threat; one that no training record has gets minus infinity.
    """
    columns = [list(trained).index(one) if one in trained else None for one in values]
    absent = np.full(said.shape[:2], -np.inf)
    return np.stack([absent if one is None or one >= said.shape[2] else said[..., one] for one in columns], -1)
