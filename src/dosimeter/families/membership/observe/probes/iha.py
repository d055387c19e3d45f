"""The inverse-Hessian score of a linear head: an adversary who holds the weights and all other training records.

Axes: `N` records that are needed (the pool and the observed), `e` coordinates of their features, `c` classes, `q`
right-hand sides. A record's gradient is its residual times its features, r ⊗ x.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.membership.observe.probes.subject import Load, Probe, Situation, Subject, Training
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.runners import one_thread
from dosimeter.models.access import Access
from dosimeter.training.heads import moments

GRADIENT_STEPS = 30
"""Products that one run of conjugate gradients counts as, with passes over memory: about 11 steps."""
SIDE = 512
"""Side of the square matrices whose product measures the speed of this machine."""
DAMPING = 0.2
"""Number that is added to the curvature's diagonal, as the authors do."""
DENSE = 4096
"""Most parameters for which the curvature is one matrix; beyond, conjugate gradients are used."""
TOLERANCE, STEPS = 1e-5, 200
"""Conjugate gradients: largest relative residual, and most steps."""
NUMBERS = 2**23
"""Most numbers in an intermediate array that is held in memory at once."""
Solve = Callable[[Tensor], Tensor]


@torch.no_grad()
def compute(subject: Subject) -> dict[str, Tensor]:
    """Score of Suri, Zhang, Evans 2024 (arXiv:2406.11544) for every model and record `[m r]`.

    With η the learning rate, β the momentum, ω the weight decay, n the number of training records, A the damped mean
    Hessian, g the record's gradient, G the mean gradient of the other training records, u = A⁻¹g and v = A⁻¹G,

        s = ℓ / (1 + β) − (|u|² / n + 2 u·v) (1 − ηω / (1 + β)) / η − (u·A⁻¹u / n + 2 v·A⁻¹u) ω / η.

    A record's own membership is never read but through the weights. A is the mean over the pool, from which every
    model draws its half, so it is the same for members and non-members. G is the mean over n − 1 training records in
    both cases: all but the record itself if it is one, all but one drawn at random if it is not. Given the weights, G
    then has the same law for both, if records are drawn one by one. Standardisation is that of the pool. So only
    the response of the weights to the record separates members from non-members.
    """
    training = subject.training
    assert training is not None
    pool = np.unique(training.rows)  # packs hold whole complementary pairs
    needed = np.union1d(pool, training.observed)
    coordinates = _coordinates(training, needed, pool)
    places = [torch.from_numpy(np.searchsorted(needed, rows)) for rows in (pool, training.observed)]
    raw, labels = training.inputs[torch.from_numpy(needed)].double(), training.labels[torch.from_numpy(needed)]
    found = []
    for model, rows, seed in zip(subject.models, training.rows, training.seeds, strict=True):
        assert isinstance(model.trained, nn.Linear)
        logits = raw @ model.trained.weight.double().T + model.trained.bias.double()
        left_out = torch.from_numpy(np.searchsorted(needed, _choose_left_out(rows, training.observed, seed)))
        members = torch.from_numpy(np.searchsorted(needed, rows))
        found.append(_scores(coordinates, logits, labels, places, members, left_out, training))
    return {"iha": torch.stack(found)}


def _choose_left_out(rows: Int[np.ndarray, " k"], observed: Int[np.ndarray, " r"], seed: int) -> Int[np.ndarray, " r"]:
    """The training record that G leaves out: the observed one if it is a member, else a random one."""
    drawn = generator(seed, "left out").choice(rows, len(observed))
    return np.where(np.isin(observed, rows), observed, drawn)


def _coordinates(training: Training, needed: Int[np.ndarray, " N"], pool: Int[np.ndarray, " p"]) -> Tensor:
    """Features with a constant for the bias, in an orthonormal basis of what they span `[N e]`.

    All gradients and the curvature live in that span, where the damped Hessian acts as in the whole space.
    """
    x = training.inputs[torch.from_numpy(needed)].double()
    if training.hp.standardise:
        mean, inverse = moments(training.inputs[torch.from_numpy(pool)])
        x = (x - mean) * inverse
    x = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], 1)
    if x.shape[1] <= len(x):
        return x
    values, vectors = torch.linalg.eigh(x @ x.T)
    kept = values > values[-1] * 1e-12
    within: Tensor = vectors[:, kept] * values[kept].sqrt()
    return within


