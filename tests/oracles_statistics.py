"""Slow twins of the statistics, written as the definitions read."""

from __future__ import annotations

import itertools

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
    """Sums of members' ranks and hits after negating the bits of the clusters whose coin is 1, by the definition."""
    turned = is_member.copy()
    for cluster, coin in zip(np.unique(record), coins, strict=True):
        if coin:
            turned[:, record == cluster] ^= True
    flat = values.ravel()
    ranks = np.array([(flat < one).sum() + ((flat == one).sum() + 1) / 2 for one in flat]).reshape(values.shape)
    ranks -= ranks.mean(1, keepdims=True)
    found = []
    for cells in (ranks, (values > thresholds[:, None]).astype(float)):
        if len(values) > 1:
            cells = cells - np.array([cells[:, record == one].mean() for one in record])
        found.append(cells[turned].sum())
    return found


def spread_by_matrices(influences, sides, record):
    """Variance and degrees of freedom of a sum of means over unequal persons, with every matrix written out.

    Args:
        influences: per side what each record adds to the statistic `[n]`, 0 outside the side.
        sides: per side which records it has `[n]`.
        record: the person of each record `[n]`.
    """
    names = np.unique(record)
    left, matrices, variances = np.zeros(len(names)), [], []
    for influence, side in zip(influences, sides, strict=True):
        count = np.array([sum(side[record == name]) for name in names])
        h, k = count / count.sum(), np.count_nonzero(count)
        # The mean without each person, by leaving the person out of numerator and denominator.
        total = influence.sum()  # 0 up to rounding
        moved = np.array(
            [(total - influence[record == name].sum()) / (1 - share) for name, share in zip(names, h, strict=True)]
        )
        jackknifed = np.sqrt((k - 1) / k) * (moved - total) * (count > 0)
        left += jackknifed
        a = np.eye(len(names)) - np.outer(np.ones(len(names)), h)
        b = np.diag(h / (1 - h)) @ a * np.sqrt((k - 1) / k)
        m = b @ b.T
        variances.append((jackknifed**2).sum())
        matrices.append(m / np.trace(m))
    mixed = sum(v * m for v, m in zip(variances, matrices, strict=True))
    return (left**2).sum(), max(1.0, np.trace(mixed) ** 2 / np.trace(mixed @ mixed))


def calls_within_budget_by_loops(values, is_member, allowed):
    """Most members of one target that any threshold calls with at most so many non-members; of equals the lowest."""
    best = (0, 0)
    for cut in [np.inf, -np.inf, *values]:
        tp = sum(1 for score, bit in zip(values, is_member, strict=True) if bit and score > cut)
        fp = sum(1 for score, bit in zip(values, is_member, strict=True) if not bit and score > cut)
        if fp <= allowed:
            best = max(best, (tp, fp))
    return best


def oracle_law_by_orders(n, m, allowed):
    """Shares of all orders of n members and m non-members with 0 to n members above non-member `allowed + 1`."""
    counts = np.zeros(n + 1)
    for places in itertools.combinations(range(n + m), m):
        counts[places[allowed] - allowed] += 1
    return counts / counts.sum()


def called_sums_by_exchange(values, is_member, record, allowed):
    """Members above each target's non-member of rank `allowed + 1`, for every outcome of a coin per cluster."""
    names, sums = sorted(set(record.tolist())), []
    for coins in itertools.product((False, True), repeat=len(names)):
        turned = np.array([dict(zip(names, coins, strict=True))[one] for one in record.tolist()])
        sums.append(
            sum(
                calls_within_budget_by_loops(row, bits ^ turned, most)[0]
                for row, bits, most in zip(values, is_member, allowed, strict=True)
            )
        )
    return np.array(sums)
