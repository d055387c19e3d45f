"""From trained models to what an adversary sees: signals of all models on all judged records, games, truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dosimeter.chain import build_chain, load_state, own_code, parts_of, rows_hash
from dosimeter.errors import TrainingError
from dosimeter.fleet import FeatureJob, PackJob, apply_view, forward, load_features
from dosimeter.games import Access, Array
from dosimeter.models import as_float
from dosimeter.signals import signals_of
from dosimeter.store import Store, key_of


@dataclass(frozen=True)
class ObserveJob:
    """Signals of one pack of models.

    Attributes:
        pack: the models.
        rows: observed rows of the stage's data: candidates, then population `[n + z]`.
        views: query views.
        features: jobs of the frozen features of all views, empty if nothing is frozen.
        test: key of test records, or None.
        test_features: jobs of the test records' frozen features.
        signals: names from `SIGNALS`.
        access: what the models give away.
    """

    pack: PackJob
    rows: Array
    views: tuple[str, ...]
    features: tuple[FeatureJob, ...]
    test: str | None
    test_features: tuple[FeatureJob, ...]
    signals: tuple[str, ...]
    access: Access

    @property
    def store(self) -> Store:
        """Where to write."""
        return self.pack.store

    @cached_property
    def definition(self) -> dict[str, Any]:
        """What the key is made of."""
        return {
            "kind": "outputs",
            "models": self.pack.key,
            "rows": rows_hash(self.rows),
            "views": list(self.views),
            "signals": list(self.signals),
            "access": str(self.access.name),
            "code": own_code("observe", "signals"),
            "test": self.test,
        }

    @cached_property
    def key(self) -> str:
        """Key of the entry."""
        return key_of(self.definition)

    def perform(self) -> None:
        """Query the models and store their signals and which answers are correct."""
        data = self.store.load(self.pack.data)
        labels = data["labels"][torch.from_numpy(self.rows)]
        views = [self._inputs(data, view) for view in self.views]
        test = self.store.load(self.test) if self.test else None
        kept: list[dict[str, Tensor]] = []
        correct, test_correct = [], []
        for model in self._models():
            outputs = [model(inputs) for inputs in views]
            if not all(bool(torch.isfinite(logits).all()) for logits in outputs):
                raise TrainingError(
                    f"stage {self.pack.links[-1].name!r}: a trained model gave NaN or infinite logits (models "
                    f"{self.pack.models[0]} to {self.pack.models[-1]}, entry {self.pack.key}): lower the learning rate"
                )
            kept.append(signals_of(outputs, labels, self.signals, self.access))
            correct.append(outputs[0].argmax(1) == labels)
            if test is not None:
                inputs = load_features(self.store, self.test_features) if self.test_features else test["inputs"]
                test_correct.append(model(inputs).argmax(1) == test["labels"])
        tensors = {name: torch.stack([one[name] for one in kept]) for name in self.signals}
        tensors["correct"] = torch.stack(correct).to(torch.uint8)
        if test_correct:
            tensors["test_correct"] = torch.stack(test_correct).to(torch.uint8)
        self.store.save(self.key, tensors, self.definition)

    def _inputs(self, data: Mapping[str, Tensor], view: str) -> Tensor:
        """What the trained part of the models takes for the observed rows under one view."""
        rows = torch.from_numpy(self.rows)
        if self.features:
            return load_features(self.store, [job for job in self.features if job.view == view])[rows]
        return apply_view(as_float(data["inputs"][rows]), view)

    def _models(self) -> list[Callable[[Tensor], Tensor]]:
        """Each model of the pack as a function from inputs (or frozen features) to logits."""
        pack, device = self.pack, torch.device(self.pack.device)
        state = self.store.load(pack.key)
        if pack.heads:
            return [_linear(weight, bias) for weight, bias in zip(state["weight"], state["bias"], strict=True)]
        parent = self.store.load(pack.parent) if pack.parent else None
        model = build_chain(pack.links, len(pack.links) - 1, 0, parent)
        if pack.links[-1].fit is None:
            model = parts_of(pack.links, len(pack.links) - 1, model).trained
        load_state(model, state, f"stage {pack.links[-1].name!r}")
        return [lambda inputs: forward(model, as_float(inputs), device)]


def _linear(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    """A head as a function; products are summed in float64, so that signals do not depend on the batch."""
    return lambda features: torch.addmm(bias.double(), features.double(), weight.double().T)


@dataclass(frozen=True)
class Observations:
    """Signals of the whole fleet.

    Attributes:
        signals: each `[m q n+z]`, float64.
        correct: whether the answer to view 0 is correct `[m n+z]`.
        test_correct: the same on test records `[m r]`, or None.
    """

    signals: Mapping[str, Float[Array, "m q r"]]
    correct: Bool[Array, "m r"]
    test_correct: Bool[Array, "m k"] | None


def gather(jobs: Sequence[ObserveJob]) -> Observations:
    """Put the outputs of all packs together, in the order of the models."""
    loaded = [job.store.load(job.key) for job in jobs]
    names = jobs[0].signals
    joined = {name: torch.cat([one[name] for one in loaded]).numpy() for name in (*names, "correct")}
    tests = [one["test_correct"] for one in loaded if "test_correct" in one]
    test = torch.cat(tests).numpy().astype(bool) if tests else None
    return Observations({name: joined[name] for name in names}, joined["correct"].astype(bool), test)
