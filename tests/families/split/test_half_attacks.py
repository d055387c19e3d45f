"""Attacks of split that use a half of the model: known answers, what they may use, and what they cannot know."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import nn

from dosimeter.families.split.attacks import ATTACKS
from dosimeter.families.split.attacks.searching import variation
from dosimeter.families.split.game import Auxiliary, Secret, SplitGame
from dosimeter.foundation.errors import AccessError, DataError
from dosimeter.training.loop import seed_torch
from families.split.games import Linear, game_of


def rng():
    return np.random.default_rng(0)


def played(name, game, **settings):
    return ATTACKS[name](**settings).run(game, rng()).values[0, :, 0]


def error(found, true):
    return float(((found - true.numpy()) ** 2).mean())


def mean_error(game, true):
    return error(played("mean_input", game), true)


def square(seed):
    """An invertible linear map that is not badly conditioned."""
    drawn = np.random.default_rng(seed).normal(size=(36, 36))
    return torch.from_numpy((np.eye(36) + 0.1 * drawn).astype(np.float32))


def test_white_box_inverts_an_invertible_half():
    weight = square(0)
    game, (true, _) = game_of(0, leaks=True, width=36, weight=weight, victims=20, auxiliary=40)
    exact = torch.linalg.solve(weight.T, game.seen.T).T.reshape(true.shape)
    found = played("white_box", game)
    assert found == pytest.approx(exact.numpy(), abs=1e-3)
    assert found == pytest.approx(true.numpy(), abs=1e-3)


def test_a_prior_finds_what_features_alone_do_not_say():
    game, (true, _) = game_of(1, leaks=True, width=12)  # 36 pixels of 9 free numbers, 12 features
    plain, prior = (error(played(name, game, steps=200), true) for name in ("white_box", "latent_prior"))
    assert prior < 1e-3 < plain < mean_error(game, true)


def test_smoothness_makes_up_for_missing_features():
    game, (true, _) = game_of(2, leaks=True, width=15)
    rough, smooth = (error(played("white_box", game, weights=one), true) for one in ((0.0,), (0.0, 1e-3, 1e-2, 0.1)))
    assert smooth < 0.7 * rough


def test_total_variation_of_pictures():
    flat, stripes = torch.full((1, 1, 4, 4), 0.3), torch.tensor([0.0, 1.0, 0.0, 1.0]).expand(1, 1, 4, 4)
    assert variation(torch.cat([flat, stripes])).tolist() == pytest.approx([0.0, 1.0])


def test_gradients_are_averaged_over_the_defenses_randomness():
    game, (true, _) = game_of(3, leaks=True, noise=0.3, width=36, weight=square(3), victims=20, auxiliary=80)
    found = error(played("white_box", game, steps=100), true)
    assert found < 0.7 * mean_error(game, true)

    calls = []

    @dataclasses.dataclass(frozen=True, eq=False)
    class Counted(Linear):
        def sent(self, records, rng):
            calls.append(len(records))
            return super().sent(records, rng)

    for noise, draws in ((1.0, 3), (0.0, 1)):
        calls.clear()
        one = dataclasses.replace(game, half=Counted(square(3), noise))
        played("white_box", one, steps=5, samples=3, weights=(0.1,))
        assert calls == [20] * 5 * draws


def test_records_that_are_no_pictures_are_drawn_to_the_mean():
    drawn = np.random.default_rng(4)
    mix = drawn.normal(size=(3, 6)).astype(np.float32)  # six columns of three free numbers
    known, true = (torch.from_numpy(drawn.normal(size=(n, 3)).astype(np.float32) @ mix) for n in (200, 30))
    game, _ = game_of(4, leaks=True, victims=30, auxiliary=200)
    half = Linear(torch.eye(6)[:, :5].contiguous())
    side = dataclasses.replace(game.auxiliary, inputs=known, seen=half.features(known))
    game = dataclasses.replace(game, seen=half.features(true), auxiliary=side, half=half)
    mean = error(played("mean_input", game), true)
    assert error(played("latent_prior", game, steps=150), true) < 0.05 * mean
    found = played("white_box", game, steps=200)
    inside = ((true >= known.amin(0)) & (true <= known.amax(0))).all(1).numpy()
    assert inside.sum() > 20
    assert np.abs(found - true.numpy())[inside, :5].mean() < 0.05
    assert found[:, 5] == pytest.approx(np.full(30, float(known[:, 5].mean())), abs=0.5)


def test_a_trained_prior_serves_as_well():
    game, (true, _) = game_of(5, leaks=True, victims=20, auxiliary=200)
    found = played("latent_prior", game, mode="vae", latent=9, prior_steps=150, steps=80)
    assert error(found, true) < 0.7 * mean_error(game, true)


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A first half that is a network, behind no defense."""

    first: nn.Module
    random: bool = False

    def features(self, records):
        return self.first(records)

    def sent(self, records, rng):
        return self.first(records)


