"""Job of what the audited models answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.training.deployment.network import answers, deployed
from dosimeter.training.packs import PackJob


@dataclass(frozen=True)
class AnswersJob(FollowingJob):
    """Job that asks the models of a pack about all records at risk and the test records.

    Attributes:
        pack: the models.
        records: number of records at risk.
        test: key of the test records, or None.
    """

    pack: PackJob
    records: int
    test: str | None

    @property
    def follows(self) -> PackJob:
        """Implements `FollowingJob`."""
        return self.pack

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {"kind": "answers", "pack": self.pack.key, "test": self.test, "code": package_code(__name__)}

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("answers", id(self.pack.links), len(self.pack.models))

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return self.records * len(self.pack.models)

    def cost(self, pace: Any) -> float:
        """Implements `Costed`."""
        return float(pace.answer(self.pack)) * self.records * len(self.pack.models)

    def perform(self) -> None:
        """Asks and stores whether the answers are right."""
        sets = {"correct": self.pack.data, **({} if self.test is None else {"test_correct": self.test})}
        found: dict[str, list[Tensor]] = {name: [] for name in sets}
        for number in range(len(self.pack.models)):
            model = deployed(self.pack, number)
            for name, key in sets.items():
                data = self.store.load(key)
                right = answers(model, data["inputs"], self.pack.device).argmax(1) == data["labels"]
                found[name].append(right.to(torch.uint8))
        self.store.save(self.key, {name: torch.stack(rows) for name, rows in found.items()}, self.definition)
