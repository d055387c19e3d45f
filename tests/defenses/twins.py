"""Slow twins of what the defenses do: losses record by record from their formulas, heads by automatic gradients."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from dosimeter.foundation.seeds import generator, seed_for

M, K, N, D, C = 4, 30, 60, 7, 4
CPU = torch.device("cpu")


def data() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Features, labels, and the training rows of each of the M models."""
    rng = np.random.default_rng(5)
    labels = torch.from_numpy(rng.integers(C, size=N))
    features = torch.from_numpy(rng.normal(size=(N, D)).astype(np.float32)) + labels[:, None] * 0.5
    return features, labels, np.stack([rng.permutation(N)[:K] for _ in range(M)])


def softmax(row: list[float]) -> list[float]:
    """Probabilities of one record."""
    top = max(row)
    each = [math.exp(value - top) for value in row]
    return [value / sum(each) for value in each]


def cross_entropy(wanted: list[float], p: list[float]) -> float:
    """−Σ t log p."""
    return -sum(t * math.log(q) for t, q in zip(wanted, p, strict=True) if t)


def entropy(p: list[float]) -> float:
    """−Σ p log p."""
    return cross_entropy(p, p)


def label_smoothing(rows: list[list[float]], labels: list[int], epsilon: float) -> float:
    """Mean cross-entropy with smoothed labels."""
    total = 0.0
    for row, label in zip(rows, labels, strict=True):
        wanted = [epsilon / len(row) + (1 - epsilon) * (j == label) for j in range(len(row))]
        total += cross_entropy(wanted, softmax(row))
    return total / len(rows)


def relax_loss(rows: list[list[float]], labels: list[int], alpha: float, epoch: int) -> float:
    """Algorithm 1 of Chen et al. 2022 for one batch."""
    p = [softmax(row) for row in rows]
    losses = [-math.log(own[label]) for own, label in zip(p, labels, strict=True)]
    mean = sum(losses) / len(losses)
    if epoch % 2 == 0:
        return mean - alpha if mean > alpha else alpha - mean
    if mean > alpha:
        return mean
    total = 0.0
    for own, label, loss in zip(p, labels, losses, strict=True):
        flat = [own[label] if j == label else (1 - own[label]) / (len(own) - 1) for j in range(len(own))]
        wrong = max(own) > own[label]
        total += (cross_entropy(flat, own) if wrong else 0.0) - loss
    return total / len(losses)


def hamp(rows: list[list[float]], labels: list[int], q: float, regularise: float) -> float:
    """Mean of KL(y' || p) − β H(p)."""
    total = 0.0
    for row, label in zip(rows, labels, strict=True):
        p = softmax(row)
        wanted = [q if j == label else (1 - q) / (len(p) - 1) for j in range(len(p))]
        total += cross_entropy(wanted, p) - entropy(wanted) - regularise * entropy(p)
    return total / len(rows)


def one_head(features, labels, own, hp, seed, *, loss=None, hide=None):
    """Train one head by autograd with the seeds of the batched program, for plain SGD; raw weights and bias."""
    rng = torch.Generator().manual_seed(seed_for(seed, "initialisation"))
    drawn = (torch.rand(C, D + 1, generator=rng) * 2 - 1) / math.sqrt(D)
    head = nn.Linear(D, C)
    with torch.no_grad():
        head.weight.copy_(drawn[:, :D])
        head.bias.copy_(drawn[:, D])
    x, order = features[own], generator(seed, "order")
    uniform = torch.Generator().manual_seed(seed_for(seed, "dropout"))
    mean, scale = torch.zeros(D), torch.ones(D)
    if hp.standardise:
        mean, variance = x.mean(0), x.var(0, unbiased=False)
        scale = (variance + 0.1 * variance.mean()).rsqrt()
    x = (x - mean) * scale
    y = labels[own] if labels.ndim == 1 else labels
    optimizer = torch.optim.SGD(head.parameters(), lr=hp.lr, momentum=hp.momentum, weight_decay=hp.weight_decay)
    for epoch in range(hp.epochs):
        for rows in torch.from_numpy(order.permutation(len(own))).split(hp.batch_size):
            batch = x[rows]
            if hide is not None:
                batch = hide(batch, torch.empty(batch.shape).uniform_(generator=uniform))
            logits = head(batch)
            optimizer.zero_grad()
            (nn.functional.cross_entropy(logits, y[rows]) if loss is None else loss(logits, y[rows], epoch)).backward()
            optimizer.step()
    weight = (head.weight * scale).detach()
    return weight, head.bias.detach() - weight @ mean


def gaussian(x: np.ndarray, width: float) -> np.ndarray:
    """Kernel of each pair of rows, from its definition."""
    found = np.empty((len(x), len(x)))
    for i, one in enumerate(x):
        for j, other in enumerate(x):
            mean = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one)
            found[i, j] = math.exp(-mean / (2 * width**2))
    return found


def centre(kernel: np.ndarray) -> np.ndarray:
    """H K H by products of matrices."""
    h = np.eye(len(kernel)) - 1 / len(kernel)
    return h @ kernel @ h


def normalised_hsic(first: np.ndarray, second: np.ndarray) -> float:
    """The double sum over pairs of K' L' with kernels that are centred on one side, as the paper's code has it."""
    h, total = np.eye(len(first)) - 1 / len(first), 0.0
    parts = [one @ h @ np.linalg.inv(one @ h + 1e-5 * len(first) * np.eye(len(first))) for one in (first, second)]
    for i in range(len(first)):
        for j in range(len(first)):
            total += parts[0][i, j] * parts[1][j, i]
    return total


def coco(first: np.ndarray, second: np.ndarray) -> float:
    """The root of the largest singular value of the product of centred kernels, over their size."""
    return math.sqrt(np.linalg.svd(centre(first) @ centre(second), compute_uv=False)[0]) / len(first)


def bido(measure, records, hidden, labels, lambda_x, lambda_y, width) -> float:
    """Sum over hidden layers of λ_x d(X, Z) − λ_y d(Z, Y)."""
    depends = {"hsic": normalised_hsic, "coco": coco}[measure]
    same = np.array([[float(a == b) for b in labels] for a in labels])
    x, total = gaussian(np.asarray(records), width), 0.0
    for layer in hidden:
        z = gaussian(np.asarray(layer), width)
        total += lambda_x * depends(x, z) - lambda_y * depends(z, same)
    return total