def _scores(
    x: Float[Tensor, "N e"], logits: Float[Tensor, "N c"], labels: Int[Tensor, " N"], places: list[Tensor],
    members: Int[Tensor, " k"], left_out: Int[Tensor, " r"], training: Training,
) -> Float[Tensor, " r"]:  # fmt: skip
    """Scores of the observed records under one model."""
    pool, observed = places
    hp, n, e = training.hp, len(members), x.shape[1]
    logs = torch.log_softmax(logits, 1)
    p = logs.exp()
    residual = p - nn.functional.one_hot(labels, p.shape[1])
    solve = solver(x[pool], p[pool])
    mean = solve((residual[members].T @ x[members] / n)[None]).flatten()
    scale = (1 - hp.lr * hp.weight_decay / (1 + hp.momentum)) / hp.lr
    size, changes = max(1, NUMBERS // (p.shape[1] * e)), []
    for own, other in zip(torch.split(observed, size), torch.split(left_out, size), strict=True):
        rows, place = torch.unique(torch.cat([own, other]), return_inverse=True)
        solved = solve(residual[rows][:, :, None] * x[rows][:, None]).flatten(1)
        u, left = solved[place[: len(own)]], solved[place[len(own) :]]
        v = (n * mean - left) / (n - 1)
        changes.append(((u * u).sum(1) / n + 2 * (u * v).sum(1)) * scale)
        if hp.weight_decay:
            twice = solve(u.view(len(u), -1, e)).flatten(1)
            changes[-1] += ((u * twice).sum(1) / n + 2 * (v * twice).sum(1)) * hp.weight_decay / hp.lr
    return -logs[observed, labels[observed]] / (1 + hp.momentum) - torch.cat(changes)


def solver(x: Float[Tensor, "p e"], p: Float[Tensor, "p c"]) -> Solve:
    """Solves A u = g for many g `[q c e]`, with A the mean of (diag(p) − p pᵀ) ⊗ x xᵀ plus `DAMPING`."""
    if x.shape[1] * p.shape[1] <= DENSE:
        return _dense(x, p)
    return _conjugate(x, p)


def _blocks(x: Tensor, weight: Tensor) -> Float[Tensor, "c e e"]:
    """The mean of weight · x xᵀ, for each class."""
    return torch.stack([(x * one[:, None]).T @ x / len(x) for one in weight.T])


def _dense(x: Tensor, p: Tensor) -> Solve:
    """A solver for the curvature that uses one Cholesky factor."""
    c, e = p.shape[1], x.shape[1]
    matrix: Tensor = torch.block_diag(*_blocks(x, p))  # type: ignore[no-untyped-call]
    for part in torch.split(torch.arange(len(x)), max(1, NUMBERS // (c * e))):
        product = (p[part][:, :, None] * x[part][:, None]).flatten(1)
        matrix.addmm_(product.T, product, alpha=-1 / len(x))
    factor = torch.linalg.cholesky(matrix + DAMPING * torch.eye(c * e, dtype=matrix.dtype))
    return lambda g: torch.cholesky_solve(g.flatten(1).T, factor).T.reshape(-1, c, e)


def _conjugate(x: Tensor, p: Tensor) -> Solve:
    """A solver for the curvature by conjugate gradients in float32; the classes' diagonal blocks precondition it."""
    x, p = x.float(), p.float()
    inverse = torch.linalg.inv(_blocks(x, p * (1 - p)) + DAMPING * torch.eye(x.shape[1]))
    size = max(1, NUMBERS // (p.shape[1] * max(x.shape)))
    weight = p.T.contiguous()
    return lambda g: torch.cat([_iterate(x, weight, inverse, part) for part in torch.split(g, size)])


def _iterate(x: Tensor, weight: Tensor, inverse: Tensor, g: Float[Tensor, "q c e"]) -> Float[Tensor, "q c e"]:
    """The solution by conjugate gradients, until all right-hand sides converge; `weight`: probabilities `[c p]`."""
    c, e = len(weight), x.shape[1]

    def curvature(v: Tensor) -> Tensor:
        inner = (v.reshape(-1, e) @ x.T).view(-1, c, len(x)) * weight
        inner -= weight * inner.sum(1, keepdim=True)
        return (inner.view(-1, len(x)) @ x).view(-1, c, e).div_(len(x)).add_(v, alpha=DAMPING)

    def ease(v: Tensor) -> Tensor:
        return torch.bmm(v.transpose(0, 1), inverse).transpose(0, 1)

    residual = g.float()
    size = residual.flatten(1).norm(dim=1).clamp(min=1e-30)
    residual = residual / size[:, None, None]
    solution, along = torch.zeros_like(residual), ease(residual)
    height = (residual * along).sum((1, 2))
    for _ in range(STEPS):
        bent = curvature(along)
        step = (height / (along * bent).sum((1, 2)).clamp(min=1e-30))[:, None, None]
        solution += step * along
        residual -= step * bent
        left = float(residual.flatten(1).norm(dim=1).max())
        if left < TOLERANCE:
            result: Tensor = solution.double() * size.double()[:, None, None]
            return result
        fresh = ease(residual)
        before, height = height, (residual * fresh).sum((1, 2))
        along = fresh + (height / before.clamp(min=1e-30))[:, None, None] * along
    raise TrainingError(f"iha: conjugate gradients must reach {TOLERANCE} in {STEPS} steps, got {left}: standardise")


def lacks(situation: Situation) -> str:
    """Reason why there is no exact Hessian, if the models are no linear heads; empty otherwise."""
    if situation.heads and not situation.single:
        return (
            "needs records that are drawn one by one, got persons, or canaries with copies, of whom the other records "
            "that this adversary holds give one away: use threat.unit = 'record' and no [spike]"
        )
    if situation.heads:
        return ""
    other = ", or use transfer = 'head' with optimizer = 'sgd', no fit and no defense"
    remedy = "leave the attack out" + ("" if situation.supplied else other)
    return f"needs linear heads on frozen features that SGD trains, whose Hessian is known, got other models: {remedy}"


def hessian_seconds(needed: int, pool: int, *, width: int, classes: int) -> float:
    """Seconds for the inverse Hessian of one head, from the number of multiplications that `compute` makes.

    Args:
        needed: records whose gradients are solved for.
        pool: of them, those that the Hessian is the mean over.
        width: features of a record.
        classes: number of classes.
    """
    side = min(width + 1, needed)
    unknowns, blocks = classes * side, pool * classes * side**2
    if unknowns <= DENSE:
        work = pool * unknowns**2 + unknowns**3 / 6 + needed * unknowns**2 + blocks
        return work / _products_per_second(torch.float64)
    step = needed * (2 * pool * unknowns + classes * side**2)
    return (GRADIENT_STEPS * step + blocks) / _products_per_second(torch.float32)


def _products_per_second(kind: torch.dtype) -> float:
    """Multiply-add operations per second of one thread in a product of matrices, measured."""
    matrix, seconds = torch.ones(SIDE, SIDE, dtype=kind), []
    with one_thread():
        for _ in range(3):
            start = time.perf_counter()
            matrix @ matrix
            seconds.append(time.perf_counter() - start)
    return float(SIDE**3 / min(seconds))


def seconds(load: Load) -> float:
    """Seconds for the inverse Hessians of a pack of heads."""
    if load.width is None:
        return 0.0
    each = hessian_seconds(load.pool + load.population, load.pool, width=load.width, classes=load.classes)
    return load.models * each


PROBE = Probe(("iha",), Access.WEIGHTS, compute, lacks, passes=0.0, seconds=seconds)
