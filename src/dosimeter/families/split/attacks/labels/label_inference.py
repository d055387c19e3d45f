"""Label inference: features of one class lie together, so a few labels name whole clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.split.attacks.reading import flat, sought
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Guesses

WIDEST = 64
"""Most principal components in which clusters are sought."""


@dataclass(frozen=True)
class LabelInference:
    """Divide the victims' features, and those of own records, into clusters that start at the known values' means.

    Paper: Liu, Lyu, "Clustering Label Inference Attack against Practical Split Learning", 2022,
    https://arxiv.org/abs/2203.05222; seeded k-means: Basu, Banerjee, Mooney, ICML 2002.
    Threat model: features at the cut of all victims together, the same of own records, and labels of some of these. It
    is meant for classes that the adversary does not see, with `answers = "hidden"` and the attribute `label`; any other
    attribute can be sought in the same way.
    Deviations: features alone are read, no gradients; leading principal components are used, standardised.
    Cost: none to speak of.

    Attributes:
        rounds: of the clustering, at most.
    """

    paper: ClassVar[str] = "Liu, Lyu, 2022, https://arxiv.org/abs/2203.05222"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs("attribute")
    signals: ClassVar[tuple[str, ...]] = ()

    rounds: int = 100

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds must be positive, got {self.rounds}")

    def run(self, game: SplitGame, rng: np.random.Generator) -> Guesses:
        """Attacks one attribute of one model at one cut; `rng` gives the seed of the components."""
        from sklearn.cluster import KMeans
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        secret, victims, own = sought(game), flat(game.seen), flat(game.auxiliary.seen)
        both = StandardScaler().fit_transform(np.concatenate([victims, own]))
        most = min(WIDEST, *both.shape)
        both = PCA(most, svd_solver="randomized", random_state=int(rng.integers(2**31))).fit_transform(both)
        known = both[len(victims) :][secret.rows]
        start = np.stack([known[secret.known == value].mean(0) for value in range(len(secret.values))])
        found = KMeans(len(start), init=start, n_init=1, max_iter=self.rounds).fit(both)
        apart = found.transform(both) ** 2
        scale = max(float(apart.min(1).mean()) / both.shape[1], 1e-12)
        scores = -apart[: len(victims)] / (2 * scale)
        scores -= scores.max(1, keepdims=True)
        return Guesses(game.ids, (scores - np.log(np.exp(scores).sum(1, keepdims=True)))[None])
