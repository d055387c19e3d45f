"""A ratio that is learned on the shadows: each plays the target, and trees tell its members from its non-members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.attacks import boosted, reading
from dosimeter.families.membership.attacks.ratio_columns import (
    SIGNALS,
    Columns,
    columns_of,
    scale_of,
    without_pair,
)
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

_FOLDS = 4
_ROWS = 20_000  # most rows that one classifier is trained on
_SUBSETS = 4  # most sets of shadows, each without one pair, that a target is compared with
_SAME = 1e-6  # of the scale: confidences this close are those of copies of one record
_LEAST_LEAF, _MOST_LEAF = 20, 400


@dataclass(frozen=True)
class LearnedRatio:
    """Score a record by the log-odds that gradient-boosted trees give it, trained on shadows that play the target.

    Paper: the idea of training an attack on shadows is that of Shokri, Stronati, Song, Shmatikov, "Membership Inference
    Attacks Against Machine Learning Models", 2017, https://arxiv.org/abs/1610.05820; the trees are those of Ke et al.,
    2017 (scikit-learn's histogram boosting). The columns are our own: what LiRA (https://arxiv.org/abs/2112.03570) and
    BASE (https://arxiv.org/abs/2505.24089) read, see `ratio_columns`. Likelihood ratios of normal laws and BASE are
    functions of them, and so is much between the two.

    Each shadow in turn plays the target before all shadows but its own pair. Records are dealt into four parts; records
    of one part are judged by trees that were trained on the other three, copies of a record together. The score may
    only rise with each column that rises with the target's confidence. A target is compared with all shadows but one
    pair, in turn, so with as many as in training, and the scores are averaged.
    Threat model: confidences of the target; two pairs of shadows or more, trained after the records are known; their
    own membership bits.
    Deviations: from Shokri et al., one model for all classes, and comparison with further shadows. Thresholds come from
    scores of the shadows themselves (`run_and_rehearse`), so four shadows suffice. A shadow's score is no average, so
    with four shadows the threshold for an FPR is too high, and about half of it is reached. Settings were chosen on two
    fleets, perceptrons and heads on photos, see `benchmarks/few_shadow_power.py`, and then made cheaper where nothing
    was lost, see `benchmarks/learned_ratio_settings.py`.
    Cost: four fits of `trees` trees on at most 20,000 rows, a few seconds for each game; the columns take O(q s^2 n).

    Attributes:
        trees: boosting steps.
        rate: learning rate of each step.
        leaves: most leaves of a tree.
    """

    paper: ClassVar[str] = "own columns; after Shokri et al., 2017, https://arxiv.org/abs/1610.05820"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, in_shadows=2, out_shadows=2)  # one pair plays the target
    signals: ClassVar[tuple[str, ...]] = SIGNALS
    game_seconds: ClassVar[float] = 1.0

    trees: int = 30
    rate: float = 0.27
    leaves: int = 8

    def __post_init__(self) -> None:
        for name, least, most in (("trees", 1, 1000), ("leaves", 2, 1000)):
            if type(value := getattr(self, name)) is not int or not least <= value <= most:
                raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
        checks.in_range("rate", self.rate, 0.0, 1.0, open_low=True)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` deals the records into parts.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        return self.run_and_rehearse(game, rng, ())[0]

    def run_and_rehearse(
        self, game: MembershipGame, rng: np.random.Generator, pairs: Sequence[int]
    ) -> tuple[Scores, Float[Array, "k n"]]:
        """Implements `OwnRehearsal`: the same trees judge targets and shadows, all by trees of other records.

        Raises:
            ValueError: as `run`.
        """
        learned = self._learn(game, rng)
        every = np.arange(game.n_shadows // 2)
        chosen = every if len(every) <= _SUBSETS else np.sort(rng.permutation(every)[:_SUBSETS])
        each = [learned.judge(columns_of(without_pair(game, int(pair)), learned.scale)) for pair in chosen]
        own = [np.empty((0, len(game.ids))), *(learned.judge(learned.played[pair]) for pair in pairs)]
        return Scores(game.ids, np.mean(each, axis=0)), np.concatenate(own)

    def _learn(self, game: MembershipGame, rng: np.random.Generator) -> _Learned:
        """Trains the trees of all parts."""
        reading.require(game, self.needs, self.signals)
        game, scale, played, bits = replace(game, population=None), scale_of(game), [], []
        for pair in range(game.n_shadows // 2):
            rehearsal, is_member = game.rehearse(pair)
            played.append(columns_of(rehearsal, scale))
            bits.append(is_member)
        part = _deal(game, scale, rng)
        fits = [self._fit(played, bits, _others(part, one), rng) for one in range(part.max() + 1)]
        return _Learned(scale, tuple(played), part, tuple(map(boosted.read, fits)))

    def _fit(
        self, played: list[Columns], bits: list[Bool[Array, "2 n"]], rows: Int[Array, " k"], rng: np.random.Generator
    ) -> Any:
        """Trees that were trained on some records under all shadows."""
        from sklearn.ensemble import HistGradientBoostingClassifier  # it costs a second to import

        models, each = 2 * len(played), len(rows)
        kept = np.arange(models * each)
        if len(kept) > _ROWS:
            kept = np.sort(rng.permutation(len(kept))[:_ROWS])
        model, record = kept // each, rows[kept % each]
        own = [np.flatnonzero(model // 2 == pair) for pair in range(len(played))]
        columns = np.concatenate([one.values[model[at] % 2, record[at]] for one, at in zip(played, own, strict=True)])
        truth = np.concatenate([one[model[at] % 2, record[at]] for one, at in zip(bits, own, strict=True)])
        return HistGradientBoostingClassifier(
            max_iter=self.trees, learning_rate=self.rate, max_leaf_nodes=self.leaves, l2_regularization=1.0,
            min_samples_leaf=int(np.clip(len(truth) // 50, _LEAST_LEAF, _MOST_LEAF)), early_stopping=False,
            random_state=int(rng.integers(2**31)),
            monotonic_cst=np.arange(columns.shape[1]) < played[0].rising,
        ).fit(columns, truth)  # fmt: skip


@dataclass(frozen=True)
class _Learned:
    """Trees for each part of the records.

    Attributes:
        scale: of the columns.
        played: columns of the shadows, pair by pair.
        part: part of each record `[n]`.
        fits: trees that judge each part.
    """

    scale: float
    played: tuple[Columns, ...]
    part: Int[Array, " n"]
    fits: tuple[boosted.Boosted, ...]

    def judge(self, columns: Columns) -> Float[Array, "t n"]:
        """Log-odds of all records under some targets, each by trees that were trained on other records."""
        scores = np.empty(columns.values.shape[:2])
        for part, fit in enumerate(self.fits):
            rows = np.flatnonzero(self.part == part)
            scores[:, rows] = fit.odds(columns.of(rows)).reshape(len(scores), -1)
        return scores


def _others(part: Int[Array, " n"], one: int) -> Int[Array, " k"]:
    """Records of all parts but one; all records if there is no other part, as where all are copies of one."""
    rows = np.flatnonzero(part != one)
    return rows if len(rows) else np.arange(len(part))


def _deal(game: MembershipGame, scale: float, rng: np.random.Generator) -> Int[Array, " n"]:
    """Part of each record, 0 to 3; records with the same mean confidence over shadows are taken for copies.

    There are fewer parts if there are fewer different records.
    """
    level = game.shadow_outputs[SIGNALS[0]].mean(axis=(0, 1)) / scale
    names, same = np.unique(np.round(level / _SAME), return_inverse=True)
    return np.asarray(rng.permutation(len(names))[same.reshape(-1)] % _FOLDS)
