"""Distribution inference: of which of two worlds did a model's training records come, such as 20 % women or 50 %?

Every test reads predictions of the model on probe records that the adversary has, and of models that they trained
themselves in both worlds (Suri and Evans, "Formalizing and Estimating Distribution Inference Risks", PETS 2022,
https://arxiv.org/abs/2109.06024).

Axes: `v` victims, `m` own models, `n` probe records, `c` classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import finite, same_length

TINY = 1e-7
"""Least probability of which a logarithm is taken."""


@dataclass(frozen=True)
class Verdicts:
    """What a test says of each victim.

    Attributes:
        score: higher speaks for world 1.
        cut: from which on world 1 is said.
    """

    score: Float[Array, " v"]
    cut: float

    @property
    def world(self) -> Int[Array, " v"]:
        """The world that is said, 0 or 1."""
        return (self.score >= self.cut).astype(np.int64)

    def right(self, truth: Int[Array, " v"]) -> float:
        """Share of victims whose world is said.

        Args:
            truth: the world of each.
        """
        same_length(verdicts=self.score, truth=truth)
        return float((self.world == truth).mean())


@dataclass(frozen=True)
class Own:
    """Models that the adversary trained, and the probe records.

    Attributes:
        predictions: probabilities of classes.
        world: of each model, 0 or 1.
        labels: classes of the probe records.
        drawn: the world from which each probe record was drawn.
    """

    predictions: Float[Array, "m n c"]
    world: Int[Array, " m"]
    labels: Int[Array, " n"]
    drawn: Int[Array, " n"]

    def __post_init__(self) -> None:
        finite("predictions", self.predictions)
        same_length(models=self.predictions, world=self.world)
        same_length(labels=self.labels, drawn=self.drawn)
        counts = [int((self.world == one).sum()) for one in (0, 1)]
        if min(counts) < 2 or sum(counts) != len(self.world):
            raise ValueError(f"world must be 0 or 1, with two models or more of each, got {counts}")
        if not {0, 1} == set(self.drawn.tolist()):
            raise ValueError(f"drawn must be 0 or 1, with records of each, got {sorted(set(self.drawn.tolist()))}")
        if self.predictions.shape[1] != len(self.labels) or self.predictions.min() < 0:
            raise ValueError(
                f"predictions must be probabilities of {len(self.labels)} probe records, got {self.predictions.shape} "
                f"from {self.predictions.min():g}"
            )


def loss_test(victims: Float[Array, "v n c"], own: Own) -> Verdicts:
    """Says the world whose probe records have the smaller log-loss; reads no own models.

    Args:
        victims: probabilities that the victims give to the probe records.
        own: whose probe records are used.
    """
    _fits(victims, own)
    loss = _log_loss(victims, own.labels)
    return Verdicts(loss[:, own.drawn == 0].mean(1) - loss[:, own.drawn == 1].mean(1), 0.0)


def threshold_test(victims: Float[Array, "v n c"], own: Own) -> Verdicts:
    """Cuts the log-loss on the probe records of one world; own models choose which, the cut and its side.

    Args:
        victims: probabilities that the victims give to the probe records.
        own: models on which the cut is fitted.
    """
    _fits(victims, own)
    losses = {
        world: [_log_loss(one, own.labels)[:, own.drawn == world].mean(1) for one in (victims, own.predictions)]
        for world in (0, 1)
    }
    fitted = {world: _side_and_cut(seen, own.world) for world, (_, seen) in losses.items()}
    best = max((0, 1), key=lambda world: fitted[world][2])
    side, cut, _ = fitted[best]
    return Verdicts(side * losses[best][0], cut)


def mean_prediction(victims: Float[Array, "v n c"], own: Own, positive: int | None = None) -> Verdicts:
    """Cuts the mean probability of one class; the baseline that every other test must beat.

    A property that goes with the label moves the share of positive labels, and so this mean, unless classes are held
    fixed.

    Args:
        victims: probabilities that the victims give to the probe records.
        own: models on which the cut and its side are fitted.
        positive: the class; of None that by which own models are told best, of equal ones the last.
    """
    _fits(victims, own)
    known, asked = own.predictions.mean(1), victims.mean(1)
    kinds = range(known.shape[1])[::-1] if positive is None else (positive,)
    fitted = {kind: _side_and_cut(known[:, kind], own.world) for kind in kinds}
    best = max(kinds, key=lambda kind: fitted[kind][2])
    side, cut, _ = fitted[best]
    return Verdicts(side * asked[:, best], cut)


def kl_test(victims: Float[Array, "v n c"], own: Own, *, calibrated: bool = True) -> Verdicts:
    """Says the world whose own models predict more alike, by the mean Kullback-Leibler divergence.

    The score is the mean divergence from the victim to own models of world 0, less that to those of world 1 (the KL
    attack of the paper). One world's models may be nearer to everything, so a cut at 0 is biased: the cut is fitted on
    the own models, each against all others.

    Args:
        victims: probabilities that the victims give to the probe records.
        own: models to compare with.
        calibrated: fit the cut; otherwise it is 0.
    """
    _fits(victims, own)
    score = _nearer(_divergence(victims, own.predictions), np.tile(own.world, (len(victims), 1)))
    if not calibrated:
        return Verdicts(score, 0.0)
    between = _divergence(own.predictions, own.predictions)
    others = ~np.eye(len(own.world), dtype=bool)
    rest = np.stack([row[keep] for row, keep in zip(between, others, strict=True)])
    worlds = np.stack([own.world[keep] for keep in others])
    return Verdicts(score, _cut(_nearer(rest, worlds), own.world)[0])


def logits_test(victims: Float[Array, "v n c"], own: Own, inverse_penalty: float = 0.01) -> Verdicts:
    """Logistic regression from the standardised log-odds of all probe records to the world.

    Args:
        victims: probabilities that the victims give to the probe records.
        own: models on which the regression is fitted.
        inverse_penalty: of the regression, as scikit-learn's C.
    """
    from sklearn.linear_model import LogisticRegression

    _fits(victims, own)
    known, asked = (_log_odds(one).reshape(len(one), -1) for one in (own.predictions, victims))
    centre, spread = known.mean(0), known.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    model = LogisticRegression(C=inverse_penalty, max_iter=1000).fit((known - centre) / spread, own.world)
    return Verdicts(np.asarray(model.decision_function((asked - centre) / spread)), 0.0)


def _fits(victims: Array, own: Own) -> None:
    """Refuses predictions of other probe records or classes."""
    finite("victims", victims)
    if victims.shape[1:] != own.predictions.shape[1:]:
        raise ValueError(
            f"victims must predict the same probe records and classes as the own models, got {victims.shape[1:]} and "
            f"{own.predictions.shape[1:]}"
        )


def _log_loss(predictions: Float[Array, "m n c"], labels: Int[Array, " n"]) -> Float[Array, "m n"]:
    """Of each model and record, nats."""
    chosen = predictions[:, np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.maximum(chosen, TINY)))


def _log_odds(predictions: Float[Array, "m n c"]) -> Float[Array, "m n _k"]:
    """Log-odds of each class; of two classes, one says all."""
    inner = np.clip(predictions, TINY, 1 - TINY)
    odds = np.log(inner) - np.log1p(-inner)
    return np.asarray(odds[..., 1:] if predictions.shape[2] == 2 else odds)


def _divergence(first: Float[Array, "v n c"], second: Float[Array, "m n c"]) -> Float[Array, "v m"]:
    """Kullback-Leibler divergence of predictions, the mean over records, nats."""
    p, q = (np.maximum(one, TINY).reshape(len(one), -1) for one in (first, second))
    return np.asarray(((p * np.log(p)).sum(1)[:, None] - p @ np.log(q).T) / first.shape[1])


def _nearer(divergence: Float[Array, "v m"], world: Int[Array, "v m"]) -> Float[Array, " v"]:
    """Mean divergence to world 0, less that to world 1."""
    zero = world == 0
    return np.asarray(_mean(divergence, zero) - _mean(divergence, ~zero))


def _mean(values: Float[Array, "v m"], where: Bool[Array, "v m"]) -> Float[Array, " v"]:
    """Of some of the columns of each row."""
    return np.asarray((values * where).sum(1) / where.sum(1))


def _cut(score: Float[Array, " m"], world: Int[Array, " m"]) -> tuple[float, float]:
    """The cut with the largest mean of both worlds' shares that are right, and this mean; in the middle of a gap."""
    values = np.unique(score)
    cuts = np.concatenate([[values[0] - 1.0], (values[1:] + values[:-1]) / 2, [values[-1] + 1.0]])
    said = score[None] >= cuts[:, None]
    right = (said[:, world == 1].mean(1) + (~said)[:, world == 0].mean(1)) / 2
    best = np.flatnonzero(right >= right.max() - 1e-12)
    return float(cuts[best[len(best) // 2]]), float(right.max())


def _side_and_cut(score: Float[Array, " m"], world: Int[Array, " m"]) -> tuple[int, float, float]:
    """1 or -1, by which scores are multiplied so that higher speaks for world 1; the cut; the mean share right."""
    found = {side: _cut(side * score, world) for side in (1, -1)}
    side = max(found, key=lambda one: found[one][1])
    return side, *found[side]
