"""PPA's losses, views and selections against slow twins; its optimum against an independent optimiser."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from dosimeter.families.inversion.attacks import GMI, PPA, BrepMI, PriorBest
from dosimeter.families.inversion.attacks.copies import Copies
from dosimeter.families.inversion.attacks.ppa import FINAL
from dosimeter.families.inversion.attacks.reading import KEPT, margin, poincare
from dosimeter.families.inversion.attacks.views import AROUND, PLAIN, Views, seen
from dosimeter.training.learners.prior import Generated
from families.inversion.games import game_of


def by_hand(logits, wanted):
    """The Poincaré distance with plain numbers."""
    total = sum(abs(one) for one in logits)
    u = [one / total for one in logits]
    v = [(1 - 1e-4) if place == wanted else 0.0 for place in range(len(logits))]
    apart = sum((a - b) ** 2 for a, b in zip(u, v, strict=True))
    return math.acosh(1 + 2 * apart / ((1 - sum(a * a for a in u)) * (1 - sum(b * b for b in v))))


def test_the_poincare_loss_is_its_slow_twin_and_finite_where_the_model_is_sure():
    rng = np.random.default_rng(0)
    logits, wanted = rng.normal(0, 4, (20, 7)), rng.integers(7, size=20)
    found = poincare(torch.from_numpy(logits).float(), torch.from_numpy(wanted))
    assert np.allclose(found, [by_hand(*one) for one in zip(logits, wanted, strict=True)], rtol=1e-3)
    sure = torch.tensor([[50.0, 0, 0], [0, 50, 0], [0, 0, 0]], requires_grad=True)
    loss = poincare(sure, torch.tensor([0, 0, 0]))
    assert loss[0] < loss[2] < loss[1]
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(sure.grad).all()


def test_its_slope_does_not_vanish_where_that_of_the_cross_entropy_does():
    logits = torch.tensor([[30.0, -1.0, -2.0]], requires_grad=True)
    slopes = [
        torch.autograd.grad(loss, logits)[0].abs().sum()
        for loss in (poincare(logits, torch.tensor([0])).sum(), -logits.log_softmax(1)[0, 0])
    ]
    assert slopes[0] > 1e3 * slopes[1]


def test_the_margin_is_its_slow_twin():
    logits = np.random.default_rng(1).normal(size=(9, 5))
    found = margin(torch.from_numpy(logits).float(), torch.arange(9) % 5)
    expected = [max(np.delete(one, row % 5)) - one[row % 5] for row, one in enumerate(logits)]
    assert np.allclose(found, expected, atol=1e-5)


def test_a_view_is_bilinear_sampling_by_hand():
    rng = np.random.default_rng(2)
    pictures = torch.from_numpy(rng.random((2, 1, 6, 5)).astype(np.float32))
    for views in (Views(0.5, 0.9, ratio=1.25, flip=True), AROUND):
        view = views.draw(rng)
        found = seen(pictures, view)
        for row, picture in enumerate(pictures[:, 0].double().numpy()):
            for i in range(6):
                for j in range(5):
                    x, y = view.double().numpy() @ [(2 * j + 1) / 5 - 1, (2 * i + 1) / 6 - 1, 1]
                    c, r = np.clip(((x + 1) * 5 - 1) / 2, 0, 4), np.clip(((y + 1) * 6 - 1) / 2, 0, 5)
                    a, b = int(min(r, 4)), int(min(c, 3))
                    p, q = r - a, c - b
                    by = picture[a : a + 2, b : b + 2]
                    value = (1 - p) * ((1 - q) * by[0, 0] + q * by[0, 1]) + p * ((1 - q) * by[1, 0] + q * by[1, 1])
                    assert float(found[row, 0, i, j]) == pytest.approx(value, abs=1e-5)


def test_plain_views_change_nothing_mirrors_mirror_and_crops_keep_their_shares():
    rng, pictures = np.random.default_rng(3), torch.rand(3, 1, 6, 5)
    assert torch.allclose(seen(pictures, PLAIN.draw(rng)), pictures, atol=1e-5)
    mirrored = [seen(pictures, Views(1.0, flip=True).draw(rng)) for _ in range(40)]
    flipped = [torch.allclose(one, pictures.flip(-1), atol=1e-5) for one in mirrored]
    assert all(flip or torch.allclose(one, pictures, atol=1e-5) for flip, one in zip(flipped, mirrored, strict=True))
    assert 8 <= sum(flipped) <= 32
    drawn = torch.stack([Views(0.5, 0.9, ratio=1.25).draw(rng) for _ in range(300)])
    wide, high = drawn[:, 0, 0], drawn[:, 1, 1]
    assert 0.45 <= float((wide * high).min()) <= 0.55
    assert 0.85 <= float((wide * high).max()) <= 0.9 + 1e-5
    assert float((wide / high).max()) <= 1.25 + 1e-5
    assert bool(((drawn[:, 0, 2].abs() <= 1 - wide + 1e-5) & (drawn[:, 1, 2].abs() <= 1 - high + 1e-5)).all())


def test_gradients_flow_through_views():
    pictures = torch.rand(2, 1, 6, 5, requires_grad=True)
    (slope,) = torch.autograd.grad(seen(pictures, AROUND.draw(np.random.default_rng(0))).sum(), pictures)
    assert float(slope.sum()) == pytest.approx(60.0, abs=1e-3)  # each number of a view is a weighted mean


def test_copies_of_views_are_the_mean_over_views():
    game, _ = game_of(0, leaks=True, pictures=True)
    records = game.public[:3]

    def loss(x):
        return (x**3).flatten(1).sum(1)

    found = Copies(4, "views", 0.0).mean(loss, records, game, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    expected = torch.stack([loss(seen(records, AROUND.draw(rng))) for _ in range(4)]).mean(0)
    assert torch.allclose(found, expected, atol=1e-5)


def test_selections_are_by_hand():
    """Without a step, what is handed over are the samples of the first selection in the order of the last."""
    attack, (game, _) = (
        PPA(samples=150, restarts=6, steps=1, lr=1e-9, views=7),
        game_of(1, leaks=True, pictures=True, sharpness=0.3),
    )
    found = attack.run(game, np.random.default_rng(4)).values[0]
    model, latents = game.opened.model, game.starts.samples(150).clamp(-3, 3)
    records = game.prior.decode(latents)
    sure = [(model(one).double().softmax(1)).numpy() for one in (records, records.flip(-1))]
    rng = np.random.default_rng(4)
    Views(0.9).draw(rng)  # the crop of the one step
    views = [FINAL.draw(rng) for _ in range(7)]
    for identity in range(10):
        chosen = np.argsort(-(sure[0][:, identity] + sure[1][:, identity]), kind="stable")[:6]
        trust = np.mean(
            [model(seen(records[chosen], view)).double().softmax(1)[:, identity].numpy() for view in views], axis=0
        )
        order = chosen[np.argsort(-trust, kind="stable")][:KEPT]
        assert np.allclose(found[identity], records[order].numpy(), atol=1e-4)


def test_it_comes_to_the_optimum_that_another_optimiser_finds():
    """On a linear model, without crops: the best of its restarts is as good as the best of L-BFGS in the same box."""
    attack, (game, _) = (
        PPA(samples=300, restarts=4, steps=500, lr=0.02, crop=1.0, views=1),
        game_of(2, leaks=True, pictures=True, sharpness=4.0),
    )
    found = torch.from_numpy(attack.run(game, np.random.default_rng(0)).values[0])
    for identity in (0, 3, 7):

        def loss(z, wanted=identity):
            latent = torch.tensor(z[None], dtype=torch.float32, requires_grad=True)
            value = poincare(game.opened.model(game.prior.decode(latent)), torch.tensor([wanted]))
            (slope,) = torch.autograd.grad(value.sum(), latent)
            return value.item(), slope[0].double().numpy()

        starts = game.starts.samples(12).double().numpy().clip(-3, 3)
        best = min(
            minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-3, 3)] * len(start)).fun for start in starts
        )
        own = poincare(game.opened.model(found[identity]), torch.full((len(found[identity]),), identity)).min().item()
        assert own <= best + 0.05


class Affine(torch.nn.Module):
    """Principal components written as a network."""

    def __init__(self, prior):
        super().__init__()
        self.prior = prior

    def forward(self, latent):
        return (self.prior.mean + latent @ self.prior.directions).reshape(len(latent), *self.prior.shape)


@pytest.mark.parametrize(
    "attack",
    [
        GMI(mode="ce", restarts=2, steps=20),
        PPA(samples=60, restarts=2, steps=10, views=3),
        BrepMI(samples=60, steps=10, directions=4),
        PriorBest(samples=60),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_generator_that_makes_what_principal_components_make_changes_nothing(attack):
    from dataclasses import replace

    game, _ = game_of(3, leaks=True, pictures=True)
    prior = game.prior
    network = Generated(Affine(prior), None, prior.latent, prior.shape, prior.low, prior.high, prior.mean)
    first, second = (attack.run(one, np.random.default_rng(0)).values for one in (game, replace(game, prior=network)))
    assert np.allclose(first, second, atol=1e-4)


def test_the_critic_of_a_generator_takes_its_place_in_gmi():
    """With a heavy prior, GMI makes what the critic likes instead of what is near the centre."""
    from dataclasses import replace

    game, _ = game_of(4, leaks=True, pictures=True)
    prior, judge = game.prior, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(game.prior.mean.numel(), 1))
    judge = judge.requires_grad_(False)
    with_critic = Generated(Affine(prior), judge, prior.latent, prior.shape, prior.low, prior.high, prior.mean)
    attack = GMI(mode="ce", restarts=1, steps=60, prior_weight=1000.0, lr=1e-4)
    liked = [
        float(
            judge(
                torch.from_numpy(attack.run(replace(game, prior=one), np.random.default_rng(0)).values[0, :, 0])
            ).mean()
        )
        for one in (prior, with_critic)
    ]
    assert liked[1] > liked[0]
