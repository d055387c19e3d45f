"""Laws of scores with known doses, shared by tests and by `benchmarks/dose.py`; all of a reader is integrated."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit
from scipy.stats import norm, t

GRID = (np.arange(8001) + 0.5) / 8001


@dataclass(frozen=True)
class Law:
    """Scores of members and of non-members, each a mixture of equally spaced quantiles."""

    members: tuple  # pairs of a share and quantiles
    others: np.ndarray
    densities: tuple  # of members and of non-members

    @property
    def true(self):
        """The dose that a reader who knows both densities takes: the mutual information, at the same quantiles."""
        yes, no = self.densities
        told = [sum(share * (np.log2(yes(x) / (yes(x) + no(x))) + 1).mean() for share, x in self.members)]
        told.append((np.log2(no(self.others) / (yes(self.others) + no(self.others))) + 1).mean())
        return float(np.mean(told))

    def expected(self, probability):
        """The dose of any reader on new records, given its probability of "yes" as a function of scores."""
        yes = sum(share * np.log2(probability(x[2::4])).mean() for share, x in self.members)
        return 1 + (float(yes) + float(np.log2(1 - probability(self.others[2::4])).mean())) / 2

    def draw(self, rng, n):
        """Scores and bits of n members and n non-members, in this order."""
        parts = np.cumsum([share for share, _ in self.members])
        which = np.searchsorted(parts, rng.random(n) * parts[-1])
        at = rng.random((2, n))
        inside = np.choose(which, [np.interp(at[0], GRID, x) for _, x in self.members])
        return np.r_[inside, np.interp(at[1], GRID, self.others)], np.arange(2 * n) < n


Z, T2 = ndtri(GRID), stdtrit(2.0, GRID)
LAWS = {"null": Law(((1.0, Z),), Z, (norm.pdf, norm.pdf))}
for shift in (0.3, 1.0, 2.0):
    LAWS[f"normal, shift {shift:g}"] = Law(((1.0, Z + shift),), Z, (norm(shift).pdf, norm.pdf))
LAWS["5 % surely known"] = Law(
    ((0.95, Z), (0.05, Z + 6)), Z, (lambda x: 0.95 * norm.pdf(x) + 0.05 * norm.pdf(x - 6), norm.pdf)
)
LAWS["student t2, shift 1"] = Law(((1.0, T2 + 1),), T2, (t(2, loc=1).pdf, t(2).pdf))
LAWS["members wider"] = Law(((1.0, 2 * Z + 0.5),), Z, (norm(0.5, 2).pdf, norm.pdf))


def targets(rng, *, count, persons, size, shift=0.0, spread=1.0):
    """Scores and bits of some targets, complementary in pairs, with an effect of each record and person.

    Returns:
        Scores `[t n]`, bits `[t n]`, person of each record `[n]`.
    """
    person = np.repeat(np.arange(persons), size)
    bits = np.empty((count, persons), bool)
    for row in range(0, count, 2):
        bits[row] = rng.permutation(persons) < persons // 2
        bits[row + 1 : row + 2] = ~bits[row]
    bits = bits[:, person]
    effect = spread * rng.normal(size=persons)[person]
    return effect + rng.normal(size=bits.shape) + shift * bits, bits, person
