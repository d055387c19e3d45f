"""Several attacks combined: weights are learned on the adversary's own shadows, whose members are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks import logistic, reading
from dosimeter.families.membership.attacks.alone.loss import Loss
from dosimeter.families.membership.attacks.shadows.base import BASE
from dosimeter.families.membership.attacks.shadows.difficulty import Difficulty
from dosimeter.families.membership.attacks.shadows.lira import LiRA
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Mode = Literal["online", "offline"]
_PARTS: dict[str, tuple[Loss | Difficulty | LiRA | BASE, ...]] = {
    "online": (Difficulty("offline"), LiRA("online", "bayesian"), BASE("online")),
    "offline": (Loss(), Difficulty("offline"), LiRA("offline", "bayesian"), BASE("offline", alpha=0.33)),
}
_REHEARSALS = 4
_BEND = 4.0


@dataclass(frozen=True)
class Fused:
    """Score a record by the log-odds of a logistic regression over the scores of other attacks.

    Paper: stacking, Wolpert, "Stacked generalization", 1992, https://doi.org/10.1016/S0893-6080(05)80023-1, with the
    attacks of Yeom et al. (https://arxiv.org/abs/1709.01604), Watson et al. (https://arxiv.org/abs/2111.08440), Carlini
    et al. (https://arxiv.org/abs/2112.03570) and Lassila et al. (https://arxiv.org/abs/2505.24089) as its parts:

        online:  difficulty offline, LiRA online with variance "bayesian", BASE online
        offline: loss, difficulty offline, LiRA offline with variance "bayesian", BASE offline with alpha = 0.33

    Up to 4 pairs of shadows play the target, each before the remaining shadows, so that no shadow helps to score
    itself. Their scores and membership bits train the weights; with these the targets' scores are added up.
    Threat model: that of the parts; in both modes the weights read the shadows' own membership bits.
    Deviations: scores s enter as arcsinh(s / d), d four times the median of |s| in rehearsal: nearly linear in the
    middle and logarithmic in the tails. The weights come from games with two shadows fewer than the one they serve in,
    and minimise a log-loss, which is no true positive rate. All settings of the parts are fixed beforehand; the
    parts and the bend were chosen on simulated fleets of perceptrons.
    Cost: 5 times that of the parts, and a regression over 8 n rows.

    Attributes:
        mode: whether in-shadows are read.
    """

    paper: ClassVar[str] = "Wolpert, 1992, https://doi.org/10.1016/S0893-6080(05)80023-1"
    control: ClassVar[bool] = False

    mode: Mode = "online"

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            tail = checks.suggest(str(self.mode), get_args(Mode))
            raise ValueError(f"mode must be known, got {self.mode!r}: {tail}")

    @property
    def needs(self) -> Needs:
        """Access and shadows that the parts need while one pair of shadows plays the target."""
        parts = [part.needs for part in _PARTS[self.mode]]
        return Needs(
            Access.PROBS,
            in_shadows=1 + max(one.in_shadows for one in parts),
            out_shadows=1 + max(one.out_shadows for one in parts),
        )

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals of all parts."""
        return tuple(sorted({name for part in _PARTS[self.mode] for name in part.signals}))

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        rows, bits = [], []
        for pair in range(min(_REHEARSALS, game.n_shadows // 2)):
            rehearsal, is_member = game.rehearse(pair)
            rows.append(self._parts(rehearsal, rng).reshape(-1, len(_PARTS[self.mode])))
            bits.append(is_member.ravel())
        known = np.concatenate(rows)
        bend = np.maximum(_BEND * np.median(np.abs(known), axis=0), 1e-6)
        weights = logistic.fit(np.arcsinh(known / bend), np.concatenate(bits), clip=False)
        return Scores(game.ids, weights.decide(np.arcsinh(self._parts(game, rng) / bend)))

    def _parts(self, game: MembershipGame, rng: np.random.Generator) -> Float[Array, "t n a"]:
        """Scores of every part; none of them draws from `rng`."""
        return np.stack([part.run(game, rng).values for part in _PARTS[self.mode]], axis=-1)
