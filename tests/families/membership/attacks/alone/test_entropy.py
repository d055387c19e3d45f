import numpy as np
from synthetic import fleet

from dosimeter.families.membership.attacks import Entropy


def test_the_score_is_minus_the_entropy_of_the_record_itself():
    game, _ = fleet(0, leakage=1.0, n_views=2)
    p = 1 / (1 + np.exp(-game.outputs["logit_confidence"][:, 0]))
    values = Entropy().run(game, np.random.default_rng(0)).values
    np.testing.assert_allclose(values, p * np.log(p) + (1 - p) * np.log(1 - p), rtol=1e-9)
