"""Generators that adversaries train, and the user's: shapes, losses against slow twins and exact laws, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.learners import critic, decoder, encoder, finite, inert
from dosimeter.training.learners.given import built, checked_generator
from dosimeter.training.learners.prior import Generated
from dosimeter.training.learners.vae import fit_vae, vae_loss
from dosimeter.training.learners.wgan import PENALTY, critic_loss, fit_wgan

SHAPES = [(1, 16, 16), (3, 16, 33), (1, 28, 23), (3, 64, 64), (1, 6, 5)]
HERE = "training.learners.test_generators"


def gradients(n=80, seed=0):
    """Pictures `[n 1 16 16]` that are bright on one side, more or less so."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 1, 16)[:, None] * np.ones(16)
    share = rng.uniform(0.3, 0.9, (n, 1, 1))
    pictures = share * slope + rng.normal(0, 0.01, (n, 16, 16))
    return torch.from_numpy(pictures.clip(0, 1).astype(np.float32))[:, None]


@pytest.mark.parametrize("shape", SHAPES)
def test_networks_fit_pictures_of_any_size_and_keep_to_their_range(shape):
    torch.manual_seed(0)
    made = decoder(shape, 5, (-1.0, 3.0), width=4)(torch.randn(3, 5)).detach()
    assert made.shape == (3, *shape)
    assert -1 <= float(made.min()) <= float(made.max()) <= 3
    assert encoder(shape, 7, (-1.0, 3.0), width=4)(made).shape == (3, 7)
    assert critic(shape, (-1.0, 3.0), width=4)(made).shape == (3, 1)


def test_the_loss_of_the_autoencoder_is_its_slow_twin():
    torch.manual_seed(1)
    coder, maker = (
        nn.Sequential(nn.Flatten(), nn.Linear(12, 6)),
        nn.Sequential(nn.Linear(3, 12), nn.Unflatten(1, (1, 3, 4))),
    )
    batch, noise = torch.rand(5, 1, 3, 4), torch.randn(5, 3)
    found = vae_loss(coder, maker, batch, noise).item()
    coded, apart, errors = coder(batch).detach().double().numpy(), 0.0, []
    for row, one in enumerate(coded):
        latent = []
        for place in range(3):
            mean, log_variance = one[place], one[3 + place]
            latent.append(mean + math.sqrt(math.exp(log_variance)) * float(noise[row, place]))
            apart += (mean**2 + math.exp(log_variance) - 1 - log_variance) / 2 / 5
        made = maker(torch.tensor([latent], dtype=torch.float32)).detach().double().numpy()[0]
        errors += list(((made - batch[row].numpy()) ** 2).ravel())
    assert found == pytest.approx(12 / 2 * math.log(np.mean(errors)) + apart, rel=1e-4)


def test_the_gradient_penalty_of_a_linear_critic_is_known_exactly():
    """The slope of `w x` is `w` everywhere."""
    torch.manual_seed(2)
    judge = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    real, made, share = torch.rand(6, 1, 3, 4), torch.rand(6, 1, 3, 4), torch.rand(6)
    weight = judge[1].weight.detach().double().numpy()[0]
    gap = ((made - real).flatten(1).double().numpy() @ weight).mean()
    expected = gap + PENALTY * (np.linalg.norm(weight) - 1) ** 2
    loss = critic_loss(judge, real, made, share)
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    loss.backward()
    assert float(judge[1].weight.grad.abs().sum()) > 0


def test_the_gradient_penalty_is_taken_between_real_and_made_records():
    """Of `|x|^2 / 2` the slope is the record itself."""

    class Half(nn.Module):
        def forward(self, x):
            return (x**2).flatten(1).sum(1, keepdim=True) / 2

    real, made, share = torch.rand(4, 1, 2, 2), torch.rand(4, 1, 2, 2), torch.rand(4)
    penalties, gaps = [], []
    for a, b, part in zip(real.double().numpy(), made.double().numpy(), share.double().numpy(), strict=True):
        penalties.append((np.linalg.norm(part * a + (1 - part) * b) - 1) ** 2)
        gaps.append(((b**2).sum() - (a**2).sum()) / 2)
    expected = np.mean(gaps) + 10 * np.mean(penalties)
    assert critic_loss(Half(), real, made, share).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("fit", [fit_vae, lambda *given: fit_wgan(*given)[0]], ids=["vae", "wgan"])
def test_trainings_are_seeded_and_use_the_seed_alone(fit):
    x = gradients(20)
    latents = torch.randn(4, 3)
    torch.manual_seed(5)
    first = inert(fit(x, 3, 2, 0))(latents)
    torch.manual_seed(6)
    assert torch.equal(first, inert(fit(x, 3, 2, 0))(latents))
    assert not torch.allclose(first, inert(fit(x, 3, 2, 1))(latents), atol=1e-4)
    assert not torch.allclose(first, inert(fit(x, 3, 3, 0))(latents), atol=1e-5)


