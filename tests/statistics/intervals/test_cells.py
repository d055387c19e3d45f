"""Clusters, placements and ranks by one sort against numpy and scipy, and the band of a sweep against single rates."""

import numpy as np
import pytest
from scipy.stats import rankdata

from dosimeter.statistics.intervals.cells import clusters, placements, ranks, sorted_placements
from dosimeter.statistics.intervals.crossed import rate_band, rate_interval


def rng():
    return np.random.default_rng(4)


@pytest.mark.parametrize("record", [[3, 1, 3, 2], [10**14, -5, 10**14], [0, 0], [5, 4, 3], [-2, -2, 7]])
def test_clusters_are_numpys(record):
    names, expected = np.unique(record, return_inverse=True)
    index, k = clusters(np.array(record))
    assert (index.tolist(), k) == (expected.tolist(), len(names))


def test_records_of_their_own_in_order_need_no_positions():
    assert clusters(np.array([-3, 0, 10**15])) == (None, 3)
    assert clusters(np.arange(0)) == (None, 0)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("targets", [1, 3])
def test_placements_and_ranks_are_scipys(ties, targets):
    values, is_member = rng().normal(size=(targets, 70)), rng().random((targets, 70)) < 0.3
    values = np.where(rng().random(values.shape) < 0.1, -np.inf, np.round(values) if ties else values)
    pooled = rankdata(values, axis=None).reshape(values.shape)
    np.testing.assert_array_equal(ranks(values), pooled)
    above, below = placements(values, is_member)
    m, k = is_member.sum(), (~is_member).sum()
    np.testing.assert_array_equal(above[is_member], (pooled[is_member] - rankdata(values[is_member])) / k)
    np.testing.assert_array_equal(below[~is_member], 1 - (pooled[~is_member] - rankdata(values[~is_member])) / m)
    own = sorted_placements(values, is_member)
    np.testing.assert_allclose(own[0], np.sort(above[is_member]), rtol=1e-12)
    np.testing.assert_allclose(own[1], np.sort(below[~is_member])[::-1], rtol=1e-12)


@pytest.mark.parametrize("targets", [1, 3, 9])
@pytest.mark.parametrize("kind", ["own", "shuffled", "persons"])
def test_a_band_is_single_rates(targets, kind):
    n = 50
    record = {"own": np.arange(n), "shuffled": rng().permutation(n), "persons": rng().integers(0, 20, n)}[kind]
    values, eligible = np.round(rng().normal(size=(targets, n)), 1), rng().random((targets, n)) < 0.6
    values[0, 0] = -np.inf
    cuts = np.array([np.inf, 2.0, 0.3, 0.0, -1.0, -np.inf])
    band = rate_band(values, cuts, eligible, record=record)
    calls = [*(values > cut for cut in cuts), np.ones_like(eligible)]
    for found, hits in zip(band, calls, strict=True):
        expected = rate_interval(hits, eligible, record=record, rng=rng(), draws=0)
        np.testing.assert_allclose(found[:3], expected[:3], rtol=1e-12, atol=1e-14)
        assert found.method == expected.method
    with pytest.raises(ValueError, match="eligible must have at least one decision"):
        rate_band(values, cuts, np.zeros_like(eligible), record=record)
