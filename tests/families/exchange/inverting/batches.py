"""Batches of known records, and what an adversary has of their gradient."""

import numpy as np
import torch
from torch import nn

from dosimeter.families.exchange.inverting.observed import Observed

CLASSES, BOX = 4, (0.0, 1.0)


def sigmoid_net(seed):
    """A small smooth convolutional net with parameters in (-0.5, 0.5): with the default ones nothing comes back."""
    torch.manual_seed(seed)
    trunk = nn.Sequential(
        nn.Conv2d(1, 6, 3, 1, 1), nn.Sigmoid(), nn.Conv2d(6, 6, 3, 1, 1), nn.Sigmoid(), nn.Flatten()
    )  # fmt: skip
    head = nn.Linear(6 * 36, CLASSES)
    for parameter in (*trunk.parameters(), *head.parameters()):
        nn.init.uniform_(parameter, -0.5, 0.5)
    return trunk, head


def narrow_net(seed):
    """One with fewer features than its trunk has parameters, by far."""
    torch.manual_seed(seed)
    trunk = nn.Sequential(
        nn.Conv2d(1, 12, 5, 2, 2), nn.Sigmoid(), nn.Conv2d(12, 12, 5, 2, 2), nn.Sigmoid(), nn.Flatten()
    )  # fmt: skip
    for parameter in trunk.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return trunk, nn.Linear(48, CLASSES)


def dense_net(seed, width=64):
    """A perceptron."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, width), nn.ReLU()), nn.Linear(width, CLASSES)


def batch(seed, size):
    """Pictures of 6 x 6 in the box, and their classes."""
    rng = np.random.default_rng(seed)
    records = torch.from_numpy(rng.random((size, 1, 6, 6), dtype=np.float32))
    return records, torch.from_numpy(rng.integers(CLASSES, size=size))


def gradients(trunk, head, records, labels):
    """What the owner computes, by one plain backward pass."""
    loss = nn.functional.cross_entropy(head(trunk(records)), labels)
    made = torch.autograd.grad(loss, [*trunk.parameters(), *head.parameters()])
    names = [name for name, _ in trunk.named_parameters()]
    return dict(zip(names, made, strict=False)), dict(zip(("weight", "bias"), made[len(names) :], strict=True))


def seen(trunk, head, records, labels):
    """What the adversary has where the whole model crosses."""
    own, last = gradients(trunk, head, records, labels)
    return Observed(trunk, head, own, last, len(records), tuple(records.shape[1:]), CLASSES, BOX)
