"""In- and out-laws of the confidences of a softmax head on frozen features, by the cavity method, without shadows.

Method: the cavity method of Mézard, Parisi, Virasoro, "Spin Glass Theory and Beyond", 1987. It answers: how does a
system of many parts look to one part? Take the part out, compute the field of all others at its place (the cavity),
then put the part back and let it act in this field. Here a part is a training record, and the field is the logits that
the head gives the record. In statistics the same idea is called leave-one-out; step 2 is an influence function (Koh,
Liang, 2017, https://arxiv.org/abs/1703.04730).

Axes: `p` records of the pool, of which a head trains on a random half; `d` features, the last one a constant; `c`
classes; `g` times; `r` random halves. In arrays classes come before records, because sums over them then run over long
rows, at a tenth of the time. X `[p d]` are the features, K = X X', x_i is row i of X, π is a probability.

1. Reference (`_descend`). Gradient descent from weights 0 gives W = -(1/p) X' A. Row a_i of A `[p c]` is the *action*
   of record i: the sum over all updates of learning rate times residual (π minus label). A record acts on the head
   through its row alone. A head trains on p / 2 records, each with weight 2 / p, or 0 if it is not among them. The
   reference trains on all p records with weight 1 / p, which is the mean of these two weights.
2. Response (`_respond`). Let some actions change by b. This moves the logits Z of one class by -(1/p) K b. Then all
   residuals react. To first order (Taylor) the reaction is D dZ, with D the diagonal matrix of π (1 - π) summed over
   the learning rate (`_Path.curvature`); covariances between classes are left out. So dZ = -(1/p) K (b + D dZ), hence

       dZ = -(1/p) R b,   R = (I + K D / p)^-1 K.                                                                 (1)

3. Cavity (`_respond`). The record's response to itself is removed: its term b_i, and its entry D_i of D. By the formula
   of Sherman and Morrison, removal of D_i multiplies row i of R by a number:

       R_ij without D_i = R_ij / (1 - D_i R_ii / p),   field_i = -(1/p) sum over j != i of (R_ij without D_i) b_j. (2)

   The entry j = i, "own" in the code, is the response of the logits of i to its own action.
4. Halves (`_respond`). A random half gives record j the weight (1 + s_j) / p, with s_j = 1 or -1 by a fair coin. So
   b_j = s_j a_j, and (2) gives the field for this half. Random initial weights W_0 add (I + K D / p)^-1 X W_0.
5. Own action (`_own`). The record is put back at full weight. Its residuals are followed along the trajectory, since a
   softmax is not linear over so large a change. With h the logits without the record,

       a_i = sum over time of rate * (softmax(h_i - (2/p) own_i a_i) - label_i).                                  (3)

6. Laws (`closed_form`). For each half, phi(h_i) is the confidence of a head without the record, and
   phi(h_i - (2/p) own_i a_i) that of a head with it. Mean and variance over the halves are the out- and the in-law.

Records in a half have smaller residuals than in the reference, because they act at full weight. So the actions of (3),
averaged over halves, replace those of step 1, and steps 2 to 5 are repeated. This is a fixed-point iteration.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg
from scipy.linalg import blas, lapack

from dosimeter.families.membership.game import FrozenHead
from dosimeter.foundation.arrays import Array

TIMES = 40
"""Number of points of the trajectory that are kept."""
HALVES = 64
"""Number of random halves over which mean and variance of the laws are taken."""
FIRST_HALVES = 16
"""Number of random halves in the first two passes, which only need the mean over halves."""
GROUP = 128
"""Fewest records in one update of the reference head, if the pool has as many."""
BLOCK = 128
"""Number of records whose paths are computed at once."""
MEMORY = 2**28
"""Most bytes of factors of systems that are kept from one pass to the next."""
LARGEST_RESPONSE = 0.9
"""Upper limit of D_i R_ii / p in equation (2), a share without unit: near 1 the linear expansion has no meaning."""
VARIANCE_FLOOR = 0.1
"""Share of the mean variance that is added to each feature's variance in standardisation, as in training."""


@dataclass(frozen=True)
class Laws:
    """Mean and variance of each record's logit-scaled confidence, over heads with it and over heads without it.

    Attributes:
        mean_in: mean over heads that trained on the record, nats `[p]`.
        variance_in: variance over these heads, nats² `[p]`.
        mean_out: mean over heads that did not train on the record, nats `[p]`.
        variance_out: variance over these heads, nats² `[p]`.
    """

    mean_in: Float[Array, " p"]
    variance_in: Float[Array, " p"]
    mean_out: Float[Array, " p"]
    variance_out: Float[Array, " p"]


