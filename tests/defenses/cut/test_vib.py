"""VIB: its price against divergences and true information, and what a training with it does."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn
from torch.distributions import Normal, kl_divergence

from dosimeter.defenses import VIB
from dosimeter.defenses.cut.vib import rate
from dosimeter.training.charges import charges
from dosimeter.training.cuts.place import AddsNoise, CutPlace
from dosimeter.training.loop import train
from dosimeter.training.recipe import Hyperparameters


def features(seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(1.0, (0.1, 1.0, 3.0), (50, 3)))


def test_the_price_is_the_mean_divergence_from_the_best_normal_marginal():
    seen = features()
    sent, mean, spread = Normal(seen, 1.0), seen.mean(0), (1 + seen.var(0, correction=0)).sqrt()

    def apart(mean, spread):
        return float(kl_divergence(sent, Normal(mean, spread)).sum(1).mean())

    best = apart(mean, spread)
    assert float(rate(seen)) == pytest.approx(best, rel=1e-9)
    for other in ((mean + 0.1, spread), (mean, 1.1 * spread), (mean, 0.9 * spread), (0 * mean, 0 * spread + 1)):
        assert apart(*other) > best


@pytest.mark.parametrize("size", [0.3, 1.0, 3.0])
def test_it_is_not_below_the_true_information(size):
    """Of a number that is -size or size with equal chance, by integration."""

    def density(z):
        return sum(np.exp(-((z - one) ** 2) / 2) for one in (-size, size)) / (2 * np.sqrt(2 * np.pi))

    entropy = quad(lambda z: -density(z) * np.log(density(z)), -12, 12)[0]
    true = entropy - 0.5 * np.log(2 * np.pi * np.e)
    bound = float(rate(torch.tensor([[-size], [size]])))
    assert 0 < true < bound
    assert true == pytest.approx(bound, rel=0.05) if size < 1 else true < np.log(2) + 1e-6


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3))


def test_in_training_the_layers_after_the_cut_get_noise_and_the_charge_is_of_what_stands_before_it():
    net, batch = model(), torch.rand(5, 4)
    defense = VIB(cut="1", beta=2.0)
    with charges(net, Hyperparameters(defenses=(defense,)), batch[:2]) as charge:
        torch.manual_seed(3)
        noisy = net(batch)
        price = charge(batch, torch.zeros(5, dtype=torch.int64))
    plain = net[:2](batch)
    torch.manual_seed(3)
    torch.testing.assert_close(noisy, net[2](plain + torch.randn_like(plain)))
    assert price.item() == pytest.approx(2 * rate(plain).item(), rel=1e-5)
    torch.testing.assert_close(net(batch), net[2](plain))  # the hook is gone
    price.backward()
    assert float(net[0].weight.grad.abs().sum()) > 0
    assert net[2].weight.grad is None


def test_a_higher_price_lets_fewer_nats_pass():
    inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32))
    labels = (inputs[:, 0] > 0).long()
    passed = []
    for beta in (1e-6, 1.0):
        net = model()
        hp = Hyperparameters(epochs=20, batch_size=30, lr=0.05, defenses=(VIB(cut="1", beta=beta),))
        train(net, inputs, labels, hp, seed=0, device=torch.device("cpu"))
        passed.append(rate(net[:2](inputs)).item())
    assert passed[1] < 0.5 * passed[0]


def test_the_device_adds_the_noise_that_the_training_had():
    sent = VIB(cut="1").fitted(CutPlace(nn.Identity(), nn.Identity(), torch.zeros(2, 1), torch.zeros(2, 1)))
    assert isinstance(sent, AddsNoise)
    assert (sent.law, sent.scale, sent.clip) == ("gaussian", 1.0, None)
    assert "no ε can be given" in VIB(cut="1").guarantee
