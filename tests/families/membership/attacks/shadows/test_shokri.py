import dataclasses

import numpy as np
import pytest
from oracles import shokri
from synthetic import fleet

from dosimeter.families.membership.attacks import Shokri


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("per_class", [True, False])
def test_agrees_with_examples_put_together_one_by_one(per_class):
    game, _ = fleet(0, leakage=1.0, n_shadows=6, n_records=24, n_views=2)
    np.testing.assert_allclose(run(Shokri(per_class), game), shokri(game, per_class), rtol=1e-9, atol=1e-9)


def test_of_many_shadows_the_first_sixteen_train():
    game, _ = fleet(1, leakage=1.0, n_shadows=20)
    fewer = dataclasses.replace(
        game,
        shadow_outputs={name: values[:16] for name, values in game.shadow_outputs.items()},
        shadow_in=game.shadow_in[:16],
    )
    assert np.array_equal(run(Shokri(), game), run(Shokri(), fewer))
