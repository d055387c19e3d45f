"""Attacks of split on games whose answers are known: oracles, chance, and what every attack keeps to."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from dosimeter.families.split.attacks import ATTACKS, default_rows
from dosimeter.families.split.game import Auxiliary, Needs, Secret, SplitGame
from dosimeter.foundation.errors import AccessError, DataError
from dosimeter.statistics.evidence import Guesses, Reconstructions
from dosimeter.training.learners.pool import ABOUT
from families.split.games import game_of

QUICK = {
    "ridge": {},
    "decoder": {"epochs": 40},
    "white_box": {"steps": 60},
    "latent_prior": {"steps": 60, "latent": 9},
    "shadow": {"epochs": 20},
    "unsplit": {"rounds": 3, "steps": 5},
    "fsha": {"steps": 20, "warm_up": 20, "scales": (1.0,)},
    "attribute_pool": {"classifiers": ("logistic", "svm")},
    "decensor": {"epochs": 15},
    "label_inference": {},
    "gradient_labels": {},
    "output_only": {"classifiers": ("logistic", "svm"), "mode": "attribute"},
    "raw_input": {"classifiers": ("logistic", "svm")},
    "random_decoder": {"epochs": 10},
    "mean_input": {},
    "attribute_coin": {},
}
"""Settings with which each attack runs in a second."""


def rng():
    return np.random.default_rng(0)


def attack(name, **settings):
    return ATTACKS[name](**{**QUICK[name], **settings})


def played(name, game, **settings):
    return attack(name, **settings).run(game, rng())


def error(found, true):
    return float(((found.values[0, :, 0] - true.numpy()) ** 2).mean())


def mean_error(game, true):
    return error(played("mean_input", game), true)


def test_every_attack_has_settings_here():
    assert QUICK.keys() == ATTACKS.keys()


@pytest.mark.parametrize("name", list(ATTACKS))
def test_contracts(name):
    kind, one = ATTACKS[name], attack(name)
    assert dataclasses.is_dataclass(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.control = True
    assert isinstance(one.needs, Needs)
    assert one.needs.in_words
    assert pickle.loads(pickle.dumps(one)) == one
    secret = one.needs.goal == "attribute"
    game, _ = game_of(1, leaks=True, secret=secret, victims=20, auxiliary=60)
    again, _ = game_of(1, leaks=True, secret=secret, victims=20, auxiliary=60)  # a training that was steered is over
    first, second = one.run(game, rng()), one.run(dataclasses.replace(game, training=again.training), rng())
    assert isinstance(first, Guesses if secret else Reconstructions)
    assert np.array_equal(first.values, second.values)
    assert first.values.shape[:2] == (1, 20)
    assert np.isfinite(first.values).all()


@pytest.mark.parametrize("name", [name for name, kind in ATTACKS.items() if getattr(kind, "separate", False)])
def test_an_attack_that_judges_each_victim_by_itself_says_the_same_in_another_order(name):
    short = {"white_box": {"steps": 5}, "latent_prior": {"steps": 5, "latent": 4}, "output_only": {"mode": "input"}}
    settings = short.get(name, {}) | ({"epochs": 2} if hasattr(ATTACKS[name], "epochs") else {})
    game, _ = game_of(8, leaks=True, victims=40, auxiliary=64)
    order = torch.from_numpy(np.random.default_rng(1).permutation(40))
    moved = dataclasses.replace(game, seen=game.seen[order])
    found, other = (played(name, one, **settings).values for one in (game, moved))
    assert other == pytest.approx(found[:, order.numpy()], abs=1e-4)


@pytest.mark.parametrize("name", ["ridge", "decoder", "white_box", "latent_prior"])
def test_inputs_come_back_where_features_hold_them_and_are_the_mean_where_not(name):
    game, (true, _) = game_of(2, leaks=True)
    assert error(played(name, game), true) < 0.2 * mean_error(game, true)
    game, (true, _) = game_of(2, leaks=False)
    assert error(played(name, game), true) > 0.9 * mean_error(game, true)


OF_ATTRIBUTES = [
    (name, mode)
    for name, kind in ATTACKS.items()
    for mode in ({"gradient_labels": ("direction", "norm"), "output_only": ("attribute",)}).get(name, ("",))
    if attack(name, **({"mode": mode} if mode else {})).needs.goal == "attribute" and name != "raw_input"
]
"""Attacks on attributes but the yardstick that reads the inputs."""


@pytest.mark.parametrize(("name", "mode"), OF_ATTRIBUTES)
def test_of_an_attribute_with_rare_values_nothing_is_told_by_features_that_do_not_depend_on_it(name, mode):
    areas = []
    for seed in range(4):
        game, (_, values) = of_three_values(seed)
        found = played(name, game, **({"mode": mode} if mode else {})).values[0]
        areas += [roc_auc_score(values == one, found[:, one]) for one in range(3)]
    assert 0.45 < np.mean(areas) < 0.55


def of_three_values(seed):
    """A game whose features say nothing, with three values of which one is rare, and the victims' values."""
    game, (true, _) = game_of(50 + seed, leaks=False, secret=True, victims=400, auxiliary=200)
    draw = np.random.default_rng(seed)
    values, theirs = (draw.choice(3, size=size, p=[0.6, 0.3, 0.1]) for size in (400, 200))
    secret = Secret("kind", ("a", "b", "c"), np.arange(200), theirs)
    return dataclasses.replace(game, secret=secret), (true, values)


