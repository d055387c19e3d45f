import numpy as np
from synthetic import fleet

from dosimeter.families.membership.attacks import ATTACKS, IHA


def test_its_score_is_the_probe_and_its_adversary_the_informed_one():
    game, _ = fleet(1, leakage=1.0)
    np.testing.assert_array_equal(IHA().run(game, np.random.default_rng(0)).values, game.outputs["iha"][:, 0])
    assert IHA().needs.informed
    assert IHA.mode == "informed"
    assert "all other training records" in IHA.__doc__
    assert [name for name, kind in ATTACKS.items() if kind().needs.informed] == ["iha"]