def test_samples_come_to_look_like_the_records():
    """The mean of samples comes near that of the records."""
    x, latents = gradients(), torch.from_numpy(np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32))
    mean, gaps = x.mean(0), []
    for count in (1, 60):
        made = inert(fit_vae(x, 4, count, 0))(latents)
        gaps.append(float(((made.mean(0) - mean) ** 2).mean().sqrt()))
    assert gaps[1] < gaps[0] / 2
    assert gaps[1] < 0.15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fit", "steps"), [(fit_vae, 600), (lambda *given: fit_wgan(*given)[0], 200)], ids=["vae", "wgan"]
)
def test_a_long_training_comes_near_the_law_of_the_records(fit, steps):
    """Brightness of the lower half: mean within half a standard deviation, spread within a half of itself."""
    x, latents = gradients(400), torch.from_numpy(np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32))
    made = inert(fit(x, 4, steps, 0))(latents)
    own, wanted = made[:, 0, 8:].mean((1, 2)), x[:, 0, 8:].mean((1, 2))
    assert float(own.mean()) == pytest.approx(float(wanted.mean()), abs=float(wanted.std()) / 2)
    assert 0.5 < float(own.std() / wanted.std()) < 1.5
    assert float((own > wanted.max() + 0.1).float().mean()) < 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_generator_is_trained_on_an_accelerator():
    x = gradients(20)
    made = inert(fit_wgan(x.cuda(), 3, 1, 0)[0])(torch.randn(2, 3).cuda())
    assert made.device.type == "cuda"
    assert torch.isfinite(made).all()


def test_a_prior_keeps_records_in_range_and_knows_what_is_unlikely():
    network = inert(nn.Sequential(nn.Linear(3, 12), nn.Unflatten(1, (1, 3, 4))))
    judge = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    plain = Generated(network, None, 3, (1, 3, 4), 0.0, 0.4, torch.zeros(12))
    latent = 20 * torch.randn(5, 3)
    records = plain.decode(latent)
    assert records.shape == (5, 1, 3, 4)
    assert 0 <= float(records.min()) <= float(records.max()) <= 0.4 + 1e-6
    assert torch.allclose(plain.unlikely(latent, records), (latent**2).sum(1) / 2)
    judged = Generated(network, judge, 3, (1, 3, 4), 0.0, 0.4, torch.zeros(12))
    assert torch.allclose(judged.unlikely(latent, records), -judge(records)[:, 0])
    there = judged.to("cpu")
    assert there.network is not network
    assert torch.equal(there.decode(latent), records)


def test_weights_that_are_not_finite_are_seen():
    network = nn.Linear(2, 2)
    assert finite(network)
    with torch.no_grad():
        network.weight[0, 0] = torch.nan
    assert not finite(network)


class Maker(nn.Module):
    """A generator of the user's, whose output may be spoilt."""

    def __init__(self, shape, change=lambda made: made):
        super().__init__()
        self.layer, self.shape, self.change = nn.Linear(4, int(np.prod(shape))), shape, change

    def forward(self, latent):
        return self.change(self.layer(latent).reshape(len(latent), *self.shape))


def good(shape):
    return Maker(shape, torch.sigmoid), 4


def tanh(shape):
    return Maker(shape, torch.tanh), 4


def small(shape):
    return Maker((shape[0], 4, 4), torch.sigmoid), 4


def alone(shape):
    return Maker(shape, torch.sigmoid)


def wide(shape):
    return Maker(shape, torch.sigmoid), 9


def none(shape):
    return Maker(shape, torch.sigmoid), 0


def yes(shape):
    return Maker(shape, torch.sigmoid), True


def noisy(shape):
    return Maker(shape, lambda made: torch.sigmoid(made + torch.randn_like(made))), 4


def cut(shape):
    return Maker(shape, lambda made: torch.sigmoid(made).detach()), 4


def same(shape):
    return Maker(shape, lambda made: 0 * made + 0.5), 4


def whole(shape):
    return Maker(shape, lambda made: (255 * torch.sigmoid(made)).to(torch.uint8)), 4


def broken(shape):
    module = Maker(shape, torch.sigmoid)
    nn.init.constant_(module.layer.weight, torch.nan)
    return module, 4


def crash(shape):
    raise OSError("no such file of weights")


def test_a_generator_of_the_users_is_tried_and_known_by_its_code_and_weights():
    first, again = (checked_generator(f"{HERE}:good", (1, 5, 5), (0.1, 0.9)) for _ in range(2))
    assert first == again
    assert first.latent == 4
    assert first.fingerprint != checked_generator(f"{HERE}:good", (1, 5, 6), (0.1, 0.9)).fingerprint
    found = built(f"{HERE}:good", (1, 5, 5))
    assert not found.module.training
    assert not any(one.requires_grad for one in found.module.parameters())
    assert checked_generator(f"{HERE}:tanh", (1, 5, 5), (-1.0, 1.0)).latent == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tanh", r"records must lie from 0 to 1, as models take them, got -0\.\d+ to 0\.\d+: rescale its output"),
        ("small", r"must make records of shape \(16, 1, 5, 5\), as the public ones are, got shape \(16, 1, 4, 4\)"),
        ("alone", r"must return a torch.nn.Module and the number of its latent's numbers, got Maker"),
        ("wide", r"must take latents of shape \(16, 9\), got RuntimeError"),
        ("none", r"the latent must have 1 to 4096 numbers, got 0"),
        ("yes", r"the latent must have 1 to 4096 numbers, got True"),
        ("noisy", r"the same latent must make the same record, got others: draw nothing inside"),
        ("cut", r"gradients must flow to the latents, got none"),
        ("same", r"other latents must make other records, got the same"),
        ("whole", r"records must be finite floating-point numbers"),
        ("broken", r"weights must be finite, got NaN or infinity"),
        ("crash", r"raised OSError"),
        ("absent", r"must define the function, got no 'absent'"),
    ],
)
def test_a_generator_that_does_not_fit_is_refused_in_one_line(name, message):
    with pytest.raises(ConfigError, match=message) as caught:
        checked_generator(f"{HERE}:{name}", (1, 5, 5), (0.1, 0.9))
    (problem,) = caught.value.problems
    assert problem.startswith("threat.prior: ")
    assert "\n" not in problem
