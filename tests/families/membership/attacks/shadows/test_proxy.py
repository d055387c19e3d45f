import dataclasses

import numpy as np
import pytest
from oracles import auc, proxy, unchecked
from synthetic import fleet

from dosimeter.families.membership.attacks import Proxy


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("proxies", ["class", "global", "nearest"])
def test_agrees_with_the_loop_over_records(proxies):
    game, _ = fleet(0, leakage=1.0, n_shadows=4, n_records=24)
    labels = game.labels + 2
    labels[3] = 0  # alone in its class
    game = dataclasses.replace(game, labels=labels, classes=4)
    np.testing.assert_allclose(run(Proxy(proxies), game), proxy(game, proxies), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_nearest_agrees_with_all_pairs(neighbours):
    """In many columns too, where no tree helps the search; records of one class only; two classes of one record."""
    game, _ = fleet(3, leakage=1.0, n_shadows=4, n_records=40)
    labels = game.labels + 2
    labels[[3, 30]] = 0, 1
    wide = np.random.default_rng(0).normal(size=(40, 60))
    game = dataclasses.replace(game, labels=labels, classes=4, inputs=wide)
    expected = proxy(game, "nearest", neighbours)
    np.testing.assert_allclose(run(Proxy("nearest", neighbours), game), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("proxies", ["class", "global", "nearest"])
def test_a_records_own_in_shadows_are_not_read(proxies):
    game, _ = fleet(1, leakage=1.0)
    phi = game.shadow_outputs["logit_confidence"].copy()
    phi[game.shadow_in[:, 7], :, 7] += 5.0
    changed = dataclasses.replace(game, shadow_outputs={"logit_confidence": phi})
    one, other = run(Proxy(proxies), game), run(Proxy(proxies), changed)
    np.testing.assert_allclose(one[:, 7], other[:, 7], rtol=1e-9)
    assert not np.allclose(one, other, rtol=1e-9)


def test_nearest_knows_which_records_are_memorised_more():
    """Members gain 6 nats in one half of the space and 1 in the other: 1,000 records, 2 targets."""
    game, truth = fleet(4, leakage=0.0, n_records=1000)
    effect = np.where(np.random.default_rng(0).random(1000) < 0.5, 6.0, 1.0)
    own = game.outputs["logit_confidence"] + effect * truth.is_member[:, None]
    shadows = game.shadow_outputs["logit_confidence"] + effect * game.shadow_in[:, None]
    tables = {"outputs": {"logit_confidence": own}, "shadow_outputs": {"logit_confidence": shadows}}
    game = dataclasses.replace(game, inputs=effect[:, None] + 0.01 * game.inputs, **tables)
    near, whole = run(Proxy("nearest"), game), run(Proxy("class"), game)
    for one, other, member in zip(near, whole, truth.is_member, strict=True):
        assert auc(one, member) > auc(other, member) + 0.04


def test_scores_never_fall_as_confidence_rises():
    game, _ = fleet(2, leakage=1.0, n_records=50)
    walk = np.tile(np.linspace(-40, 5, 300)[:, None, None], (1, 1, 50))
    values = run(Proxy(), dataclasses.replace(game, outputs={"logit_confidence": walk}, population=None))
    assert (np.diff(values, axis=0) >= -1e-9).all()


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match=r"proxies must be known, got 'near': did you mean 'nearest'\?"):
        unchecked(Proxy, proxies="near")
    with pytest.raises(ValueError, match=r"neighbours must be in \[1, 1000\], got 0"):
        unchecked(Proxy, neighbours=0)
