"""The dose of scores about two-valued secrets: against integrals, an independent library, and obvious cases."""

import numpy as np
import pytest
from dose_laws import LAWS, targets
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from dosimeter.statistics.dose import measure
from dosimeter.statistics.dose.bits import features, fit_bits, place
from dosimeter.statistics.dose.measure import Known, dose_of_bits


def ours(scores, bits, *, record=None, known=None, seed=0, **options):
    record = np.arange(scores.shape[-1]) if record is None else record
    return dose_of_bits(scores, bits, record, known=known, rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize("name", LAWS)
def test_the_dose_is_what_its_reader_gains_on_new_records(name):
    """The mean over draws is the integral of the fitted readers, and no reader gains more than there is to know."""
    law, found = LAWS[name], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        (known, theirs), (scores, bits) = law.draw(rng, 500), law.draw(rng, 500)
        one = ours(scores[None], bits[None], known=Known([known], [theirs]))
        found.append((one.value, law.expected(fit_bits(known, theirs, 0.5).probability)))
    values, expected = np.array(found).T
    error = (values - expected).std(ddof=1) / np.sqrt(len(values))
    assert abs((values - expected).mean()) < 4 * error
    assert (expected <= law.true + 1e-4).all()
    assert expected.mean() > 0.7 * law.true - 0.005


@pytest.mark.parametrize("name", ["null", "normal, shift 1", "5 % surely known"])
def test_halves_lose_little_against_rehearsals(name):
    law = LAWS[name]
    draws = [law.draw(np.random.default_rng(seed), 400) for seed in range(10)]
    values = [ours(scores[None], bits[None]).value for scores, bits in draws]
    assert -0.01 < np.mean(values) - law.true < 0.02


@pytest.mark.parametrize("prior", [0.5, 0.2])
def test_the_fit_is_that_of_an_independent_library(prior):
    rng = np.random.default_rng(3)
    scores, bits = np.round(np.r_[rng.normal(size=90), rng.normal(1, 2, size=30)], 1), np.arange(120) >= 90
    u = rankdata(scores) / 121
    x = np.stack([np.log(u), -np.log(1 - u), np.maximum(0, -np.log(1 - u) - 3)], axis=1)
    weight = np.where(bits, prior / 30, (1 - prior) / 90) * 120
    twin = LogisticRegression(C=10.0, tol=1e-10, max_iter=10_000).fit(x, bits, sample_weight=weight)
    reader = fit_bits(scores, bits, prior)
    assert np.abs(reader.probability(scores) - twin.predict_proba(x)[:, 1]).max() < 1e-4
    assert np.abs(features(place(scores, np.sort(scores)))[:, 1:] - x).max() < 1e-12


@pytest.mark.parametrize("change", [np.exp, lambda x: x**3, lambda x: 5 * x - 7, np.tanh])
@pytest.mark.parametrize("rehearsed", [True, False])
def test_a_monotone_change_of_scores_changes_nothing(change, rehearsed):
    rng = np.random.default_rng(0)
    (known, theirs), (scores, bits) = (LAWS["normal, shift 1"].draw(rng, 60) for _ in range(2))
    found = [
        ours(f(scores[None]), bits[None], known=Known([f(known)], [theirs]) if rehearsed else None)
        for f in (lambda x: x, change)
    ]
    assert found[0] == found[1]


def test_infinite_scores_are_ranks():
    rng = np.random.default_rng(1)
    scores, bits = LAWS["normal, shift 2"].draw(rng, 50)
    ends = scores.copy()
    ends[scores.argmax()], ends[scores.argmin()] = np.inf, -np.inf
    assert ours(scores[None], bits[None]) == ours(ends[None], bits[None])


def test_tied_scores_share_their_rank_whatever_their_order():
    rng = np.random.default_rng(2)
    scores, bits = LAWS["normal, shift 2"].draw(rng, 100)
    known, theirs = LAWS["normal, shift 2"].draw(rng, 100)
    turned = rng.permutation(200)
    found = [
        ours(np.round(scores)[None], bits[None], known=Known([np.round(known)[order]], [theirs[order]])).value
        for order in (np.arange(200), turned)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-9)
    assert found[0] > 0.3


@pytest.mark.parametrize("n", [4, 10, 300])
@pytest.mark.parametrize("rehearsed", [True, False])
def test_equal_scores_tell_nothing(n, rehearsed):
    scores, bits = np.full((1, n), 7.0), np.arange(n)[None] % 2 == 0
    found = ours(scores, bits, known=Known([scores], [bits]) if rehearsed else None)
    assert (found.value, found.low, found.log_loss) == (0.0, 0.0, 1.0)
    assert 0 < found.high <= 1.0  # unseen records might be told


@pytest.mark.parametrize("rehearsed", [True, False])
def test_four_records_show_nothing_even_if_all_are_right(rehearsed):
    scores, bits = np.array([[0.0, 1.0, 2.0, 3.0]]), np.array([[False, False, True, True]])
    found = ours(scores, bits, known=Known([scores], [bits]) if rehearsed else None)
    assert found.low == 0
    assert found.high > 0.5


def test_too_few_records_for_halves_are_told_by_a_reason():
    found = ours(np.array([[0.0, 1.0, 2.0]]), np.array([[False, False, True]]))
    assert (found.value, found.low, found.high, found.log_loss, found.printed) == (None,) * 5
    assert found.reason == "3 clusters of records are too few for halves that know every value"


def test_separate_classes_are_told_almost_wholly():
    scores, bits = np.arange(2000.0)[None], (np.arange(2000) >= 1000)[None]
    found = ours(scores, bits)
    assert 0.9 < found.low < found.value < found.high <= 1.0


def test_what_is_wrong_side_up_in_the_targets_is_less_than_nothing():
    rng = np.random.default_rng(0)
    (known, theirs), (scores, bits) = (LAWS["normal, shift 1"].draw(rng, 200) for _ in range(2))
    found = ours(-scores[None], bits[None], known=Known([known], [theirs]))
    assert found.value < -0.1
    assert (found.printed, found.low) == (0.0, 0.0)
    assert found.high > 0


def test_unequal_halves_weigh_as_the_prior_says():
    """Each non-member told four times in records of its own: the same value, judged by the same reader."""
    rng = np.random.default_rng(5)
    (known, theirs), (scores, bits) = (LAWS["normal, shift 1"].draw(rng, 100) for _ in range(2))
    often = np.r_[np.flatnonzero(bits), np.tile(np.flatnonzero(~bits), 4)]
    found = [
        ours(scores[None, own], bits[None, own], known=Known([known], [theirs])).value
        for own in (np.arange(200), often)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-12)


@pytest.mark.parametrize("prior", [0.1, 0.5, 0.9])
def test_unequal_halves_and_priors_keep_the_null_at_zero(prior):
    values = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        found = ours(rng.normal(size=(1, 400)), np.arange(400)[None] < 80, prior=prior)
        assert found.high <= found.ceiling
        values.append(found.value)
    assert -0.03 < np.mean(values) < 0.003


def test_sure_evidence_about_a_rare_secret_is_worth_its_entropy():
    scores, bits = np.arange(1000.0)[None], (np.arange(1000) >= 900)[None]
    found = ours(scores, bits, prior=0.1)
    assert found.ceiling == pytest.approx(0.469, abs=1e-3)
    assert found.ceiling - 0.05 < found.value < found.ceiling


def test_each_target_is_read_by_its_own_block():
    rng = np.random.default_rng(0)
    scores, bits, _ = targets(rng, count=2, persons=200, size=1, shift=1.0, spread=0.0)
    flipped = np.stack([scores[0], -scores[1]])
    known = Known([scores[:1] + 0.0, -scores[1:]], [bits[:1], bits[1:]], np.array([0, 1]))
    assert ours(flipped, bits, known=known).value > 0.1
    other = Known(known.evidence, known.secrets, np.array([1, 0]))
    assert ours(flipped, bits, known=other).value < 0


@pytest.mark.parametrize("count", [1, 4])
def test_no_reader_sees_a_person_that_it_scores(monkeypatch, count):
    scores, bits, person = targets(np.random.default_rng(0), count=count, persons=30, size=3)
    of, fitted = dict(zip(scores.ravel().tolist(), np.tile(person, count).tolist(), strict=True)), []

    def spied(evidence, secrets, prior):
        reader = fit_bits(evidence, secrets, prior)
        seen = {of[one] for one in evidence.ravel().tolist()}

        class Spy:
            def probability(self, asked):
                scored = {of[one] for one in asked.ravel().tolist()}
                fitted.append(seen.isdisjoint(scored) and len(seen | scored) == 30)
                return reader.probability(asked)

        return Spy()

    monkeypatch.setattr(measure, "fit_bits", spied)
    ours(scores, bits, record=person)
    assert len(fitted) == 22
    assert all(fitted)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scores": np.array([[np.nan, 1.0, 2.0, 3.0]])}, "scores must have no NaN, got 1"),
        ({"bits": np.ones((1, 4), bool)}, "bits must have both classes, got 4 of 4"),
        ({"scores": np.zeros((1, 0)), "bits": np.zeros((1, 0), bool), "record": np.arange(0)}, "must share axes"),
        ({"prior": 1.0}, "prior must be in"),
        ({"level": 0.0}, "level must be in"),
        ({"known": Known([np.arange(3.0)], [np.ones(3, bool)])}, "calibration bits must have both classes, got 3 of 3"),
        ({"known": Known([np.array([np.nan, 1.0])], [np.arange(2) > 0])}, "scores must have no NaN, got 1"),
        ({"known": Known([np.arange(2.0)], [np.arange(2) > 0], np.array([1]))}, "block must name one of 1 blocks"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, said):
    usual = {"scores": np.arange(4.0)[None], "bits": np.arange(4)[None] > 1}
    with pytest.raises(ValueError, match=said) as caught:
        ours(**(usual | change))
    assert "\n" not in str(caught.value)


def test_known_evidence_needs_its_secrets():
    with pytest.raises(ValueError, match="each with its secrets, got 1 and 0"):
        Known([np.arange(3.0)], [])
