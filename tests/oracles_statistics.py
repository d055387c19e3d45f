"""Slow twins of the statistics, written as the definitions read."""

from __future__ import annotations

import numpy as np


def delong_by_loops(values, is_member):
    """AUC and its DeLong variance for one target, by the double loop of the definition."""
    members, nonmembers = values[is_member], values[~is_member]
    wins = np.array([[float(a > b) + 0.5 * float(a == b) for b in nonmembers] for a in members])
    above, below = wins.mean(1), wins.mean(0)
    return wins.mean(), above.var(ddof=1) / len(members) + below.var(ddof=1) / len(nonmembers)


def margins_by_loops(hits, eligible, record):
    """Variance of a pooled rate from its targets, from its records, and from its cells, by loops over cells."""
    total = sum(map(int, eligible.ravel()))
    rate = sum(int(h and e) for h, e in zip(hits.ravel(), eligible.ravel(), strict=True)) / total
    targets, records, cells = {}, {}, {}
    for t in range(len(hits)):
        for n in range(hits.shape[1]):
            part = eligible[t, n] * (hits[t, n] - rate) / total
            targets[t] = targets.get(t, 0.0) + part
            records[record[n]] = records.get(record[n], 0.0) + part
            cells[t, record[n]] = cells.get((t, record[n]), 0.0) + part
    squares = [sum(part**2 for part in parts.values()) for parts in (targets, records, cells)]
    scale = [len(parts) / (len(parts) - 1) for parts in (targets, records)]
    return squares[0] * scale[0], squares[1] * scale[1], squares[2]


def bootstrap_by_loops(hits, eligible, draws, rng):
    """Variance of a pooled rate when targets and records are drawn with replacement, each draw written out."""
    t, n = hits.shape
    rates = []
    for _ in range(draws):
        rows, columns = rng.integers(0, t, t), rng.integers(0, n, n)
        drawn = np.ix_(rows, columns)
        rates.append((hits[drawn] & eligible[drawn]).sum() / eligible[drawn].sum())
    return np.var(rates)


def exchange_by_loops(values, is_member, record, thresholds, coins):
    """AUC and TPR - FPR after negating the bits of the clusters whose coin is 1, by the definition."""
    turned = is_member.copy()
    for cluster, coin in zip(np.unique(record), coins, strict=True):
        if coin:
            turned[:, record == cluster] ^= True
    a, b = values[turned][:, None], values[~turned][None]
    hits = values > thresholds[:, None]
    return ((a > b) + 0.5 * (a == b)).mean(), hits[turned].mean() - hits[~turned].mean()
