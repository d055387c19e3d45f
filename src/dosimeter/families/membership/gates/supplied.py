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
from dosimeter.families.membership.texts import Texts
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import generator
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import auc
from dosimeter.training.system import SuppliedSystem

SURE = 0.99
"""Level of the interval by which the base is judged: one audit in a hundred is warned by chance."""


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


def base_alike(design: Design, texts: Texts, seed: int) -> list[Gate]:
    """I11: whether the model before finetuning tells members from non-members; none without a base.

    It was trained on neither, so that what it tells is a difference of the texts. It may go either way, and attacks
    that compare with the base may be moved the other way.

    Args:
        design: who was trained on what, the target first.
        texts: the judged ones, and perhaps further ones after them.
        seed: root of all randomness.
    """
    if not texts.base:
        return []
    own = texts.first(len(design.ids))
    scores = Scores(design.ids, (own.base["token_log_probs"].sum(-1) / (own.lengths - 1))[None])
    truth = Truth(design.ids, design.member[:1], design.record)
    found = auc(scores, truth, rng=generator(seed, "base alike"), level=SURE)
    if found.low is None or found.high is None or found.value is None:
        return []
    told = f"AUC {found.value:.3f}, {SURE:.0%} interval {found.low:.3f} to {found.high:.3f}"
    if found.low <= 0.5 <= found.high:
        said = f"Before finetuning the loss of the base does not tell members from non-members ({told})."
        return [Gate("I11", "Alike to the base", "pass", found.value, said)]
    said = (
        f"Before finetuning the loss of the base tells members from non-members ({told}). So the texts differ without "
        "the model: attacks on the loss show this too, and those that compare with the base may be moved the other "
        "way. Take members and non-members of one source and time."
    )
    return [Gate("I11", "Alike to the base", "warn", found.value, said)]


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
