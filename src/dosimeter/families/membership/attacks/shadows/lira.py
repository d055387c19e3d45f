"""The likelihood-ratio attack: it compares a target's confidence with that of shadows with and without the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks import laws, reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Mode = Literal["online", "offline"]
Variance = Literal["auto", "per-record", "global", "shrunken", "bayesian"]


@dataclass(frozen=True)
class LiRA:
    """Score a record by how much likelier the target's confidence is under in-shadows than under out-shadows.

    Paper: Carlini, Chien, Nasr, Song, Terzis, Tramer, "Membership Inference Attacks From First Principles", 2022,
    https://arxiv.org/abs/2112.03570, algorithm 1 and equation 4. With phi the logit-scaled confidence, per record and
    view, means and scales from the shadows:

        online:  s = log N(phi; mu_in, sigma_in^2) - log N(phi; mu_out, sigma_out^2)
        offline: s = -log P[Z > phi],  Z ~ N(mu_out, sigma_out^2),  by the log-survival function

    and the mean of s over views. `variance` chooses sigma:

        "per-record": each by itself.
        "global": the pooled residual variance v within records, for in and out apart.
        "shrunken": after BaVarIA (Brännvall, 2026, https://arxiv.org/abs/2603.11799), with our own prior, normal-
            inverse-gamma and worth 4 observations of v; a Student law of 4 + k - 1 degrees of freedom, k shadows a
            side, and scale^2 = (4 v + sum (phi - mu)^2) / (4 + k - 1) * (1 + 1/k).
        "bayesian": the same with a prior of mean and variance that is estimated from all records: how much the
            variances differ between records (Smyth, 2004, https://doi.org/10.2202/1544-6115.1027), and, online, what
            mean a record has on one side given its mean on the other, see `laws.fit_bayesian`.
        "auto": bayesian, at every number of shadows, so that a rehearsal, which has two shadows fewer, scores on the
            scale of the attack itself. `benchmarks/few_shadow_power.py` compares it with the others.

    Threat model: confidences of the target; shadows of the same recipe. Online they are trained after the records are
    known, half of them on each; offline only out-shadows are read.
    Deviations: mu is the mean (paper) and not the median (code); offline is the one-sided tail of equation 4, not the
    code's two-sided density, which calls unusually *low* confidence a member; the global variance is that within
    records, not around the grand mean, and in and out do not share it; scales have a floor of 1e-6 nats.
    Cost: O(q (s + t) n); no loop over records.

    Attributes:
        mode: whether in-shadows are read.
        variance: how the scale is estimated.
    """

    paper: ClassVar[str] = "Carlini et al., 2022, https://arxiv.org/abs/2112.03570"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)

    mode: Mode = "online"
    variance: Variance = "auto"

    def __post_init__(self) -> None:
        reading.check_choices(self, mode=Mode, variance=Variance)

    @property
    def needs(self) -> Needs:
        """Probabilities, and two shadows on each side, since one has no variance."""
        return Needs(Access.PROBS, in_shadows=2 if self.mode == "online" else 0, out_shadows=2)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        targets, inside, outside = reading.confidences(game, self)
        variance = "bayesian" if self.variance == "auto" else self.variance
        total = np.zeros((game.n_targets, len(game.ids)))
        for view in range(targets.shape[1]):
            phi, (own, null) = targets[:, view], _laws(inside[:, view], outside[:, view], variance, self.mode)
            total += -laws.log_survival(null, phi) if own is None else laws.log_ratio(own, null, phi)
        return Scores(game.ids, total / targets.shape[1])


def _laws(
    inside: Float[Array, "k n"], outside: Float[Array, "k n"], variance: str, mode: Mode
) -> tuple[laws.Law | None, laws.Law]:
    """Laws of in-shadows (None offline) and of out-shadows."""
    if variance != "bayesian":
        return laws.fit(inside, variance) if mode == "online" else None, laws.fit(outside, variance)
    if mode == "offline":
        return None, laws.fit_bayesian(outside)
    return laws.fit_bayesian(inside, outside.mean(axis=0)), laws.fit_bayesian(outside, inside.mean(axis=0))
