"""Exposure of records and persons against exact libraries, slow twins and extremes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact, spearmanr

from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.statistics.exposure import Ranks, agreement, mean_bounds, overlap, persons, pool_persons, rank, records


def world(seed=0, *, pairs=8, n=30, right=0.7, wrong=0.05):
    rng = np.random.default_rng(seed)
    member = membership_matrix(n, 2 * pairs, seed)
    hits = rng.random(member.shape) < np.where(member, right, wrong)
    return hits, member


def test_records_agree_with_exact_libraries():
    hits, member = world()
    found = records(hits, member)
    tail = 0.05 / (2 * 30)
    for i in range(30):
        used, others = member[:, i], ~member[:, i]
        x, y = int(hits[used, i].sum()), int(hits[others, i].sum())
        ends = binomtest(x, 8).proportion_ci(1 - 2 * tail, "exact")
        p = fisher_exact([[x, 8 - x], [y, 8 - y]], alternative="greater").pvalue
        assert found.named[i] == x / 8
        assert found.unused[i] == y / 8
        assert found.low[i] == pytest.approx(ends.low if p <= tail else 0.0, abs=1e-9)
        assert found.high[i] == pytest.approx(ends.high, abs=1e-9)
    assert (found.trainings == 8).all()


def slow_least_mean(shares, tail):
    """The same wealth on a grid of means, the arcsine law by a fine sum instead of its nodes."""
    known = shares[~np.isnan(shares)]
    stakes = (1 + np.cos((np.arange(500) + 0.5) * np.pi / 500)) / 2
    means = np.linspace(1e-6, 1, 1001)
    wealth = np.array([np.prod(1 + stakes[:, None] * (known / mean - 1), axis=1).mean() for mean in means])
    kept = means[wealth < 1 / tail]
    return kept[0] if known.any() else 0.0


def test_mean_bounds_agree_with_a_slow_twin():
    rng = np.random.default_rng(1)
    shares = np.stack([rng.random(9), np.full(9, 0.5), rng.random(9) < 0.3, np.zeros(9), np.ones(9)], axis=1)
    shares[3, 0] = np.nan
    low, high = mean_bounds(shares, tail=0.01)
    for i, column in enumerate(shares.T):
        assert low[i] == pytest.approx(slow_least_mean(column, 0.01), abs=1.1e-3)
        assert high[i] == pytest.approx(1 - slow_least_mean(1 - column, 0.01), abs=1.1e-3)
    assert (low <= np.nanmean(shares, 0)).all()
    assert (np.nanmean(shares, 0) <= high).all()


def test_ends_of_shares_close_in_and_do_not_depend_on_the_order_of_trainings():
    rng = np.random.default_rng(2)
    shares = rng.random((12, 3))
    first = mean_bounds(shares, tail=0.01)
    np.testing.assert_array_equal(first, mean_bounds(shares[::-1], tail=0.01))
    more = mean_bounds(np.tile(shares, (4, 1)), tail=0.01)
    assert (more[1] - more[0] < first[1] - first[0]).all()


def test_persons_with_one_record_are_records():
    hits, member = world(3)
    one, other = records(hits, member), persons(hits, member, person=np.arange(30), block=np.arange(16) // 2)
    for name in ("named", "unused", "low", "high", "trainings"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-12)


@pytest.mark.parametrize("whole", [False, True])
def test_persons_agree_with_a_loop(whole):
    person, block = np.repeat(np.arange(6), 4), np.arange(16) // 2
    rng = np.random.default_rng(4)
    member = membership_matrix(6, 16, 4)[:, person] if whole else membership_matrix(24, 16, 4)
    hits = rng.random(member.shape) < np.where(member, 0.8, 0.1)
    found = persons(hits, member, person=person, block=block)
    tail = 0.05 / 12
    for one in range(6):
        own = person == one
        shares = []
        for pair in range(8):
            used, named = member[block == pair][:, own], hits[block == pair][:, own]
            shares.append(named[used].mean())
        low, high = mean_bounds(np.array(shares)[:, None], tail=tail)
        if whole:
            inside, any_named = member[:, own][:, 0], hits[:, own].any(1)
            table = [[(any_named & side).sum(), (~any_named & side).sum()] for side in (inside, ~inside)]
            p = fisher_exact(table, alternative="greater").pvalue
        else:
            right = wrong = 0
            for pair in range(8):
                for i in np.flatnonzero(own):
                    used = 2 * pair + int(not member[2 * pair, i])
                    right += hits[used, i] and not hits[used ^ 1, i]
                    wrong += hits[used ^ 1, i] and not hits[used, i]
            p = binomtest(int(right), int(right + wrong), 0.5, alternative="greater").pvalue
        assert found.named[one] == pytest.approx(np.mean(shares))
        assert found.low[one] == pytest.approx(low[0] if p <= tail else 0.0)
        assert found.high[one] == pytest.approx(high[0])


def test_who_is_named_anyway_is_not_exposed():
    hits, member = world(5)
    hits[:, 0] = True
    assert records(hits, member).low[0] == 0
    assert records(hits, member).named[0] == 1


def test_records_that_no_training_used_or_all_did():
    member = np.array([[True, False, True], [True, False, False]])
    found = records(member.copy(), member)
    assert np.isnan(found.named[1])
    assert np.isnan(found.unused[0])
    assert found.low.tolist() == [0, 0, 0]
    assert found.high.tolist() == [1, 1, 1]


def test_unpaired_models_count_for_persons_but_show_nothing_alone():
    member, person = np.array([[True, True, False, False]]), np.array([0, 0, 1, 1])
    found = persons(member.copy(), member, person=person, block=np.zeros(1, np.int64))
    assert found.trainings.tolist() == [1, 0]
    assert found.low.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("hits", "level", "told"),
    [((2, 3), 1.5, "level"), ((0, 3), 0.95, "equal shapes")],
)
def test_wrong_arguments(hits, level, told):
    member = np.ones((hits[0], 3), bool)
    with pytest.raises(ValueError, match=told):
        records(np.ones(hits, bool), member, level=level)


def test_rank_orders_by_the_gap_and_leaves_out_what_cannot_be_ranked():
    scores = np.array([[3.0, 0.0, 1.0, np.inf], [0.0, 3.0, 1.0, -np.inf]])
    member = np.array([[True, False, True, True], [False, True, True, False]])
    found = rank(scores, member, unit=np.arange(4))
    assert found.order[0] == 3
    assert set(found.order.tolist()) == {0, 1, 3}
    assert np.isnan(found.gap[2])


def test_overlap_and_agreement():
    rng = np.random.default_rng(6)
    gaps = rng.normal(size=(2, 50))
    first, second = (Ranks(np.argsort(-gap), gap) for gap in gaps)
    assert agreement(first, second) == pytest.approx(spearmanr(*gaps).statistic)
    assert overlap(first, first, 5)[0] == 1
    chance = [overlap(first, Ranks(rng.permutation(50), gaps[0]), 5) for _ in range(4000)]
    both = np.array([one for one, _ in chance])
    expected = np.mean(2 * 5 * both / (1 + both)) / 5  # mean share in common
    assert expected == pytest.approx(5 / 50, abs=0.01)
    tied = Ranks(np.arange(3), np.zeros(3))
    assert agreement(tied, tied) is None


def test_pooled_scores_are_means_within_a_model():
    scores = np.array([[1.0, 2.0, 3.0, 4.0], [-np.inf, np.inf, 0.0, 0.0]])
    found = pool_persons(scores, np.array([0, 0, 1, 1]))
    assert found[0, 0] == pytest.approx(-found[0, 1])
    assert found[1, 0] == pytest.approx(0)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6), st.floats(0, 1), st.floats(0, 1))
def test_ends_are_in_order(seed, pairs, size, right, wrong):
    n = 2 * size
    hits, member = world(seed, pairs=pairs, n=n, right=right, wrong=wrong)
    person = np.arange(n) // 2
    for found in (records(hits, member), persons(hits, member, person=person, block=np.arange(2 * pairs) // 2)):
        assert (found.low >= 0).all()
        assert (found.high <= 1).all()
        assert (found.low <= found.named + 1e-9).all()
        assert (found.named <= found.high + 1e-9).all()
