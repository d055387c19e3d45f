"""Fleets whose signals are given to every tool: the same logits, labels and membership, one file per fleet.

A file holds `phi` `[m r]`, the confidence log p_y - log(1 - p_y) in nats, `phi2` (the same at temperature 2), `logits`
`[m r c]`, `labels` `[r]`, `member` `[m n]` (complementary pairs of rows; the first n of the r records are candidates,
the others are outside every model) and `targets`: that many first rows are audited in turn, and all rows but a target's
own pair are its shadows, so that K shadows need K + 2 models.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.observe.signals import logit_confidence, logit_confidence_t2
from dosimeter.training.heads import train_heads
from dosimeter.training.recipe import Hyperparameters

sys.path.append(str(Path(__file__).parents[1] / "tests" / "families" / "membership" / "attacks"))
import miniature  # noqa: E402  tests are no package that is installed

OUTSIDE = 196


def write(path, logits, labels, member, targets):
    """Save a fleet; the file that all tools read."""
    true = torch.from_numpy(labels)
    phi, phi2 = (
        np.stack([read(torch.from_numpy(one), true).numpy() for one in logits])
        for read in (logit_confidence, logit_confidence_t2)
    )
    np.savez(path, phi=phi, phi2=phi2, logits=logits, labels=labels, member=member, targets=targets)


def perceptrons(path, shadows):
    """The miniature of the literature notes: 8 targets that memorise, up to 70 shadows of each."""
    rng = np.random.default_rng(0)
    bits, labels = miniature.records(rng)
    member = miniature.memberships(rng)
    logits = miniature.train(bits, labels, member, 0)[0]
    for name, count in shadows.items():
        rows = slice(count + 2)
        write(path / f"{name}.npz", logits[rows], labels, member[rows], miniature.TARGETS)


def heads(features, labels, rows, hp, seeds):
    """Logits `[m r c]` of linear models of all records, trained on the rows of each."""
    x, classes = torch.from_numpy(features), int(labels.max()) + 1
    found = train_heads(x, torch.from_numpy(labels), rows, hp, classes=classes, seeds=seeds, device=torch.device("cpu"))
    return [x.double() @ w.double().T + b.double() for w, b in zip(found.weight, found.bias, strict=True)]


def digits(path, shadows, targets=12):
    """Heads on the digits: 1,600 candidates, 196 records outside, 12 targets."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))[:1796]
    features, labels = (x[order] / 16).astype(np.float32), y[order].astype(np.int64)
    n, models = len(labels) - OUTSIDE, 2 + max(shadows.values())
    member = membership_matrix(n, models, 0)
    hp = Hyperparameters(epochs=30, lr=0.05, standardise=True)
    rows = np.stack([np.flatnonzero(row) for row in member])
    logits = torch.stack(heads(features, labels, rows, hp, list(range(models)))).numpy()
    for name, count in shadows.items():
        part = slice(count + 2)
        write(path / f"{name}.npz", logits[part], labels, member[part], targets)


def noise(path, seed, shadows=16, n=300, outside=60):
    """Heads trained on noise of their own and asked about records that none of them saw: nothing can leak.

    Membership is a fair coin for each record in each pair of models, independent of everything else.
    """
    rng = np.random.default_rng([seed, 99])
    models, d, classes = shadows + 2, 24, 5
    features = rng.normal(size=(400 + n + outside, d)).astype(np.float32)
    labels = rng.integers(0, classes, len(features))
    rows = np.stack([rng.permutation(400)[:200] for _ in range(models)])
    seeds = [1000 * seed + i for i in range(models)]
    logits = heads(features, labels, rows, Hyperparameters(epochs=20, lr=0.1), seeds)
    asked = torch.stack(logits)[:, 400:].numpy()
    first = rng.random((models // 2, n)) < 0.5
    member = np.stack([first, ~first], axis=1).reshape(models, n)
    write(path, asked, labels[400:], member, 1)
