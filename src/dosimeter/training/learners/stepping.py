"""The optimiser of the small networks that adversaries train, and of records that they search."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

FUSED = ("cpu", "cuda")
"""Devices on which one kernel updates a tensor."""


def adam(parameters: Iterable[Tensor], lr: float, *, decay: float = 0.0) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay, by one kernel for each tensor where the device has it.

    Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, https://arxiv.org/abs/1711.05101; without
    decay it is Adam (Kingma, Ba, ICLR 2015). PyTorch's usual step on a processor reads and writes each tensor about ten
    times, which takes longer than the gradients of a small network.

    Args:
        parameters: to optimise, numbers with a fraction.
        lr: learning rate.
        decay: of the weights.

    >>> weight = torch.ones(1, requires_grad=True)
    >>> optimiser = adam([weight], 0.1)
    >>> weight.grad = torch.ones(1)
    >>> optimiser.step()
    >>> round(weight.item(), 4)
    0.9
    """
    own = list(parameters)
    fused = all(one.device.type in FUSED for one in own)
    return torch.optim.AdamW(own, lr=lr, weight_decay=decay, fused=fused or None)
