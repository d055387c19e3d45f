"""Task inference: statistics by loops, the theory of a mean that tasks share, and chance where nothing is shared."""

import numpy as np
import pytest

from dosimeter.families.exchange.inferring.tasks import fit_whitening, task_scores

D, TASKS, N, ROWS = 40, 8, 5, 30
BETWEEN, WITHIN = 1.0, 1.0
"""Variance of the means of tasks, and of records of one task, in each direction."""


def auc(inside, outside):
    return float((inside[:, None] > outside[None]).mean() + (inside[:, None] == outside[None]).mean() / 2)


def world(seed, k=4):
    """Records of trained tasks, fresh ones of these, and of others, by an encoder that learned sums of tasks; its rows.

    Each row is the mean over tasks of their learned means, with random signs: what parameters shared by T tasks hold.
    """
    rng = np.random.default_rng(seed)
    means = rng.normal(0, BETWEEN**0.5, (TASKS, D))
    trained = means[:, None] + rng.normal(0, WITHIN**0.5, (TASKS, N, D))
    signs = rng.choice([-1.0, 1.0], (ROWS, TASKS))
    encoder = signs @ trained.mean(1) / TASKS
    fresh = means[:, None] + rng.normal(0, WITHIN**0.5, (TASKS, k, D))
    others = rng.normal(0, BETWEEN**0.5, (200, 1, D)) + rng.normal(0, WITHIN**0.5, (200, k, D))
    return trained[:, :k] @ encoder.T, fresh @ encoder.T, others @ encoder.T, encoder


def signed(embeddings):
    """Mean inner product of two records of a task."""
    gram = embeddings @ np.swapaxes(embeddings, 1, 2)
    k = embeddings.shape[1]
    return (gram.sum((1, 2)) - np.trace(gram, axis1=1, axis2=2)) / (k * (k - 1))


def test_the_theory_of_shared_means_holds():
    """A record's product with a row has mean (d/T)(between + within/N), (d/T) between, and 0, times the task's sign.

    What a row gives a task that it never saw varies by its squared length times `between`; seen tasks have that too.
    """
    found = np.array([[one.mean() for one in map(signed, world(seed)[:3])] for seed in range(300)]).mean(0)
    strong, weak = D / TASKS * (BETWEEN + WITHIN / N), D / TASKS * BETWEEN
    chance = D / TASKS * (BETWEEN + WITHIN / N) * BETWEEN
    assert found[2] == pytest.approx(ROWS * chance, rel=0.1)
    rest = (TASKS - 1) / TASKS * chance  # the other tasks of the row
    alone = ROWS * np.array([strong**2, weak**2])
    assert found[:2] == pytest.approx(alone + ROWS * rest, rel=0.15)
    assert found[0] > found[1] > found[2]


def test_trained_tasks_are_told_from_others_and_strong_records_better():
    scores = {"strong": [], "weak": [], "null": []}
    for seed in range(20):
        strong, weak, others, _ = world(seed)
        whitening = fit_whitening(others[:100].reshape(-1, ROWS))
        inside, fresh, outside, more = (
            task_scores(one, whitening).inner for one in (strong, weak, others[100:150], others[150:])
        )
        scores["strong"].append(auc(inside, outside))
        scores["weak"].append(auc(fresh, outside))
        scores["null"].append(auc(more, outside))
    means = {name: np.mean(values) for name, values in scores.items()}
    assert means["strong"] > means["weak"] > 0.7
    assert means["null"] == pytest.approx(0.5, abs=0.04)


def test_an_untrained_encoder_is_at_chance():
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(ROWS, D))
        inside, outside, pool = (
            (rng.normal(size=(count, 1, D)) + rng.normal(size=(count, 4, D))) @ rows.T for count in (20, 50, 100)
        )
        whitening = fit_whitening(pool.reshape(-1, ROWS))
        found.append(auc(task_scores(inside, whitening).inner, task_scores(outside, whitening).inner))
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_statistics_are_those_of_loops():
    rng = np.random.default_rng(0)
    pool, asked = rng.normal(size=(50, 6)), rng.normal(size=(3, 4, 6))
    whitening = fit_whitening(pool)
    found = task_scores(asked, whitening)
    for task in range(3):
        white = [(one - whitening.mean) @ whitening.matrix for one in asked[task]]
        pairs = [abs(a @ b) for i, a in enumerate(white) for b in white[:i]]
        assert found.inner[task] == pytest.approx(np.mean(pairs))
        assert found.compact[task] == pytest.approx(-np.trace(np.cov(np.array(white).T)) / 6)


def test_a_whitened_pool_is_white_and_narrow_directions_go():
    rng = np.random.default_rng(1)
    pool = rng.normal(size=(400, 5)) @ np.diag([3.0, 2.0, 1.0, 0.5, 1e-4]) + 7
    whitening = fit_whitening(pool)
    assert whitening.kept == 4
    assert np.cov(whitening.of(pool).T) == pytest.approx(np.eye(4), abs=1e-9)


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(0)
    whitening = fit_whitening(rng.normal(size=(9, 3)))
    with pytest.raises(ValueError, match="two records or more, got 1"):
        task_scores(rng.normal(size=(2, 1, 3)), whitening)
    with pytest.raises(ValueError, match="two records or more, got 1"):
        fit_whitening(np.ones((1, 3)))
    with pytest.raises(ValueError, match="is the encoder constant"):
        fit_whitening(np.ones((5, 3)))
    with pytest.raises(ValueError, match="embeddings must be finite"):
        task_scores(np.full((2, 2, 3), np.nan), whitening)
