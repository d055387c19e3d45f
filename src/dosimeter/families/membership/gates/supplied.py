"""What a lone brought model leaves beside its attacks: a null membership, a blind baseline, and its own checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dosimeter.data.duplicates import contents
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.gates.asked import fresh_shadows, unlike_target
from dosimeter.families.membership.gates.numbers import saturation
from dosimeter.families.membership.measures.blind import Blind, blind_scores
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.families.membership.supplied_case import SuppliedCase
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.runners import one_thread
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import auc


def supplied_null(case: SuppliedCase) -> Array:
    """A membership that nobody trained on, for a lone target and its pairs of shadows."""
    matrix = membership_matrix(len(case.design.ids), case.shadows + 2, case.system.seed, purpose="null membership")
    return np.delete(matrix, 1, axis=0)


def judged_blindly(case: SuppliedCase) -> Blind:
    """What classifiers that never ask the model say of the candidates."""
    design, pool = case.design, case.system.pool
    n, seed = len(design.ids), case.system.seed
    with one_thread():  # so that sums do not depend on the number of cores
        return blind_scores(
            pool.inputs[:n], pool.labels[:n], design.member[0], design.record, seed=seed, tokens=pool.tokens
        )


def gates_before(
    case: SuppliedCase, observations: Observations, answers: Sequence[Mapping[str, Tensor]], blind: Blind
) -> list[Gate]:
    """The checks that need no measurement.

    Args:
        case: the model and its shadows.
        observations: what the attacks read of their answers.
        answers: all that they answered, target first.
        blind: what classifiers say that never ask them.
    """
    return [
        saturation(observations.signals, case.access),
        *case.gates,
        *_likeness(case, observations.correct, answers, blind),
    ]


def _likeness(case: SuppliedCase, correct: Array, answers: Sequence[Mapping[str, Tensor]], blind: Blind) -> list[Gate]:
    """P11 and I8, where there are shadows."""
    member = case.design.member
    if not case.shadows:
        return []
    correct = correct[:, : member.shape[1]]
    accuracies = [float(row[inside].mean()) for row, inside in zip(correct, member, strict=True)]
    rng = generator(case.system.seed, "fresh shadows")
    fresh = fresh_shadows(
        _confidence(answers)[:, : member.shape[1]], member, _seen(case), case.design.record,
        shifted=_shifted(case, blind, rng), rng=rng,
    )  # fmt: skip
    return [unlike_target(int(member[0].sum()), int(member[1].sum()), accuracies), fresh]


def _confidence(answers: Sequence[Mapping[str, Tensor]]) -> Array:
    """A number for each model and record that is higher where the record is known; of the first view."""
    name = "logit_confidence" if "logit_confidence" in answers[0] else "correct"
    values = torch.stack([one[name] for one in answers]).double().numpy()
    return values if values.ndim == 2 else values[:, 0]


def _seen(case: SuppliedCase) -> Array:
    """Of each shadow the candidates that it was trained on, and their exact copies."""
    shadows = case.design.member[1:]
    code = contents(case.system.pool.inputs[: shadows.shape[1]])
    if len(np.unique(code)) == len(code):
        return shadows
    return np.stack([np.bincount(code, row)[code] > 0 for row in shadows])


def _shifted(case: SuppliedCase, blind: Blind, rng: np.random.Generator) -> bool:
    """Whether classifiers that never ask a model tell members from non-members."""
    member, record = case.design.member[:1, blind.rows], case.design.record[blind.rows]
    if member.all() or not member.any():
        return False
    found = auc(Scores(blind.rows, blind.scores[None]), Truth(blind.rows, member, record), rng=rng)
    return found.low is not None and found.low > 0.5
