import numpy as np
from synthetic import fleet

from dosimeter.families.membership.attacks import Loss


def test_the_loss_is_cross_entropy_of_the_record_itself():
    game, _ = fleet(0, leakage=1.0, n_views=3)
    phi = game.outputs["logit_confidence"][:, 0]
    values = Loss().run(game, np.random.default_rng(0)).values
    np.testing.assert_allclose(values, np.log(1 / (1 + np.exp(-phi))), rtol=1e-12)
