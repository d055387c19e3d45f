"""Job that compares what an attack made with the victims' inputs; no model and no defense takes part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from dosimeter.families.split.play.exchanged import Exchanged
from dosimeter.families.split.play.job import PlayJob
from dosimeter.families.split.play.recogniser import RecogniserJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from dosimeter.statistics.leakage.pixels import mse, spreads, ssim


@dataclass(frozen=True)
class JudgeJob(KeyedJob):
    """Job that judges the reconstructions of one play.

    Its entry holds `mse` `[n]`, `ssim` `[n]` of pictures, and `lineup` `[m m]`: minus the squared distance of the
    reconstruction of each victim of the lineup to the true input of each. `recognised` `[n]` says of each whether a
    classifier names the victim's class.

    Attributes:
        play: the play.
        lineup: rows of the victims in the lineup `[m]`.
        pictures: whether records are pictures with numbers in [0, 1].
        recogniser: the classifier; None where classes say nothing.
    """

    play: PlayJob | Exchanged
    lineup: Array
    pictures: bool
    recogniser: RecogniserJob | None = None

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.play.store

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "judged",
            "family": "split",
            "play": self.play.key,
            "victims": self.play.record.data[0],
            "lineup": arrays_hash(lineup=self.lineup),
            "pictures": self.pictures,
            "recogniser": None if self.recogniser is None else self.recogniser.key,
            "code": package_code(__name__),
        }

    @property
    def place(self) -> str:
        """What is judged, in words."""
        return f"judging of {self.play.place}"

    def perform(self) -> None:
        """Judges and stores."""
        victims, auxiliary = self.play.record.data
        true, known = (as_float(self.store.load(key)["inputs"]).double().numpy() for key in (victims, auxiliary))
        made = self.play.load().astype(np.float64)
        found = {}
        if self.recogniser is not None:
            labels = self.store.load(victims)["labels"].numpy()
            found["recognised"] = self.recogniser.classes_of(made) == labels
        if not self.pictures:
            scale = spreads(known)
            made, true = made / scale, true / scale
        found["mse"] = mse(made, true)
        if self.pictures:
            found["ssim"] = ssim(made, true)
        a, b = (one[self.lineup].reshape(len(self.lineup), -1) for one in (made, true))
        found["lineup"] = np.stack([-((one - b) ** 2).sum(-1) for one in a])  # memory for one row at a time
        self.store.save(self.key, {name: torch.from_numpy(one) for name, one in found.items()}, self.definition)

    def load(self) -> dict[str, Array]:
        """What `perform` found."""
        return {name: tensor.numpy() for name, tensor in self.store.load(self.key).items()}
