"""Accounting of differential privacy: the guarantee, the noise that it needs, and the sampling of batches.

Two training sets are neighbours if one has one record more. Their size n, and with it the mean share of records in a
batch, counts as public. Epsilon is computed by Opacus, for Gaussian noise on the sum of clipped gradients
of Poisson batches.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.wording import describe
from dosimeter.statistics.privacy_bounds import epsilon_of

ACCOUNTANTS = ("prv", "rdp")
"""Accountants of Opacus that bound epsilon from above; "gdp" is left out, as it approximates by a limit theorem."""
MOST_EPSILON = 100.0
"""Largest epsilon that "prv" computes, since its work grows with epsilon; "rdp" computes any."""


@dataclass(frozen=True)
class Privacy:
    """Guarantee of one training: (epsilon, delta) for every single record that it trains on.

    Attributes:
        epsilon: spent by all updates together, nats.
        delta: delta of the guarantee.
        noise_multiplier: deviation of the noise on a sum of gradients, in units of `clip`.
        clip: largest Euclidean norm of a record's gradient.
        rate: probability with which each record is in a batch.
        steps: updates.
        accountant: how epsilon was counted.
    """

    epsilon: float
    delta: float
    noise_multiplier: float
    clip: float
    rate: float
    steps: int
    accountant: str

    def __str__(self) -> str:
        """The guarantee in words, for reports."""
        return (
            f"epsilon {self.epsilon:.3g} at delta {self.delta:.3g} for each record of this stage (accountant "
            f"{self.accountant}): noise multiplier {self.noise_multiplier:.4g}, clip {self.clip:g}, sampling rate "
            f"{self.rate:.4g}, {self.steps} updates"
        )


def need_opacus() -> None:
    """Imports Opacus, which is optional.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own imports
            import opacus  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f'defense dp_sgd: needs the package opacus, got {describe(error)}: run pip install "dosimeter[dp]"'
        ) from error


def default_delta(n: int) -> float:
    """1 / (2 n), rounded down to a power of ten.

    >>> default_delta(400), default_delta(50_000)
    (0.001, 1e-05)
    """
    return float(10.0 ** math.floor(math.log10(1 / (2 * n))))


@functools.lru_cache(maxsize=1024)
def spent_epsilon(noise_multiplier: float, *, delta: float, rate: float, steps: int, accountant: str) -> float:
    """Upper bound of the epsilon that so many updates spend.

    Raises:
        ConfigError: Opacus is absent, or the accountant cannot count these numbers.
    """
    need_opacus()
    # The cheap accountant runs first: it bounds the work of the other one, which grows with epsilon.
    rough = _count("rdp", noise_multiplier, delta, rate, steps)
    if accountant == "rdp":
        return rough
    if not rough <= 2 * MOST_EPSILON:
        raise ConfigError(
            f"defense dp_sgd: accountant 'prv' counts epsilon up to {MOST_EPSILON:g}, got about {rough:.4g} for noise "
            f"multiplier {noise_multiplier:g}: use accountant = 'rdp' or more noise"
        )
    return _count(accountant, noise_multiplier, delta, rate, steps, eps_error=min(max(rough / 200, 0.002), 0.1))


def _count(accountant: str, noise: float, delta: float, rate: float, steps: int, **options: float) -> float:
    """Epsilon by one of Opacus' accountants."""
    from opacus.accountants import create_accountant

    counted = create_accountant(accountant)
    counted.history = [(noise, rate, steps)]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # bounds that could be tighter still hold
            found = float(counted.get_epsilon(delta=delta, **options))
    except (ArithmeticError, ValueError, RuntimeError, MemoryError) as error:
        found, reason = math.nan, describe(error)
    else:
        reason = f"{found}"
    if not (math.isfinite(found) and found >= 0):
        raise ConfigError(
            f"defense dp_sgd: accountant {accountant!r} must find a finite epsilon for noise multiplier {noise:g}, "
            f"sampling rate {rate:.4g} and {steps} updates, got {reason}: change the noise, batch_size or epochs"
        )
    return found


