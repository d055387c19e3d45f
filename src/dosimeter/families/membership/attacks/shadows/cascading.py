"""The cascading attack: confident decisions are taken as known, and new shadows are trained given them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.attacks import laws, reading
from dosimeter.families.membership.attacks.shadows.lira import LiRA
from dosimeter.families.membership.game import MembershipGame, Needs, Retrain
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

_SHARE, _FEW = 0.05, 30  # of the records, anchors of either kind in one round; of a small pool this many
_LARGEST = 0.25  # of the records, anchors of either kind in all rounds, so that a third is on either side
_REHEARSED = 8  # shadows that play the target, in each round
_OPEN, _OUT, _IN = -1, 0, 1


@dataclass(frozen=True)
class Cascading:
    """Score records by a likelihood ratio given what is already known of the others' membership.

    Paper: Du, Li, Chen et al., "Cascading and Proxy Membership Inference Attacks", 2025,
    https://arxiv.org/abs/2507.21412, the adaptive attack (CMIA). The base attack is LiRA online. Each round then, for
    each target by itself,

        1. fixes anchors: records that score below where at most `tolerance` members do are non-members, records above
           where no non-member does are members, the surest first, of either kind at most 5 % of the records, or 30 if
           these are more; both limits are read off up to 8 shadows that play the target, the most cautious one holds;
        2. trains `references` shadows anew, with the anchors as they are fixed and halves of the pool otherwise;
        3. scores what is still open by phi's log-likelihood ratio under these shadows: LiRA's shrunken laws, level
           beyond the turning points of their ratio, so that no confidence is too high for a member.

    An anchor keeps the ratio that made it one.
    Threat model: confidences of the target; shadows of the same recipe, and training more of them for each target.
    Deviations: anchors of both kinds in each round, where the paper's code takes members only if it finds no
    non-members, and at most a quarter of the records of a kind in all; open records are in equally many of the new
    shadows, to within one; 32 shadows in place of 256; a round without a new anchor is the last. The mean over views.
    Where whole persons are members, the new shadows draw single records all the same. Planted canaries are in them, as
    in the models of the fleet.
    Cost: `rounds` times `references` trainings for every target, rehearsed shadow and null target.

    Attributes:
        rounds: how often shadows are trained anew, 1 to 5.
        references: shadows of one round, 8 to 1024.
        tolerance: members of a rehearsed shadow that may be taken for non-members, 0 to 1000.
    """

    paper: ClassVar[str] = "Du et al., 2025, https://arxiv.org/abs/2507.21412"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, in_shadows=3, out_shadows=3, retrain=True)  # LiRA, and a pair
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)

    rounds: int = 1
    references: int = 32
    tolerance: int = 10

    def __post_init__(self) -> None:
        checks.in_range("rounds", self.rounds, 1, 5)
        checks.in_range("references", self.references, 8, 1024)
        checks.in_range("tolerance", self.tolerance, 0, 1000)

    @property
    def trainings(self) -> int:
        """Number of models that are trained for one target, over all rounds."""
        return self.rounds * self.references

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game.

        Raises:
            ValueError: too few shadows, no way to train more, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        assert game.retrain is not None  # `require` has refused this
        scores = LiRA().run(game, rng).values
        rehearsals = [game.rehearse(pair) for pair in range(min(_REHEARSED, game.n_shadows) // 2)]
        limits = _limits(
            np.concatenate([LiRA().run(one, rng).values for one, _ in rehearsals]),
            np.concatenate([bits for _, bits in rehearsals]),
            self.tolerance,
        )
        seed = int(rng.integers(2**31))  # the same for each target, which is judged by itself
        targets = game.outputs["logit_confidence"]
        cascaded = [self._cascade(*one, limits, game.retrain, seed) for one in zip(targets, scores, strict=True)]
        return Scores(game.ids, np.stack(cascaded) if cascaded else scores)

    def _cascade(
        self,
        phi: Float[Array, "q n"],
        scores: Float[Array, " n"],
        limits: tuple[float, float],
        retrain: Retrain,
        seed: int,
    ) -> Float[Array, " n"]:
        """Runs the rounds for one target, from its base scores."""
        known = np.full(len(scores), _OPEN)
        for number in range(self.rounds):
            anchored = _anchors(known, scores, limits)
            if np.array_equal(anchored, known):
                break
            known = anchored
            member = draw_memberships(known, self.references, generator(seed, "cascading membership", number))
            values = retrain(member, seed_for(seed, "cascading training", number))["logit_confidence"]
            scores = np.where(known == _OPEN, _ratio(phi, values, member), scores)
            if number + 1 < self.rounds:
                limits = _limits_among(values[..., known == _OPEN], member[:, known == _OPEN], self.tolerance)
        return scores


def draw_memberships(known: Int[Array, " n"], shadows: int, rng: np.random.Generator) -> Bool[Array, "k n"]:
    """Draws memberships given the known bits: each row holds half of all records, open records as evenly as possible.

    If the anchors are right and a target trains on half of the pool, the other bits may be any of these.

    Args:
        known: for each record 1 for a member, 0 for a non-member, -1 if open.
        shadows: number of rows.
        rng: draws who is in.

    Returns:
        Which shadow trains on which record. Two open records are in equally many shadows, to within one.
    """
    unknown = np.flatnonzero(known == _OPEN)
    member = np.tile(known == _IN, (shadows, 1))
    wanted = len(known) // 2 - int((known == _IN).sum())
    counts = np.zeros(len(unknown))
    for row in member:
        # Counts are whole and the random number is below 1: it only breaks ties, so counts differ by at most one.
        chosen = np.argpartition(counts + rng.random(len(unknown)), wanted - 1)[:wanted]
        counts[chosen] += 1
        row[unknown[chosen]] = True
    return member


def _anchors(known: Int[Array, " n"], scores: Float[Array, " n"], limits: tuple[float, float]) -> Int[Array, " n"]:
    """Known bits, with the most extreme open records beyond the limits added."""
    low, high = limits
    known = known.copy()
    most = max(_FEW, int(_SHARE * len(known)))
    order = np.argsort(np.where(known == _OPEN, scores, np.nan), kind="stable")[: int((known == _OPEN).sum())]
    for kind, sure in ((_OUT, order[scores[order] < low]), (_IN, order[scores[order] > high][::-1])):
        room = int(_LARGEST * len(known)) - int((known == kind).sum())
        known[sure[: min(most, room)]] = kind
    return known


def _limits(scores: Float[Array, "r n"], member: Bool[Array, "r n"], tolerance: int) -> tuple[float, float]:
    """Two limits: at most `tolerance` members score below the first in any rehearsal; no non-member above the other."""
    inside = np.sort(np.where(member, scores, np.inf), axis=1)
    low = inside[:, min(tolerance, inside.shape[1] - 1)].min()
    return float(low), float(np.where(member, -np.inf, scores).max())


def _limits_among(values: Float[Array, "k q n"], member: Bool[Array, "k n"], tolerance: int) -> tuple[float, float]:
    """The limits when shadows of one round play the target and the others of that round play the shadows."""
    rows = range(min(_REHEARSED, len(values)))
    scores = [_ratio(values[row], np.delete(values, row, axis=0), np.delete(member, row, axis=0)) for row in rows]
    return _limits(np.stack(scores), member[: len(rows)], tolerance)


def _ratio(phi: Float[Array, "q n"], values: Float[Array, "k q n"], member: Bool[Array, "k n"]) -> Float[Array, " n"]:
    """Log-likelihood ratio of one target, mean over views; meaningless where all shadows are on one side."""
    total = np.zeros(phi.shape[1])
    for row, one in zip(phi, values.transpose(1, 0, 2), strict=True):
        own, null = _law(one, member), _law(one, ~member)
        total += laws.log_ratio(own, null, np.clip(row, *_rising(own, null))[None])[0]
    return total / len(phi)


def _law(values: Float[Array, "k n"], side: Bool[Array, "k n"]) -> laws.Law:
    """LiRA's shrunken law; a record uses only its shadows of that side, however many they are."""
    count = np.maximum(side.sum(axis=0), 1)
    mean = np.where(side, values, 0).sum(axis=0) / count
    squares = np.where(side, (values - mean) ** 2, 0).sum(axis=0)
    pooled = squares.sum() / max((count - 1).sum(), 1)
    square = (laws.PRIOR_COUNT * pooled + squares) / (laws.PRIOR_COUNT + count - 1) * (1 + 1 / count)
    freedom = laws.PRIOR_COUNT + len(values) / 2 - 1  # the same for all; counts differ little
    return laws.Law(mean, np.maximum(np.sqrt(square), laws.SMALLEST_SCALE), freedom)


def _rising(own: laws.Law, null: laws.Law) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Interval where the ratio of two Student laws rises; everything if members are not more confident.

    With d the difference of the means, A and B freedom times squared scale of both laws, and x from the out-mean, its
    turning points solve d x^2 + (B - A - d^2) x - B d = 0, one on either side of both means.
    """
    d, (a, b) = own.mean - null.mean, (law.freedom * law.scale**2 for law in (own, null))
    p = b - a - d**2
    q = -(p + np.where(p < 0, -1, 1) * np.hypot(p, 2 * np.sqrt(b) * d)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        # The stable form of the quadratic formula: q / A and C / q lose no digits where a root is near 0.
        turns = np.sort([q / d, -b * d / q], axis=0)
    return np.where(d > 0, null.mean + turns[0], -np.inf), np.where(d > 0, null.mean + turns[1], np.inf)
