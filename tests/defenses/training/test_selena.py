"""SELENA: nobody is labelled by a model that saw them."""

import numpy as np
import pytest
import torch

from defenses.twins import CPU, C, data
from dosimeter.defenses import SELENA
from dosimeter.foundation.errors import TrainingError
from dosimeter.training.distillation import mean_answer, parts, pupil, soft_labels, teach_heads, trainings
from dosimeter.training.heads import train_heads
from dosimeter.training.recipe import Hyperparameters


@pytest.mark.parametrize("n", [7, 25, 26, 100, 241])
@pytest.mark.parametrize(("k", "out"), [(25, 10), (10, 8), (2, 1), (5, 4)])
def test_every_record_is_left_out_of_as_many_submodels(n, k, out):
    trains = SELENA(k, out).divide(n, np.random.default_rng(0))
    assert trains.shape == (k, n)
    assert ((~trains).sum(0) == out).all()
    sizes = trains.sum(1)
    assert sizes.max() - sizes.min() <= (out if n % k else 0)
    if not sizes.min():
        with pytest.raises(TrainingError, match=f"every sub-model must train on a record, got one without any of {n}"):
            parts(SELENA(k, out), n, 3)
        return
    _, rows = parts(SELENA(k, out), n, 3)
    assert len(rows) == k
    assert all(len(set(own)) == len(own) for own in rows)


class Own:
    """A defense of the user's with two sub-models."""

    parts, cost = 2, 2.0

    def __init__(self, trains):
        self.trains = trains

    def divide(self, n, rng):
        return self.trains


@pytest.mark.parametrize(
    ("trains", "line"),
    [
        (
            np.ones((2, 4), bool),
            "left out of a sub-model, which labels it, got 4 of 4 that are in all: correct `divide`",
        ),
        (np.array([[True] * 4, [False] * 4]), "must train on a record, got one without any of 4: use fewer sub-models"),
        (np.ones((3, 4), bool), r"`divide` must give bool \(2, 4\), got bool \(3, 4\): correct it"),
        (np.ones((2, 4)), r"got float64 \(2, 4\): correct it"),
        (None, "got NoneType: correct it"),
    ],
)
def test_divisions_that_label_nobody_are_refused(trains, line):
    with pytest.raises(TrainingError, match=f"defense Own: .*{line}"):
        parts(Own(trains), 4, 0)


def test_exclusions_are_drawn_anew_for_each_model():
    drawn = [parts(SELENA(10, 4), 60, seed)[0] for seed in (1, 1, 2)]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()


def test_no_record_is_labelled_by_a_submodel_that_trained_on_it():
    """A sub-model that trained on a record answers 1, others 0: all labels must be 0."""
    found, n = SELENA(6, 2), 40
    trains, rows = parts(found, n, 5)
    seen = []

    def remembers(seed, own):
        seen.append(set(own.tolist()))
        return torch.zeros(n, 2).index_fill(0, torch.from_numpy(own), 1.0)

    assert float(soft_labels(found, n, 5, remembers).abs().max()) == 0
    assert seen == [set(own.tolist()) for own in rows]
    assert all(trains[k, record] for k in range(6) for record in seen[k])


def test_heads_learn_from_answers_that_a_loop_gives():
    features, labels, rows = data()
    hp = Hyperparameters(epochs=6, batch_size=8, lr=0.1, defenses=(SELENA(5, 2),))
    found = teach_heads(features, labels, rows, hp, classes=C, seeds=[1, 2, 3, 4], device=CPU)
    own, seed = rows[1], 2

    def one(inner_seed, part):
        pack = train_heads(features, labels, own[part][None], pupil(hp), classes=C, seeds=[inner_seed], device=CPU)
        return torch.softmax(features[own] @ pack.weight[0].T + pack.bias[0], 1)

    soft = soft_labels(SELENA(5, 2), len(own), seed, one)
    alone = train_heads(features, soft[None], own[None], pupil(hp), classes=C, seeds=[seed], device=CPU)
    torch.testing.assert_close(found.weight[1], alone.weight[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.bias[1], alone.bias[0], rtol=1e-5, atol=1e-5)


def test_mean_answer_is_that_of_a_loop():
    rng = np.random.default_rng(1)
    answers, trains = torch.from_numpy(rng.random((5, 9, 3))), SELENA(5, 2).divide(9, rng)
    found = mean_answer(answers, trains)
    for record in range(9):
        outside = [answers[k, record] for k in range(5) if not trains[k, record]]
        torch.testing.assert_close(found[record], sum(outside) / len(outside))


def test_work_is_counted():
    assert trainings(Hyperparameters(defenses=(SELENA(25, 10),))) == 16
    assert trainings(Hyperparameters()) == 1
