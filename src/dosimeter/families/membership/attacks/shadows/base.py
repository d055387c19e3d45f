"""BASE: the log of the target's confidence minus the log of the shadows' mean confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Mode = Literal["online", "offline"]
_SIGNALS = {1.0: "logit_confidence", 2.0: "logit_confidence_t2"}
_DEFAULT_ALPHA = 0.33  # the authors' value; used when no pair of shadows can be spared to tune it


@dataclass(frozen=True)
class BASE:
    """Score a record by the log of the target's confidence minus the log of the shadows' mean confidence.

    Paper: Lassila, Ostman, Ngo, Graell i Amat, "Practical Bayes-Optimal Membership Inference Attacks", 2025,
    https://arxiv.org/abs/2505.24089. With p the confidence in the label:

        online:  s = log p(target) - log mean of p over in- and out-shadows
        offline: s = log p(target) - alpha log mean of p over out-shadows

    Online it ranks as RMIA does for any gamma and population, up to RMIA's ties; it needs no population.
    Threat model: confidences of the target; a pair of shadows or more. Offline reads out-shadows only; tuning alpha
    also reads the shadows' own membership bits, which the adversary knows.
    Deviations: views are averaged into one confidence; alpha is tuned by rehearsals instead of being fixed.
    Cost: O(q (s + t) n); tuning adds 4 rehearsed pairs x 2 targets and 11 sorts of n each.

    Attributes:
        mode: whether in-shadows are read.
        temperature: temperature of the softmax, 1 or 2.
        alpha: offline only: weight of the shadows, 0 to 1. None: the value of 0, 0.1, ..., 1 with the best mean AUC
            when up to 4 pairs of shadows play the target; 0.33, the authors' value, if there is only one pair.
    """

    paper: ClassVar[str] = "Lassila et al., 2025, https://arxiv.org/abs/2505.24089"
    control: ClassVar[bool] = False

    mode: Mode = "online"
    temperature: float = 2.0
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            tail = checks.suggest(str(self.mode), get_args(Mode))
            raise ValueError(f"mode must be known, got {self.mode!r}: {tail}")
        if self.temperature not in _SIGNALS:
            raise ValueError(f"temperature must be 1.0 or 2.0, got {self.temperature}")
        if self.alpha is not None:
            checks.in_range("alpha", self.alpha, 0.0, 1.0)

    @property
    def needs(self) -> Needs:
        """Probabilities of the target, and one shadow on each side that is read."""
        return Needs(Access.PROBS, in_shadows=1 if self.mode == "online" else 0, out_shadows=1)

    @property
    def signals(self) -> tuple[str, ...]:
        """The logit-scaled confidence at the attack's temperature."""
        return (_SIGNALS[self.temperature],)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        own, expected = _logs(game, self)
        alpha = 1.0
        if self.mode == "offline":
            alpha = _tune(game, self) if self.alpha is None else self.alpha
        return Scores(game.ids, own - alpha * expected)


def _logs(game: MembershipGame, attack: BASE) -> tuple[Float[Array, "t n"], Float[Array, " n"]]:
    """Log-confidences of the targets, and the log of the mean over the shadows that are read."""
    (name,) = attack.signals
    shadows = game.shadow_outputs[name] if attack.mode == "online" else reading.sides(game, name)[1]
    own = np.stack([reading.log_mean_confidence(one[None]) for one in game.outputs[name]])
    return own, reading.log_mean_confidence(shadows)


def _tune(game: MembershipGame, attack: BASE) -> float:
    """The alpha with the best mean AUC against the adversary's own shadows; among equals the lowest."""
    if game.n_shadows < 4:
        return _DEFAULT_ALPHA
    quality = np.zeros(len(reading.TENTHS))
    for pair in range(min(reading.REHEARSALS, game.n_shadows // 2)):
        rehearsal, is_member = game.rehearse(pair)
        own, expected = _logs(rehearsal, attack)
        # Nearly in order, scores of all alphas sort in half of the time; the area does not depend on the order.
        order = np.argsort(own - 0.5 * expected, axis=1)
        sorted_bits, own = (np.take_along_axis(one, order, axis=1) for one in (is_member, own))
        quality += [reading.auc(own - alpha * expected[order], sorted_bits) for alpha in reading.TENTHS]
    return reading.TENTHS[int(quality.argmax())]
