"""The universal ratio: trees that learned on other data sets what a confidence says beside those of two shadows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.elsewhere.trees import load
from dosimeter.families.membership.attacks.ratio_columns import SIGNALS, columns_of
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

TREES = Path(__file__).with_name("universal_ratio.safetensors")
SHA256 = "fd40470474f13064062e3e73fe301e76b9e51cb1aab95121168e67bb3e8af353"
_LEAST = 1e-6  # nats, as the scale of `learned_ratio` has


@dataclass(frozen=True)
class UniversalRatio:
    """Score a record by the log-odds that trees give it which were trained on the models of other data sets.

    Paper: the idea of training an attack on shadows is that of Shokri, Stronati, Song, Shmatikov, "Membership Inference
    Attacks Against Machine Learning Models", 2017, https://arxiv.org/abs/1610.05820. The columns are those of
    `learned_ratio` without LiRA and without deviations, which two shadows do not give. The trees are 150 of 15 leaves,
    trained with 8 targets of each of 13 fleets: perceptrons on digits and simulated records, linear heads on photos and
    pictures. They come with the package, and read nothing of the audited fleet but its answers.
    Threat model: confidences of the target; one pair of shadows, trained after the records are known.
    Deviations: from Shokri et al., the shadows that are learned from are those of other data sets, and the target is
    compared with two of its own. With more than one pair the scores of the pairs are averaged; trees for more
    shadows are not here, since `learned_ratio` learns from the audited fleet itself.
    Cost: O(q s n), and 150 trees for each pair.
    """

    paper: ClassVar[str] = "own columns; after Shokri et al., 2017, https://arxiv.org/abs/1610.05820"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, in_shadows=1, out_shadows=1)
    signals: ClassVar[tuple[str, ...]] = SIGNALS

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
            DataError: the file of trees was changed.
        """
        reading.require(game, self.needs, self.signals)
        trees, each = load(TREES, SHA256), []
        for pair in range(game.n_shadows // 2):
            columns = pair_columns(game, pair)
            each.append(trees.odds(columns.reshape(-1, columns.shape[2])).reshape(columns.shape[:2]))
        return Scores(game.ids, np.mean(each, axis=0))


def pair_columns(game: MembershipGame, pair: int) -> Float[Array, "t n d"]:
    """Columns of a game in which one pair of shadows is read.

    Their scale is the deviation between the two, which holds the effect of membership too: within a side one shadow
    has none.
    """
    rows = [2 * pair, 2 * pair + 1]
    shadows = {name: game.shadow_outputs[name][rows] for name in SIGNALS}
    alone = replace(
        game, shadow_outputs=shadows, shadow_in=game.shadow_in[rows], population=None, known=None, weights=None
    )
    phi = shadows[SIGNALS[0]].mean(axis=1)
    return columns_of(alone, max(float(np.sqrt(((phi[0] - phi[1]) ** 2).mean() / 2)), _LEAST)).values