@dataclass(frozen=True)
class _Path:
    """Trajectory of the reference head, which starts from weights 0 and gives every record the weight 1 / p.

    Attributes:
        logits: logits of all records at the kept times `[g c p]`.
        action: A' at the kept times `[g c p]`.
        seconds: learning rate, with momentum, that was spent since the kept time before `[g]`.
    """

    logits: Float[Array, "g c p"]
    action: Float[Array, "g c p"]
    seconds: Float[Array, " g"]

    @functools.cached_property
    def share(self) -> Float[Array, " g"]:
        """Share of the final action that is reached at each time, over all records; responses are taken to grow so."""
        reached = np.abs(self.action).sum((1, 2))
        result: Array = (reached / max(float(reached[-1]), 1e-30)).astype(np.float32)
        return result

    @functools.cached_property
    def curvature(self) -> Float[Array, "c p"]:
        """D of equation (1): π (1 - π) of each record and class, summed over the trajectory."""
        result: Array = functools.reduce(np.add, self._spans())
        return result

    @functools.cached_property
    def buildup(self) -> Float[Array, " g"]:
        """Share of the curvature that has built up by each time, mean over records and classes."""
        total = np.cumsum([span.mean() for span in self._spans()])
        result: Array = (total / max(float(total[-1]), 1e-30)).astype(np.float32)
        return result

    def _spans(self) -> Iterator[Float[Array, "c p"]]:
        """Yields the curvature of each span of time, one by one: all at once would need as much memory as logits."""
        for logits, weight in zip(self.logits, self.seconds * self.share, strict=True):
            p = _softmax(logits)
            yield p * (1 - p) * weight


@functools.lru_cache(maxsize=1)
def closed_form(head: FrozenHead) -> Laws:
    """Computes the laws of all records of the pool; step 6 of the module's docstring.

    The result for the last head is kept, since every target of a run asks for the same. The first pass takes each
    record's action from the reference. The second and third take it from heads that hold the record.
    """
    x, onehot = head_inputs(head), np.eye(head.classes, dtype=np.float32)[:, head.labels]
    path = _descend(x, onehot, head)
    rng = np.random.default_rng(0)
    # A fixed draw: the laws of a head must not differ between the targets and attacks of a run.
    signs = rng.choice(np.array([-1.0, 1.0], np.float32), (HALVES, len(x)))
    start = rng.uniform(-1, 1, (HALVES, x.shape[1], head.classes)).astype(np.float32)
    # The range of `nn.Linear` for d - 1 features: its heads start from such weights, the reference from 0.
    start /= np.float32(np.sqrt(x.shape[1] - 1))
    n, action, curvature = np.float32(len(x)), path.action[-1], path.curvature
    source, systems = np.zeros_like(action), (_dual if len(x) < x.shape[1] else _primal)(x)
    # The first pass is rough, so one system serves all classes.
    system: Callable[[int], _System] = ([systems(curvature.mean(0))] * len(action)).__getitem__
    for turn, halves in enumerate((FIRST_HALVES, FIRST_HALVES, HALVES)):
        drawn = (signs[:halves], start[:halves])
        own, field, reaction = _respond(x, curvature, drawn, action, source, system)
        actions, bent = _own(path, x, own, field)
        action = actions.mean(1)
        # The linear reaction is taken off, because the next solution of (1) adds it again.
        source = action - path.action[-1] - reaction
        if turn == 0:  # D for which weight 1 / p responds as weight 2 / p does with `bent`
            bent = bent / (1 + 2 / n * own * bent)
            curvature = bent / (1 - np.minimum(own * bent / n, LARGEST_RESPONSE))
            kept = MEMORY // (8 * min(x.shape) ** 2)
            system = functools.lru_cache(maxsize=kept)(lambda c, final=curvature: systems(final[c]))
    moments = np.empty((4, len(x)))
    for part in _blocks(len(x)):
        # The record's own term, at weight 1 / p, is added back to the reference's logits: the cavity.
        cavity = path.logits[-1][:, part] + own[:, part] * path.action[-1][:, part] / n
        without = cavity[:, None] + field[:, :, part]
        outside = _confidence(without, head.labels[part])
        inside = _confidence(without - 2 / n * own[:, None, part] * actions[:, :, part], head.labels[part])
        moments[:, part] = inside.mean(0), inside.var(0, ddof=1), outside.mean(0), outside.var(0, ddof=1)
    return Laws(*moments)


