"""The learned ratio: columns by hand, other records in training, monotone scores, thresholds that it sets itself."""

import dataclasses

import numpy as np
import pytest
import sklearn.ensemble
from audits import BASE as FOLDER
from audits import audit, gaussian, material
from flat import result
from oracles import auc
from synthetic import fleet, signals_of

from dosimeter.config.audit import parse
from dosimeter.families.membership.attacks import LearnedRatio, LiRA
from dosimeter.families.membership.attacks.ratio_columns import columns_of, scale_of, without_pair
from dosimeter.families.membership.play.play import Part, parts_of, play_attack, play_part
from dosimeter.foundation.seeds import generator
from dosimeter.pipeline import verbs
from dosimeter.statistics.rates import shadow_threshold

ROWS = parse(
    {"stage": [{"name": "s", "data": "digits", "model": "linear"}], "attack": [{"name": "learned_ratio"}]}, base=FOLDER
).attacks


def rng(seed=0):
    return np.random.default_rng(seed)


def slow_columns(game, target, record, scale):
    """The columns of one record by hand, in the order of the docstring."""
    phi, warm = game.outputs["logit_confidence"][target], game.outputs["logit_confidence_t2"][target]
    shadows, hot = game.shadow_outputs["logit_confidence"], game.shadow_outputs["logit_confidence_t2"]

    def means(inside):
        return [shadows[game.shadow_in[:, i] == inside, :, i].mean() for i in range(len(game.ids))]

    def base(own, others):
        sure = [1 / (1 + np.exp(-x)) for x in (own, others)]
        return np.log(sure[0].mean()) - np.log(sure[1].mean())

    mu_in, mu_out = means(True), means(False)
    mine, inside, outside, middle = phi[:, record].mean(), mu_in[record], mu_out[record], np.median(mu_out)
    at_two, own = base(warm[:, record], hot[:, :, record]), np.log((1 / (1 + np.exp(-warm[:, record]))).mean())
    rising = [
        (mine - outside) / scale, (mine - inside) / scale, (mine - middle) / scale,
        base(phi[:, record], shadows[:, :, record]), at_two, own,
        ((mine - outside) ** 2 - (mine - inside) ** 2) / (2 * scale**2),
    ]  # fmt: skip
    fixed = [
        own - at_two, (inside - outside) / scale, (outside - middle) / scale, (inside - middle) / scale,
        np.mean(np.array(mu_out) <= outside), np.mean(np.array(mu_in) <= inside),
    ]  # fmt: skip
    if game.n_shadows > 2:
        rising.append(LiRA("online").run(game, rng()).values[target, record])
        for side in (False, True):
            values = shadows[game.shadow_in[:, record] == side, :, record].mean(1)
            fixed.append(np.log(values.std(ddof=1) / scale + 0.05))
    return rising + fixed


@pytest.mark.parametrize(("shadows", "views"), [(2, 1), (6, 2)])
def test_columns_are_those_by_hand(shadows, views):
    game, _ = fleet(0, leakage=1.0, n_shadows=shadows, n_records=40, n_views=views)
    found = columns_of(game, 1.7)
    for target in range(2):
        for record in (0, 7, 39):
            np.testing.assert_allclose(
                found.values[target, record], slow_columns(game, target, record, 1.7), rtol=1e-9, atol=1e-9
            )
    assert found.rising == (8 if shadows > 2 else 7)


def test_the_scale_is_the_deviation_within_records():
    game, _ = fleet(1, leakage=1.0, n_shadows=8, n_records=50)
    shadows, each = game.shadow_outputs["logit_confidence"][:, 0], []
    for record in range(50):
        for side in (True, False):
            each.append(shadows[game.shadow_in[:, record] == side, record].var(ddof=1))
    assert scale_of(game) == pytest.approx(np.sqrt(np.mean(each)))


def test_columns_know_no_scale_of_confidences():
    """Twice the confidence in every answer changes no column that is divided by the scale."""
    game, _ = fleet(2, leakage=1.0, n_shadows=6, n_records=60)
    doubled = dataclasses.replace(
        game,
        outputs={name: 2 * values for name, values in game.outputs.items()},
        shadow_outputs={name: 2 * values for name, values in game.shadow_outputs.items()},
    )
    one, two = columns_of(game, scale_of(game)).values, columns_of(doubled, scale_of(doubled)).values
    free = [0, 1, 2, 6, 7, 9, 10, 11, 12, 13, 14, 15]
    np.testing.assert_allclose(one[..., free], two[..., free], rtol=1e-6, atol=1e-6)


