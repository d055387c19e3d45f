import dataclasses

import numpy as np
import pytest
from oracles import reference, unchecked
from synthetic import fleet

from dosimeter.families.membership.attacks import Reference


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("ties", ["interpolated", "kept"])
def test_agrees_with_the_loop_over_records(ties):
    game, _ = fleet(0, leakage=1.0, n_shadows=8, n_records=40, n_views=2)
    phi = game.outputs["logit_confidence"].copy()
    phi[0, 0, :5] = game.shadow_outputs["logit_confidence"][0, 0, :5]  # ties with a shadow
    game = dataclasses.replace(game, outputs={"logit_confidence": phi})
    np.testing.assert_allclose(run(Reference(ties), game), reference(game, ties), rtol=1e-9, atol=1e-9)


def test_interpolation_refines_the_rank_and_rises_without_a_step():
    game, _ = fleet(1, leakage=1.0, n_shadows=8, n_records=50)
    path = np.linspace(-30, 30, 400)
    outputs = {"logit_confidence": np.tile(path[:, None, None], (1, 1, 50))}
    walk = dataclasses.replace(game, outputs=outputs, population=None)
    fine, coarse = run(Reference(), walk), run(Reference("kept"), walk)
    assert (np.diff(fine, axis=0) >= 0).all()
    assert (np.floor(np.clip(fine * 5, 0, 4.999)) <= coarse * 4 + 1e-9).all()
    assert (np.diff(coarse[:, 0]) > 0).sum() <= 4
    assert len(np.unique(fine[:, 0])) > 100


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="ties must be known, got 'broken': use one of: interpolated, kept"):
        unchecked(Reference, ties="broken")
