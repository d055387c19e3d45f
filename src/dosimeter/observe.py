"""From trained models to what an adversary sees: signals of all models on all judged records, games, truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dosimeter.chain import build_chain, load_state, own_code, parts_of, rows_hash
from dosimeter.errors import TrainingError
from dosimeter.fleet import FeatureJob, PackJob, apply_view, forward, load_features
from dosimeter.games import Access, Array, MembershipGame, Population, Truth
from dosimeter.models import as_float
from dosimeter.store import Store, key_of


def logit_confidence(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """φ = z_y − logsumexp over the other classes, nats, float64: log p_y − log(1 − p_y) without saturation.

    Carlini et al. 2022 (arXiv:2112.03570), section IV-C.

    Args:
        logits: any precision; log-probabilities do as well.
        labels: true classes.
    """
    z = logits.double()
    own = z.gather(1, labels[:, None])
    others = z.scatter(1, labels[:, None], -torch.inf)
    return (own[:, 0] - torch.logsumexp(others, 1)).contiguous()


def logit_confidence_t2(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The same at temperature 2, which RMIA reads (Zarifzadeh et al. 2024, arXiv:2312.03262)."""
    return logit_confidence(logits.double() / 2, labels)


SIGNALS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "logit_confidence": logit_confidence,
    "logit_confidence_t2": logit_confidence_t2,
}
"""What `observe` can keep of a model's outputs: functions of logits or log-probabilities and labels."""
SIGNAL_ACCESS = Access.PROBS
"""The least access from which the signals can be computed."""


SATURATED = 24 * float(np.log(2.0))
"""φ of a float32 probability that rounds to 1, nats: what is left of 1 − p is below 2⁻²⁴."""


def released(logits: Tensor, access: Access) -> Tensor:
    """What a model with this access gives away, as log-values: logits, or the logs of float32 probabilities.

    Rounding to float32 is part of the release: a probability of exactly 1 hides how confident the model is.
    """
    if Access.LOGITS in access.includes:
        return logits
    return torch.softmax(logits.float(), 1).double().log()


def signals_of(
    answers: Sequence[Tensor], labels: Tensor, names: Sequence[str], access: Access, *, probabilities: bool = False
) -> dict[str, Tensor]:
    """Signals `[q r]` of one model under each view, as an adversary with this access can compute them.

    Args:
        answers: per view logits, or logs of probabilities `[r c]`.
        labels: true classes `[r]`.
        names: from `SIGNALS`.
        access: what the model gives away.
        probabilities: the answers are logs of probabilities as the model rounded them.
    """
    shown = answers if probabilities else [released(one, access) for one in answers]
    found = {name: torch.stack([SIGNALS[name](one, labels) for one in shown]) for name in names}
    if Access.LOGITS in access.includes and not probabilities:
        return found
    return {name: values.clamp(-104.0, SATURATED) for name, values in found.items()}


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
            "code": own_code("observe"),
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


@dataclass(frozen=True)
class Design:
    """Who was trained on what, and which models take which part. Held by the auditor; attacks get games.

    Attributes:
        ids: of the candidates `[n]`.
        labels: of the candidates `[n]`.
        classes: number of classes.
        member: `[m n]`, rows in complementary pairs; if `lone`, row 0 stands before the pairs and is the only target.
        targets: models 0 to `targets - 1` take turns as target.
        rehearsals: pairs of models beyond the targets that play target to set thresholds.
        record: cluster of each candidate `[n]` (person, or the record itself).
        population_ids: `[z]`.
        population_labels: `[z]`.
        lone: the target was brought; it has no complement.
        groups: of each candidate, for separate numbers `[n]`, or None.
    """

    ids: Array
    labels: Int[Array, " n"]
    classes: int
    member: Bool[Array, "m n"]
    targets: int
    rehearsals: int
    record: Int[Array, " n"]
    population_ids: Array
    population_labels: Int[Array, " z"]
    lone: bool = False
    groups: Array | None = None

    @property
    def folds(self) -> list[Int[Array, " f"]]:
        """The targets of each fold: one complementary pair, of which the last may be single."""
        return [np.arange(start, min(start + 2, self.targets)) for start in range(0, self.targets, 2)]

    @property
    def rehearsal_rows(self) -> Int[Array, " k"]:
        """The models that rehearse, in pairs."""
        first = self._width * len(self.folds)
        pairs = min(self.rehearsals, (len(self.member) - first) // 2)
        return np.arange(first, first + 2 * pairs)

    @property
    def rehearsal_pairs(self) -> range:
        """The same pairs, as every fold's game counts its shadows: all that stood before but the fold's own."""
        first = len(self.folds) * self._width - self._width
        return range(first // 2, (first + len(self.rehearsal_rows)) // 2)

    @property
    def _width(self) -> int:
        """Rows of a fold in the matrix."""
        return 1 if self.lone else 2

    def truth(self, member: Bool[Array, "m n"] | None = None) -> Truth:
        """The truth about the targets, or about them under another matrix."""
        return Truth(self.ids, (self.member if member is None else member)[: self.targets], self.record)

    def game(
        self, fold: int, signals: Mapping[str, Float[Array, "m q r"]], member: Bool[Array, "m n"] | None = None
    ) -> MembershipGame:
        """The game of one fold: its targets' outputs, and the shadows of all other pairs.

        Args:
            fold: which fold.
            signals: what the attack declared, of the whole fleet.
            member: another membership matrix (the null audit), or None for the true one.
        """
        matrix = self.member if member is None else member
        rows = self.folds[fold]
        others = np.delete(np.arange(len(matrix)), np.arange(self._width * fold, self._width * (fold + 1)))
        n = len(self.ids)
        population = None
        if len(self.population_ids):
            population = Population(
                self.population_ids,
                self.population_labels,
                {name: values[rows][..., n:] for name, values in signals.items()},
                {name: values[others][..., n:] for name, values in signals.items()},
            )
        return MembershipGame(
            self.ids,
            self.labels,
            self.classes,
            {name: values[rows][..., :n] for name, values in signals.items()},
            {name: values[others][..., :n] for name, values in signals.items()},
            matrix[others],
            population,
        )
