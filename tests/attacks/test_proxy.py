import dataclasses

import numpy as np
import pytest
from contracts.synthetic import fleet
from oracles import proxy, unchecked

from dosimeter.attacks import Proxy


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("proxies", ["class", "global"])
def test_agrees_with_the_loop_over_records(proxies):
    game, _ = fleet(0, leakage=1.0, n_shadows=4, n_records=24)
    labels = game.labels + 2
    labels[3] = 0  # alone in its class
    game = dataclasses.replace(game, labels=labels, classes=4)
    np.testing.assert_allclose(run(Proxy(proxies), game), proxy(game, proxies), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("proxies", ["class", "global"])
def test_a_records_own_in_shadows_are_not_read(proxies):
    game, _ = fleet(1, leakage=1.0)
    phi = game.shadow_outputs["logit_confidence"].copy()
    phi[game.shadow_in[:, 7], :, 7] += 5.0
    changed = dataclasses.replace(game, shadow_outputs={"logit_confidence": phi})
    one, other = run(Proxy(proxies), game), run(Proxy(proxies), changed)
    np.testing.assert_allclose(one[:, 7], other[:, 7], rtol=1e-9)
    assert not np.allclose(one, other, rtol=1e-9)


def test_scores_never_fall_as_confidence_rises():
    game, _ = fleet(2, leakage=1.0, n_records=50)
    walk = np.tile(np.linspace(-40, 5, 300)[:, None, None], (1, 1, 50))
    values = run(Proxy(), dataclasses.replace(game, outputs={"logit_confidence": walk}, population=None))
    assert (np.diff(values, axis=0) >= -1e-9).all()


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="proxies must be known, got 'nearest': use one of: class, global"):
        unchecked(Proxy, proxies="nearest")