def _blocks(p: int) -> Iterator[slice]:
    """Slices of a few records each. A record has its own path, and the paths of one slice fit into the cache."""
    return (slice(start, start + BLOCK) for start in range(0, p, BLOCK))


def head_inputs(head: FrozenHead) -> Float[Array, "p d"]:
    """Features as the head sees them, with a constant column for the bias."""
    x = head.features.astype(np.float64)
    if head.standardise:
        variance = x.var(axis=0)
        x = (x - x.mean(axis=0)) / np.sqrt(variance + VARIANCE_FLOOR * variance.mean() + 1e-12)
    return np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(np.float32)


def _softmax(logits: Array) -> Array:
    """Probabilities over the first axis; the largest logit is subtracted first, so that nothing overflows."""
    p: Array = np.exp(logits - logits.max(axis=0))
    p /= p.sum(axis=0)
    return p


def _confidence(logits: Float[Array, "c r p"], labels: Int[Array, " p"]) -> Float[Array, "r p"]:
    """Logit-scaled confidence phi = log π_y - log(1 - π_y) in float64, nats."""
    z = logits.astype(np.float64)
    rows = np.arange(len(labels))
    own = z[labels, :, rows].T.copy()
    # The true class is left out of the log-sum: 1 - π_y would round to 0 for confident answers.
    z[labels, :, rows] = -np.inf
    top = z.max(axis=0)
    result: Array = own - top - np.log(np.exp(z - top).sum(axis=0))
    return result


