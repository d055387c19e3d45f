import dataclasses

import numpy as np
import pytest
import torch
from oracles import auc

from dosimeter.families.membership.attacks import ATTACKS, DEFAULT, Influence, Loss
from dosimeter.families.membership.attacks.shadows import closed_form
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.game import FrozenHead, MembershipGame
from dosimeter.families.membership.observe.signals import logit_confidence
from dosimeter.training.heads import train_heads
from dosimeter.training.recipe import Hyperparameters


def head_of(seed, *, p=40, d=10, c=3, updates=60, rate=0.05, standardise=False):
    """Clouds of features and a recipe."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, c, p)
    features = rng.normal(size=(p, d)) + 0.8 * rng.normal(size=(c, d))[labels]
    rates = np.full(updates, rate)
    return FrozenHead(features, labels, c, np.arange(p), rates, 0.9, 0.0, standardise)


def retrained(head, weights):
    """Logits of all records after exact descent from 0 on a weighted loss, float64, one update after another."""
    x = np.concatenate([head.features, np.ones((len(head.features), 1))], axis=1)
    onehot = np.eye(head.classes)[head.labels]
    weight = velocity = np.zeros((x.shape[1], head.classes))
    for rate in head.rates:
        p = np.exp(x @ weight)
        p /= p.sum(1, keepdims=True)
        velocity = head.momentum * velocity + x.T @ ((p - onehot) * weights[:, None]) + head.weight_decay * weight
        weight = weight - rate * velocity
    return x @ weight


def confidence(logits, labels):
    return logit_confidence(torch.from_numpy(logits), torch.from_numpy(labels)).numpy()


@pytest.mark.parametrize(("updates", "likeness"), [(20, 0.85), (100, 0.95), (400, 0.95)])
def test_leaving_one_out_agrees_with_exact_retraining(updates, likeness):
    """Without halves: the reference less a record, and with it at double weight. Within 25 % of the typical effect."""
    head = head_of(1, updates=updates)
    x, onehot = closed_form.head_inputs(head), np.eye(3, dtype=np.float32)[:, head.labels]
    path, p = closed_form._descend(x, onehot, head), len(x)
    none = np.zeros((1, p), np.float32), np.zeros((1, x.shape[1], 3), np.float32)
    solved = [closed_form._primal(x)(one) for one in path.curvature]
    given = (path.action[-1], 0 * path.action[-1], solved.__getitem__)
    own, field, _ = closed_form._respond(x, path.curvature, none, *given)
    action, _ = closed_form._own(path, x, own, field)
    out = path.logits[-1] + own * path.action[-1] / p
    inside = out - 2 / p * own * action[:, 0]
    exact = []
    for record in range(p):
        for times in (0, 2):
            weights = np.full(p, 1 / p)
            weights[record] *= times
            exact.append(confidence(retrained(head, weights), head.labels)[record])
    truth = np.array(exact).reshape(p, 2).T
    found = np.stack([confidence(one.T.astype(np.float64), head.labels) for one in (out, inside)])
    effect = truth[1] - truth[0]
    assert (effect > 0).all()
    assert np.sqrt(((found - truth) ** 2).mean()) < 0.25 * np.sqrt((effect**2).mean())
    assert np.corrcoef(found[1] - found[0], effect)[0, 1] > likeness


def test_the_reference_is_exact_descent():
    head = dataclasses.replace(head_of(2), weight_decay=0.01)
    x, onehot = closed_form.head_inputs(head), np.eye(3, dtype=np.float32)[:, head.labels]
    path = closed_form._descend(x, onehot, head)
    np.testing.assert_allclose(path.logits[-1].T, retrained(head, np.full(40, 1 / 40)), atol=1e-4)
    np.testing.assert_allclose(path.logits, -path.action @ x @ x.T / 40, atol=1e-4)


def test_own_response_lacks_the_own_curvature():
    """Against one inverse per record."""
    rng = np.random.default_rng(3)
    x, curvature = rng.normal(size=(12, 7)).astype(np.float32), rng.uniform(0.0, 5.0, (2, 12)).astype(np.float32)
    action, start = rng.normal(size=(2, 12)).astype(np.float32), np.zeros((1, 7, 2), np.float32)
    solved = [closed_form._primal(x)(one) for one in curvature]
    drawn = (np.zeros((1, 12), np.float32), start)
    own, field, reaction = closed_form._respond(x, curvature, drawn, action, action, solved.__getitem__)
    for c in range(2):
        whole = -np.linalg.inv(np.eye(12) + x @ x.T @ np.diag(curvature[c]) / 12) @ x @ x.T @ action[c] / 12
        np.testing.assert_allclose(reaction[c], curvature[c] * whole, rtol=1e-3, atol=1e-4)
        for record in range(12):
            others = curvature[c] * (np.arange(12) != record)
            response = np.linalg.inv(np.eye(12) + x @ x.T @ np.diag(others) / 12) @ x @ x.T
            assert own[c, record] == pytest.approx(response[record, record], rel=1e-3)
            moved = -response[record] @ (action[c] * (np.arange(12) != record)) / 12
            assert field[c, 0, record] == pytest.approx(moved, rel=1e-3, abs=1e-3)


def test_dual_and_primal_agree():
    rng = np.random.default_rng(4)
    x, curvature = rng.normal(size=(20, 9)).astype(np.float32), rng.uniform(0, 3, 20).astype(np.float32)
    action, start = rng.normal(size=(20, 5)).astype(np.float32), rng.normal(size=(9, 5)).astype(np.float32)
    dual, primal = (make(x)(curvature) for make in (closed_form._dual, closed_form._primal))
    np.testing.assert_allclose(dual.diagonal, primal.diagonal, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(dual.move(action, start), primal.move(action, start), rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def heads():
    """132 heads on halves of 120 records: their matrix, confidences, and what an adversary knows."""
    head = head_of(5, p=120, d=60, c=4, updates=160, rate=0.02, standardise=True)
    hp = Hyperparameters(epochs=40, batch_size=16, lr=0.02, momentum=0.9, standardise=True)
    member = membership_matrix(120, 132, 0)
    x, y = torch.from_numpy(head.features).float(), torch.from_numpy(head.labels)
    rows = np.stack([np.flatnonzero(row) for row in member])
    trained = train_heads(x, y, rows, hp, classes=4, seeds=list(range(132)), device=torch.device("cpu"))
    phi = [
        logit_confidence(x.double() @ weight.double().T + bias.double(), y).numpy()
        for weight, bias in zip(trained.weight, trained.bias, strict=True)
    ]
    return head, member, np.stack(phi)


def test_laws_agree_with_a_fleet(heads):
    """A small pool of many features, the weakest case: correlation 0.95, effect within half, scales within 2."""
    head, member, phi = heads
    laws = closed_form.closed_form(head)
    inside, outside = np.where(member, phi, np.nan), np.where(member, np.nan, phi)
    for found, truth in ((laws.mean_in, inside), (laws.mean_out, outside)):
        assert np.corrcoef(found, np.nanmean(truth, axis=0))[0, 1] > 0.95
    effect = np.nanmean(inside, axis=0) - np.nanmean(outside, axis=0)
    assert (laws.mean_in - laws.mean_out).mean() == pytest.approx(effect.mean(), rel=0.5)
    for found, truth in ((laws.variance_in, inside), (laws.variance_out, outside)):
        assert 0.5 < np.sqrt(found).mean() / np.nanstd(truth, axis=0).mean() < 2


def game_of(head, member, phi, targets):
    return MembershipGame(
        np.arange(120), head.labels, 4, {"logit_confidence": phi[:targets, None]},
        {}, np.empty((0, 120), bool), head=head,
    )  # fmt: skip


def test_finds_members_without_shadows_and_nobody_where_there_are_none(heads):
    head, member, phi = heads
    game = game_of(head, member, phi, 40)
    rng = np.random.default_rng(0)
    scores, loss = Influence().run(game, rng).values, Loss().run(game, rng).values
    found = np.mean([auc(row, bits) for row, bits in zip(scores, member, strict=False)])
    floor = np.mean([auc(row, bits) for row, bits in zip(loss, member, strict=False)])
    assert found > floor + 0.05
    nobody = membership_matrix(120, 40, 1)
    chance = [auc(row, bits) for row, bits in zip(scores, nobody, strict=True)]
    assert abs(np.mean(chance) - 0.5) < 4.5 * np.sqrt(121 / (12 * 60 * 60) / 20)


def test_fewer_candidates_change_no_score(heads):
    head, member, phi = heads
    game = game_of(head, member, phi, 2)
    all_scores = Influence().run(game, np.random.default_rng(0)).values
    some = np.arange(0, 120, 7)
    fewer = dataclasses.replace(
        game, ids=some, labels=game.labels[some], shadow_in=game.shadow_in[:, some],
        outputs={name: values[..., some] for name, values in game.outputs.items()},
        head=dataclasses.replace(head, candidates=some),
    )  # fmt: skip
    np.testing.assert_array_equal(Influence().run(fewer, np.random.default_rng(0)).values, all_scores[:, some])


def test_without_features_it_is_refused(heads):
    game = dataclasses.replace(game_of(*heads, 2), head=None)
    with pytest.raises(ValueError, match="needs features of a frozen backbone, got none"):
        Influence().run(game, np.random.default_rng(0))


def test_it_runs_by_default_where_there_is_a_head():
    assert ATTACKS["influence"] is Influence
    assert "influence" in DEFAULT
