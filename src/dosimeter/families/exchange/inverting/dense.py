"""Closed form: the gradient of a dense first layer holds each record that activates a neuron alone.

Axes: `k` neurons, `p` numbers of a record, `b` records of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

SILENT = 1e-6
"""Least gradient of a bias that is divided by, as a share of the largest."""
MIXED = 1e-2
"""A quotient is a mixture of others if so small a share of its difference to one of them lies beside theirs."""
STRAIGHT = 1e-4
"""A way over a third point is straight if it is so much longer at most."""
ALIKE = 1e-3
"""Root mean square of the difference of two quotients that show one record, as a share of their own."""


@dataclass(frozen=True)
class Shown:
    """Records that a dense layer shows, the likeliest first.

    Attributes:
        records: the quotients, one for each group of neurons that agree `[m p]`.
        neurons: how many agree.
        outside: how far a quotient leaves the box of records, the root mean square; 0 without a box.
    """

    records: Float[Tensor, "m p"]
    neurons: Int[Tensor, " m"]
    outside: Float[Tensor, " m"]


def dense_records(
    weight: Float[Tensor, "k p"], bias: Float[Tensor, " k"], box: tuple[float, float] | None = None
) -> Shown:
    """Records that the gradient of a dense first layer shows.

    The gradient of neuron k is `sum_i e_ik x_i` by its weights and `sum_i e_ik` by its bias, with the errors e of the
    records, so the quotient is a weighted mean of records, and the record itself where only one of them activates the
    neuron (Geiping, Bauermeister, Dröge, Moeller, "Inverting Gradients", NeurIPS 2020,
    https://arxiv.org/abs/2003.14053, proposition 3.1). No head, label or parameter is needed. Mixtures differ from
    neuron to neuron and often leave the box; a record is the same wherever it stands alone. So quotients on which
    many neurons agree come first, then those that stay in the box. Two records of one class may have the same errors,
    and then many neurons agree on their mean: what lies between two others comes last.

    Args:
        weight: gradient by the weights.
        bias: gradient by the biases.
        box: least and largest number of a record, if they are known.

    Returns:
        All that is shown, with no limit to the batch; nothing if all neurons are silent.

    Raises:
        ValueError: shapes do not fit, or an entry is not finite.
    """
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"a dense layer has weights [k p] and biases [k], got {tuple(weight.shape)} {tuple(bias.shape)}"
        )
    if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise ValueError("the gradient must be finite, got NaN or infinite values")
    active = bias.abs() > SILENT * bias.abs().max()
    strength = bias[active].abs()
    # Of neurons that agree, the one with the largest gradient stands for all: rounding is least there.
    quotients = (weight[active] / bias[active, None])[strength.argsort(descending=True, stable=True)]
    leader, count = _groups(quotients)
    records = quotients[leader]
    outside = torch.zeros(len(records), device=records.device)
    if box is not None:
        outside = (records - records.clamp(*box)).pow(2).mean(1).sqrt()
    last = _between(records, count, outside) if box is not None else torch.zeros_like(count, dtype=torch.bool)
    place = sorted(range(len(records)), key=lambda one: (bool(last[one]), -int(count[one]), float(outside[one])))
    order = torch.tensor(place, dtype=torch.long, device=records.device)
    return Shown(records[order], count[order], outside[order])


def first_records(shown: Shown, size: int, box: tuple[float, float] | None = None) -> Float[Tensor, "b p"]:
    """The likeliest records, as many as the batch has, none of them a mixture of those before it.

    Args:
        shown: by `dense_records`.
        size: of the batch.
        box: into which they are brought, if there is one.

    Returns:
        Fewer than the batch has where fewer are shown.
    """
    kept: list[Tensor] = []
    basis = shown.records.new_zeros((0, shown.records.shape[1]))
    for record in shown.records:
        if len(kept) == size:
            break
        apart = record - kept[0] if kept else record
        left = apart - (basis @ apart) @ basis if kept else apart
        left = left - (basis @ left) @ basis  # twice is enough against rounding
        if kept and left.norm() <= MIXED * apart.norm():
            continue
        if kept:
            basis = torch.cat([basis, left[None] / left.norm()])
        kept.append(record)
    found = torch.stack(kept) if kept else shown.records
    return found if box is None else found.clamp(*box)


def _between(
    records: Float[Tensor, "m p"], count: Int[Tensor, " m"], outside: Float[Tensor, " m"]
) -> Bool[Tensor, " m"]:
    """Which quotients lie on the line between two others, both in the box and each of several neurons."""
    found = torch.zeros(len(records), dtype=torch.bool, device=records.device)
    able = ((count > 1) & (outside <= ALIKE)).nonzero()[:, 0]
    apart = torch.cdist(records[able].double(), records[able].double())
    for place, row in enumerate(able.tolist()):
        way = apart[place][:, None] + apart[place][None]
        longest = torch.maximum(apart[place][:, None], apart[place][None])
        found[row] = bool(((way <= apart * (1 + STRAIGHT)) & (longest < (1 - MIXED) * apart)).any())
    return found


def _groups(quotients: Float[Tensor, "k p"]) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """First row of each group of rows that agree, and the size of the group."""
    free = torch.ones(len(quotients), dtype=torch.bool, device=quotients.device)
    leaders, counts = [], []
    for row in range(len(quotients)):
        if not free[row]:
            continue
        apart = (quotients - quotients[row]).pow(2).mean(1)
        near = free & (apart <= (ALIKE**2) * quotients[row].pow(2).mean())
        near[row] = True
        free &= ~near
        leaders.append(row)
        counts.append(int(near.sum()))
    found = torch.tensor([leaders, counts], dtype=torch.long, device=quotients.device)
    return found[0], found[1]
