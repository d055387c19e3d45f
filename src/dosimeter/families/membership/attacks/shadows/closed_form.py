"""In- and out-laws of the confidences of a softmax head on frozen features, in closed form, from one trajectory.

Axes: `p` records of the pool, of which a head trains on a random half; `d` features and a constant; `c` classes; `g`
times; `r` random halves. W = -(1/p) X' A, where A `[p c]` is the learning-rate weighted sum of a record's residuals
(probabilities minus label): a record acts on the head through its row of A alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg

from dosimeter.families.membership.game import FrozenHead
from dosimeter.foundation.arrays import Array

TIMES = 40
"""Points of the trajectory that are kept."""
HALVES = 64
"""Random halves over which the laws are taken."""
FIRST_HALVES = 16
"""The same for the first pass, which only corrects the mean."""
GROUP = 128
"""Fewest records in an update of the reference, if there are as many."""
BLOCK = 128
"""Records whose paths are followed at once."""
LARGEST_RESPONSE = 0.9
"""Largest share of its own response that a record is allowed; beyond it the correction would have no meaning."""
VARIANCE_FLOOR = 0.1
"""Of standardisation, as in training."""


@dataclass(frozen=True)
class Laws:
    """Mean and variance of each record's logit-scaled confidence, over heads with and without it.

    Attributes:
        mean_in: nats `[p]`.
        variance_in: nats² `[p]`.
        mean_out: nats `[p]`.
        variance_out: nats² `[p]`.
    """

    mean_in: Float[Array, " p"]
    variance_in: Float[Array, " p"]
    mean_out: Float[Array, " p"]
    variance_out: Float[Array, " p"]


@dataclass(frozen=True)
class _Path:
    """The trajectory of the reference head, from weights 0, every record at half of its weight.

    Attributes:
        logits: `[g p c]`.
        action: A `[g p c]`.
        seconds: learning rate spent since the time before `[g]`.
    """

    logits: Float[Array, "g p c"]
    action: Float[Array, "g p c"]
    seconds: Float[Array, " g"]

    @functools.cached_property
    def share(self) -> Float[Array, " g"]:
        """How much of the final action is reached, over all records; a response grows alike."""
        reached = np.abs(self.action).sum((1, 2))
        result: Array = (reached / max(float(reached[-1]), 1e-30)).astype(np.float32)
        return result

    @functools.cached_property
    def curvature(self) -> Float[Array, "p c"]:
        """What builds up over the whole time for each record and class."""
        result: Array = functools.reduce(np.add, self._spans())
        return result

    @functools.cached_property
    def built(self) -> Float[Array, " g"]:
        """The share of it that has built up by each time."""
        total = np.cumsum([span.mean() for span in self._spans()])
        result: Array = (total / max(float(total[-1]), 1e-30)).astype(np.float32)
        return result

    def _spans(self) -> Iterator[Float[Array, "p c"]]:
        """What each span of time adds; all at once would fill as much memory as the logits."""
        for logits, weight in zip(self.logits, self.seconds * self.share, strict=True):
            p = _softmax(logits)
            yield p * (1 - p) * weight


@functools.lru_cache(maxsize=1)
def closed_form(head: FrozenHead) -> Laws:
    """The laws of all records of the pool; the last head's are kept, for every target of a run asks for the same.

    Three passes. The first takes every record's action from the reference; the others from heads that hold the record,
    whose residuals are smaller, which moves the mean head.
    """
    x, onehot = _inputs(head), np.eye(head.classes, dtype=np.float32)[head.labels]
    path = _descend(x, onehot, head)
    rng = np.random.default_rng(0)
    signs = rng.choice(np.array([-1.0, 1.0], np.float32), (HALVES, len(x)))
    start = rng.uniform(-1, 1, (HALVES, x.shape[1], head.classes)).astype(np.float32)
    start /= np.float32(np.sqrt(x.shape[1] - 1))
    n, action, curvature = np.float32(len(x)), path.action[-1], path.curvature
    source, diagonal = np.zeros_like(action), None
    for turn, halves in enumerate((FIRST_HALVES, FIRST_HALVES, HALVES)):
        drawn = (signs[:halves], start[:halves])
        diagonal, own, field, reaction = _respond(x, curvature, drawn, action, source, diagonal)
        actions, bent = _own(path, x, own, field)
        action = actions.mean(0)
        source = action - path.action[-1] - reaction
        if turn == 0:  # the curvature of heads that hold the record, as one that acts at half weight
            bent = bent / (1 + 2 / n * own * bent)
            curvature, diagonal = bent / (1 - np.minimum(own * bent / n, LARGEST_RESPONSE)), None
    moments = np.empty((4, len(x)))
    for part in _blocks(len(x)):
        without = path.logits[-1, part] + own[part] * path.action[-1, part] / n + field[:, part]
        outside = _confidence(without, head.labels[part])
        inside = _confidence(without - 2 / n * own[part] * actions[:, part], head.labels[part])
        moments[:, part] = inside.mean(0), inside.var(0, ddof=1), outside.mean(0), outside.var(0, ddof=1)
    return Laws(*moments)


def _blocks(p: int) -> Iterator[slice]:
    """Records of which each has its own path, a few at a time, so that all that is known of them stays in cache."""
    return (slice(start, start + BLOCK) for start in range(0, p, BLOCK))


def _inputs(head: FrozenHead) -> Float[Array, "p d"]:
    """Features as the head sees them, with a constant for the bias."""
    x = head.features.astype(np.float64)
    if head.standardise:
        variance = x.var(axis=0)
        x = (x - x.mean(axis=0)) / np.sqrt(variance + VARIANCE_FLOOR * variance.mean() + 1e-12)
    return np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(np.float32)


def _softmax(logits: Array) -> Array:
    """Over the last axis."""
    p: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return p


def _confidence(logits: Float[Array, "r p c"], labels: Int[Array, " p"]) -> Float[Array, "r p"]:
    """The logit-scaled confidence, float64."""
    z = logits.astype(np.float64)
    rows = np.arange(len(labels))
    own = z[:, rows, labels].copy()
    z[:, rows, labels] = -np.inf
    top = z.max(axis=-1)
    result: Array = own - top - np.log(np.exp(z - top[..., None]).sum(axis=-1))
    return result


def _descend(x: Float[Array, "p d"], onehot: Float[Array, "p c"], head: FrozenHead) -> _Path:
    """Gradient descent on the mean loss of all records: as many updates as a head makes, each with its momentum.

    Records take turns in groups of at least `GROUP`, for a product with all of them is bound by memory.
    """
    steps, turns = len(head.rates), max(1, len(x) // GROUP)
    groups = [(np.ascontiguousarray(x[i::turns]), slice(i, None, turns)) for i in range(turns)]
    kept = set(np.unique(np.linspace(1, steps, min(TIMES, steps)).astype(int)).tolist())
    weight = np.zeros((x.shape[1], onehot.shape[1]), np.float32)
    velocity, action, pushed = np.zeros_like(weight), np.zeros_like(onehot), np.zeros_like(onehot)
    logits, actions, spent = [], [], []
    unit = total = 0.0
    for step, rate in enumerate(head.rates.tolist()):
        group, rows = groups[step % turns]
        residual = (_softmax(group @ weight) - onehot[rows]) * np.float32(len(x) / len(group))
        velocity = head.momentum * velocity + group.T @ residual / np.float32(len(x)) + head.weight_decay * weight
        pushed = head.momentum * pushed - head.weight_decay * action
        pushed[rows] += residual
        unit = head.momentum * unit + 1
        weight = weight - rate * velocity
        action += rate * pushed
        total += rate * unit
        if step + 1 in kept:
            logits.append(x @ weight)
            actions.append(action.copy())
            spent.append(total)
    return _Path(np.stack(logits), np.stack(actions), np.diff(spent, prepend=0.0).astype(np.float32))


def _respond(
    x: Float[Array, "p d"], curvature: Float[Array, "p c"], drawn: tuple[Float[Array, "r p"], Float[Array, "r d c"]],
    action: Float[Array, "p c"], source: Float[Array, "p c"], diagonal: Float[Array, "p c"] | None = None,
) -> tuple[Float[Array, "p c"], Float[Array, "p c"], Float[Array, "r p c"], Float[Array, "p c"]]:  # fmt: skip
    """What the others' membership does to the logits of each record, class by class, by one Newton step.

    With K = XX', D a class's curvature and R = (I + K D / p)^-1 K, an action b of the records moves the logits by
    -R b / p. A record's own part is left out, and its own curvature with it. `drawn` are the halves' signs and initial
    weights; `diagonal` that of R if it is known, for it costs most.

    Returns:
        The diagonal of R; own response, the same without the record's own curvature; the change of logits for each
        half, which adds or removes the others' action, starts from other weights, and holds the change by `source`, of
        the mean head; the action with which all records react to the latter.
    """
    signs, start = drawn
    found = np.empty_like(action) if diagonal is None else diagonal
    n, own, reaction = np.float32(len(x)), np.empty_like(action), np.empty_like(action)
    field = np.empty((len(signs), *action.shape), np.float32)
    solve = _dual(x) if len(x) < x.shape[1] else _primal(x)
    for c in range(action.shape[1]):
        halves = np.concatenate([signs * action[:, c], source[None, :, c]]).T
        first = np.concatenate([start[:, :, c].T, np.zeros((x.shape[1], 1), np.float32)], axis=1)
        found[:, c], moved = solve(curvature[:, c] / n, halves / n, first, None if diagonal is None else found[:, c])
        free = 1 / (1 - np.minimum(curvature[:, c] * found[:, c] / n, LARGEST_RESPONSE))
        own[:, c], reaction[:, c] = found[:, c] * free, curvature[:, c] * moved[:, -1]
        moved = (moved + found[:, c, None] * halves / n) * free[:, None]
        field[:, :, c] = (moved[:, :-1] + moved[:, -1:]).T
    return found, own, field, reaction


def _primal(x: Float[Array, "p d"]) -> Any:
    """Responses by d x d systems, and the diagonal of R unless it is given."""

    def solve(curvature: Array, action: Array, start: Array, diagonal: Array | None = None) -> tuple[Array, Array]:
        weighted = x * np.sqrt(curvature)[:, None]
        lower = linalg.cholesky(weighted.T @ weighted + np.eye(x.shape[1], dtype=np.float32), lower=True)
        if diagonal is None:
            diagonal = (linalg.solve_triangular(lower, x.T, lower=True) ** 2).sum(0)
        return diagonal, x @ linalg.cho_solve((lower, True), start - x.T @ action)

    return solve


def _dual(x: Float[Array, "p d"]) -> Any:
    """The same by p x p systems, for fewer records than features."""
    kernel, norms = x @ x.T, (x * x).sum(1)

    def solve(curvature: Array, action: Array, start: Array, diagonal: Array | None = None) -> tuple[Array, Array]:
        root = np.sqrt(curvature)[:, None]
        lower = linalg.cholesky(root * kernel * root.T + np.eye(len(x), dtype=np.float32), lower=True)
        if diagonal is None:
            diagonal = norms - (linalg.solve_triangular(lower, root * kernel, lower=True) ** 2).sum(0)
        moved = x @ start - kernel @ action
        moved -= (root * kernel).T @ linalg.cho_solve((lower, True), root * moved)
        return diagonal, moved

    return solve


def _own(
    path: _Path, x: Float[Array, "p d"], own: Float[Array, "p c"], field: Float[Array, "r p c"]
) -> tuple[Float[Array, "r p c"], Float[Array, "p c"]]:
    """Follow each record's own pull on its logits, at full weight, in the field of the others.

    Only the difference to the reference is integrated, so that coarse times do not bias it. The own response falls
    from the squared norm of the record to `own` as the others' curvature builds up.

    Returns:
        Action of each record in heads that hold it, and its mean curvature there.
    """
    n, norms = np.float32(len(x)), (x * x).sum(1)[:, None]
    fall = norms / np.maximum(own, 1e-12) - 1
    actions, bent = np.zeros_like(field), np.zeros_like(own)
    for part in _blocks(len(x)):
        others = np.ascontiguousarray(field[:, part])
        action, before = np.zeros_like(others), np.zeros_like(own[part])
        for i, span in enumerate(path.seconds):
            logits, now = path.logits[i, part], 2 / n * norms[part] / (1 + fall[part] * path.built[i])
            action += path.action[i, part] - before
            before = path.action[i, part]
            p = _softmax(logits + now / 2 * before + others * path.share[i] - now * action)
            bent[part] += (p * (1 - p)).mean(0) * span * path.share[i]
            action += span * (p - _softmax(logits))
        actions[:, part] = action
    return actions, bent
