"""Whether what a victim wrote down of its batches goes with what it sent: counts of other steps do not."""

from __future__ import annotations

import numpy as np
import torch

from dosimeter.foundation.seeds import generator
from dosimeter.statistics.hypotheses.dependence import dependence_p
from dosimeter.training.deployment.received import Received
from dosimeter.training.joint.transcript import Kind

MOST = 10_000
"""Most numbers of a message that are looked at."""


def counted_p(recorded: Received, victim: str, seed: int) -> float | None:
    """p-value of so much dependence between the counts of batches and the directions of messages, if they do not match.

    Args:
        recorded: with what the victim knows.
        victim: the party whose batches are the secret.
        seed: root of all randomness.

    Returns:
        None where the victim's own messages are not there, or all batches are counted alike.
    """
    kind: Kind = "update" if recorded.agreement.method == "fedavg" else "gradient"
    sent, truth = recorded.sent.of(kind, victim), recorded.truth
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
