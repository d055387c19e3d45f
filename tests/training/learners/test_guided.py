"""Conditional generators and students: networks and losses against slow twins, what they learn, and from what alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.models.learners import ClassCritic, ClassDecoder, ClassNorm, inert, student
from dosimeter.training.learners.guided import Guidance, Guided, fit_guided, hinge, pseudo_labelled
from dosimeter.training.learners.students import WIDTHS, Lessons, fit_students

SMALL = Guidance(top=20, latent=4, steps=120, critic_steps=1, weight=0.0)


def shades(n=60, seed=0):
    """Pictures `[n 1 8 8]` of one shade each, from dark to bright, with a little noise; and their shades."""
    rng = np.random.default_rng(seed)
    shade = rng.uniform(0.1, 0.9, n).astype(np.float32)
    pictures = shade[:, None, None, None] + rng.normal(0, 0.02, (n, 1, 8, 8)).astype(np.float32)
    return torch.from_numpy(pictures.clip(0, 1)), torch.from_numpy(shade)


def no_steer(made, labels):
    return made.flatten(1).mean(1)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 33), (1, 28, 23), (1, 6, 5)])
def test_networks_by_class_fit_pictures_of_any_size_and_keep_to_their_range(shape):
    torch.manual_seed(0)
    labels = torch.tensor([0, 2, 2])
    made = ClassDecoder(shape, 5, 3, (-1.0, 3.0), width=4)(torch.randn(3, 5), labels).detach()
    assert made.shape == (3, *shape)
    assert -1 <= float(made.min()) <= float(made.max()) <= 3
    assert ClassCritic(shape, 3, (-1.0, 3.0), width=4)(made, labels).shape == (3,)


def test_normalisation_by_class_is_its_slow_twin():
    torch.manual_seed(1)
    layer, x, labels = ClassNorm(2, 3), torch.randn(6, 2, 3, 4), torch.tensor([0, 1, 2, 2, 1, 0])
    nn.init.normal_(layer.scale.weight)
    nn.init.normal_(layer.shift.weight)
    found = layer.train()(x, labels).detach().numpy()
    for channel in range(2):
        own = x[:, channel].double().numpy()
        normal = (own - own.mean()) / math.sqrt(own.var() + 1e-5)
        for row, label in enumerate(labels.tolist()):
            scale, shift = (float(one.weight.detach()[label, channel]) for one in (layer.scale, layer.shift))
            assert np.allclose(found[row, channel], np.maximum(scale * normal[row] + shift, 0), atol=1e-4)


def test_the_critic_by_class_is_a_projection_and_its_matrices_have_norm_one():
    torch.manual_seed(2)
    judge, x = ClassCritic((1, 8, 8), 3, (0.0, 1.0), width=4), torch.rand(4, 1, 8, 8)
    for _ in range(60):  # each pass is one step of the power iteration
        judge(x, torch.tensor([0, 1, 2, 0]))
    judge.eval()
    features = judge.body(x)
    for label in range(3):
        expected = features @ judge.usual.weight[0] + judge.usual.bias + features @ judge.of_class.weight[label]
        assert torch.allclose(judge(x, torch.full((4,), label)), expected, atol=1e-5)
    matrices = [one.weight.flatten(1) for one in judge.modules() if hasattr(one, "parametrizations")]
    assert len(matrices) == 5
    assert [float(torch.linalg.matrix_norm(one.detach(), 2)) for one in matrices] == pytest.approx([1.0] * 5, abs=0.02)


def test_the_hinge_is_its_slow_twin():
    real, made = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, -0.5])
    assert float(hinge(real, made)) == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1 + 0.5) / 3)


def test_pseudo_labels_are_the_records_that_the_model_is_surest_about():
    log_probs = np.log(np.random.default_rng(3).dirichlet(np.ones(4), 25))
    found = pseudo_labelled(torch.from_numpy(log_probs), 6).numpy()
    assert found.shape == (4, 6)
    for label in range(4):
        assert found[label].tolist() == sorted(range(25), key=lambda row, of=label: -log_probs[row, of])[:6]


def test_a_generator_makes_of_each_class_what_its_records_look_like():
    torch.manual_seed(0)
    pictures, shade = shades()
    order = shade.argsort()
    chosen = torch.stack([order[:20], order[20:40], order[40:]])
    maker = inert(fit_guided(pictures, chosen, no_steer, SMALL, 0))
    made = Guided(maker, 4, (1, 8, 8), 0.0, 1.0).decode(torch.randn(60, 4), torch.arange(60) % 3)
    means = torch.stack([made[label::3].mean() for label in range(3)])
    assert means[0] + 0.1 < means[1] < means[2] - 0.1
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1


def test_a_model_steers_the_generator():
    """With a heavy weight and classes that have the same records, what is made follows the model's loss."""
    torch.manual_seed(0)
    pictures, _ = shades()
    chosen = torch.arange(60).expand(2, 60)
    steer = lambda made, labels: made.flatten(1).mean(1) * (1 - 2 * labels)  # noqa: E731
    heavy = Guidance(60, 4, 60, 1, 20.0)
    maker = inert(fit_guided(pictures, chosen, steer, heavy, 0))
    made = maker(torch.randn(40, 4), torch.arange(40) % 2).mean((1, 2, 3))
    assert float(made[0::2].mean()) + 0.1 < float(made[1::2].mean())


