"""BMIA: the target's confidence against the law of one reference head's confidence, by a Laplace posterior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import laplace, reading
from dosimeter.families.membership.attacks.laplace import Posterior
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

_OWN, _ALL = "logit_confidence", "scaled_confidences"


@dataclass(frozen=True)
class BMIA:
    """Score a record by how far the target's confidence lies above the posterior law of a head without the record.

    Paper: Liu, Jiang, Zhou, Wei, "Efficient Membership Inference Attacks by Bayesian Neural Network", 2025,
    https://arxiv.org/abs/2503.07482; its abstract and a digest of its method were read. A reference head that did not
    train on the record has a Laplace posterior (`laplace`). Heads drawn from it give the record's logit-scaled
    confidence phi a mean m and a variance v, and with several references r

        s = (phi_target - mean of m_r) / sqrt(mean of v_r + mean of (m_r - mean of m_r)^2),

    the one-sided t-statistic, but for a factor that all records share. The variance is that within references plus that
    between them. `benchmarks/bmia.py` compares it with the plain difference of `difficulty`.
    Threat model: probabilities of the target; its frozen backbone, so the features of the pool, and its recipe; a
    shadow of which the adversary reads all classes. Only shadows that did not train on the record are read.
    Deviations: the logits of a record are drawn from their normal law in place of the weights, which is the same for
    each record by itself; the prior is the law of the initial weights, with weight decay, and is not fitted; features
    are standardised over the pool. Of several views only the record itself is read.
    Cost: per reference and side O(n d c) for "diagonal", with d^3 + c^3 for "kfac"; then O(m n c), m draws.

    Attributes:
        references: number of references that are read for each record.
        posterior: "diagonal" or "kfac", see `laplace.logit_law`.
        prior: precision of the prior in units of that of the initial weights.
        draws: heads that are drawn from each posterior.
    """

    paper: ClassVar[str] = "Liu et al., 2025, https://arxiv.org/abs/2503.07482"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = (_OWN, _ALL)

    references: int = 1
    posterior: Posterior = "diagonal"
    prior: float = 1.0
    draws: int = 100

    def __post_init__(self) -> None:
        reading.check_choices(self, posterior=Posterior)
        checks.in_range("references", self.references, 1, 1024)
        checks.in_range("prior", self.prior, 1e-6, 1e6)
        checks.in_range("draws", self.draws, 2, 10_000)

    @property
    def needs(self) -> Needs:
        """Probabilities, the features of the frozen backbone, and the references."""
        return Needs(Access.PROBS, out_shadows=self.references, features=True)

    @property
    def reads_shadows(self) -> int:
        """Whole pairs, of which one did not train on a record."""
        return 2 * self.references

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` draws heads from the posterior.

        Raises:
            ValueError: there are no features, too few shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        if game.head is None:
            raise ValueError("the attack needs features of a frozen backbone, got none: use a stage that trains a head")
        # Pairs are complementary, so one of two rows did not train on the record.
        rows = np.arange(2 * self.references)
        moments = []
        for answers, member in zip(game.shadow_outputs[_ALL][rows, 0], game.shadow_in[rows], strict=True):
            law = laplace.logit_law(game.head, answers, member, self.posterior, self.prior)
            moments.append(laplace.confidence_moments(law, game.labels, self.draws, rng))
        _, outside = reading.split(np.array(moments), game.shadow_in[rows])
        means, within = outside[:, 0], outside[:, 1].mean(axis=0)
        scale = np.sqrt(within + means.var(axis=0))
        return Scores(game.ids, (game.outputs[_OWN][:, 0] - means.mean(axis=0)) / scale)
