"""Log-MIA and what chance gives: worked examples, slow twins, exact laws, and labels that are exchanged."""

import numpy as np
import pytest
from oracles_statistics import called_sums_by_exchange, calls_within_budget_by_loops, oracle_law_by_orders
from scipy import stats

from dosimeter.statistics.intervals.cells import exceeds
from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.statistics.log_mia.counts import Calls, budget, calls_of, log_mia, oracle_thresholds, tpr_of
from dosimeter.statistics.log_mia.null import Exchange, called_null, oracle_law, oracle_mean, oracle_null

TABLE = {  # n = m, budget: mean, standard deviation, 95 % quantile, P(L >= 0.5), of published tables
    (15, 0): (0.178, 0.199, 0.500, 0.112),
    (15, 4): (0.588, 0.179, 0.830, 0.805),
    (100, 0): (0.110, 0.124, 0.349, 0.001),
    (100, 6): (0.424, 0.108, 0.572, 0.218),
    (1000, 0): (0.073, 0.083, 0.233, 0.000),
    (1000, 8): (0.319, 0.067, 0.418, 0.000),
}


def scale(n):
    return np.log1p(np.arange(n + 1)) / np.log1p(n)


def test_worked_examples():
    found = [log_mia(tp, 15) for tp in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15)]
    assert found == pytest.approx([0, 0.25, 0.396, 0.5, 0.58, 0.646, 0.702, 0.75, 0.792, 0.865, 0.925, 1], abs=6e-4)
    wanted = {(550, 25_000): 0.623, (2100, 25_000): 0.755, (2800, 25_000): 0.784, (6900, 25_000): 0.873,
              (25, 25_000): 0.322, (325, 25_000): 0.572, (450, 500_000): 0.466, (7000, 500_000): 0.675}  # fmt: skip
    for (tp, n), value in wanted.items():
        assert log_mia(tp, n) == pytest.approx(value, abs=1e-3)


def test_one_rate_has_another_value_at_each_size():
    found = [log_mia(0.1 * n, n) for n in (15, 100, 1000, 25_000, 500_000)]
    assert found == pytest.approx([0.33, 0.52, 0.67, 0.77, 0.83], abs=6e-3)


