"""Slow twins of the statistics, and a simulator of audits whose true rates are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


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


@dataclass(frozen=True)
class Audit:
    """One simulated audit: scores, truth, and what they were drawn with."""

    values: np.ndarray
    is_member: np.ndarray
    record: np.ndarray
    shift: np.ndarray
    boost: np.ndarray


@dataclass(frozen=True)
class World:
    """Scores with effects of targets, records, and both on leakage; the bits come in complementary pairs of rows.

    `score[t, n] = shift_t + base_n + member[t, n] * (gain + vulnerable_n * extra + boost_t) + noise[t, n]`, all normal.
    The estimand is over retraining and records for several targets (shift, boost random), and over records for one
    (its shift and boost given). A cluster of `persons` records shares base and vulnerability, and its bits.
    """

    gain: float
    extra: float
    share: float = 0.15
    target_sd: float = 0.3
    record_sd: float = 0.7
    boost_sd: float = 0.2
    persons: int = 1

    def draw(self, targets, n, rng):
        """One audit of n records under `targets` models."""
        clusters = n // self.persons
        record = np.repeat(np.arange(clusters), self.persons)
        half = np.arange(clusters) < clusters // 2
        rows = [rng.permutation(half) for _ in range(-(-targets // 2))]
        is_member = np.stack([row for pair in rows for row in (pair, ~pair)])[:targets][:, record]
        base = rng.normal(0, self.record_sd, clusters)[record]
        vulnerable = (rng.random(clusters) < self.share)[record]
        shift, boost = rng.normal(0, self.target_sd, targets), rng.normal(0, self.boost_sd, targets)
        leak = self.gain + self.extra * vulnerable + boost[:, None]
        values = shift[:, None] + base + is_member * leak + rng.normal(size=(targets, n))
        return Audit(values, is_member, record, shift, boost)

    def rates(self, threshold, audit):
        """True TPR and FPR at a threshold."""
        one = len(audit.shift) == 1
        shift, boost = (audit.shift[0], audit.boost[0]) if one else (0.0, 0.0)
        wide, extra = (0.0, 0.0) if one else (self.target_sd**2, self.boost_sd**2)
        sd = np.sqrt(wide + self.record_sd**2 + 1)
        tpr = self._mix(lambda leak: norm.sf((threshold - shift - boost - leak) / np.sqrt(sd**2 + extra)))
        return tpr, norm.sf((threshold - shift) / sd)

    def auc(self, audit):
        """Expected pooled AUC for this number of targets: pairs of one target, of one record, and of neither."""
        targets, clusters = len(audit.shift), len(np.unique(audit.record))
        one = targets == 1
        boost, spread = (audit.boost[0], 0.0) if one else (0.0, self.boost_sd**2)

        def wins(other_target, other_record):
            sd = np.sqrt(2 + spread + 2 * other_target * self.target_sd**2 + 2 * other_record * self.record_sd**2)
            return self._mix(lambda leak: norm.cdf((leak + boost) / sd))

        if one:
            return wins(False, True)
        same_target, same_record = 1 / targets, 1 / clusters
        rest = 1 - same_target - same_record
        return same_target * wins(False, True) + same_record * wins(True, False) + rest * wins(True, True)

    def _mix(self, rate):
        return (1 - self.share) * rate(self.gain) + self.share * rate(self.gain + self.extra)
