"""A small world for the door of supplied models: records, a target that leaks, and the fit that made it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dosimeter.jobs.runners import Workers

SERIAL = Workers(1, "serial")
"""Shadows in this process, which is quicker for a few small ones than starting another."""


def records(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points `[n 20]` in five noisy classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 5
    centres = np.random.default_rng(99).normal(size=(5, 20))
    return (centres[labels] + 1.5 * rng.normal(size=(n, 20))).astype(np.float32), labels


def fit(dataset, seed: int, epochs: int = 40) -> nn.Module:
    """Train a small perceptron to remember its records."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 5))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(epochs):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(dataset.inputs), dataset.labels).backward()
        optimizer.step()
    return model


def untrained(dataset, seed: int) -> nn.Module:
    """A fit that learns nothing."""
    return fit(dataset, seed, epochs=0)


class Data:
    """What `fit` gets, made by hand."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = torch.from_numpy(inputs), torch.from_numpy(labels)


def target(part) -> nn.Module:
    """The model that is audited."""
    return fit(Data(*part), seed=12345)
