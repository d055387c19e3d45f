import numpy as np
import pytest
from oracles import auc, fused, unchecked
from synthetic import fleet

from dosimeter.families.membership.attacks import Fused, LiRA, Loss


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_agrees_with_the_slow_parts_put_together(mode):
    game, _ = fleet(0, leakage=2.0, n_shadows=10, n_records=60)
    np.testing.assert_allclose(run(Fused(mode), game), fused(game, mode), rtol=1e-9, atol=1e-9)


def test_is_about_as_good_as_its_best_part():
    game, truth = fleet(1, leakage=2.0, n_records=1000)
    for mode in ("online", "offline"):
        for row, *parts, member in zip(
            run(Fused(mode), game), run(LiRA(mode), game), run(Loss(), game), truth.is_member, strict=True
        ):
            assert auc(row, member) > max(auc(part, member) for part in parts) - 0.01


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode must be known, got 'onlin'"):
        unchecked(Fused, mode="onlin")
