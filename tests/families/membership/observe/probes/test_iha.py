"""The inverse-Hessian score against its definition in full, against retraining, and at chance on strangers' weights."""

import dataclasses

import numpy as np
import pytest
import torch
from oracles import auc
from scipy import stats
from torch import nn

from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.observe.probes import iha
from dosimeter.training.recipe import Hyperparameters
from families.membership.observe.probes.subjects import heads, linear, subject_of


def by_definition(subject, index):
    """One model's scores: the whole Hessian by automatic differentiation, one record at a time, raw features."""
    training = subject.training
    hp, rows, model = training.hp, training.rows[index], subject.models[index].trained
    x = torch.cat([training.inputs.double(), torch.ones(len(training.inputs), 1).double()], 1)
    weight = torch.cat([model.weight, model.bias[:, None]], 1).detach().double()

    def loss(flat, record):
        return nn.functional.cross_entropy((flat.view_as(weight) @ x[record])[None], training.labels[record][None])

    flat = weight.flatten()
    pool = np.unique(training.rows)
    hessian = sum(torch.autograd.functional.hessian(lambda w, r=r: loss(w, r), flat) for r in pool) / len(pool)
    inverse = torch.linalg.inv(hessian + 0.2 * torch.eye(len(flat)))
    gradient = [torch.autograd.functional.jacobian(lambda w, r=r: loss(w, r), flat) for r in range(len(x))]
    left_out = iha._choose_left_out(rows, training.observed, training.seeds[index])
    n, found = len(rows), []
    for record, other in zip(training.observed, left_out, strict=True):
        mean = sum(gradient[row] for row in rows if row != other) / (n - 1)
        u, v = inverse @ gradient[record], inverse @ mean
        scale = (1 - hp.lr * hp.weight_decay / (1 + hp.momentum)) / hp.lr
        score = loss(flat, record) / (1 + hp.momentum) - (u @ u / n + 2 * u @ v) * scale
        found.append(score - (u @ inverse @ u / n + 2 * v @ inverse @ u) * hp.weight_decay / hp.lr)
    return torch.stack(found)


@pytest.mark.parametrize("d", [4, 20])
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("dense", [True, False])
def test_equals_its_definition(d, decay, dense, monkeypatch):
    """With fewer features than records and with more, in one matrix and by conjugate gradients."""
    if not dense:
        monkeypatch.setattr(iha, "DENSE", 0)
    hp = Hyperparameters(epochs=10, lr=0.05, batch_size=4, weight_decay=decay)
    subject, _ = heads(0, hp, m=2, p=16, z=3, d=d)
    found = iha.compute(subject)["iha"]
    assert found.shape == (2, 19)
    for index in range(2):
        np.testing.assert_allclose(found[index], by_definition(subject, index), rtol=1e-6 if dense else 2e-3, atol=1e-3)


@pytest.mark.parametrize("dense", [True, False])
def test_few_records_at_a_time_score_alike(dense, monkeypatch):
    if not dense:
        monkeypatch.setattr(iha, "DENSE", 0)
    hp = Hyperparameters(epochs=10, lr=0.05, batch_size=4, weight_decay=0.01)
    subject, _ = heads(0, hp, m=2, p=16, z=3)
    whole = iha.compute(subject)["iha"]
    monkeypatch.setattr(iha, "NUMBERS", 5 * 3 * 7)  # five gradients of 3 classes and 6 features with a constant
    np.testing.assert_allclose(iha.compute(subject)["iha"], whole, rtol=1e-9 if dense else 1e-3, atol=1e-4)


def test_work_and_memory_are_those_of_the_judged_records(monkeypatch):
    """Of a pool of 400 records 10 are judged: one solution for each, one that is left out, and the mean."""
    solved, real = [], iha.solver

    def counted(x, p):
        solve = real(x, p)

        def spy(g):
            solved.append(len(g))
            return solve(g)

        return spy

    monkeypatch.setattr(iha, "solver", counted)
    subject, _ = heads(0, m=2, p=400)
    whole = iha.compute(subject)["iha"]
    few = dataclasses.replace(subject.training, observed=np.arange(10))
    drawn, rows = iha._choose_left_out(few.rows[0], few.observed, few.seeds[0]), few.rows[0]
    solved.clear()
    found = iha.compute(dataclasses.replace(subject, training=few))["iha"]
    assert found.shape == (2, 10)
    assert max(solved) <= 20
    same = np.isin(few.observed, rows)
    assert (drawn[same] == few.observed[same]).all()
    np.testing.assert_allclose(found[0][same], whole[0][:10][same], rtol=1e-9)


def test_a_members_own_row_is_left_out_and_else_one_training_record():
    rows = np.arange(0, 200, 2)
    left_out = iha._choose_left_out(rows, np.arange(200), 7)
    np.testing.assert_array_equal(left_out[rows], rows)
    assert np.isin(left_out, rows).all()
    assert len(np.unique(left_out[1::2])) > 50


def test_the_pool_is_standardised_alike_whatever_a_model_was_trained_on():
    hp = Hyperparameters(epochs=5, lr=0.05, batch_size=4, standardise=True)
    subject, _ = heads(1, hp, m=4, p=20)
    needed = np.arange(20)
    whole = iha._coordinates(subject.training, needed, needed)
    np.testing.assert_allclose(whole[:, :-1].mean(0), 0, atol=1e-5)
    other = dataclasses.replace(subject.training, rows=subject.training.rows[::-1].copy())
    np.testing.assert_array_equal(whole, iha._coordinates(other, needed, needed))


