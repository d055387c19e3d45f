import numpy as np
from oracles import auc
from synthetic import fleet

from dosimeter.families.membership.attacks import Gap


def test_the_gap_is_correctness_and_its_auc_that_of_two_accuracies():
    game, truth = fleet(0, leakage=1.0, n_views=3)
    values = Gap().run(game, np.random.default_rng(0)).values
    for row, phi, member in zip(values, game.outputs["logit_confidence"][:, 0], truth.is_member, strict=True):
        assert row.tolist() == [1.0 if one > 0 else 0.0 for one in phi]
        assert abs(auc(row, member) - 0.5 - (row[member].mean() - row[~member].mean()) / 2) < 1e-12
