import numpy as np
from synthetic import fleet

from dosimeter.families.membership.attacks import Constant, Count


def test_count_is_half_the_shadows_for_every_record():
    game, _ = fleet(0, leakage=3.0, n_shadows=10)
    assert (Count().run(game, np.random.default_rng(0)).values == -5).all()


def test_count_finds_a_matrix_that_gives_the_bit_away():
    """The reason for the control: the complement of the target is among the shadows and the target is not."""
    game, truth = fleet(0, leakage=0.0, n_shadows=10)
    object.__setattr__(game, "shadow_in", np.concatenate([game.shadow_in, ~truth.is_member[:1]]))
    values = Count().run(game, np.random.default_rng(0)).values
    assert values[0][truth.is_member[0]].min() > values[0][~truth.is_member[0]].max()


def test_constant_is_zero():
    game, _ = fleet(0, leakage=3.0)
    assert (Constant().run(game, np.random.default_rng(0)).values == 0).all()