def converged(x, y, rows, start, decay):
    """Weights at the minimum of the mean loss over some rows, by Newton's method in float64."""
    flat, onehot = start.flatten(), nn.functional.one_hot(y, 3).double()
    c, e = start.shape
    for _ in range(60):
        p = torch.softmax(x[rows] @ flat.view(c, e).T, 1)
        slope = ((p - onehot[rows]).T @ x[rows] / len(rows)).flatten() + decay * flat
        product = (p[:, :, None] * x[rows][:, None]).flatten(1)
        blocks = [(x[rows] * one[:, None]).T @ x[rows] for one in p.T]
        hessian = (torch.block_diag(*blocks) - product.T @ product) / len(rows) + decay * torch.eye(c * e)
        flat = flat - torch.linalg.solve(hessian, slope)
    return flat.view(c, e)


def test_the_sign_is_that_of_leaving_one_out():
    """Of weights at their minimum the predicted change of a member's loss is that of retraining without it, and the
    part of the score that leads is positive for every member and negative for every other record."""
    subject, _ = heads(3, m=2, p=80, d=4)
    x = torch.cat([subject.inputs.double(), torch.ones(80, 1).double()], 1)
    y, rows, decay = subject.labels, torch.from_numpy(subject.training.rows[0]), iha.DAMPING
    weight = converged(x, y, rows, torch.zeros(3, 5).double(), decay)
    p = torch.softmax(x @ weight.T, 1)
    g = (p - nn.functional.one_hot(y, 3))[:, :, None] * x[:, None]
    solve = iha.solver(x[rows], p[rows])
    u = solve(g)
    predicted = (g * u).sum((1, 2))[rows] / len(rows)
    exact = []
    for record in rows.tolist():
        rest = rows[rows != record]
        less = converged(x, y, rest, weight, decay * len(rows) / len(rest))
        losses = [nn.functional.cross_entropy((x[record] @ one.T)[None], y[record][None]) for one in (less, weight)]
        exact.append(float(losses[0] - losses[1]))
    assert min(exact) > 0
    assert np.corrcoef(predicted, exact)[0, 1] > 0.97
    np.testing.assert_allclose(predicted, exact, rtol=0.3)
    # The score's leading part for G that leaves the record out, with the penalty that made the minimum one.
    mean = solve(g[rows].mean(0, keepdim=True) + decay * weight[None])
    assert float(mean.abs().max()) < 1e-6
    inside = torch.isin(torch.arange(80), rows)
    n = len(rows)
    v = torch.where(inside[:, None, None], (n * mean - u) / (n - 1), mean.expand_as(u))
    leading = -((u * u).sum((1, 2)) / n + 2 * (u * v).sum((1, 2)))
    assert bool((leading[inside] > 0).all())
    assert bool((leading[~inside] < 0).all())


def pooled_auc(subject, member):
    """AUC of each model."""
    found = iha.compute(subject)["iha"].numpy()
    return np.array([auc(row[: member.shape[1]], bits) for row, bits in zip(found, member, strict=True)])


@pytest.mark.parametrize("standardise", [False, True])
def test_weights_of_another_membership_tell_nothing(standardise):
    """64 heads of 60 records, trained on other halves than those that the score is told: a t interval holds one half.

    What the score takes from the told membership has the same law for members and others, so it cannot tell them.
    """
    hp = Hyperparameters(epochs=20, lr=0.1, batch_size=8, standardise=standardise)
    other = membership_matrix(60, 64, 99)
    subject, member = heads(4, hp, m=64, p=60, trained_on=other)
    blind = pooled_auc(subject, member)
    width = stats.t.ppf(0.9995, 63) * stats.sem(blind)
    assert abs(blind.mean() - 0.5) < width
    assert width < 0.04


def test_weights_that_were_trained_on_a_record_tell_it():
    """The same 64 heads on their own halves: far from one half, and above the loss."""
    hp = Hyperparameters(epochs=20, lr=0.1, batch_size=8)
    subject, member = heads(4, hp, m=64, p=60)
    losses = []
    for model, bits in zip(subject.models, member, strict=True):
        loss = nn.functional.cross_entropy(model.trained(subject.inputs), subject.labels, reduction="none")
        losses.append(auc(-loss.detach().numpy(), bits))
    found = pooled_auc(subject, member)
    gain = found - np.array(losses)
    assert found.mean() > 0.75
    assert gain.mean() > 3 * stats.sem(gain)


def test_the_solver_solves_many_classes():
    rng = np.random.default_rng(5)
    x, p = torch.from_numpy(rng.normal(size=(30, 12))), torch.from_numpy(rng.dirichlet(np.ones(7), 30))
    g = torch.from_numpy(rng.normal(size=(9, 7, 12)))
    dense = iha._dense(x, p)(g)
    np.testing.assert_allclose(iha._conjugate(x, p)(g), dense, rtol=1e-3, atol=1e-4)


def test_a_model_that_is_no_head_is_refused():
    subject, _ = heads(0, m=2)
    other = subject_of([nn.Sequential(linear(*_pair(subject)))], subject.inputs, subject.labels)
    with pytest.raises(AssertionError):
        iha.compute(dataclasses.replace(other, training=subject.training))


def _pair(subject):
    return subject.models[0].trained.weight, subject.models[0].trained.bias
