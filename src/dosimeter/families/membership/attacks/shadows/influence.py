"""The shadow-free likelihood-ratio attack on heads: in- and out-laws from influence instead of from shadows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.shadows import closed_form
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

FLOOR = 1e-6
"""Least scale, nats."""


@dataclass(frozen=True)
class Influence:
    """Score a record as LiRA does, with laws that are computed from the features instead of fitted to shadows.

    Paper: our own; it joins the likelihood ratio of Carlini et al., 2022, https://arxiv.org/abs/2112.03570 (equation 4)
    to the influence functions of Koh and Liang, 2017, https://arxiv.org/abs/1703.04730 (equation 1). Derivation:

    A linear head that descends from 0 holds W = -(1/p) X' A, A the summed residuals of each record. One reference head
    descends on the mean loss of all p records, in which each counts half as much as in a head that trains on it. To
    leave a record's row out of A and let the others react moves its logits by r a / p, r being the record's entry in
    (I + K D / p)^-1 K without its own curvature: K the kernel of the features, D the curvature p (1 - p) of each
    class, summed along the trajectory. This sum is what stands for weight decay in a head that stops early. Out: those
    logits. In: the record's own residuals are followed again from there, at full weight. Random halves of the others
    and random initial weights add their linear response, which gives both laws; the mean head is corrected for the
    smaller residuals of records that were trained on. With phi the logit-scaled confidence,

        s = log N(phi; mu_in, sigma_in^2) - log N(phi; mu_out, sigma_out^2).

    Threat model: logits or probabilities of the target; its frozen backbone, so the features of the whole pool, with
    labels, and its recipe. No shadow is trained; heads on fully frozen features, by SGD.
    Deviations: a class reacts by itself, off-diagonal curvature is left out; the order of the batches adds no variance;
    standardisation is that of the whole pool. Of several views only the record itself is read. `rng` is not used: the
    random halves are one fixed draw.
    Cost: one descent over the pool, then three times c systems of size min(p, d); nothing more for a further target.
    """

    paper: ClassVar[str] = "ours, after Koh, Liang, 2017, https://arxiv.org/abs/1703.04730, and Carlini et al., 2022"
    control: ClassVar[bool] = False

    @property
    def needs(self) -> Needs:
        """Probabilities and the features of the frozen backbone."""
        return Needs(Access.PROBS, features=True)

    @property
    def signals(self) -> tuple[str, ...]:
        """The logit-scaled confidence at temperature 1."""
        return ("logit_confidence",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Score all records of a game.

        Raises:
            ValueError: there are no features, or the signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        if game.head is None:
            raise ValueError("the attack needs features of a frozen backbone, got none: use a stage that trains a head")
        laws, rows = closed_form.closed_form(game.head), game.head.candidates
        phi = game.outputs["logit_confidence"][:, 0]
        total = np.zeros(phi.shape)
        for sign, mean, variance in ((1, laws.mean_in, laws.variance_in), (-1, laws.mean_out, laws.variance_out)):
            scale = np.sqrt(variance[rows]) + FLOOR
            total -= sign * (np.log(scale) + ((phi - mean[rows]) / scale) ** 2 / 2)
        return Scores(game.ids, total)
