import numpy as np
from synthetic import fleet

from dosimeter.families.membership.attacks import GradientNorm


def test_plain_is_minus_the_norm_and_calibrated_is_against_those_who_never_saw_the_record():
    game, _ = fleet(1, leakage=1.0, n_records=20)
    own, shadows = game.outputs["gradient_norm"][:, 0], game.shadow_outputs["gradient_norm"][:, 0]
    plain = GradientNorm().run(game, np.random.default_rng(0)).values
    calibrated = GradientNorm(calibrated=True).run(game, np.random.default_rng(0)).values
    np.testing.assert_array_equal(plain, -own)
    for record in range(20):
        outside = shadows[~game.shadow_in[:, record], record]
        np.testing.assert_allclose(calibrated[:, record], outside.mean() - own[:, record])


def test_only_the_calibrated_one_needs_shadows():
    assert (GradientNorm().needs.out_shadows, GradientNorm(calibrated=True).needs.out_shadows) == (0, 1)
