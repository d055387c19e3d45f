import dataclasses

import numpy as np
import pytest
from oracles import difficulty, unchecked, watson
from synthetic import fleet

from dosimeter.families.membership.attacks import Difficulty


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("statistic", ["confidence", "loss"])
def test_agrees_with_the_loop_over_records(mode, statistic):
    game, _ = fleet(0, leakage=1.0, n_shadows=8, n_records=40, n_views=2)
    twin = difficulty(game, mode, statistic)
    np.testing.assert_allclose(run(Difficulty(mode, statistic), game), twin, rtol=1e-9, atol=1e-9)
    one, _ = fleet(0, leakage=1.0, n_shadows=8, n_records=40)
    np.testing.assert_allclose(run(Difficulty(), one), watson(one), rtol=1e-9, atol=1e-9)


def test_offline_reads_no_in_shadow():
    game, _ = fleet(1, leakage=1.0)
    phi = game.shadow_outputs["logit_confidence"]
    changed = dataclasses.replace(
        game, shadow_outputs={"logit_confidence": np.where(game.shadow_in[:, None], 99.0, phi)}
    )
    assert np.array_equal(run(Difficulty(), game), run(Difficulty(), changed))


@pytest.mark.parametrize("settings", [{"mode": "onlin"}, {"statistic": "los"}])
def test_unknown_choices_are_refused(settings):
    with pytest.raises(ValueError, match="must be known, got"):
        unchecked(Difficulty, **settings)
