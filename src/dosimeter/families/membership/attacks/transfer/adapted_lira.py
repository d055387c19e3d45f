"""LiRA without a label: the likelihood ratio of the confidence in the class that the finetuned model predicts."""

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

Mode = Literal["mean", "views"]
_SIGNAL = "scaled_confidences"


@dataclass(frozen=True)
class AdaptedLiRA:
    """Score a record by the log-ratio of normal laws of the confidence in the target's predicted class.

    Paper: Carlini et al., "Membership Inference Attacks From First Principles", 2022, https://arxiv.org/abs/2112.03570,
    as Abascal et al. 2024, https://arxiv.org/abs/2306.01181, adapt it to a downstream task that has no true class for
    a pretraining record: with k the class that the target predicts, z_m = log p_k − log(1 − p_k) of shadow m,

        score = log N(z; in-shadows with the record) − log N(z; out-shadows)

    "mean" takes for each view the class predicted under it and averages z over the views; its laws are Student's, with
    means and variances shrunk to those of all records, see `LiRA`. "views" is the public code's law of all views
    together, with a full covariance for each record and side.
    Threat model: probabilities of the finetuned model; shadow chains with and without the record. The record's own
    class is not read.
    Deviations: "mean" is not in the code; it is the stronger one. "views" adds a millionth to the variances in place of
    a pseudo-inverse, and needs two chains a side more than there are views: with fewer, the code's covariance is
    singular, and its scores are NaN, which it counts as an AUC of 0.5.
    Cost: O(s q n) for each target; "views" O(n q³) beside.

    Attributes:
        mode: "mean" over views, or all "views" together.
    """

    paper: ClassVar[str] = "Carlini et al., 2022, https://arxiv.org/abs/2112.03570, adapted by Abascal et al., 2024"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = (_SIGNAL,)

    mode: Mode = "mean"

    def __post_init__(self) -> None:
        reading.check_choices(self, mode=Mode)

    @property
    def needs(self) -> Needs:
        """Probabilities, and two chains on each side; for "views" enough chains for a covariance."""
        if self.mode == "mean":
            return Needs(Access.PROBS, in_shadows=2, out_shadows=2)
        return Needs(Access.PROBS, in_shadows=3, out_shadows=3, per_view=1)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        scores = np.empty((game.n_targets, len(game.ids)))
        for row, own in zip(scores, game.outputs[_SIGNAL], strict=True):
            best = own.argmax(2)[..., None]
            z = np.take_along_axis(own, best, 2)[..., 0]
            of_shadows = np.take_along_axis(game.shadow_outputs[_SIGNAL], best[None], 3)[..., 0]
            inside, outside = reading.split(of_shadows, game.shadow_in)
            if self.mode == "views":
                row[:] = _log_density(z, inside) - _log_density(z, outside)
                continue
            x, a, b = z.mean(0)[None], inside.mean(1), outside.mean(1)
            row[:] = laws.log_ratio(laws.fit_bayesian(a, b.mean(0)), laws.fit_bayesian(b, a.mean(0)), x)[0]
        return Scores(game.ids, scores)


def _log_density(z: Float[Array, "q n"], of_side: Float[Array, "k q n"]) -> Float[Array, " n"]:
    """Log-density, up to a constant, of a normal law with each record's own full covariance over views."""
    mean = of_side.mean(0)
    centred = (of_side - mean).transpose(2, 1, 0)
    covariance = centred @ centred.transpose(0, 2, 1) / (len(of_side) - 1)
    covariance += 1e-6 * (1 + covariance.diagonal(axis1=1, axis2=2).mean(1))[:, None, None] * np.eye(len(z))
    offset = (z - mean).T[..., None]
    distance = (offset * np.linalg.solve(covariance, offset)).sum((1, 2))
    result: Array = -(distance + np.linalg.slogdet(covariance)[1]) / 2
    return result
