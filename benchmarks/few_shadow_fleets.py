"""Fleets of small perceptrons that remember noisy labels, for `few_shadow_power.py`; each yields a game and its truth.

Eighty models of 64 hidden units, full-batch Adam 0.01, each on half of the pool, in complementary pairs: 16 targets and
64 shadows. One label in ten or seven is wrong, so a model that fits its own records remembers them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from sklearn.datasets import load_digits

from dosimeter.data import load
from dosimeter.families.membership.design.design import membership_matrix

POOL, ASIDE, MODELS, HIDDEN, LR = 2000, 400, 80, 64, 0.01
EPOCHS = {"digits": 300, "mnist": 120, "gaussian": 150, "sparse": 120}


def wrong_labels(labels, classes, share, rng):
    """The labels, of which a share is drawn anew from all classes."""
    return np.where(rng.random(len(labels)) < share, rng.integers(classes, size=len(labels)), labels)


def digits(rng):
    """Handwritten digits of 8 by 8 pixels, 15 % of the labels drawn anew."""
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))[: len(x) - len(x) % 2]
    return x[order] / 8 - 1, wrong_labels(y[order], 10, 0.15, rng), 10


def mnist(rng):
    """Handwritten digits at half resolution, 10 % of the labels drawn anew."""
    records = load("mnist-5k")
    order = rng.permutation(len(records))[: POOL + ASIDE]
    x = torch.from_numpy(np.array(records.inputs[order], np.float32)).reshape(len(order), 1, 28, 28)
    x = torch.nn.functional.avg_pool2d(x, 2).flatten(1).numpy()
    return x / x.max() * 2 - 1, wrong_labels(np.array(records.labels[order]), 10, 0.1, rng), 10


def gaussian(rng):
    """Ten normal clouds in 32 dimensions, 10 % of the labels drawn anew."""
    labels = rng.integers(10, size=POOL + ASIDE)
    x = 0.6 * rng.normal(size=(10, 32))[labels] + rng.normal(size=(len(labels), 32))
    return x, wrong_labels(labels, 10, 0.1, rng), 10


def sparse(rng):
    """Twenty classes of 300 bits that are seldom set, each with 30 that are set more often; 5 % of labels anew."""
    labels = rng.integers(20, size=POOL + ASIDE)
    rates = np.where(np.argsort(rng.random((20, 300)), axis=1) < 30, 0.2, 0.03)
    x = (rng.random((len(labels), 300)) < rates[labels]).astype(float)
    return x, wrong_labels(labels, 20, 0.05, rng), 20


WORLDS = {"digits": digits, "mnist": mnist, "gaussian": gaussian, "sparse": sparse}


def perceptrons(x, y, member, classes, epochs, seed):
    """Logits of all models about all records `[m n c]`, float64."""
    draw = torch.Generator().manual_seed(seed)
    inputs, labels, models = torch.from_numpy(x).float(), torch.from_numpy(y), len(member)
    rows = torch.from_numpy(np.stack([np.flatnonzero(row) for row in member]))
    sizes = ((x.shape[1], HIDDEN), (HIDDEN, classes))
    weights = [torch.randn(models, *size, generator=draw) * (2 / size[0]) ** 0.5 for size in sizes]
    biases = [torch.zeros(models, 1, size[1]) for size in sizes]
    parameters = [one.requires_grad_() for one in weights + biases]
    optimizer = torch.optim.Adam(parameters, lr=LR)

    def forward(batch):
        hidden = torch.relu(torch.baddbmm(biases[0], batch, weights[0]))
        return torch.baddbmm(biases[1], hidden, weights[1])

    own, truth = inputs[rows], labels[rows].flatten()
    for _ in range(epochs):
        optimizer.zero_grad()
        # The mean over records, summed over models: every model has its own gradient.
        (torch.nn.functional.cross_entropy(forward(own).flatten(0, 1), truth) * models).backward()
        optimizer.step()
    with torch.no_grad():
        return forward(inputs.expand(models, -1, -1)).double()


def fleet(world: str, seed: int) -> Iterator:
    """One fleet: logits `[m n+z c]`, labels, membership of the pool `[m n]`, classes, and accuracy inside and outside.

    Args:
        world: one of `WORLDS`.
        seed: of the records, the membership and the training.
    """
    rng = np.random.default_rng(seed)
    x, y, classes = WORLDS[world](rng)
    pool = len(x) - ASIDE
    member = membership_matrix(pool, MODELS, seed)
    logits = perceptrons(x, y, member, classes, EPOCHS[world], seed)
    right = (logits.argmax(2).numpy() == y)[:, :pool]
    return logits, y, member, classes, (float(right[member].mean()), float(right[~member].mean()))
