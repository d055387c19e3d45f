"""Fisher information of noisy features about the records: traces by random vectors, and means of the whole matrix."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation.seeds import seed_for

First = Callable[[Tensor], Tensor]
"""From records `[b ...]` to features `[b ...]`, differentiable; each record by itself."""
CHUNK = 64
"""Records whose derivatives are taken together."""


def traces(
    first: First, records: Float[Tensor, "m ..."], units: Float[Tensor, ...], *, probes: int, seed: int
) -> Float[Tensor, " m"]:
    """Estimates tr(JᵀJ) of each record by Hutchinson's method: the mean of ‖Jᵀv‖² over normal vectors v.

    Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix", 1990. Vectors are drawn on the CPU.

    Args:
        first: the first half of a model.
        records: as models take them.
        units: of each number of a record, in which records are measured.
        probes: vectors for each record.
        seed: of the vectors.
    """
    rng = torch.Generator().manual_seed(seed_for(seed, "fisher probes"))
    found = []
    for some in torch.split(records, CHUNK):
        x = some.detach().clone().requires_grad_(True)
        features = first(x.clone())  # a first layer may act in place
        total = torch.zeros(len(some), dtype=torch.float64)
        for _ in range(probes):
            drawn = torch.randn(tuple(features.shape), generator=rng).to(features)
            (back,) = torch.autograd.grad(features, x, drawn, retain_graph=True)
            total += ((back * units) ** 2).flatten(1).sum(1).double().cpu()
        found.append(total / probes)
    return torch.cat(found)


def matrices(
    first: First, records: Float[Tensor, "m ..."], units: Float[Tensor, ...], groups: int
) -> Float[Tensor, "g d d"]:
    """Mean JᵀJ over the records of each of some groups, float64 on the CPU.

    Args:
        first: the first half of a model.
        records: as models take them; record i belongs to group i mod `groups`.
        units: of each number of a record.
        groups: number of groups.
    """
    d = records[0].numel()
    found = torch.zeros(groups, d, d, dtype=torch.float64)
    counts = torch.zeros(groups)
    for row, record in enumerate(records):
        jacobian = full_jacobian(first, record) * units.flatten()
        found[row % groups] += (jacobian.T @ jacobian).double().cpu()
        counts[row % groups] += 1
    return found / counts[:, None, None]


def full_jacobian(first: First, record: Tensor) -> Float[Tensor, "k d"]:
    """All derivatives of one record's features.

    Args:
        first: the first half of a model.
        record: one record, without the leading axis.
    """
    # A batch of equal records costs one backward pass for all rows at once.
    width = first(record[None].clone())[0].numel()
    x = record.detach().expand(width, *record.shape).clone().requires_grad_(True)
    features = first(x.clone()).flatten(1)
    (back,) = torch.autograd.grad(features.diagonal().sum(), x)
    return back.flatten(1)
