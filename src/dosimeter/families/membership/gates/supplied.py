"""Checks that a single supplied model has beside its attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dosimeter.data.duplicates import contents
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.gates.asked import fresh_shadows, unlike_target
from dosimeter.families.membership.measures.blind import Blind
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import generator
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import auc
from dosimeter.training.system import SuppliedSystem


def likeness(
    system: SuppliedSystem, design: Design, correct: Array, answers: Sequence[Mapping[str, Tensor]], blind: Blind
) -> list[Gate]:
    """P11 and I8, if there are shadows: whether they are like the target, and fresh.

    Args:
        system: the model and its records.
        design: who was trained on what, the target first.
        correct: which answers are correct `[m r]`.
        answers: all answers of target and shadows, target first.
        blind: scores of classifiers that never query a model.
    """
    member = design.member
    if len(member) < 2:
        return []
    correct = correct[:, : member.shape[1]]
    accuracies = [float(row[inside].mean()) for row, inside in zip(correct, member, strict=True)]
    rng = generator(system.seed, "fresh shadows")
    fresh = fresh_shadows(
        _confidence(answers)[:, : member.shape[1]], member, _training_sets(system, design), design.record,
        shifted=_is_shifted(design, blind, rng), rng=rng,
    )  # fmt: skip
    return [unlike_target(int(member[0].sum()), int(member[1].sum()), accuracies), fresh]


def _confidence(answers: Sequence[Mapping[str, Tensor]]) -> Array:
    """A number for each model and record, from the first view, that is higher if the model knows the record."""
    name = "logit_confidence" if "logit_confidence" in answers[0] else "correct"
    values = torch.stack([one[name] for one in answers]).double().numpy()
    return values if values.ndim == 2 else values[:, 0]


def _training_sets(system: SuppliedSystem, design: Design) -> Array:
    """Candidates that each shadow was trained on, with their exact copies."""
    shadows = design.member[1:]
    code = contents(system.pool.inputs[: shadows.shape[1]])
    if len(np.unique(code)) == len(code):
        return shadows
    return np.stack([np.bincount(code, row)[code] > 0 for row in shadows])


def _is_shifted(design: Design, blind: Blind, rng: np.random.Generator) -> bool:
    """Returns whether classifiers that never query a model separate members from non-members."""
    member, record = design.member[:1, blind.rows], design.record[blind.rows]
    if member.all() or not member.any():
        return False
    found = auc(Scores(blind.rows, blind.scores[None]), Truth(blind.rows, member, record), rng=rng)
    return found.low is not None and found.low > 0.5