@functools.lru_cache(maxsize=1024)
def noise_for(epsilon: float, *, delta: float, rate: float, steps: int, accountant: str) -> float:
    """The least noise multiplier, within 1 % of epsilon, with which so many updates spend at most `epsilon`.

    Few calls of the accountant are needed: on logarithmic scales epsilon is nearly linear in the noise, and the first
    guess comes from the central limit theorem (Bu, Dong, Long, Su, 2020, https://arxiv.org/abs/1911.11607).

    Raises:
        ConfigError: as `spent_epsilon`, or no noise is enough.
    """

    def missing(log_noise: float) -> float:
        found = spent_epsilon(math.exp(log_noise), delta=delta, rate=rate, steps=steps, accountant=accountant)
        return math.log(max(found, 1e-12) / epsilon)

    # From the guess outwards in growing steps until the sign changes, then the secant method within the bracket.
    step, here = 0.2, math.log(_guess(epsilon, delta, rate, steps))
    value, bracket = missing(here), None
    sign = 1 if value > 0 else -1
    while bracket is None:
        there = here + sign * step
        after = missing(there)
        if -0.01 <= after <= 0:
            return math.exp(there)
        if (after > 0) != (value > 0):
            bracket = ((here, value), (there, after)) if value > 0 else ((there, after), (here, value))
        here, value, step = there, after, step * 1.5
        if abs(here) > 14:
            raise ConfigError(
                f"defense dp_sgd: epsilon must be one that noise can reach, got {epsilon:g} at delta {delta:g} over "
                f"{steps} updates: raise it, or lower epochs or batch_size"
            )
    (low, above), (high, below) = bracket
    while below < -0.01 and high - low > 1e-6:
        # The aim is 0.4 % below epsilon, so that a result between 0 and 1 % below it ends the search.
        middle = high if below - above == 0 else low + (high - low) * (above + 0.004) / (above - below)
        middle = min(max(middle, low + 0.05 * (high - low)), high - 0.05 * (high - low))
        value = missing(middle)
        low, above, high, below = (middle, value, high, below) if value > 0 else (low, above, middle, value)
    return math.exp(high)


def _guess(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """The noise multiplier that would suffice if all updates together were Gaussian noise."""
    from scipy.optimize import brentq  # settings are checked without it

    def excess(log_noise: float) -> float:
        inverse = min(math.exp(-2 * log_noise), 600.0)
        return epsilon_of(delta, min(rate * math.sqrt(steps * math.expm1(inverse)), 1e3)) - epsilon

    low, high = math.log(0.05), math.log(1e6)
    if excess(low) <= 0 or excess(high) >= 0:
        return 0.05 if excess(low) <= 0 else 1e6
    return math.exp(float(brentq(excess, low, high, xtol=1e-4)))


def poisson(rng: np.random.Generator, n: int, rate: float) -> Int[Array, " b"]:
    """Records of one batch: each of `n` is in it with probability `rate`, independently."""
    return rng.choice(n, rng.binomial(n, rate), replace=False, shuffle=False)


def check_sampling(sizes: list[int], n: int, rate: float) -> None:
    """Refuses batches whose sizes vary less, or more, than Poisson sampling allows, since epsilon would not hold.

    Sizes of Poisson batches are binomial. The squares of their distances from the mean are summed, and Chernoff's bound
    limits the probability of so small, or so large, a sum.

    Raises:
        TrainingError: of 30 or more batches, which coins give once in 10^12 trainings at most.
    """
    from scipy.special import logsumexp  # settings are checked without them
    from scipy.stats import binom

    mean, variance = n * rate, n * rate * (1 - rate)
    if len(sizes) < 30 or variance < 1:
        return
    reach = 40 * math.sqrt(variance)
    support = np.arange(max(int(mean - reach), 0), min(int(mean + reach) + 1, n) + 1)
    chance, squares = binom.logpmf(support, n, rate), (support - mean) ** 2 / variance
    found = float((((np.array(sizes) - mean) ** 2) / variance).mean())
    for tilt in (-1.0, 1.0):
        slopes = tilt * np.geomspace(1e-3, 1e2 if tilt < 0 else 0.4, 40)
        rarely = min(logsumexp(slope * (squares - found) + chance) for slope in slopes)
        if len(sizes) * rarely < math.log(1e-12):
            raise TrainingError(
                f"defense dp_sgd: batches must be drawn by independent coins, got sizes {min(sizes)} to {max(sizes)} "
                f"in {len(sizes)} batches, whose mean should be {mean:.4g} and deviation {math.sqrt(variance):.3g}: "
                "report this as an error of dosimeter"
            )
