"""Signals of all models on all judged records, collected from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float

from dosimeter.families.membership.game import BEFORE_TRANSFER
from dosimeter.families.membership.observe.observe import ObserveJob
from dosimeter.foundation.arrays import Array


@dataclass(frozen=True)
class Observations:
    """Signals of the whole fleet, and which answers are correct.

    Attributes:
        signals: each `[m q n+z]`, float64.
        correct: whether the answer to view 0 is correct `[m n+z]`.
        test_correct: the same on test records `[m r]`, or None.
    """

    signals: Mapping[str, Float[Array, "m q r *c"]]
    correct: Bool[Array, "m r"]
    test_correct: Bool[Array, "m k"] | None


def gather(jobs: Sequence[ObserveJob]) -> Observations:
    """Puts the outputs of all packs together, in the order of the models."""
    loaded = [job.store.load(job.key) for job in jobs]
    names = jobs[0].signals
    joined = {name: torch.cat([one[name] for one in loaded]).numpy() for name in (*names, "correct")}
    tests = [one["test_correct"] for one in loaded if "test_correct" in one]
    test = torch.cat(tests).numpy().astype(bool) if tests else None
    return Observations({name: joined[name] for name in names}, joined["correct"].astype(bool), test)


def with_reference(deployed: Observations, before: Observations) -> Observations:
    """Signals of the deployed models, with the confidence of the models at risk beside them.

    `correct` is about the models at risk, since the records have their classes; `test_correct` is about the
    deployed ones.
    """
    reference = {BEFORE_TRANSFER: before.signals["logit_confidence"]}
    return Observations({**deployed.signals, **reference}, before.correct, deployed.test_correct)
