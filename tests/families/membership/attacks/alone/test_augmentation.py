import numpy as np
import pytest
from oracles import augmentation, unchecked
from synthetic import fleet

from dosimeter.families.membership.attacks import Augmentation, Gap


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("views", [1, 4])
def test_agrees_with_one_example_per_shadow_and_record(views):
    game, _ = fleet(0, leakage=1.0, n_shadows=6, n_records=50, n_views=views)
    np.testing.assert_allclose(run(Augmentation(), game), augmentation(game), rtol=1e-9, atol=1e-9)
    share = game.outputs["correctness"].sum(axis=1) / views
    np.testing.assert_allclose(run(Augmentation("mean"), game), share, rtol=1e-12)


def test_with_one_view_it_is_the_gap_attack():
    game, _ = fleet(1, leakage=1.0)
    for row, gap in zip(run(Augmentation(), game), run(Gap(), game), strict=True):
        assert len(np.unique(row)) == 2
        assert row[gap == 1].min() > row[gap == 0].max()


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match="rule must be known, got 'vote'"):
        unchecked(Augmentation, rule="vote")
    game, _ = fleet(2, leakage=1.0, n_shadows=2, n_records=20, n_population=10, n_views=63)
    with pytest.raises(ValueError, match=r"views must be in \[1, 62\], got 63"):
        run(Augmentation(), game)