def digits(seed):
    """A game on handwritten digits, cut after the first hidden layer of a trained network, and the victims."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(pixels))
    inputs = torch.from_numpy((pixels[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8))
    labels = torch.from_numpy(labels[order].astype(np.int64))
    with seed_torch(seed):
        first = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU())
        second = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))
    both = nn.Sequential(first, second)
    optimiser = torch.optim.Adam(both.parameters(), lr=0.01)
    for _ in range(150):
        loss = nn.functional.cross_entropy(both(inputs[:600]), labels[:600])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    both.requires_grad_(False)
    true, known = inputs[600:700], inputs[700:]
    side = Auxiliary(first(known), known, labels[700:].numpy(), np.arange(len(known)))
    half = Network(first)
    return SplitGame(np.arange(100).astype(str), first(true), side, asked=half, half=half, rest=second), true


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_queries_say_more_than_a_shadow_and_a_shadow_more_than_nothing(seed):
    game, true = digits(seed)
    decoder, shadow = (error(played(name, game, epochs=20), true) for name in ("decoder", "shadow"))
    assert decoder < 0.6 * shadow
    assert shadow < mean_error(game, true)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_what_knowledge_is_worth_on_digits(seed):
    """S2 and S12: records are worth more than weights, smoothness more than none, and all of them more than noise."""
    game, true = digits(seed)
    named = {
        "decoder": played("decoder", game),
        "smooth": played("white_box", game),
        "rough": played("white_box", game, weights=(0.0,)),
        "random": played("random_decoder", game),
        "shadow": played("shadow", game),
        "mean": played("mean_input", game),
    }
    errors = {name: error(found, true) for name, found in named.items()}
    assert errors["decoder"] < errors["smooth"] < errors["rough"], errors
    assert errors["rough"] < errors["random"], errors
    assert errors["decoder"] < errors["shadow"] < errors["mean"], errors
    assert errors["smooth"] < errors["mean"], errors


def test_a_shadow_needs_no_features_of_its_own_records_and_classifies_through_the_second_half():
    game, _ = game_of(6, leaks=True)
    blind = dataclasses.replace(game, auxiliary=dataclasses.replace(game.auxiliary, seen=game.seen[:0]))
    assert np.array_equal(played("shadow", game, epochs=3), played("shadow", blind, epochs=3))
    with pytest.raises(AccessError, match="needs the second half"):
        played("shadow", dataclasses.replace(game, rest=None))
    odd = dataclasses.replace(game, auxiliary=dataclasses.replace(game.auxiliary, labels=np.full(300, 4)))
    with pytest.raises(DataError, match="needs classes of the model, which knows 4"):
        played("shadow", odd)


def test_noise_teaches_a_linear_half_and_less_than_records_do():
    game, (true, _) = game_of(7, leaks=True, width=36, weight=square(7))
    random, decoder = (error(played(name, game, epochs=40), true) for name in ("random_decoder", "decoder"))
    assert decoder < random < 0.7 * mean_error(game, true)
    with pytest.raises(AccessError, match="set knows = 'queries' or 'weights'"):
        played("random_decoder", dataclasses.replace(game, asked=None))
    with pytest.raises(AccessError, match="set knows = 'weights'"):
        played("white_box", dataclasses.replace(game, half=None))


@pytest.mark.parametrize("name", ["white_box", "latent_prior", "shadow", "random_decoder"])
def test_at_chance_where_features_tell_nothing(name):
    short = {"steps": 40} if name in ("white_box", "latent_prior") else {"epochs": 8}
    places = []
    for seed in range(4):
        game, (true, _) = game_of(20 + seed, leaks=False, width=12, victims=40, auxiliary=100)
        found = torch.from_numpy(played(name, game, **short)).flatten(1)
        apart = torch.cdist(found, true.flatten(1))
        places.append(float((apart > apart.diag()[:, None]).sum() / (40 * 39)))
    assert 0.43 < np.mean(places) < 0.57


def test_decensoring_uses_records_without_labels():
    told = []
    for seed in range(3):
        game, (_, values) = game_of(30 + seed, leaks=True, secret=True, noise=0.3, victims=200)
        few = np.arange(40)
        secret = dataclasses.replace(game.secret, rows=few, known=game.secret.known[few])
        found = ATTACKS["decensor"](epochs=20).run(dataclasses.replace(game, secret=secret), rng())
        told.append(roc_auc_score(values, found.values[0, :, 1]))
    assert np.mean(told) > 0.75
    game, (_, values) = game_of(33, leaks=False, secret=True, victims=300)
    found = ATTACKS["decensor"](epochs=10).run(game, rng())
    assert 0.4 < roc_auc_score(values, found.values[0, :, 1]) < 0.6
    assert np.exp(found.values).sum(-1) == pytest.approx(np.ones((1, 300)))


def test_few_labels_name_clusters():
    drawn = np.random.default_rng(8)
    values, theirs = drawn.integers(3, size=90), drawn.integers(3, size=200)
    centres = 6 * drawn.normal(size=(3, 5))
    game, _ = game_of(8, leaks=True, victims=90, auxiliary=200)
    for apart, least, most in ((1.0, 0.95, 1.0), (0.0, 0.15, 0.52)):
        seen = [
            torch.from_numpy((apart * centres[one] + drawn.normal(size=(len(one), 5))).astype(np.float32))
            for one in (values, theirs)
        ]
        secret = Secret("label", ("a", "b", "c"), np.arange(30), theirs[:30])
        side = dataclasses.replace(game.auxiliary, seen=seen[1])
        one = dataclasses.replace(game, seen=seen[0], auxiliary=side, secret=secret)
        found = ATTACKS["label_inference"]().run(one, rng()).values[0]
        assert least <= (found.argmax(1) == values).mean() <= most
        assert np.exp(found).sum(1) == pytest.approx(np.ones(90))