def test_a_training_is_seeded_and_uses_the_seed_alone():
    pictures, _ = shades()
    few, chosen = Guidance(5, 3, 2, 1, 0.0), torch.arange(10).reshape(2, 5)
    states = []
    for seed, other in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(other)
        states.append(fit_guided(pictures, chosen, no_steer, few, seed).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))
    assert not torch.equal(states[0]["first.weight"], states[2]["first.weight"])


def test_students_learn_the_answers_and_nothing_else():
    torch.manual_seed(4)
    records = torch.rand(120, 12)
    model = nn.Linear(12, 3)
    with torch.no_grad():
        model.weight *= 12
        model.bias.copy_(-(model.weight @ torch.full((12,), 0.5)))  # so that all classes are named
        answers = model(records).double().log_softmax(1)
    assert int(answers.argmax(1).bincount().max()) <= 60
    first = fit_students(records, answers, Lessons(2, 300), 0)
    for one in first:
        agree = (one(records).argmax(1) == answers.argmax(1)).double().mean()
        assert float(agree) >= 0.9
    again = fit_students(records, (model(records) + 7).double().log_softmax(1).detach(), Lessons(2, 300), 0)
    assert torch.allclose(first[0](records), again[0](records), atol=1e-2)
    assert not torch.allclose(first[0](records), first[1](records), atol=1e-2)
    assert [one[2].out_features for one in first] == [8 * width for width in WIDTHS[:2]]


def test_a_further_student_changes_no_other():
    records, answers = torch.rand(20, 1, 8, 8), torch.randn(20, 3).double().log_softmax(1)
    one, two = (fit_students(records, answers, Lessons(count, 3), 0)[0] for count in (1, 2))
    assert torch.equal(one.eval()(records), two.eval()(records))


def test_a_students_loss_is_the_divergence_by_hand():
    """One step of Adam moves each weight against the sign of the gradient by the learning rate."""
    torch.manual_seed(5)
    records, answers = torch.rand(1, 6), torch.randn(1, 2).double().log_softmax(1)
    from dosimeter.training.learners.students import fresh_student

    fresh = fresh_student(0, (6,), 2, (float(records.min()), float(records.max())), 0)
    before = fresh(records).log_softmax(1)
    truth = answers.float().exp()
    loss = (truth * (truth.log() - before)).sum()  # the same record in all of the batch
    loss.backward()
    taught = fit_students(records, answers, Lessons(1, 1), 0)[0]
    bias = fresh[-1].bias
    assert torch.allclose(taught[-1].bias, bias - 1e-3 * bias.grad.sign(), atol=1e-5)


def test_students_of_pictures_are_convolutional():
    assert any(isinstance(one, nn.Conv2d) for one in student((1, 8, 8), 3, (0.0, 1.0)))
    assert not any(isinstance(one, nn.Conv2d) for one in student((12,), 3, (0.0, 1.0)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_both_are_trained_on_an_accelerator():
    pictures, _ = shades()
    there, chosen = pictures.to("cuda"), torch.arange(10).reshape(2, 5)
    maker = fit_guided(there, chosen, no_steer, Guidance(5, 3, 2, 1, 0.2), 0)
    assert maker(torch.zeros(2, 3, device="cuda"), torch.tensor([0, 1], device="cuda")).is_cuda
    (one,) = fit_students(there, torch.randn(60, 3).double().log_softmax(1), Lessons(1, 2), 0)
    assert one(there).is_cuda
