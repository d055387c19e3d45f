"""From trained models to what an adversary sees: signals of all models on all judged records, games, truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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


LEAST = -104.0
"""Below the logarithm of every float32 probability that is not 0, nats; stands for that of 0."""
SATURATED = 24 * float(np.log(2.0))
"""φ of a float32 probability that rounds to 1, nats: what is left of 1 − p is below 2⁻²⁴."""
TOP = 3
"""How many classes a model with access `topk` gives probabilities of."""


def correctness(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """1 where the highest class is the true one, else 0."""
    return (logits.argmax(1) == labels).double()


def entropy(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """−Σ p_c log p_c, nats; 0 log 0 is 0. `labels` are not read."""
    logs = _log_probabilities(logits)[0]
    return -_weighted(logs.exp(), logs).sum(1)


def modified_entropy(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """−(1 − p_y) log p_y − Σ_{c≠y} p_c log(1 − p_c), nats: Song and Mittal 2021 (arXiv:2003.10595), equation 8."""
    logs, highest, left = _log_probabilities(logits)
    rest = torch.log1p(-logs.scatter(1, highest, -torch.inf).exp()).scatter(1, highest, left)
    own = labels[:, None]
    terms = _weighted(logs.exp(), rest).scatter(1, own, _weighted(rest.gather(1, own).exp(), logs.gather(1, own)))
    return -terms.sum(1)


def hinge(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """z_y − max over the other classes, nats, which quantile regression reads (Bertran et al. 2023)."""
    z = logits.double()
    return z.gather(1, labels[:, None])[:, 0] - z.scatter(1, labels[:, None], -torch.inf).amax(1)


def top(rank: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The signal: logarithm of the probability of rank 1, 2, ...; `LEAST` where there are fewer classes."""

    def logarithm(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        logs = _log_probabilities(logits)[0]
        if rank > logs.shape[1]:
            return torch.full((len(logs),), LEAST, dtype=torch.float64)
        return logs.topk(rank, 1).values[:, -1].contiguous()

    return logarithm


def _log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities, the highest class, and the logarithm of what is left beside it; both exact near 1."""
    logs = torch.log_softmax(logits.double(), 1)
    highest = logs.argmax(1, keepdim=True)
    left = torch.logsumexp(logs.scatter(1, highest, -torch.inf), 1, keepdim=True)
    return logs.scatter(1, highest, torch.log1p(-left.exp())), highest, left


def _weighted(weight: Tensor, value: Tensor) -> Tensor:
    """Their product, 0 where the weight is 0, also for infinite values."""
    return torch.where(weight == 0, 0.0, weight * value)


@dataclass(frozen=True)
class Signal:
    """One number that `observe` can keep of a model's output on a record.

    Attributes:
        compute: from logits or log-probabilities, of which some may be −inf, and labels; never NaN.
        access: the least access from which it can be computed.
        low: the least value that float32 probabilities can show, nats; lower ones are cut.
        high: the same, of the greatest value.
    """

    compute: Callable[[Tensor, Tensor], Tensor]
    access: Access = Access.PROBS
    low: float = LEAST
    high: float = SATURATED


SIGNALS: dict[str, Signal] = {
    "logit_confidence": Signal(logit_confidence),
    "logit_confidence_t2": Signal(logit_confidence_t2),
    "correctness": Signal(correctness, Access.LABELS),
    "entropy": Signal(entropy),
    "modified_entropy": Signal(modified_entropy, low=0.0, high=-2 * LEAST),
    "top1": Signal(top(1), Access.TOPK, high=0.0),
    "top2": Signal(top(2), Access.TOPK, high=0.0),
    "top3": Signal(top(3), Access.TOPK, high=0.0),
    "hinge": Signal(hinge, high=-LEAST),
}
"""What `observe` can keep of a model's outputs."""


def readable(names: Iterable[str], access: Access) -> tuple[str, ...]:
    """Those of the names that are signals which this access gives; never none, for the controls need a game's shape."""
    granted = access.includes
    found = tuple(name for name in names if name in SIGNALS and SIGNALS[name].access in granted)
    return found or ("logit_confidence" if Access.PROBS in granted else "correctness",)


def released(logits: Tensor, access: Access) -> Tensor:
    """What a model with this access gives away, as log-values `[r c]`.

    Logits; or the logs of float32 probabilities, of which `topk` shows the highest and lets the other classes share
    what is left; or 0 for the predicted class and −inf for the others. Rounding to float32 is part of the release: a
    probability of exactly 1 hides how confident the model is.
    """
    granted = access.includes
    if Access.LOGITS in granted:
        return logits
    if Access.TOPK not in granted:
        return torch.full_like(logits, -torch.inf, dtype=torch.float64).scatter(1, logits.argmax(1, keepdim=True), 0.0)
    shown = torch.softmax(logits.float(), 1).double()
    hidden = shown.shape[1] - TOP
    if Access.PROBS not in granted and hidden > 0:
        highest, classes = shown.topk(TOP, 1)
        left = ((1 - highest.sum(1, keepdim=True)).clamp(min=0) / hidden).minimum(highest[:, -1:])
        shown = left.expand_as(shown).scatter(1, classes, highest)
    return shown.log()


def signals_of(
    answers: Sequence[Tensor], labels: Tensor, names: Sequence[str], access: Access, *, probabilities: bool = False
) -> dict[str, Tensor]:
    """Signals `[q r]` of one model under each view, as an adversary with this access can compute them.

    Args:
        answers: per view logits, or logs of probabilities `[r c]`.
        labels: true classes `[r]`.
        names: from `SIGNALS`, such as `readable` allows.
        access: what the model gives away.
        probabilities: the answers are logs of probabilities as the model rounded them.

    Raises:
        ValueError: a signal needs more access.
    """
    hidden = [name for name in names if SIGNALS[name].access not in access.includes]
    if hidden:
        raise ValueError(f"signals must be readable with access {access.name}, got {', '.join(hidden)}")
    as_given = probabilities and Access.PROBS in access.includes
    shown = answers if as_given else [released(one, access) for one in answers]
    found = {name: torch.stack([SIGNALS[name].compute(one, labels) for one in shown]) for name in names}
    if Access.LOGITS in access.includes and not probabilities:
        return found
    return {name: values.clamp(SIGNALS[name].low, SIGNALS[name].high) for name, values in found.items()}


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
