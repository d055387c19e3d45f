"""Distilled students against training them one by one with automatic differentiation."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.membership.observe.probes import trajectory
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.training.heads import VARIANCE_FLOOR
from dosimeter.training.recipe import Hyperparameters
from families.membership.observe.probes.subjects import heads


def one_by_one(subject, index, hp):
    """The losses `[e r]` of one student: plain SGD on the soft labels of one teacher."""
    known, teacher = subject.inputs[-subject.population :], subject.models[index].trained
    soft = torch.softmax(teacher(known), 1).detach()
    mean, scale = torch.zeros(known.shape[1]), torch.ones(known.shape[1])
    if hp.standardise:
        variance = known.var(0, unbiased=False)
        mean, scale = known.mean(0), (variance + VARIANCE_FLOOR * variance.mean()).sqrt()
    seed = subject.training.seeds[index]
    student = subject.training.fresh(seed_for(seed, "student"))
    rng, step, losses = generator(seed, "distillation order"), 0, []
    velocity = [torch.zeros_like(one) for one in student.parameters()]
    steps = trajectory.EPOCHS * -(-len(known) // hp.batch_size)
    for _ in range(trajectory.EPOCHS):
        order = torch.from_numpy(rng.permutation(len(known)))
        for batch in order.split(hp.batch_size):
            logs = torch.log_softmax(student((known[batch] - mean) / scale), 1)
            loss = -(soft[batch] * logs).sum(1).mean()
            with torch.no_grad():
                for weight, speed, slope in zip(
                    student.parameters(), velocity, torch.autograd.grad(loss, list(student.parameters())), strict=True
                ):
                    speed.mul_(hp.momentum).add_(slope + hp.weight_decay * weight)
                    weight.sub_(hp.lr_at(step, steps) * speed)
            step += 1
        with torch.no_grad():
            logits = student((subject.inputs - mean) / scale)
        losses.append(nn.functional.cross_entropy(logits, subject.labels, reduction="none"))
    return torch.stack(losses)


RECIPES = [
    Hyperparameters(epochs=5, lr=0.1, batch_size=16),
    Hyperparameters(epochs=5, lr=0.1, batch_size=16, standardise=True, weight_decay=0.01, schedule="cosine"),
]


@pytest.mark.parametrize("hp", RECIPES, ids=["plain", "standardised"])
@pytest.mark.parametrize("kind", ["heads", "networks"])
def test_students_equal_their_slow_twins(hp, kind):
    subject, _ = heads(0, hp, m=4, p=30, z=50)
    if kind == "networks":
        hp = dataclasses.replace(hp, standardise=False)  # a choice of heads alone
        draw = subject.training.fresh
        training = dataclasses.replace(subject.training, hp=hp, fresh=lambda seed: nn.Sequential(draw(seed)))
        models = tuple(dataclasses.replace(one, trained=nn.Sequential(one.trained)) for one in subject.models)
        exact = [one_by_one(subject, index, hp) for index in range(4)]
        subject = dataclasses.replace(subject, models=models, training=training)
    else:
        exact = [one_by_one(subject, index, hp) for index in range(4)]
    found = trajectory.compute(subject)
    assert tuple(found) == trajectory.SIGNALS
    for epoch, name in enumerate(found):
        assert found[name].dtype == torch.float64
        np.testing.assert_allclose(found[name], [one[epoch] for one in exact], atol=1e-4)


def test_a_population_that_leaves_a_batch_of_one_is_distilled_with_layers_that_need_a_spread():
    hp = Hyperparameters(epochs=5, lr=0.1, batch_size=16)
    subject, _ = heads(0, hp, m=2, p=30, z=65)
    training = dataclasses.replace(
        subject.training, fresh=lambda seed: nn.Sequential(nn.BatchNorm1d(6), subject.training.fresh(seed))
    )
    models = tuple(dataclasses.replace(one, trained=nn.Sequential(one.trained)) for one in subject.models)
    found = trajectory.compute(dataclasses.replace(subject, models=models, training=training))
    assert all(bool(values.isfinite().all()) for values in found.values())
    for records, size, wanted in ((65, 16, [16, 16, 16, 17]), (66, 16, [16] * 4 + [2]), (3, 1, [1] * 3), (1, 4, [1])):
        parts = trajectory._batches(torch.arange(records), size)
        assert [len(part) for part in parts] == wanted
        assert torch.equal(torch.cat(parts), torch.arange(records))


def test_a_student_sees_nothing_but_the_population_and_the_answers():
    """Other candidates and another membership leave its losses on the population as they were."""
    subject, _ = heads(1, m=2, p=30, z=50)
    before = trajectory.compute(subject)["trajectory_10"][:, 30:]
    other = subject.inputs.clone()
    other[:30] += 5.0
    training = dataclasses.replace(subject.training, inputs=other, rows=subject.training.rows[::-1].copy())
    after = trajectory.compute(dataclasses.replace(subject, inputs=other, training=training))["trajectory_10"][:, 30:]
    assert torch.equal(before, after)


def test_it_learns_from_what_is_given_away():
    """A model that answers at random teaches nothing: the student's losses then do not fall."""
    subject, _ = heads(2, Hyperparameters(epochs=20, lr=0.1, batch_size=8), m=2, p=40, z=60, spread=2.0)
    taught = trajectory.compute(subject)
    mute = tuple(dataclasses.replace(one, given=lambda x: torch.zeros(len(x), 3)) for one in subject.models)
    untaught = trajectory.compute(dataclasses.replace(subject, models=mute))
    assert float(taught["trajectory_10"].mean()) < 0.5
    assert float(untaught["trajectory_10"].mean()) > 0.9
