"""Students: small classifiers that learn on records of the adversary what a model answers there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.learners import student
from dosimeter.training.learners.drawing import Drawing
from dosimeter.training.loop import seed_torch

BATCH = 64
"""Records of a step; of fewer records some are drawn more than once."""
WIDTHS = (16, 12, 24)
"""Channels of the students in turn, so that they differ in form as well as in their starts."""


@dataclass(frozen=True)
class Lessons:
    """How students learn from one model.

    Attributes:
        count: number of students.
        steps: of each one's training.
    """

    count: int
    steps: int


def fit_students(
    records: Float[Tensor, "p ..."], log_probs: Float[Tensor, "p v"], lessons: Lessons, seed: int
) -> tuple[nn.Module, ...]:
    """Trains students to answer as a model does, by the divergence of their answers from its.

    Nguyen, Chandrasegaran, Abdollahzadeh, Cheung, "Re-thinking Model Inversion Attacks Against Deep Neural Networks",
    CVPR 2023, https://arxiv.org/abs/2304.01669, section 4.2, with Adam and small networks.

    Args:
        records: of other subjects than those that are attacked, on the device of the training.
        log_probs: what the model answers about them.
        lessons: how many students, and how long.
        seed: of all randomness, which is drawn on the CPU.

    Returns:
        From records to logits, in evaluation mode.
    """
    value_range = (float(records.min()), float(records.max()))
    target = log_probs.to(records.device, torch.float32)
    found = []
    for number in range(lessons.count):
        one = fresh_student(number, tuple(records.shape[1:]), target.shape[1], value_range, seed)
        one = one.to(records.device).train()
        optimiser, draw = (
            torch.optim.Adam(one.parameters(), lr=1e-3),
            Drawing(generator(seed, "student draws", number), records.device),
        )
        for _ in range(lessons.steps):
            rows = draw.rows(len(records), BATCH)
            loss = nn.functional.kl_div(
                one(records[rows]).log_softmax(1), target[rows], reduction="batchmean", log_target=True
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        found.append(one.eval())
    return tuple(found)


def fresh_student(
    number: int, shape: tuple[int, ...], classes: int, value_range: tuple[float, float], seed: int = 0
) -> nn.Sequential:
    """A student before its training.

    Args:
        number: of the student, which has its own width and start.
        shape: of a record.
        classes: of the model.
        value_range: least and largest value of a record.
        seed: of its weights.
    """
    with seed_torch(seed_for(seed, "student weights", number)):
        return student(shape, classes, value_range, WIDTHS[number % len(WIDTHS)])
