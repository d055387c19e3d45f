"""What a lone brought model leaves beside its attacks: a null membership, a blind baseline, and its own checks."""

from __future__ import annotations

import numpy as np

from dosimeter.blind import Blind, blind_scores
from dosimeter.brought import PreparedTarget
from dosimeter.design import membership_matrix
from dosimeter.games import Array
from dosimeter.observe import Observations
from dosimeter.runners import one_thread
from dosimeter.validity import Gate, saturation, unlike_target


def lone_null(prepared: PreparedTarget) -> Array:
    """A membership that nobody trained on, for a lone target and its pairs of shadows."""
    matrix = membership_matrix(
        len(prepared.design.ids), prepared.shadows + 2, prepared.brought.seed, purpose="null membership"
    )
    return np.delete(matrix, 1, axis=0)


def judged_blindly(prepared: PreparedTarget) -> Blind:
    """What classifiers that never ask the model say of the candidates."""
    design, pool = prepared.design, prepared.pool
    n, seed = len(design.ids), prepared.brought.seed
    with one_thread():  # so that sums do not depend on the number of cores
        return blind_scores(pool.inputs[:n], pool.labels[:n], design.member[0], design.record, seed=seed)


def gates_before(prepared: PreparedTarget, observations: Observations) -> list[Gate]:
    """The checks that need no measurement."""
    return [
        saturation(observations.signals, prepared.access),
        *prepared.gates,
        *_likeness(prepared, observations),
    ]


def _likeness(prepared: PreparedTarget, observations: Observations) -> list[Gate]:
    """P11, where there are shadows."""
    member = prepared.design.member
    if not prepared.shadows:
        return []
    correct = observations.correct[:, : member.shape[1]]
    target, *shadows = [float(row[inside].mean()) for row, inside in zip(correct, member, strict=True)]
    return [unlike_target(int(member[0].sum()), int(member[1].sum()), target, float(np.mean(shadows)))]
