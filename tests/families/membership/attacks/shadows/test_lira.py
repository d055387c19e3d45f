import dataclasses

import numpy as np
import pytest
from oracles import auc, lira, lira_bayesian, lira_density, unchecked, watson
from scipy import stats
from synthetic import fleet

from dosimeter.families.membership.attacks import LiRA
from dosimeter.families.membership.attacks.laws import Law, log_survival


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("variance", ["per-record", "global", "shrunken"])
@pytest.mark.parametrize("n_views", [1, 2])
def test_agrees_with_the_loop_over_records(mode, variance, n_views):
    game, _ = fleet(0, leakage=1.0, n_shadows=10, n_records=30, n_views=n_views)
    twin = lira(game, mode, variance)
    np.testing.assert_allclose(run(LiRA(mode, variance), game), twin, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_bayesian_agrees_with_the_textbook(mode):
    game, _ = fleet(0, leakage=1.0, n_shadows=10, n_records=120)
    twin = lira_bayesian(game, mode)
    np.testing.assert_allclose(run(LiRA(mode, "bayesian"), game), twin, rtol=1e-9, atol=1e-9)


def test_bayesian_views_are_averaged():
    game, _ = fleet(1, leakage=1.0, n_views=2)
    parts = []
    for view in range(2):
        outputs, shadows = (
            {"logit_confidence": values["logit_confidence"][:, view : view + 1]}
            for values in (game.outputs, game.shadow_outputs)
        )
        one = dataclasses.replace(game, outputs=outputs, shadow_outputs=shadows, population=None)
        parts.append(run(LiRA("online", "bayesian"), one))
    whole = run(LiRA("online", "bayesian"), game)
    np.testing.assert_allclose(whole, np.mean(parts, axis=0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_shadows", [4, 8, 64])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_auto_is_bayesian_for_any_number_of_shadows(mode, n_shadows):
    game, _ = fleet(0, leakage=1.0, n_shadows=n_shadows)
    assert np.array_equal(run(LiRA(mode), game), run(LiRA(mode, "bayesian"), game))


def test_offline_global_ranks_as_watson():
    game, _ = fleet(1, leakage=1.0, n_records=2000)
    for score, difference in zip(run(LiRA("offline", "global"), game), watson(game), strict=True):
        assert np.array_equal(np.argsort(score), np.argsort(difference))


@pytest.mark.parametrize("variance", ["per-record", "global", "shrunken", "bayesian"])
def test_offline_reads_no_in_shadow(variance):
    game, _ = fleet(2, leakage=1.0, n_views=2)
    phi = game.shadow_outputs["logit_confidence"]
    other = np.where(game.shadow_in[:, None], 99.0, phi)
    changed = dataclasses.replace(game, shadow_outputs={"logit_confidence": other})
    assert np.array_equal(run(LiRA("offline", variance), game), run(LiRA("offline", variance), changed))


def test_offline_is_the_tail_and_not_the_density():
    """A record of abnormally low confidence is no member; the density of the official code says it is."""
    game, truth = fleet(3, leakage=2.0, n_records=2000)
    tail, density = run(LiRA("offline", "global"), game), lira_density(game)
    for row, other, is_member in zip(tail, density, truth.is_member, strict=True):
        assert auc(row, is_member) > auc(other, is_member) + 0.03


@pytest.mark.parametrize("freedom", [5.0, 35.0, 200.0])
def test_log_survival_of_student_goes_on_where_the_tail_underflows(freedom):
    z = np.array([-3.0, 0.0, 2.0, 30.0])
    law = Law(np.zeros(4), np.ones(4), freedom)
    np.testing.assert_allclose(log_survival(law, z[None])[0], stats.t.logsf(z, freedom), rtol=1e-9)
    far = np.geomspace(1.0, 1e9, 2000)
    values = log_survival(Law(np.zeros(2000), np.ones(2000), freedom), far[None])[0]
    assert np.isfinite(values).all()
    slope = np.diff(values) / np.diff(np.log(far))
    assert (np.diff(values) < 0).all()
    assert (np.diff(slope) < 1e-3 * freedom).all()  # no step where the series takes over
    assert slope[-1] == pytest.approx(-freedom, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "onlin"}, "mode must be known, got 'onlin': did you mean 'online'"),
        (
            {"variance": "pooled"},
            "variance must be known, got 'pooled': use one of: auto, bayesian, global, per-record, shrunken",
        ),
    ],
)
def test_unknown_choices_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        unchecked(LiRA, **settings)
