"""Which classes a batch has, from the gradient of a last layer.

Axes: `c` classes, `b` records of a batch, `d` features.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.families.exchange.inverting.observed import Observed

ROUNDING = 1e-4
"""Of a count: what float32 may leave above a whole number."""
NOISE = 64
"""Records of noise whose mean prediction is taken for the usual one."""


def label_counts(bias: Float[Tensor, " c"], size: int, usual: Float[Tensor, " c"] | None = None) -> Int[Tensor, " c"]:
    """How many records of each class a batch has, from the gradient of the last layer's bias.

    The gradient of class c is `mean_i p_ic - n_c / b`. So a negative entry names a class that is there, and for one
    record, the only negative entry is its class: exact (Zhao, Mopuri, Bilen, "iDLG", 2020,
    https://arxiv.org/abs/2001.02610). In general `n_c >= -b g_c` is certain, as probabilities are not negative. What
    is left goes to the classes with the largest `b (q_c - g_c)`, less what they have; q is the mean prediction
    that the adversary expects. "The most negative entry, add 1/b, and again" is nearly this rule with equal q. Where
    predictions are far from q and b > 1, it errs.

    Args:
        bias: the gradient.
        size: records in the batch.
        usual: expected mean prediction; equal for all classes by default.

    Raises:
        ValueError: fewer than one record, or an entry is not finite.
    """
    if size < 1 or not bool(torch.isfinite(bias).all()):
        raise ValueError(f"needs a finite gradient and 1 record or more, got size {size}")
    gradient = bias.detach().double().cpu()
    expected = torch.full_like(gradient, 1 / len(gradient)) if usual is None else usual.detach().double().cpu()
    left = size * (expected - gradient)
    found = torch.ceil(-size * gradient - ROUNDING).clamp(0, size)
    while found.sum() > size:  # a gradient with noise may promise too much: what is least certain goes
        found[torch.where(found > 0, -size * gradient - found, torch.inf).argmin()] -= 1
    while found.sum() < size:
        found[(left - found).argmax()] += 1
    return found.long().to(bias.device)


def labels_of(counts: Int[Tensor, " c"]) -> Int[Tensor, " b"]:
    """Classes of a batch in rising order.

    >>> labels_of(torch.tensor([1, 0, 2])).tolist()
    [0, 2, 2]
    """
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def inferred_labels(
    seen: Observed, rng: np.random.Generator, usual: Float[Tensor, " c"] | None = None
) -> Int[Tensor, " b"]:
    """Classes of the batch that was seen, in rising order.

    Args:
        seen: with the gradient of the head's bias.
        rng: generator of the noise, drawn on the CPU.
        usual: as in `label_counts`; by default the model's mean prediction for noise, as it shows where the model's
            biases lean, and needs no record.

    Raises:
        ValueError: the gradient of the head's bias was not seen.
    """
    if seen.head is None or "bias" not in seen.head_gradient:
        raise ValueError(
            f"labels need the gradient of the head's bias, got {sorted(seen.head_gradient)}: give the labels, or use "
            "dlg, which seeks them together with the records"
        )
    if usual is None:
        usual = seen.mean_prediction(rng, NOISE)
    return labels_of(label_counts(seen.head_gradient["bias"], seen.size, usual))
