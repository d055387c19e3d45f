"""Task inference: was a shared encoder trained on the tasks that some records belong to, such as a person or a class?

Axes: `t` tasks, `k` records of each, `d` numbers of an embedding, `r` of a whitened one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import finite, in_range

LEAST = 1e-3
"""Least eigenvalue of a direction that is kept, as a share of the largest."""


@dataclass(frozen=True)
class Whitening:
    """What makes embeddings of a pool uncorrelated with variance 1.

    Attributes:
        mean: of the pool.
        matrix: from embeddings to the directions that are kept.
    """

    mean: Float[Array, " d"]
    matrix: Float[Array, "d r"]

    @property
    def kept(self) -> int:
        """Directions that are kept; report it, as few of them may be."""
        return int(self.matrix.shape[1])

    def of(self, embeddings: Float[Array, "... d"]) -> Float[Array, "... r"]:
        """Whitened embeddings.

        Args:
            embeddings: of any records.
        """
        return np.asarray((embeddings - self.mean) @ self.matrix)


@dataclass(frozen=True)
class TaskScores:
    """What speaks for a task having been trained on; higher is likelier.

    Attributes:
        inner: mean absolute inner product of two of its records.
        compact: minus the trace of their covariance, divided by the number of directions.
    """

    inner: Float[Array, " t"]
    compact: Float[Array, " t"]


def fit_whitening(pool: Float[Array, "n d"], least: float = LEAST) -> Whitening:
    """Fits a whitening to embeddings of records of other tasks, neither trained on nor asked about.

    Args:
        pool: embeddings of the third pool.
        least: least eigenvalue of a direction that is kept, as a share of the largest.

    Raises:
        ValueError: fewer than two records, no spread, an entry that is not finite, or `least` is not in (0, 1].
    """
    in_range("least", least, 0, 1, open_low=True)
    finite("pool", pool)
    if len(pool) < 2:
        raise ValueError(f"pool must have two records or more, got {len(pool)}")
    mean = pool.astype(np.float64).mean(0)
    apart = pool - mean
    values, vectors = np.linalg.eigh(apart.T @ apart / (len(pool) - 1))
    if not values[-1] > 0:
        raise ValueError("pool must have records with different embeddings, got equal ones: is the encoder constant?")
    kept = values >= least * values[-1]
    return Whitening(mean, vectors[:, kept] / np.sqrt(values[kept]))


def task_scores(embeddings: Float[Array, "t k d"], whitening: Whitening) -> TaskScores:
    """Scores of tasks from answers of the shared encoder, without shadow models.

    "Task inference" on shared representations, ICLR 2026, https://openreview.net/forum?id=mTsWEVhcZM: an encoder
    spreads what it was trained to tell apart, so two records of a trained task have a larger inner product after
    whitening. The records are those of training (strong), or fresh ones of the same task (weak). Splits alone move
    both statistics, so scores of an untrained encoder on the same records belong beside them.

    Args:
        embeddings: of the records of each task.
        whitening: fitted on a third pool.

    Raises:
        ValueError: fewer than two records of a task, or an entry is not finite.
    """
    finite("embeddings", embeddings)
    records = embeddings.shape[1]
    if records < 2:
        raise ValueError(f"a task must have two records or more, got {records}")
    white = whitening.of(embeddings)
    inner = np.abs(white @ np.swapaxes(white, 1, 2))
    pairs = inner.sum((1, 2)) - np.trace(inner, axis1=1, axis2=2)
    return TaskScores(pairs / (records * (records - 1)), -white.var(1, ddof=1).mean(1))
