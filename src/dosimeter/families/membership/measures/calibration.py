"""Scores with known bits, from before the targets are measured: they set thresholds and choose the headline attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.area import area
from dosimeter.statistics.rates import shadow_threshold

Source = Literal["shadow", "split"]


@dataclass(frozen=True)
class Calibration:
    """Blocks of scores with known bits.

    Attributes:
        source: "shadow" if the adversary's own models played target, "split" if these records are set apart.
        block: which block sets the threshold of each target `[t]`.
        is_member: per block the bits, of any shape.
        scores: per attack and block the scores, of the shape of the bits.
    """

    source: Source
    block: Int[Array, " t"]
    is_member: Sequence[Bool[Array, " ..."]]
    scores: Mapping[str, Sequence[Float[Array, " ..."]]]
    _found: dict[tuple[str, float], Float[Array, " f"]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def thresholds(self, attack: str, fpr: float) -> Float[Array, " t"]:
        """One threshold for each target: at most a share `fpr` of its block's non-members exceeds it."""
        return self._cuts(attack, fpr)[self.block]

    def tails(self, attack: str, values: Float[Array, "t n"]) -> Float[Array, "t n"]:
        """P-value of each score among the non-members of its target's block, see `tail`."""
        blocks = [np.sort(own[~bits]) for own, bits in zip(self.scores[attack], self.is_member, strict=True)]
        return np.stack([tail(row, blocks[block]) for row, block in zip(values, self.block, strict=True)])

    def strongest(self, attacks: Sequence[str], fpr: float) -> str:
        """The attack with the highest true positive rate at that threshold, then the highest AUC, as means of blocks.

        Among equals it is the first.
        """
        tprs = [
            float(np.mean([(values > cut)[bits].mean() for (values, bits), cut in self._called(attack, fpr)]))
            for attack in attacks
        ]
        best = [attack for attack, tpr in zip(attacks, tprs, strict=True) if tpr == max(tprs)]
        if len(best) == 1:
            return best[0]
        return max(best, key=lambda attack: float(np.mean([area(*block) for block in self._blocks(attack)])))

    def _cuts(self, attack: str, fpr: float) -> Float[Array, " f"]:
        """One threshold for each block, which many numbers ask for and is found once."""
        if (attack, fpr) not in self._found:
            cuts = [shadow_threshold(values, bits, fpr) for values, bits in self._blocks(attack)]
            self._found[attack, fpr] = np.array(cuts)
        return self._found[attack, fpr]

    def _called(self, attack: str, fpr: float) -> list[tuple[tuple[Array, Array], float]]:
        """Scores and bits of each block, and its threshold."""
        return list(zip(self._blocks(attack), self._cuts(attack, fpr).tolist(), strict=True))

    def _blocks(self, attack: str) -> list[tuple[Array, Array]]:
        """Scores and bits of each block."""
        return list(zip(self.scores[attack], self.is_member, strict=True))


def tail(values: Float[Array, " *a"], known: Float[Array, " q"]) -> Float[Array, " *a"]:
    """P-value of each score among scores of non-members: (1 + those that reach it) / (1 + all).

    It is at most `fpr` if and only if the score is above their `shadow_threshold`.

    Args:
        values: scores.
        known: scores of non-members, in order.

    >>> tail(np.array([0.5, 3.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.5]
    """
    reached = len(known) - np.searchsorted(known, values, side="left")
    return np.asarray((1 + reached) / (1 + len(known)))


def halve(
    cluster: Int[Array, " n"], is_member: Bool[Array, "t n"], rng: np.random.Generator
) -> tuple[Int[Array, " k"], Int[Array, " r"]]:
    """Halves of the record clusters: one calibrates, the other is measured, and no cluster is in both.

    Clusters that are members of more than half of the targets, and the others, are halved apart, so that both halves
    have members and non-members in the same proportion.

    Args:
        cluster: cluster of each record.
        is_member: the truth.
        rng: generator for the draw.

    Returns:
        Positions of the two parts, each in order.
    """
    names, index = np.unique(cluster, return_inverse=True)
    inside = np.bincount(index, is_member.mean(0)) / np.bincount(index) > 0.5
    chosen = np.zeros(len(names), bool)
    for kind in (True, False):
        of_kind = np.flatnonzero(inside == kind)
        chosen[rng.permutation(of_kind)[: len(of_kind) // 2]] = True
    calibrates = chosen[index]
    return np.flatnonzero(calibrates), np.flatnonzero(~calibrates)
