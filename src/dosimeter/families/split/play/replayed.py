"""Job that takes what a user recorded in place of a recording of a model that is here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from dosimeter.families.split.play.record import recorded_answers, recorded_source
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.training.deployment.recorded import ANSWERS, PARTS, RecordedSystem, read_transcript


@dataclass(frozen=True)
class ReplayJob(KeyedJob):
    """Job that stores recorded traffic in the form of a `RecordJob`.

    Attributes:
        system: with the transcript.
        cuts: names of the cuts that are read.
        data: keys of the victims and of the auxiliary records.
        shape: of one record.
    """

    system: RecordedSystem
    cuts: tuple[str, ...]
    data: tuple[str, str]
    shape: tuple[int, ...]
    place: str = "transcript"

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.system.store

    @property
    def device(self) -> str:
        """Where attacks run."""
        return self.system.device

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of victims and of auxiliary records."""
        return self.system.transcript.sizes

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "recording", "family": "split", "transcript": self.system.transcript.digest,
            "cuts": list(self.cuts), "data": list(self.data), "code": package_code(__name__),
        }  # fmt: skip

    def perform(self) -> None:
        """Reads the files again, and stores what they hold.

        Raises:
            DataError: they changed meanwhile.
        """
        now = read_transcript(self.system.transcript.folder)
        if now.digest != self.system.transcript.digest:
            raise DataError(f"transcript: {now.folder} must stay as it was, got files that changed: run again")
        found: dict[str, Tensor] = {}
        for part in PARTS:
            own = now.load(part)
            found |= {f"{part}-{index}": own[name].contiguous() for index, name in enumerate(self.cuts)}
            found[f"{part}-{ANSWERS}"] = own[ANSWERS].contiguous()
        self.store.save(self.key, found, self.definition)

    def load(self, source: int | None, *, answers: bool = False, plain: bool = False) -> tuple[Tensor, Tensor]:
        """What was recorded of the victims and of the auxiliary records; answers are the same at every cut."""
        return recorded_source(self.store.load(self.key), None if answers else source)

    def answered(self, source: int | None) -> Tensor:
        """The model's answers for the victims `[n c]`, the same at every cut."""
        return torch.as_tensor(recorded_answers(self.store.load(self.key)))

    def information(self, source: int) -> dict[str, Array]:
        """None: defenses of the cut are not known of recorded traffic."""
        return {}