def test_a_pair_that_is_left_out_is_gone():
    game, _ = fleet(3, leakage=1.0, n_shadows=6, n_records=30)
    some = without_pair(game, 1)
    assert (some.shadow_in == game.shadow_in[[0, 1, 4, 5]]).all()
    assert (some.shadow_outputs["logit_confidence"] == game.shadow_outputs["logit_confidence"][[0, 1, 4, 5]]).all()


class Spy:
    """Trees that keep what they were trained on and what they judged."""

    def __init__(self, **settings):
        self.settings, self.judged = settings, []
        Spy.made.append(self)

    def fit(self, columns, truth):
        self.columns, self.truth = columns, truth
        return self

    def decision_function(self, columns):
        self.judged.append(columns)
        return columns[:, 0]


@pytest.fixture
def spied(monkeypatch):
    Spy.made = []
    monkeypatch.setattr(sklearn.ensemble, "HistGradientBoostingClassifier", Spy)
    return Spy


def test_no_record_is_judged_by_trees_that_were_trained_on_it(spied):
    game, _ = fleet(4, leakage=1.0, n_shadows=8, n_records=100)
    LearnedRatio().run_and_rehearse(game, rng(), range(4))
    assert len(spied.made) == 4
    # each shadow once, and each of two targets before four sets of shadows
    assert sum(len(one) for fit in spied.made for one in fit.judged) == (8 + 4 * 2) * 100
    for fit in spied.made:
        trained = {row.tobytes() for row in fit.columns}
        assert len(fit.columns) == 8 * 75
        assert fit.truth.mean() == 0.5
        assert not [1 for one in fit.judged for row in one if row.tobytes() in trained]


def test_copies_of_a_record_are_trained_on_and_judged_together(spied):
    game, _ = fleet(5, leakage=1.0, n_shadows=8, n_records=60)
    twice = np.repeat(np.arange(60), 2)

    def copied(tables):
        return {name: values[:, :, twice] for name, values in tables.items()}

    game = dataclasses.replace(
        game, ids=np.arange(120), labels=game.labels[twice], outputs=copied(game.outputs), population=None,
        shadow_outputs=copied(game.shadow_outputs), inputs=None, shadow_in=game.shadow_in[:, twice],
    )  # fmt: skip
    LearnedRatio().run_and_rehearse(game, rng(), range(4))
    for fit in spied.made:
        trained = {row.tobytes() for row in fit.columns}
        assert not [1 for one in fit.judged for row in one if row.tobytes() in trained]


def test_a_target_is_compared_with_as_many_shadows_as_in_training(spied):
    game, _ = fleet(6, leakage=1.0, n_shadows=6, n_records=80)
    found = LearnedRatio().run(game, rng()).values
    scale = scale_of(game)
    each = [columns_of(without_pair(game, pair), scale).values[..., 0] for pair in range(3)]
    np.testing.assert_allclose(found, np.mean(each, axis=0))


def test_scores_may_only_rise_with_the_columns_that_rise(spied):
    game, _ = fleet(7, leakage=1.0, n_shadows=8, n_records=200)
    LearnedRatio().run(game, rng())
    for fit in spied.made:
        assert fit.settings["monotonic_cst"].tolist() == [True] * 8 + [False] * 8


def test_a_little_more_confidence_gives_a_higher_score():
    game, _ = fleet(7, leakage=1.0, n_shadows=8, n_records=200)
    outside, inside = (
        np.array(
            [
                phi[bits == side].mean()
                for phi, bits in zip(game.shadow_outputs["logit_confidence"][:, 0].T, game.shadow_in.T, strict=True)
            ]
        )
        for side in (False, True)
    )
    before = LearnedRatio().run(game, rng()).values
    phi = signals_of(game.outputs["logit_confidence"] + 0.5)
    after = LearnedRatio().run(dataclasses.replace(game, outputs=phi), rng()).values
    # The ratio of normal laws falls where the in-mean lies below the out-mean, as it should.
    assert (after >= before - 1e-9)[:, inside > outside].mean() > 0.95


def test_it_says_more_than_chance_with_four_shadows_and_two_are_refused():
    game, truth = fleet(8, leakage=1.5, n_shadows=4, n_records=600)
    found = LearnedRatio().run(game, rng()).values
    assert min(auc(row, bits) for row, bits in zip(found, truth.is_member, strict=True)) > 0.7
    small, _ = fleet(8, leakage=1.5, n_shadows=2)
    with pytest.raises(ValueError, match="needs at least 2 in-shadows per record, got 1"):
        LearnedRatio().run(small, rng())