def test_the_rate_is_recovered():
    for n in (1, 15, 10**6):
        for tp in (0, 1, n // 2, n):
            assert tpr_of(log_mia(tp, n), n) == pytest.approx(tp / n, abs=1e-9)


@pytest.mark.parametrize(("tp", "fp", "n", "value", "low", "high"), [
    (3, 0, 15, 0.50, 0.18, 0.76), (30, 0, 1000, 0.497, 0.443, 0.546), (550, 0, 25_000, 0.623, 0.615, 0.631),
    (2100, 25, 25_000, 0.755, 0.751, 0.759),
])  # fmt: skip
def test_an_interval_is_carried_through(tp, fp, n, value, low, high):
    ends = [log_mia(end * n, n) for end in clopper_pearson(tp, n)]
    assert [Calls(tp, fp, n, n).value, *ends] == pytest.approx([value, low, high], abs=6e-3 if n == 15 else 6e-4)


def test_regime_b_counts_non_members():
    for n in (15, 100, 1000, 25_000):
        assert budget(n, n) == budget(n, n, as_released=True) == int(np.ceil(np.log(2 * n)))
    assert [budget(n, n) for n in (15, 100, 1000, 10_000, 25_000)] == [4, 6, 8, 10, 11]
    assert budget(5000, 30) == budget(30, 30)
    assert budget(5000, 30, as_released=True) == budget(30, 5000, as_released=True) == 9


@pytest.mark.parametrize("ties", [False, True])
def test_calls_at_an_oracle_are_those_of_every_threshold_tried(ties):
    rng = np.random.default_rng(1)
    for _ in range(60):
        values = rng.normal(size=(2, 14))
        if ties:
            values = np.round(values)
            values[rng.random(values.shape) < 0.2] = rng.choice([np.inf, -np.inf])
        bits = np.stack([rng.permutation(14) < 6, rng.permutation(14) < 9])
        allowed = rng.integers(0, 5, 2)
        hits = exceeds(values, oracle_thresholds(values, bits, allowed))
        for row, own, most, called in zip(values, bits, allowed, hits, strict=True):
            assert (int(called[own].sum()), int(called[~own].sum())) == calls_within_budget_by_loops(row, own, most)
        assert calls_of(hits, bits) == Calls(int(hits[bits].sum()), int(hits[~bits].sum()), 15, 13)


def test_equal_scores_recognise_nobody():
    bits = np.arange(20) % 2 == 0
    cuts = oracle_thresholds(np.zeros((1, 20)), bits[None], np.array([4]))
    assert calls_of(exceeds(np.zeros((1, 20)), cuts), bits[None]) == Calls(0, 0, 10, 10)


@pytest.mark.parametrize(("bad", "message"), [
    (lambda: log_mia(0, 0), "n must be"), (lambda: log_mia(4, 3), "tp must be"), (lambda: budget(3, 0), "m must be"),
    (lambda: tpr_of(1.1, 5), "value must be"), (lambda: oracle_law(5, 3, 3), "allowed must be"),
    (lambda: oracle_null(6, 5, 5, 0), "tp must be"), (lambda: called_null(1, 6, 5, 5), "fp must be"),
    (lambda: oracle_null(0, 0, 5, 0), "n must be"), (lambda: oracle_null(0, 5, 0, 0), "m must be"),
    (lambda: oracle_thresholds(np.array([[1.0, np.nan]]), np.array([[True, False]]), np.array([0])), "no NaN, got 1"),
    (lambda: oracle_thresholds(np.zeros((1, 3)), np.array([[True, True, False]]), np.array([1])), "more than the 1"),
    (lambda: oracle_thresholds(np.zeros((1, 2)), np.array([[True, True]]), np.array([0])), "got 0"),
])  # fmt: skip
def test_what_has_no_answer_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        bad()


@pytest.mark.parametrize(("n", "m", "allowed"), [(4, 5, 0), (4, 5, 2), (5, 3, 2), (1, 6, 3), (6, 1, 0)])
def test_the_law_is_that_of_all_orders(n, m, allowed):
    law = oracle_law(n, m, allowed)
    assert law == pytest.approx(oracle_law_by_orders(n, m, allowed), abs=1e-12)
    for tp in range(n + 1):
        assert oracle_null(tp, n, m, allowed).p == pytest.approx(law[tp:].sum(), abs=1e-12)


@pytest.mark.parametrize("key", TABLE)
def test_what_chance_gives_is_that_of_the_published_table(key):
    (n, allowed), (mean, sd, quantile, half) = key, TABLE[key]
    law, values = oracle_law(n, n, allowed), scale(n)
    assert oracle_mean(n, n, allowed) == pytest.approx(mean, abs=1e-3)
    assert np.sqrt(law @ values**2 - (law @ values) ** 2) == pytest.approx(sd, abs=1e-3)
    assert values[np.searchsorted(np.cumsum(law), 0.95)] == pytest.approx(quantile, abs=1e-3)
    assert law[values >= 0.5 - 1e-12].sum() == pytest.approx(half, abs=1e-3)
    drawn = np.random.default_rng(n + allowed).choice(values, 2000, p=law / law.sum())
    assert drawn.mean() == pytest.approx(mean, abs=1e-3 + 4 * sd / np.sqrt(2000))


def test_at_the_sizes_of_the_paper_chance_gives_18_and_59_of_100():
    assert oracle_mean(15, 15, 0) == pytest.approx(0.178, abs=1e-3)
    assert oracle_mean(15, 15, budget(15, 15)) == pytest.approx(0.588, abs=1e-3)
    rng, sums = np.random.default_rng(7), []
    bits = np.arange(30) < 15
    for allowed in (0, 4):
        drawn = [log_mia(_tp(rng.normal(size=30), bits, allowed), 15) for _ in range(2000)]
        sums.append(np.mean(drawn))
        assert np.mean(drawn) == pytest.approx(oracle_mean(15, 15, allowed), abs=4 * np.std(drawn) / np.sqrt(2000))
    assert sums[1] > 0.5


def _tp(values, bits, allowed):
    return calls_of(
        exceeds(values[None], oracle_thresholds(values[None], bits[None], np.array([allowed]))), bits[None]
    ).tp


@pytest.mark.parametrize(("n", "allowed", "cut"), [(15, 0, 0.108), (15, 4, 0.168), (100, 6, 0.073), (1000, 0, 0.040)])
def test_the_corrected_value_has_mean_0_only_if_it_is_not_cut(n, allowed, cut):
    law = oracle_law(n, n, allowed)
    null = oracle_null(0, n, n, allowed)
    corrected = np.array([null.corrected(value) for value in scale(n)])
    assert law @ corrected == pytest.approx(0, abs=1e-9)
    assert law @ np.maximum(corrected, 0) == pytest.approx(cut, abs=1e-3)
    assert corrected[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("n", "m", "allowed"), [(10**6, 10**6, 15), (10**6, 10**6, 0), (10**6, 500, 7), (300, 10**6, 15)]
)
def test_large_audits_are_exact_too(n, m, allowed):
    law, k = oracle_law(n, m, allowed), np.arange(n + 1)
    assert law.sum() == pytest.approx(1, abs=1e-8)
    assert law @ k == pytest.approx((allowed + 1) * n / (m + 1), rel=1e-7)
    for tp in (1, 20, 100):
        assert oracle_null(tp, n, m, allowed).p == pytest.approx(
            stats.hypergeom.cdf(allowed, n + m, m, tp + allowed), rel=1e-6
        )
    assert 0 <= oracle_null(n, n, m, allowed).p < 1e-12


@pytest.mark.parametrize(
    ("tp", "fp", "n", "m"), [(4, 0, 10, 10), (0, 0, 3, 4), (7, 9, 12, 15), (12_000, 10_000, 10**6, 10**6)]
)
def test_given_the_calls_the_law_is_hypergeometric(tp, fp, n, m):
    found, law = called_null(tp, fp, n, m), stats.hypergeom(n + m, n, tp + fp)
    assert found.p == pytest.approx(law.sf(tp - 1), rel=1e-6)
    k = np.arange(0, min(n, tp + fp) + 1)
    assert found.expected == pytest.approx(float(law.pmf(k) @ np.log1p(k)) / np.log1p(n), rel=1e-6)


def test_if_chance_calls_every_member_nothing_is_corrected():
    assert called_null(5, 4, 5, 4).corrected(1.0) is None


def test_ties_only_lower_what_chance_gives():
    rng, bits = np.random.default_rng(3), np.arange(40) < 20
    tied = [_tp(np.round(rng.normal(size=40)), bits, 3) for _ in range(1000)]
    p = [oracle_null(tp, 20, 20, 3).p for tp in tied]
    assert np.mean([log_mia(tp, 20) for tp in tied]) < oracle_mean(20, 20, 3)
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    "record", [np.arange(8), np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.array([5, 9, 9, 5, 1, 1, 7, 3])]
)
def test_coins_give_the_law_of_every_outcome(record, ties):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(2, 8))
    values = np.round(values) if ties else values
    bits = np.array([True, True, False, False, True, False, False, True])[None].repeat(2, 0)
    bits[1] = ~bits[1]
    allowed = np.array([1, 1])
    every = called_sums_by_exchange(values, bits, record, allowed)
    tp = calls_of(exceeds(values, oracle_thresholds(values, bits, allowed)), bits).tp
    found = Exchange(bits, record, drawn=True, rng=rng).oracle_null(values, allowed, tp)
    assert found.p == pytest.approx((every >= tp).mean(), abs=4 * 0.5 / np.sqrt(1000) + 1e-3)
    logs = np.log1p(np.minimum(every, 8)) / np.log1p(8)
    assert found.expected == pytest.approx(logs.mean(), abs=4 * logs.std() / np.sqrt(1000) + 1e-9)
    assert found.method == "exchange with the complement, 1,000 draws"


