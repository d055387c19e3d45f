"""Jobs of the judges, who learn who is who, and of what the models answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dosimeter.families.inversion.case.records import RecordSplit
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.store import Store, key_of
from dosimeter.models.architectures import as_float
from dosimeter.training.deployment.network import answers, deployed
from dosimeter.training.learners.judges import Classifier, Lineup, fit_classifier, fit_lineup
from dosimeter.training.packs import PackJob

PRODUCT = 3e-10
"""Seconds of a multiplication in a matrix product on one core of 2024."""


@dataclass(frozen=True)
class JudgeJob:
    """Job that fits both judges and tests them on real records.

    Attributes:
        store: store to write to.
        data: key of the records at risk.
        public: key of the public records.
        records: rows that judges know, and rows that they are tested on.
        shape: of one record.
    """

    store: Store
    data: str
    public: str
    records: RecordSplit
    shape: tuple[int, ...]
    users_code: tuple[str, ...] = ()

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on; no model and no defense."""
        rows = arrays_hash(known=self.records.known, tested=self.records.tested)
        return {
            "kind": "judges",
            "data": self.data,
            "public": self.public,
            "rows": rows,
            "code": package_code(__name__),
        }

    @cached_property
    def key(self) -> str:
        """Key of the entry."""
        return key_of(self.definition)

    @property
    def place(self) -> str:
        """What it makes, in words."""
        return "judges"

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return self.key

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 8 * 200 * int(np.prod(self.shape))

    def cost(self, pace: Any) -> float:
        """Implements `Costed`."""
        return PRODUCT * 20.0 * float(len(self.records.known) ** 2 * np.prod(self.shape))

    def perform(self) -> None:
        """Fits, tests and stores."""
        own, public = self.store.load(self.data), self.store.load(self.public)
        known, tested = (_flat(own["inputs"], rows) for rows in (self.records.known, self.records.tested))
        labels, truth = (own["labels"].numpy()[rows] for rows in (self.records.known, self.records.tested))
        others = _flat(public["inputs"], np.arange(len(public["inputs"]))), public["labels"].numpy()
        lineup, classifier = fit_lineup(others, (known, labels)), fit_classifier(known, labels)
        arrays = {
            "mean": lineup.mean, "axes": lineup.axes, "gallery": lineup.gallery,
            "weight": classifier.weight, "bias": classifier.bias,
            "lineup_right": lineup.similarity(tested).argmax(1) == truth,
            "classifier_right": classifier.similarity(tested).argmax(1) == truth,
        }  # fmt: skip
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        self.store.save(
            self.key,
            {n: t.to(torch.uint8) if t.dtype == torch.bool else t for n, t in tensors.items()},
            self.definition,
        )

    def load(self) -> tuple[Lineup, Classifier]:
        """Both judges."""
        found = {name: tensor.numpy() for name, tensor in self.store.load(self.key).items()}
        lineup = Lineup(found["mean"], found["axes"], found["gallery"])
        return lineup, Classifier(found["weight"], found["bias"])

    def tested(self) -> dict[str, Array]:
        """By judge, whether it named the right identity for each real record that it was tested on."""
        found = self.store.load(self.key)
        return {name: found[f"{name}_right"].numpy() == 1 for name in ("lineup", "classifier")}


@dataclass(frozen=True)
class AnswersJob:
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
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.pack.store

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {"kind": "answers", "pack": self.pack.key, "test": self.test, "code": package_code(__name__)}

    @cached_property
    def key(self) -> str:
        """Key of the entry."""
        return key_of(self.definition)

    @property
    def place(self) -> str:
        """The models that it asks."""
        return self.pack.place

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in them."""
        return self.pack.users_code

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


def _flat(inputs: Tensor, rows: Array) -> Array:
    """Records as models take them, flattened, float64 `[n d]`."""
    found: Array = as_float(inputs[torch.from_numpy(rows)]).flatten(1).double().numpy()
    return found