@pytest.mark.parametrize(("leakage", "shadows"), [(0.0, 4), (0.0, 12), (1.5, 12)])
def test_its_own_rehearsal_reaches_the_rate(leakage, shadows):
    """Thresholds of the shadows' scores; with four shadows they may be too high, never too low."""
    calls, decisions, fpr = 0, 0, 0.05
    for seed in range(3):
        game, truth = fleet(20 + seed, leakage=leakage, n_shadows=shadows, n_targets=4, n_records=600)
        targets, own = LearnedRatio(trees=20).run_and_rehearse(game, rng(seed), range(shadows // 2))
        assert own.shape == game.shadow_in.shape
        cut = shadow_threshold(own, game.shadow_in, fpr)
        outside = ~truth.is_member
        calls += int(((targets.values > cut) & outside).sum())
        decisions += int(outside.sum())
    reached = calls / decisions
    error = 3 * np.sqrt(fpr * (1 - fpr) / decisions)
    assert reached < fpr + 3 * error
    assert reached > (fpr - 3 * error) * (0.3 if shadows == 4 else 0.7)


def test_a_play_takes_the_scores_of_the_shadows_for_thresholds():
    design, observations = gaussian(3, leakage=1.0, n=120, shadows=6, targets=2)
    null = gaussian(4, leakage=0.0, n=120, shadows=6, targets=2)[0].member
    row = ROWS[0]  # controls stand beside it
    played = play_attack(row, design, observations, null_member=null, seed=0)
    assert played.rehearsed.shape == (1, len(design.rehearsal_rows), 120)
    signals = {name: observations.signals[name] for name in row.attack.signals}
    game, purpose = design.game(0, signals), "attack learned_ratio fold 0"
    own = row.attack.run_and_rehearse(game, generator(0, purpose), design.rehearsal_pairs)[1]
    np.testing.assert_array_equal(played.rehearsed[0], own)
    np.testing.assert_array_equal(played.scores, row.attack.run(game, generator(0, purpose)).values)


def test_targets_and_rehearsals_of_a_fold_share_their_trees(spied):
    design, observations = gaussian(3, leakage=1.0, n=120, shadows=6, targets=2)
    parts = parts_of(ROWS[0], design, 1)
    assert [part for part in parts if part.role != "half"] == [Part("fold", 0), Part("null", 0)]
    scores = play_part(ROWS[0], parts[0], design, observations, null_member=design.member, seed=0)
    assert len(spied.made) == 4  # one fit for each part of the records
    assert scores.shape == (2 + len(design.rehearsal_rows), 120)


def test_where_nothing_leaks_an_audit_shows_nothing():
    found = result(material(*gaussian(5, leakage=0.0, shadows=4, targets=2), rows=ROWS))
    assert found["verdict"]["status"] == "not_shown"
    assert {gate["id"]: gate["status"] for gate in found["gates"]}["N1"] == "pass"


def false_bits(models, records, seed):
    """Complementary halves that no model was trained on."""
    draw = np.random.default_rng(seed)
    first = np.stack([draw.permutation(records) < records // 2 for _ in range(models // 2)])
    return np.stack([first, ~first], axis=1).reshape(models, records)


def test_bits_that_no_model_was_trained_on_are_not_told():
    """Models that leak: neither with the shadows' true bits nor with false ones does it tell false bits of targets."""
    game, truth = fleet(11, leakage=1.5, n_shadows=12, n_targets=8, n_records=400)
    assert (
        np.mean([auc(*one) for one in zip(LearnedRatio().run(game, rng()).values, truth.is_member, strict=True)]) > 0.7
    )
    false = dataclasses.replace(game, shadow_in=false_bits(12, 400, 1))
    for one in (game, false):
        scores = LearnedRatio().run(one, rng()).values
        told = [auc(row, bits) for row, bits in zip(scores, false_bits(8, 400, 2), strict=True)]
        assert abs(np.mean(told) - 0.5) < 0.03


def test_the_null_audit_of_models_that_leak_passes():
    found = result(material(*gaussian(12, leakage=1.5, shadows=6, targets=2), rows=ROWS))
    assert found["verdict"]["status"] == "shown"
    assert {gate["id"]: gate["status"] for gate in found["gates"]}["N1"] == "pass"


def test_four_shadows_are_enough_and_two_are_refused_in_a_plan(tmp_path):
    for shadows, reason in ((4, ""), (2, "needs 2 shadows per record and side, got 1: raise threat.shadows to 4")):
        one = audit(shadows=shadows, targets=1)
        one = dataclasses.replace(one, threats=(dataclasses.replace(one.threats[0], attacks=ROWS),))
        found, *_ = verbs.plan(one, store=tmp_path).attacks
        assert found.refused == reason


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trees": 0}, "trees must be a whole number from 1 to 1000, got 0"),
        ({"trees": True}, "trees must be a whole number from 1 to 1000, got True"),
        ({"leaves": 1}, "leaves must be a whole number from 2 to 1000, got 1"),
        ({"rate": 0.0}, "rate"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LearnedRatio(**settings)
