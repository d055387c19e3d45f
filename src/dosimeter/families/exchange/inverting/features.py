"""Features of a batch from the gradient of a dense head alone, as a party sends it that tunes only a head.

Axes: `b` records of a batch, `c` classes, `d` features.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.exchange.inverting.labels import inferred_labels
from dosimeter.families.exchange.inverting.matching import Newton, idlg
from dosimeter.families.exchange.inverting.observed import Inverted, Observed

ROUNDS = 50
"""Of the iteration that comes before the search."""


def head_features(
    seen: Observed, rng: np.random.Generator, labels: Int[Tensor, " b"] | None = None, search: Newton | None = None
) -> Inverted:
    """Features that a batch had before a dense head, from the head's gradient.

    The first of the two steps of Maui (2025, https://arxiv.org/abs/2509.11451, of which only the abstract could be
    read, so the algorithm is ours). The gradient by the weights is `E^T H / b`, with the errors E `[b c]` of the
    records and their features H. With the classes known, E depends on H alone: an iteration that starts from equal
    probabilities solves for H and predicts again, and L-BFGS goes on from there. Errors of a record sum to 0, so
    at most c - 1 records can be told apart; of more, only what lies in so many directions is found.

    Args:
        seen: with the gradient of the weights and the bias of the head; the trunk and its gradient are not looked at.
        rng: generator of the starts, drawn on the CPU.
        labels: classes of the batch in any order; inferred by default.
        search: settings of L-BFGS.

    Returns:
        Features in place of records.

    Raises:
        ValueError: the head is not dense, or its gradient was not seen.
    """
    head = seen.head
    if not isinstance(head, nn.Linear) or not {"weight", "bias"} <= set(seen.head_gradient):
        kind, names = type(head).__name__, sorted(seen.head_gradient)
        raise ValueError(f"features need a dense head and the gradient of its weight and bias, got {kind} with {names}")
    alone = Observed(
        nn.Identity(), head, {}, seen.head_gradient, seen.size, (head.in_features,), seen.classes,
    )  # fmt: skip
    chosen = inferred_labels(alone, rng) if labels is None else labels
    start = _iterated(alone, head, chosen)
    found = idlg(alone, rng, chosen, search)
    distance = float(alone.distance(alone.of(start, chosen)).detach())
    if distance < found.distance:
        found = replace(found, records=start, distance=distance)
    return replace(found, attempts=(distance, *found.attempts))


def _iterated(seen: Observed, head: nn.Linear, labels: Tensor) -> Float[Tensor, "b d"]:
    """Features by alternating: errors of the features, then features of the errors; the best of all rounds."""
    weight = seen.head_gradient["weight"].double()
    true = nn.functional.one_hot(labels, seen.classes).double()
    error = 1 / seen.classes - true
    best, kept = float("inf"), torch.zeros(seen.size, *seen.shape, device=seen.device)
    with torch.no_grad():
        matrix, bias = head.weight.double(), head.bias.double()
    for _ in range(ROUNDS):
        features = torch.linalg.pinv(error.T / seen.size) @ weight
        error = (features @ matrix.T + bias).softmax(1) - true
        distance = float(seen.distance(seen.of(features.float(), labels)).detach())
        if distance < best:
            best, kept = distance, features.float()
    return kept
