"""A simulator of audits whose true rates are known in closed form, and one of audits without leakage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


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

    def rates_of_these(self, threshold, audit):
        """True TPR and FPR of these models, whose effects are given: means over them."""
        sd = np.sqrt(self.record_sd**2 + 1)
        above = threshold - audit.shift
        tpr = [
            self._mix(lambda leak, a=a, b=b: norm.sf((a - b - leak) / sd))
            for a, b in zip(above, audit.boost, strict=True)
        ]
        return float(np.mean(tpr)), float(np.mean(norm.sf(above / sd)))

    def auc_of_these(self, audit):
        """Expected pooled AUC of these models: over pairs of them, the records of a pair being different."""
        sd = np.sqrt(2 + 2 * self.record_sd**2)
        ahead = audit.shift[:, None] + audit.boost[:, None] - audit.shift
        return float(np.mean(self._mix(lambda leak: norm.cdf((leak + ahead) / sd))))

    def _mix(self, rate):
        return (1 - self.share) * rate(self.gain) + self.share * rate(self.gain + self.extra)


def null_scores(outputs, bits, rows, shadows):
    """Scores `[5, rows, n]` of five correlated attacks that read outputs and the shadows' bits as real ones do."""
    inside, outside = (
        (outputs[shadows] * (bits[shadows] == bit)).sum(0) / (bits[shadows] == bit).sum(0) for bit in (True, False)
    )
    x, gap = outputs[rows], inside - outside
    return np.stack([x, x - outside, x - inside, x * gap, (x - (inside + outside) / 2) * gap])