@pytest.mark.parametrize("name", ["ridge", "decoder", "output_only", "unsplit", "fsha"])
def test_records_are_not_picked_out_by_features_that_do_not_depend_on_them(name):
    places = []
    for seed in range(4):
        game, (true, _) = game_of(70 + seed, leaks=False, width=12, victims=40, auxiliary=100)
        settings = {"mode": "input"} if name == "output_only" else {}
        few = {"epochs": 4} if name in ("decoder", "output_only") else {}
        made = torch.from_numpy(played(name, game, **settings, **few).values[0, :, 0]).flatten(1)
        apart = torch.cdist(made, true.flatten(1))
        ahead = (apart > apart.diag()[:, None]).double() + 0.5 * (apart == apart.diag()[:, None]).double()
        places.append(float((ahead.sum() - 20) / (40 * 39)))
    assert 0.43 < np.mean(places) < 0.57


@pytest.mark.parametrize("name", list(ABOUT))
def test_each_classifier_tells_the_attribute_where_it_is_and_not_where_it_is_not(name):
    for leaks in (True, False):
        game, (_, values) = game_of(3, leaks=leaks, secret=True, noise=0.3, victims=200)
        found = played("attribute_pool", game, classifiers=(name,))
        assert np.exp(found.values).sum(-1) == pytest.approx(np.ones((1, 200)))
        told = roc_auc_score(values, found.values[0, :, 1])
        assert told > 0.85 if leaks else 0.35 < told < 0.65


def test_the_mean_is_the_same_for_every_victim():
    game, _ = game_of(4, leaks=True)
    found = played("mean_input", game).values[0, :, 0]
    assert np.ptp(found, axis=0).max() == 0
    assert found[0] == pytest.approx(game.auxiliary.inputs.mean(0).numpy())


def test_the_floor_is_the_better_way_and_ends_stay_in_range():
    game, (true, _) = game_of(5, leaks=True, noise=0.2)
    floor = played("output_only", game, mode="input", epochs=20)
    assert error(floor, true) <= 1.05 * error(played("ridge", game), true)
    low, high = game.auxiliary.inputs.min(), game.auxiliary.inputs.max()
    assert low <= floor.values.min() <= floor.values.max() <= high


def test_what_an_attack_does_not_get_it_asks_for():
    game, _ = game_of(6, leaks=True)
    with pytest.raises(AccessError, match="needs an attribute"):
        played("attribute_pool", game)
    game, _ = game_of(6, leaks=True, secret=True)
    few = dataclasses.replace(game.secret, rows=game.secret.rows[:9], known=np.r_[np.zeros(8, int), 1])
    with pytest.raises(DataError, match="8 labels of each value or more, got 1 of 'right'"):
        played("attribute_pool", dataclasses.replace(game, secret=few))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ridge", {"penalties": ()}),
        ("decoder", {"epochs": 0}),
        ("attribute_pool", {"classifiers": ("trees",)}),
        ("output_only", {"lr": 0.0}),
        ("raw_input", {"classifiers": ()}),
        ("white_box", {"weights": ()}),
        ("white_box", {"steps": 0}),
        ("latent_prior", {"weights": (-1.0,)}),
        ("latent_prior", {"latent": 0}),
        ("shadow", {"moments": -0.1}),
        ("decensor", {"hidden": 0}),
        ("random_decoder", {"queries": 4}),
        ("label_inference", {"rounds": 0}),
        ("fsha", {"steps": 0}),
        ("unsplit", {"rounds": 0}),
        ("unsplit", {"smooth": -0.1}),
        ("fsha", {"scales": ()}),
    ],
)
def test_wrong_settings(name, settings):
    with pytest.raises(ValueError, match="must be"):
        attack(name, **settings)


def test_a_game_holds_nothing_of_a_victim_but_what_was_seen():
    assert {one.name for one in dataclasses.fields(SplitGame)} == {
        "ids", "seen", "auxiliary", "secret", "asked", "half", "rest", "training", "form",
    }  # fmt: skip
    assert {one.name for one in dataclasses.fields(Auxiliary)} == {"seen", "inputs", "labels", "persons"}
    game, (true, _) = game_of(7, leaks=False)
    other = dataclasses.replace(game, ids=game.ids[::-1].copy())
    for name in ("ridge", "decoder"):  # names of victims tell nothing
        assert np.array_equal(played(name, game).values, played(name, other).values)
    order = torch.randperm(len(true), generator=torch.Generator().manual_seed(0))
    moved = dataclasses.replace(game, seen=game.seen[order])
    for name in ("ridge", "decoder"):  # nor does their order
        assert played(name, moved).values == pytest.approx(played(name, game).values[:, order.numpy()], abs=1e-5)


def test_defaults_leave_out_attributes_that_nobody_named():
    assert {row["name"] for row in default_rows(attributes=True)} == ATTACKS.keys() - {
        "label_inference", "gradient_labels", "fsha", "unsplit",
    }  # fmt: skip
    assert {row["name"] for row in default_rows(attributes=False)} == ATTACKS.keys() - {
        "attribute_pool", "decensor", "label_inference", "gradient_labels", "raw_input", "fsha", "unsplit",
        "attribute_coin",
    }  # fmt: skip
    assert {row["name"] for row in default_rows(attributes=True, answers=False, gradients=True)} == ATTACKS.keys() - {
        "shadow", "output_only", "fsha", "unsplit",
    }  # fmt: skip
    active = {row["name"] for row in default_rows(attributes=False, active=True)}
    assert active == {row["name"] for row in default_rows(attributes=False)} | {"fsha"}
    blind = {row["name"] for row in default_rows(attributes=False, blind=True)}
    assert blind == {row["name"] for row in default_rows(attributes=False)} | {"unsplit"}
