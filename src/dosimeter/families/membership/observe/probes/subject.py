"""Input of a probe, and what is known before any model is trained, from which a probe says what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from dosimeter.models.access import Access
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class Model:
    """One trained model.

    Attributes:
        answer: from records to logits `[n c]`, through the whole chain.
        trained: the part that was trained, from a subject's `inputs` to logits; a `Linear` if it is a head. None if it
            is no network.
        given: from a subject's `inputs` to what the model gives away, log-values `[n c]`.
    """

    answer: Callable[[Tensor], Tensor]
    trained: nn.Module | None
    given: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Training:
    """Training of a pack of models by the built-in loops.

    Attributes:
        hp: the recipe.
        inputs: what the trained part takes, for all records of the stage `[a ...]`.
        rows: the rows of these that each model was trained on `[m k]`.
        labels: classes of all records `[a]`.
        observed: which of them a subject's records are `[r]`.
        seeds: one per model.
        fresh: an untrained part from a seed.
    """

    hp: Hyperparameters
    inputs: Tensor
    rows: Int[np.ndarray, "m k"]
    labels: Tensor
    observed: Int[np.ndarray, " r"]
    seeds: Sequence[int]
    fresh: Callable[[int], nn.Module]


@dataclass(frozen=True)
class Subject:
    """A pack of models and the records on which it is probed.

    Attributes:
        models: models of the pack, in order.
        records: as they are stored; bytes are images `[r ...]`.
        inputs: what the trained part takes for them `[r ...]`: frozen features, or the records as floats.
        labels: true classes `[r]`.
        population: how many of the records, the last ones, are outside every model.
        device: where networks are asked.
        training: how the models came about, or None if a user's function trained them.
    """

    models: tuple[Model, ...]
    records: Tensor
    inputs: Tensor
    labels: Tensor
    population: int
    device: torch.device
    training: Training | None


@dataclass(frozen=True)
class Situation:
    """Properties of the models that are known before one is trained.

    Attributes:
        supplied: the target is the user's own.
        network: the models are PyTorch modules whose gradients can be taken.
        heads: they are linear heads on frozen features that the built-in SGD trains.
        recipe: a built-in loop trains them, so that it can train a model on other labels too.
        continuous: a record is an image or a row of real numbers, so that it can be moved by a little.
        population: records outside every model.
        single: records are drawn one by one, so that no other training record reveals the membership of one.
        cut: they end in a linear layer that can be cut off.
    """

    supplied: bool
    network: bool
    heads: bool
    recipe: bool
    continuous: bool
    population: int
    single: bool
    cut: bool = True


@dataclass(frozen=True)
class Load:
    """Size of one pack before anything is trained, from which a probe estimates its working time.

    Attributes:
        models: models of the pack.
        pool: records of the pool.
        population: records outside every model.
        classes: classes of the deployed model.
        width: features of a record, or None if nothing is frozen.
        pace: gives the seconds of training on one record for one epoch.
    """

    models: int
    pool: int
    population: int
    classes: int
    width: int | None
    pace: Callable[[], float]


def no_work(load: Load) -> float:
    """0 seconds: the probe only queries."""
    return 0.0


@dataclass(frozen=True)
class Probe:
    """Signals that are computed from the models themselves, not only from their logits on the records.

    Attributes:
        signals: names of what `compute` gives.
        access: the least access from which an adversary can compute them.
        compute: from a subject to each signal `[m r]` or `[m r d]`, float64, finite.
        lacks: why a situation cannot give them and what to do, or an empty string.
        passes: cost per model and record in forward passes of a network, approximate, for `plan`.
        seconds: time to train and solve for one pack, beside its forward passes.
        from_records: whether models are asked with records, so that what is frozen runs each time.
        queries: most answers of a model about one record that an adversary asks for.
    """

    signals: tuple[str, ...]
    access: Access
    compute: Callable[[Subject], Mapping[str, Tensor]]
    lacks: Callable[[Situation], str]
    passes: float
    seconds: Callable[[Load], float] = no_work
    from_records: bool = False
    queries: int = 1


@contextmanager
def evaluating(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Puts a network on a device in evaluation mode inside the block; afterwards restores modes and device."""
    modes = {part: part.training for part in net.modules()}
    home = next(net.parameters()).device
    try:
        net.to(device).eval()
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
        net.to(home)
