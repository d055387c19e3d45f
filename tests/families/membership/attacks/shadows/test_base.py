import numpy as np
import pytest
from oracles import auc, base, base_offline, unchecked
from synthetic import fleet

from dosimeter.families.membership.attacks import BASE, RMIA
from dosimeter.families.membership.attacks.reading import TENTHS
from dosimeter.families.membership.attacks.shadows.base import _DEFAULT_ALPHA, _tune

SIGNALS = {1.0: "logit_confidence", 2.0: "logit_confidence_t2"}


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_agrees_with_plain_probabilities(temperature):
    game, _ = fleet(0, leakage=1.0)
    twin = base(game, SIGNALS[temperature])
    np.testing.assert_allclose(run(BASE(temperature=temperature), game), twin, rtol=1e-9, atol=1e-9)
    game, _ = fleet(0, leakage=1.0, n_views=3)
    twin = base_offline(game, SIGNALS[temperature], 0.4)
    attack = BASE("offline", temperature=temperature, alpha=0.4)
    np.testing.assert_allclose(run(attack, game), twin, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_online_ranks_as_rmia(gamma):
    game, _ = fleet(1, leakage=1.0, n_views=2)
    for row, other in zip(run(BASE(), game), run(RMIA(gamma=gamma), game), strict=True):
        assert (np.diff(other[np.argsort(row)]) >= 0).all()


def test_alpha_is_tuned_on_the_shadows_alone():
    game, _ = fleet(2, leakage=2.0, n_shadows=8)
    attack, quality = BASE("offline"), {}
    for alpha in TENTHS:
        parts = []
        for pair in range(4):
            rehearsal, is_member = game.rehearse(pair)
            scores = base_offline(rehearsal, "logit_confidence_t2", alpha)
            parts += [auc(row, bits) for row, bits in zip(scores, is_member, strict=True)]
        quality[alpha] = np.mean(parts)
    assert _tune(game, attack) == max(quality, key=quality.get)
    assert np.array_equal(run(attack, game), run(BASE("offline", alpha=_tune(game, attack)), game))


def test_one_pair_of_shadows_is_too_few_to_tune():
    game, _ = fleet(3, leakage=1.0, n_shadows=2)
    assert np.array_equal(run(BASE("offline"), game), run(BASE("offline", alpha=_DEFAULT_ALPHA), game))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "off-line"}, "mode must be known, got 'off-line': did you mean 'offline'"),
        ({"temperature": 3.0}, "temperature must be 1.0 or 2.0, got 3.0"),
        ({"alpha": 1.5}, r"alpha must be in \[0.0, 1.0\], got 1.5"),
    ],
)
def test_unfit_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        unchecked(BASE, **settings)