def _descend(x: Float[Array, "p d"], onehot: Float[Array, "c p"], head: FrozenHead) -> _Path:
    """Runs gradient descent on the mean loss of all records: as many updates as a head makes, with its momentum.

    Records take turns in groups of at least `GROUP`, because a product with all of them is bound by memory. `pushed`
    is to the action what the velocity is to the weights, so that W = -(1/p) X' A holds after every update.
    """
    steps, turns = len(head.rates), max(1, len(x) // GROUP)
    groups = [(np.ascontiguousarray(x[i::turns]), slice(i, None, turns)) for i in range(turns)]
    kept = set(np.unique(np.linspace(1, steps, min(TIMES, steps)).astype(int)).tolist())
    weight = np.zeros((len(onehot), x.shape[1]), np.float32)
    velocity, action, pushed = np.zeros_like(weight), np.zeros_like(onehot), np.zeros_like(onehot)
    logits, actions, spent = [], [], []
    unit = total = 0.0
    for step, rate in enumerate(head.rates.tolist()):
        group, rows = groups[step % turns]
        residual = (_softmax(weight @ group.T) - onehot[:, rows]) * np.float32(len(x) / len(group))
        velocity = head.momentum * velocity + residual @ group / np.float32(len(x)) + head.weight_decay * weight
        pushed = head.momentum * pushed - head.weight_decay * action
        pushed[:, rows] += residual
        unit = head.momentum * unit + 1
        weight = weight - rate * velocity
        action += rate * pushed
        total += rate * unit
        if step + 1 in kept:
            logits.append(weight @ x.T)
            actions.append(action.copy())
            spent.append(total)
    return _Path(np.stack(logits), np.stack(actions), np.diff(spent, prepend=0.0).astype(np.float32))


@dataclass(frozen=True)
class _System:
    """Equation (1) for one class.

    Attributes:
        diagonal: of R `[p]`.
        move: gives dZ for actions b / p `[p k]` and initial weights `[d k]`.
    """

    diagonal: Float[Array, " p"]
    move: Callable[[Array, Array], Array]


def _respond(
    x: Float[Array, "p d"], curvature: Float[Array, "c p"], drawn: tuple[Float[Array, "r p"], Float[Array, "r d c"]],
    action: Float[Array, "c p"], source: Float[Array, "c p"], system: Callable[[int], _System],
) -> tuple[Float[Array, "c p"], Float[Array, "c r p"], Float[Array, "c p"]]:  # fmt: skip
    """Computes the fields of equation (2) and own responses, class by class; steps 2 to 4 of the module's docstring.

    Args:
        x: X.
        curvature: D.
        drawn: signs s of the halves, and initial weights.
        action: the actions a of all records.
        source: change of the actions that is common to all halves: how the mean head differs from the reference.
        system: gives the system of a class.

    Returns:
        Own response, R_ii without D_i; the field of each half, with the response to `source`; the actions D dZ with
        which all records react to `source`.
    """
    signs, start = drawn
    n, own, reaction = np.float32(len(x)), np.empty_like(action), np.empty_like(action)
    field = np.empty((len(action), len(signs), len(x)), np.float32)
    for c in range(len(action)):
        halves = np.concatenate([signs * action[c], source[c, None]]).T / n
        first = np.concatenate([start[:, :, c].T, np.zeros((x.shape[1], 1), np.float32)], axis=1)
        solved = system(c)
        diagonal, moved = solved.diagonal, solved.move(halves, first)
        # Sherman and Morrison, equation (2).
        free = 1 / (1 - np.minimum(curvature[c] * diagonal / n, LARGEST_RESPONSE))
        own[c], reaction[c] = diagonal * free, curvature[c] * moved[:, -1]
        # The own term R_ii b_i is added back, so that the sum runs over the others only.
        moved = (moved + diagonal[:, None] * halves) * free[:, None]
        field[c] = (moved[:, :-1] + moved[:, -1:]).T
    return own, field, reaction


def _primal(x: Float[Array, "p d"]) -> Callable[[Float[Array, " p"]], _System]:
    """Makes the system of a curvature D by matrices of d x d."""

    def system(curvature: Array) -> _System:
        weighted = x * np.sqrt(curvature / np.float32(len(x)))[:, None]
        inverse = _inverse_factor(weighted.T @ weighted)
        reach = blas.strmm(1.0, inverse, x.T, lower=1)

        def move(action: Array, start: Array) -> Array:
            moved: Array = x @ (inverse.T @ (inverse @ (start - x.T @ action)))
            return moved

        return _System((reach * reach).sum(0), move)

    return system


def _dual(x: Float[Array, "p d"]) -> Callable[[Float[Array, " p"]], _System]:
    """Makes the same by matrices of p x p, which are smaller if records are fewer than features."""
    kernel, norms = x @ x.T, (x * x).sum(1)

    def system(curvature: Array) -> _System:
        root = np.sqrt(curvature / np.float32(len(x)))[:, None]
        bent = root * kernel
        inverse = _inverse_factor(bent * root.T)
        reach = inverse @ bent

        def move(action: Array, start: Array) -> Array:
            moved: Array = x @ start - kernel @ action
            moved -= reach.T @ (inverse @ (root * moved))
            return moved

        return _System(norms - (reach * reach).sum(0), move)

    return system


def _inverse_factor(matrix: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """The inverse of L, where I + matrix = L L': a product with it takes half as long as a triangular solution."""
    matrix.flat[:: len(matrix) + 1] += 1
    inverse: Array = lapack.strtri(linalg.cholesky(matrix, lower=True), lower=1)[0]
    return inverse


def _own(
    path: _Path, x: Float[Array, "p d"], own: Float[Array, "c p"], field: Float[Array, "c r p"]
) -> tuple[Float[Array, "c r p"], Float[Array, "c p"]]:
    """Follows the action of each record at full weight in the field of the others; equation (3).

    Only the difference to the reference is integrated, so that coarse times do not bias it. The own response falls from
    |x_i|^2, before any curvature has built up, to `own`.

    Returns:
        Action of each record in heads that hold it, for each half, and its curvature there, mean over the halves.
    """
    n, norms = np.float32(len(x)), (x * x).sum(1)
    fall = norms / np.maximum(own, 1e-12) - 1
    actions, bent = np.empty_like(field), np.zeros_like(own)
    for part in _blocks(len(x)):
        others = np.ascontiguousarray(field[:, :, part])
        action, before = np.zeros_like(others), np.zeros_like(own[:, part])
        for i, span in enumerate(path.seconds):
            logits, taken = path.logits[i][:, part], path.action[i][:, part]
            now = 2 / n * norms[part] / (1 + fall[:, part] * path.buildup[i])
            action += (taken - before)[:, None]
            before = taken
            p = _softmax((logits + now / 2 * before)[:, None] + others * path.share[i] - now[:, None] * action)
            bent[:, part] += (p * (1 - p)).mean(1) * span * path.share[i]
            p -= _softmax(logits)[:, None]
            p *= span
            action += p
        actions[:, :, part] = action
    return actions, bent
