"""The shadow-free likelihood-ratio attack on heads: in- and out-laws by the cavity method instead of from shadows."""

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
"""Smallest standard deviation of a law, nats."""


@dataclass(frozen=True)
class Influence:
    """Score a record as LiRA does, with laws that are computed from the features instead of fitted to shadows.

    Paper: our own; it joins the likelihood ratio of Carlini et al., 2022, https://arxiv.org/abs/2112.03570 (equation 4)
    to the influence functions of Koh and Liang, 2017, https://arxiv.org/abs/1703.04730 (equation 1), by the cavity
    method of Mézard, Parisi, Virasoro, "Spin Glass Theory and Beyond", 1987. `closed_form` derives it step by step:

    A linear head that descends from 0 has the weights W = -(1/p) X' A, where row a of A holds the summed residuals of
    one record. One reference head descends on the mean loss of all p records; there each record counts half as much as
    in a head that trains on it. If a record's row is left out of A and the others react, its logits move by r a / p.
    Here r is the record's diagonal entry of (I + K D / p)^-1 K, without its own entry of D; K is the kernel of the
    features, D the curvature π (1 - π) of a class, summed along the trajectory. This sum takes the place of weight
    decay in a head that stops early. Out: the logits without the record. In: from there the record's own residuals are
    followed again, at full weight. Random halves of the others and random initial weights add their linear response,
    which gives the variance of both laws. With phi the logit-scaled confidence,

        s = log N(phi; mu_in, sigma_in^2) - log N(phi; mu_out, sigma_out^2).

    Threat model: logits or probabilities of the target; its frozen backbone, so the features of the whole pool, with
    labels, and its recipe. No shadow is trained; heads on fully frozen features, by SGD.
    Deviations: each class reacts alone, without covariances between classes; the order of batches adds no variance;
    standardisation is that of the whole pool. Of several views only the record itself is read. `rng` is not used: the
    random halves are one fixed draw.
    Cost: one descent over the pool, then three times c systems of size min(p, d); nothing more for a further target.
    """

    paper: ClassVar[str] = "ours, after Koh, Liang, 2017, https://arxiv.org/abs/1703.04730, and Carlini et al., 2022"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, features=True)
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game.

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
