"""The dose of guesses among several values: one temperature and one weight, against a slow twin and obvious cases."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from dosimeter.statistics.dose.dose import checked_prior, entropy
from dosimeter.statistics.dose.guesses import GuessReader, fit_guesses
from dosimeter.statistics.dose.measure import Known, dose_of_guesses


def drawn(seed, *, n=200, v=5, strength=2.0, targets=1):
    rng = np.random.default_rng(seed)
    values = np.stack([rng.permutation(np.arange(n) % v) for _ in range(targets)])
    return rng.normal(size=(targets, n, v)) + strength * np.eye(v)[values], values


def ours(guesses, values, *, record=None, known=None, prior=None, seed=0):
    record = np.arange(values.shape[1]) if record is None else record
    return dose_of_guesses(guesses, values, record, known=known, prior=prior, rng=np.random.default_rng(seed))


def test_the_fit_is_that_of_a_general_optimiser():
    guesses, values = drawn(0, strength=1.0)
    prior, share = np.full(5, 0.2), np.full((1, 200), 1 / 200)

    def loss(x):
        w = 1 / (1 + np.exp(-x[1]))
        mixed = w * softmax(np.exp(x[0]) * guesses[0], axis=1) + (1 - w) * prior
        return -np.log(mixed[np.arange(200), values[0]]).sum() - 0.5 * (np.log(w) + np.log1p(-w))

    twin = min((minimize(loss, [a, b], method="Nelder-Mead") for a in (-1, 0, 1) for b in (0, 2)), key=lambda r: r.fun)
    reader = fit_guesses(guesses, values, prior, share)
    mine = loss([np.log(reader.factor), np.log(reader.weight / (1 - reader.weight))])
    assert mine == pytest.approx(twin.fun, abs=1e-3)
    assert reader.factor == pytest.approx(np.exp(twin.x[0]), rel=0.02)


def test_the_dose_is_what_its_reader_gains_on_new_records():
    errors = []
    for seed in range(20):
        (known, theirs), (guesses, values) = drawn(seed), drawn(100 + seed)
        one = ours(guesses, values, known=Known([known], [theirs]))
        fresh, truth = drawn(1000 + seed, n=5000)
        reader = fit_guesses(known, theirs, np.full(5, 0.2), np.full((1, 200), 1 / 200))
        expected = one.ceiling + np.log2(np.take_along_axis(reader.probability(fresh), truth[..., None], -1)).mean()
        errors.append(one.value - expected)
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(20)


def test_log_posteriors_of_a_known_law_are_read_as_they_are():
    """Normal scores with shift d have the log-likelihood ratio d times the score: the temperature is 1 / d."""
    known, theirs = drawn(1, n=5000, strength=2.0)
    reader = fit_guesses(known, theirs, np.full(5, 0.2), np.full((1, 5000), 1 / 5000))
    assert reader.factor == pytest.approx(2.0, rel=0.1)
    assert reader.weight > 0.95


@pytest.mark.parametrize("rehearsed", [True, False])
def test_scale_and_shift_of_log_scores_change_nothing(rehearsed):
    (known, theirs), (guesses, values) = drawn(0), drawn(1)
    moved = np.random.default_rng(0).normal(size=(1, 200, 1))
    found = [
        ours(a * guesses + b, values, known=Known([a * known + b], [theirs]) if rehearsed else None).value
        for a, b in ((1.0, 0.0), (1e3, 0.0), (1e-3, moved))
    ]
    assert found == pytest.approx([found[0]] * 3, abs=1e-6)


@pytest.mark.parametrize("equal", [0.0, -np.inf])
@pytest.mark.parametrize("rehearsed", [True, False])
def test_equal_guesses_tell_nothing(equal, rehearsed):
    guesses, values = np.full((1, 40, 4), equal), np.arange(40)[None] % 4
    found = ours(guesses, values, known=Known([guesses], [values]) if rehearsed else None)
    assert found.value == pytest.approx(0.0, abs=1e-9)
    assert found.low == 0
    assert 0 < found.high < found.ceiling == 2.0


def test_identities_are_told():
    guesses, values = drawn(0, n=40, v=40, strength=8.0, targets=4)
    found = ours(guesses, values)
    assert 4 < found.low < found.value < found.high <= found.ceiling == pytest.approx(np.log2(40))


def test_nothing_is_near_zero_and_not_shown():
    found = [ours(*drawn(seed, n=100, strength=0.0)) for seed in range(8)]
    assert -0.04 < np.mean([one.value for one in found]) < 0.005
    assert sum(one.low > 0 for one in found) <= 1


def test_values_count_as_their_prior_says():
    """Rare values that are judged as often as frequent ones do not count as often."""
    prior = np.array([0.8, 0.1, 0.1])
    guesses, values = np.zeros((1, 300, 3)), np.arange(300)[None] % 3
    guesses[0, np.arange(300), values[0]] = np.where(values[0] > 0, 3.0, 0.0)
    found = ours(guesses, values, prior=prior)
    assert found.ceiling == pytest.approx(entropy(prior))
    told = found.value
    often = np.r_[np.arange(300), np.flatnonzero(values[0] == 1), np.flatnonzero(values[0] == 1)]
    known = Known([guesses], [values])
    pair = [ours(guesses[:, own], values[:, own], known=known, prior=prior).value for own in (np.arange(300), often)]
    assert pair[0] == pytest.approx(pair[1], abs=1e-12)
    assert told == pytest.approx(pair[0], abs=0.05)


def test_excluded_values_get_no_more_than_the_prior_leaves():
    reader = GuessReader(1.0, 0.9, np.full(4, 0.25))
    given = reader.probability(np.array([[0.0, 0.0, -np.inf, -np.inf], [-np.inf] * 4]))
    assert given[0] == pytest.approx([0.475, 0.475, 0.025, 0.025])
    assert given[1] == pytest.approx([0.25] * 4)


def test_records_without_evidence_are_read_beside_others():
    """They get the prior, and the others are read as if these were not there."""
    guesses, values = drawn(0, n=60, v=4, strength=4.0)
    prior, silent = np.full(4, 0.25), np.arange(60) < 20
    guesses[:, silent] = -np.inf
    share = np.full((1, 60), 1 / 60)
    reader = fit_guesses(guesses, values, prior, share)
    assert reader.weight > 0.5
    given = reader.probability(guesses)
    assert given[:, silent] == pytest.approx(0.25)
    told = fit_guesses(guesses[:, ~silent], values[:, ~silent], prior, np.full((1, 40), 1 / 40))
    assert reader.factor == pytest.approx(told.factor, rel=0.3)


def test_a_few_hits_do_not_make_a_sure_reader():
    guesses, values = drawn(0, n=4, v=4, strength=50.0)
    reader = fit_guesses(guesses, values, np.full(4, 0.25), np.full((1, 4), 0.25))
    assert reader.weight < 0.95


def test_one_identity_has_no_halves():
    found = ours(np.zeros((2, 1, 3)), np.zeros((2, 1), int))
    assert found.value is None
    assert found.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"guesses": np.full((1, 4, 3), np.nan)}, "guesses must have no NaN"),
        ({"guesses": np.full((1, 4, 3), np.inf)}, r"no \+inf, got 12"),
        ({"values": np.full((1, 4), 3)}, "values must be in 0 to 2"),
        ({"prior": np.array([0.5, 0.2, 0.2])}, "prior must have two or more positive probabilities"),
        ({"known": Known([np.zeros((2, 3))], [np.array([0, 5])])}, "values must be in 0 to 2"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, said):
    usual = {"guesses": np.zeros((1, 4, 3)), "values": np.zeros((1, 4), int)}
    with pytest.raises(ValueError, match=said) as caught:
        ours(**(usual | change))
    assert "\n" not in str(caught.value)


def test_priors_are_laws():
    assert checked_prior(np.array([0.25, 0.75])).tolist() == [0.25, 0.75]
    with pytest.raises(ValueError, match="got 1 with"):
        checked_prior(np.array([1.0]))
