"""DP-SGD: the effect of one record on an update is bounded, and hidden by noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from dosimeter.foundation import checks
from dosimeter.foundation.errors import ConfigError
from dosimeter.training.private.accounting import ACCOUNTANTS, Privacy, default_delta, noise_for, spent_epsilon
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class DPSGD:
    """Clip each record's gradient to norm C, sum over a Poisson batch, add Gaussian noise of deviation σ C, and step.

    Paper: Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang, "Deep Learning with Differential Privacy", 2016,
    https://arxiv.org/abs/1607.00133, algorithm 1. Epsilon is counted by Gopi, Lee, Wutschitz, "Numerical Composition of
    Differential Privacy", 2021, https://arxiv.org/abs/2106.02848 ("prv"), or by Mironov, Talwar, Zhang, "Rényi
    Differential Privacy of the Sampled Gaussian Mechanism", 2019, https://arxiv.org/abs/1908.10530 ("rdp").

    The guarantee is (ε, δ) for adding or removing one record of the stage whose training this is, whoever attacks and
    whatever else they know. It says nothing of records of other stages. A person with k records has (k ε, δ') with
    δ' = δ (e^{kε} − 1) / (e^ε − 1), and so has a record that stands k times in the training set.

    Stronger: a smaller ε, or a larger noise multiplier.
    Deviations: each batch has `batch_size` records on average and the sum is divided by that number; the number of
    training records counts as known. Noise is drawn from a seed and in floating point: an audit must be repeatable, a
    release should draw it from a cryptographic generator.
    Cost: that of one training; for networks other than heads several times that, and one gradient per record in
    memory. Accuracy: more noise needs larger batches and fewer updates.

    Attributes:
        epsilon: ε to be spent at most, nats, above 0 and at most 100 ("prv") or 10,000; the noise follows from it.
        noise_multiplier: σ, from 0.05 to 1,000,000; exactly one of `epsilon` and this is set.
        delta: δ, above 0 and below 1; None for 1 / (2 n) rounded down to a power of ten, n training records.
        clip: C, above 0.
        accountant: "prv", or "rdp", which is looser and counts any epsilon.
    """

    paper: ClassVar[str] = "Abadi et al., 2016, https://arxiv.org/abs/1607.00133"
    place: ClassVar[str] = "step"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"epsilon": 16.0}, {"epsilon": 4.0}, {"epsilon": 1.0})

    epsilon: float | None = None
    noise_multiplier: float | None = None
    delta: float | None = None
    clip: float = 1.0
    accountant: Literal["prv", "rdp"] = "prv"

    def __post_init__(self) -> None:
        if (self.epsilon is None) == (self.noise_multiplier is None):
            got = "neither" if self.epsilon is None else "both"
            raise ValueError(f"exactly one of epsilon and noise_multiplier must be set, got {got}")
        if self.accountant not in ACCOUNTANTS:
            raise ValueError(f"accountant must be one of {', '.join(ACCOUNTANTS)}, got {self.accountant!r}")
        if self.epsilon is not None:
            checks.in_range("epsilon", self.epsilon, 0, 100 if self.accountant == "prv" else 10_000, open_low=True)
        if self.noise_multiplier is not None:
            checks.in_range("noise_multiplier", self.noise_multiplier, 0.05, 1e6)
        if self.delta is not None:
            checks.in_range("delta", self.delta, 0, 1, open_low=True, open_high=True)
        checks.in_range("clip", self.clip, 0, 1e6, open_low=True)

    def bound(self, n: int, hp: Hyperparameters) -> Privacy:
        """The guarantee of a training with this recipe on `n` records.

        Raises:
            ConfigError: Opacus is absent, no noise reaches epsilon, or delta lets whole records be published.
        """
        delta = default_delta(n) if self.delta is None else self.delta
        if delta * n >= 1 and n > 1:
            raise ConfigError(
                f"defense dp_sgd: delta must be below 1 / {n}, for {n} records are trained on and a delta that large "
                f"allows one of them to be published as it is, got {delta:g}: use {default_delta(n):g} or less"
            )
        rate, steps = min(hp.batch_size / n, 1.0), hp.epochs * -(-n // hp.batch_size)
        noise = self.noise_multiplier
        if noise is None:
            assert self.epsilon is not None
            noise = noise_for(self.epsilon, delta=delta, rate=rate, steps=steps, accountant=self.accountant)
        epsilon = spent_epsilon(noise, delta=delta, rate=rate, steps=steps, accountant=self.accountant)
        return Privacy(epsilon, delta, noise, self.clip, rate, steps, self.accountant)
