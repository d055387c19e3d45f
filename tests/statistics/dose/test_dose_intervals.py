"""The interval of a dose: clusters, targets, the reader's own law, and ends that no data can make too narrow."""

from dataclasses import replace

import numpy as np
import pytest
from dose_laws import LAWS, targets

from dosimeter.statistics.dose.bits import fit_bits
from dosimeter.statistics.dose.measure import Known, dose_of_bits
from dosimeter.statistics.dose.terms import Terms, interval_of, terms_of


def read(scores, bits, record, known, seed=0):
    return dose_of_bits(scores, bits, record, known=known, rng=np.random.default_rng(seed))


def rehearsal(shift=1.0):
    scores, bits, _ = targets(np.random.default_rng(99), count=2, persons=200, size=1, shift=shift)
    return Known([scores], [bits])


@pytest.mark.parametrize("count", [1, 2, 8])
def test_copies_of_a_persons_records_do_not_narrow_the_interval(count):
    scores, bits, person = targets(np.random.default_rng(0), count=count, persons=50, size=1, shift=1.0)
    often = np.repeat(np.arange(50), 6)
    one = read(scores, bits, person, rehearsal())
    six = read(scores[:, often], bits[:, often], person[often], rehearsal())
    assert [six.value, six.low, six.high] == pytest.approx([one.value, one.low, one.high], abs=1e-6)
    assert (six.n, one.n, six.n_targets) == (50, 50, count)
    apart = read(scores[:, often], bits[:, often], np.arange(300), rehearsal())
    assert apart.high < one.high or count == 2  # two targets alone leave all open


def test_records_of_one_person_that_move_together_widen_the_interval():
    scores, bits, person = targets(np.random.default_rng(4), count=1, persons=40, size=10, shift=1.0, spread=3.0)
    known = Known([scores], [bits])
    grouped, apart = read(scores, bits, person, known), read(scores, bits, np.arange(400), known)
    assert grouped.value == pytest.approx(apart.value)
    assert grouped.high - grouped.low > 1.3 * (apart.high - apart.low)


def test_a_class_of_one_person_leaves_everything_open():
    scores, bits = np.arange(20.0)[None], (np.arange(20) >= 10)[None]
    found = read(scores, bits, np.r_[np.arange(10), np.full(10, 99)], rehearsal())
    assert (found.low, found.high) == (0.0, 1.0)


def test_the_plain_t_interval_is_the_core():
    """With many records whose spread is above the reader's own law, the ends are those of a t-test."""
    rng = np.random.default_rng(0)
    gain, bits = rng.uniform(-0.5, 0.9, (1, 20_000)), np.arange(20_000)[None] % 2 == 0
    terms = Terms(gain, [(0.5, bits), (0.5, ~bits)], 0.0, 0.0)
    found, n = interval_of(terms, np.arange(20_000), ceiling=1.0, level=0.95, rng=rng)
    error = np.sqrt(sum(gain[0][side[0]].var(ddof=1) / 10_000 for side in (bits, ~bits))) / 2
    assert (found.value, n) == (pytest.approx(gain.mean()), 20_000)
    assert [found.low, found.high] == pytest.approx([gain.mean() - 1.96 * error, gain.mean() + 1.96 * error], abs=1e-4)


def test_a_reader_that_was_never_wrong_is_not_taken_for_sure():
    """Equal terms have no spread; the reader's own law has some, and unseen records may tell nothing."""
    sure = np.full((1, 40), 0.9)
    bits = np.arange(40)[None] < 20
    given = np.where(bits, sure, 1 - sure)
    terms = terms_of(np.stack([1 - given, given], -1), bits.astype(int), [(0.5, bits), (0.5, ~bits)], 1.0)
    rng = np.random.default_rng(0)
    found, _ = interval_of(terms, np.arange(40), ceiling=1.0, level=0.95, rng=rng)
    assert found.value == pytest.approx(1 + np.log2(0.9))
    flat, _ = interval_of(replace(terms, variance=0.0), np.arange(40), ceiling=1.0, level=0.95, rng=rng)
    assert found.low < flat.low < 0.84 * found.value


def test_own_moments_are_those_of_draws_from_the_reader():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1.0, 2.0, 0.5], size=(1, 300))
    terms = terms_of(p, np.zeros((1, 300), int), [(1.0, np.ones((1, 300)))], 1.0)
    drawn = np.concatenate([[rng.choice(np.log2(q), p=q, size=400)] for q in p[0]]).ravel()
    assert terms.variance == pytest.approx(drawn.var(), rel=0.03)
    assert terms.third == pytest.approx(((drawn - drawn.mean()) ** 3).mean(), rel=0.05)


def test_long_lower_tails_lower_the_lower_end():
    bits = np.arange(200)[None] % 2 == 0
    gain = np.where(np.arange(200) < 6, -8.0, 0.6)[None]
    terms = Terms(gain, [(0.5, bits), (0.5, ~bits)], 0.0, 0.0)
    found, _ = interval_of(terms, np.arange(200), ceiling=1.0, level=0.95, rng=np.random.default_rng(0))
    assert found.value > 0.3
    assert found.value - found.low > 1.2 * (found.high - found.value)


def test_more_targets_do_not_make_one_record_two():
    """The bound for unseen records stays that of distinct records, however many targets were asked."""
    scores, bits, person = targets(np.random.default_rng(0), count=8, persons=10, size=1)
    equal = read(np.zeros_like(scores), bits, person, rehearsal())
    assert equal.high > 0.25


@pytest.mark.parametrize("name", ["normal, shift 0.3", "normal, shift 2", "5 % surely known"])
def test_intervals_hold_what_their_reader_gains(name):
    """A quick look; the stored simulation has many more draws."""
    law, held = LAWS[name], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        (known, theirs), (scores, bits) = law.draw(rng, 50), law.draw(rng, 50)
        found = read(scores[None], bits[None], np.arange(100), Known([known], [theirs]))
        expected = max(0.0, law.expected(fit_bits(known, theirs, 0.5).probability))
        held.append(found.low <= expected <= found.high)
    assert np.mean(held) >= 0.85
