"""Networks of a user, trained by hand, that an audit of split is supplied with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from families.split.games import net, people


def fitted(model, epochs=60):
    """A network that was trained on the first 200 pictures."""
    whole = people(0)
    x, y = torch.from_numpy(whole.inputs[:200]), torch.from_numpy(whole.labels[:200])
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(epochs):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model


def plain():
    """A small trained network with named layers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return fitted(net((1, 6, 6), 4))


def parts(bytes_too=False):
    """Victims and auxiliary records, and records that the network was trained on."""
    whole = people(0)
    if bytes_too:
        whole = replace(whole, inputs=(whole.inputs * 255).round().astype(np.uint8))
    rows = {"victims": (200, 320), "auxiliary": (320, 700), "members": (0, 200)}
    return {name: whole.take(np.arange(*one)) for name, one in rows.items()}


class Around(nn.Module):
    """A network with one residual branch, of which `body.1` is inside."""

    def __init__(self):
        super().__init__()
        self.flat, self.first = nn.Flatten(), nn.Linear(36, 8)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        self.last = nn.Linear(8, 4)

    def forward(self, x):
        """Logits."""
        x = self.first(self.flat(x))
        return self.last(x + self.body(x))


class Scaled(nn.Module):
    """A network that multiplies by a plain number, which no table of weights holds."""

    def __init__(self, inner, factor):
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x):
        """Logits."""
        return self.inner(x) * self.factor


class Both(nn.Module):
    """A network that returns more than its logits."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        """A pair."""
        found = self.inner(x)
        return found, found[:, :3]


class Drawing(nn.Module):
    """A network that draws at random, even at rest."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        """Logits."""
        return self.inner(nn.functional.dropout(x, 0.5, training=True))


class Counting(nn.Module):
    """A network that keeps how often it was called."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        """Logits."""
        self.calls += 1
        return self.inner(x)


class Beside(nn.Module):
    """A network whose layer reads the records beside each record."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 4))

    def forward(self, x):
        """Logits."""
        return self.net(x - x.mean(0))


def build():
    """A builder for an audit file."""
    return plain()


def victims(seed):
    """Records of an audit file."""
    return parts()["victims"]


def auxiliary(seed):
    """Records of an audit file."""
    return parts()["auxiliary"]


def members(seed):
    """Records of an audit file."""
    return parts()["members"]


class Branching(nn.Module):
    """A network whose program depends on its numbers, so that nothing can read its operations.

    Args:
        bypass: whether something passes the second layer by.
    """

    def __init__(self, bypass=False):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(36, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.bypass = bypass

    def forward(self, x):
        """Logits."""
        found = self.first(x.flatten(1)).relu()
        made = self.second(found).relu()
        if float(made.detach().sum()) < 0:
            made = made * 2
        return self.last(made + found if self.bypass else made)


def seeded(kind, *given):
    """A trained network of a class."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return fitted(kind(*given))
