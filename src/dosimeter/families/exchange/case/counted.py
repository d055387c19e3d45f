"""Whether what a victim wrote down of its batches goes with what it sent: counts of other steps do not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from dosimeter.foundation.seeds import generator
from dosimeter.statistics.hypotheses.dependence import dependence_p
from dosimeter.training.deployment.received import Received
from dosimeter.training.joint.gradients import others_gradient, others_update
from dosimeter.training.joint.transcript import Kind

MOST = 10_000
"""Most numbers of a message that are looked at."""


def counted_p(recorded: Received, victim: str, seed: int, adversary: str | None = None) -> float | None:
    """p-value of so much dependence between the counts of batches and the directions of messages, if they do not match.

    Args:
        recorded: with what the victim knows.
        victim: the party whose batches are the secret.
        seed: root of all randomness.
        adversary: of two parties the other one, whose view is read where the victim's own messages are not there.

    Returns:
        None where nothing of the victim alone is there, or all batches are counted alike.
    """
    sent, truth = _told(recorded, victim, adversary), recorded.truth
    steps = [step for step in range(recorded.steps) if step in sent and truth.sizes[step] > 0]
    counts = np.c_[truth.classes, truth.having][steps].astype(np.float64)
    if len(steps) < 2 or not np.ptp(counts, axis=0).any():
        return None
    rng = generator(seed, "exchange counts")
    size = sum(one.numel() for one in sent[steps[0]].values())
    some = torch.from_numpy(rng.permutation(size)[:MOST])
    rows = torch.stack([torch.cat([one.flatten() for one in sent[step].values()])[some] for step in steps]).double()
    directions = (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-300)).numpy()
    return dependence_p(directions, counts, rng)


def _told(recorded: Received, victim: str, adversary: str | None) -> Mapping[int, Mapping[str, Tensor]]:
    """What tells of the victim's batch at each step: gradients or updates, as sent or worked out, or mean features."""
    told, whole = recorded.agreement, recorded.sent
    kind: Kind = "update" if told.method == "fedavg" else "gradient"
    if sent := whole.of(kind, victim):
        return sent
    if adversary in told.parties and len(told.parties) == 2 and told.sum_bits is None:
        worked_out = others_update if kind == "update" else others_gradient
        if found := worked_out(whole.seen_by(adversary), adversary):
            return found
    shown = whole.of("representations", victim)
    return {
        step: {"mean": one["features"].mean(0) if "features" in one else one["mean"]} for step, one in shown.items()
    }