def test_permuted_records_have_the_exact_law():
    rng, bits = np.random.default_rng(6), np.random.default_rng(2).permutation(60) < 25
    values = rng.normal(size=(1, 60))
    for allowed in (0, 5):
        tp = _tp(values[0], bits, allowed)
        exact = oracle_null(tp, 25, 35, allowed)
        found = Exchange(bits[None], np.arange(60), drawn=False, rng=rng).oracle_null(values, np.array([allowed]), tp)
        assert found.p == pytest.approx(exact.p, abs=4 * 0.5 / np.sqrt(1000) + 1e-3)
        assert found.expected == pytest.approx(exact.expected, abs=4 * 0.2 / np.sqrt(1000))
    hits = exceeds(values, np.array([0.5]))
    calls = calls_of(hits, bits[None])
    found = Exchange(bits[None], np.arange(60), drawn=False, rng=rng).called_null(hits, calls.tp)
    exact = called_null(calls.tp, calls.fp, calls.n, calls.m)
    assert found.p == pytest.approx(exact.p, abs=4 * 0.5 / np.sqrt(1000) + 1e-3)
    assert found.expected == pytest.approx(exact.expected, abs=0.01)


@pytest.mark.parametrize("drawn", [True, False])
def test_persons_who_move_together_need_an_exchange_and_not_the_exact_law(drawn):
    """Twenty persons of ten records: a person's records rank alike, so chance calls a whole person at once."""
    rng, record = np.random.default_rng(8), np.repeat(np.arange(20), 10)
    exchanged, exact = [], []
    for _ in range(60):
        bits = (rng.permutation(20) < 10)[record]
        table = np.stack([bits, ~bits]) if drawn else bits[None]
        values = rng.normal(size=20)[record] + 0.01 * rng.normal(size=table.shape)
        allowed = np.full(len(table), 3)
        tp = calls_of(exceeds(values, oracle_thresholds(values, table, allowed)), table).tp
        exchanged.append(Exchange(table, record, drawn=drawn, rng=rng).oracle_null(values, allowed, tp).p <= 0.05)
        one = _tp(values[0], bits, 3)
        exact.append(oracle_null(one, 100, 100, 3).p <= 0.05)
    assert stats.binomtest(sum(exchanged), 60, 0.05, alternative="greater").pvalue > 1e-3
    assert np.mean(exact) > 0.3


def test_a_window_that_is_too_small_is_widened():
    """Members alone stand at the top, so non-members are reached far down where labels are the true ones."""
    values = -np.arange(4000.0)[None]
    bits = (np.arange(4000) < 3990)[None]
    found = Exchange(bits, np.arange(4000), drawn=False, rng=np.random.default_rng(0)).oracle_null(
        values, np.array([0]), 3990
    )
    assert found.p == pytest.approx(1 / 1001)
    assert found.expected == pytest.approx(oracle_mean(3990, 10, 0), abs=0.03)


def test_persons_of_several_sizes_cannot_change_places():
    with pytest.raises(ValueError, match="clusters of one size"):
        Exchange(np.array([[True, True, False]]), np.array([0, 0, 1]), drawn=False, rng=np.random.default_rng(0))
