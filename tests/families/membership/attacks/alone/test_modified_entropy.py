import dataclasses

import numpy as np
from oracles import modified_entropy
from synthetic import fleet

from dosimeter.families.membership.attacks import ModifiedEntropy


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


def test_agrees_with_trying_every_threshold():
    game, _ = fleet(0, leakage=1.0, n_shadows=4, n_records=60, n_views=2)
    np.testing.assert_allclose(run(ModifiedEntropy(), game), modified_entropy(game), rtol=1e-9, atol=1e-9)


def test_ties_between_members_and_nonmembers_are_decided_together():
    game, _ = fleet(1, leakage=1.0, n_shadows=4, n_records=60)
    coarse = {name: np.round(values, 1) for name, values in game.shadow_outputs.items()}
    game = dataclasses.replace(game, shadow_outputs=coarse)
    np.testing.assert_allclose(run(ModifiedEntropy(), game), modified_entropy(game), rtol=1e-9, atol=1e-9)


def test_without_classes_no_shadow_is_read():
    game, _ = fleet(2, leakage=1.0, n_shadows=0)
    assert np.array_equal(run(ModifiedEntropy(False), game), -game.outputs["modified_entropy"][:, 0])
