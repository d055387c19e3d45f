"""Quantile regression: how high is the target's confidence among non-members that are as difficult as this record?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from dosimeter import _check
from dosimeter.attacks.membership import signals
from dosimeter.games import Access, MembershipGame, Needs, Scores

Array = npt.NDArray[Any]

_FEWEST_POPULATION = 50
_MEDIAN, _UPPER = 0.5, 0.8413447460685429  # a normal law's mean, and one deviation above it
_NARROWEST = 0.1  # of the deviation over all non-members; estimated quantiles may touch or cross


@dataclass(frozen=True)
class Quantile:
    """Score a record by how far the target's confidence lies above what non-members like it get.

    Paper: Bertran, Tang, Kearns, Morgenstern, Roth, Wu, "Scalable Membership Inference Attacks via Quantile
    Regression", 2023, https://arxiv.org/abs/2307.03694: quantiles q_tau(x) of the target's hinge confidence
    h(x) = z_y - max over c != y of z_c are learned on public non-members by the pinball loss; a record is a member if
    h(x) > q_(1 - FPR)(x). Here q_tau(x) = m(x) + g_tau(x), with m the mean of h over shadows that never saw x, and

        s = (h(x) - q_.5(x)) / (q_.84(x) - q_.5(x))

    Threat model: probabilities of the target; records known to be outside every model, on which g is learned for each
    target; shadows of the same recipe, of which only out-shadows are read.
    Deviations: the paper regresses on the record itself and needs no shadow. A game holds no inputs, so what is known
    of a record is what out-shadows say of it: mean and deviation of h, and the mean of its class. So this is the
    paper's regression with another adversary. Two levels, as of a normal law, in place of 41: some hundred non-members
    have no quantile at 1e-4, and the score has no ties. Boosted trees in place of a network. On non-members one shadow
    of each pair is read, as many as a candidate has out-shadows. Of several views only the record itself is read.
    Cost: two boosted regressions on z records for each target, O(trees (z + n)); the rest O(s n).

    Attributes:
        trees: boosting steps of each regression, 1 to 1000.
    """

    paper: ClassVar[str] = "Bertran et al., 2023, https://arxiv.org/abs/2307.03694"
    control: ClassVar[bool] = False

    trees: int = 30

    def __post_init__(self) -> None:
        _check.in_range("trees", self.trees, 1, 1000)

    @property
    def needs(self) -> Needs:
        """Probabilities, two out-shadows for a deviation, and non-members enough to learn from."""
        return Needs(Access.PROBS, out_shadows=2, population=_FEWEST_POPULATION)

    @property
    def signals(self) -> tuple[str, ...]:
        """The hinge confidence."""
        return ("hinge",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Score all records of a game.

        Raises:
            ValueError: too few shadows or population records, or a signal is missing or not finite.
        """
        signals.require(game, self.needs, self.signals)
        assert game.population is not None  # `require` has refused this
        _, outside = signals.split(game.shadow_outputs["hinge"][:, :1], game.shadow_in)
        known, classes = outside[:, 0], _Classes.of(outside[:, 0], game.labels, game.classes)
        features = _features(known, game.labels, classes)
        elsewhere = game.population.shadow_outputs["hinge"][0::2, 0]
        theirs = _features(elsewhere, game.population.labels, classes)
        seed = int(rng.integers(2**31))  # the same for each target, which is judged by itself
        scores = np.empty((game.n_targets, len(game.ids)))
        for row, h, others in zip(
            scores, game.outputs["hinge"][:, 0], game.population.outputs["hinge"][:, 0], strict=True
        ):
            row[:] = self._standardise(h - features[:, 0], features, others - theirs[:, 0], theirs, seed)
        return Scores(game.ids, scores)

    def _standardise(
        self,
        excess: Float[Array, " n"],
        features: Float[Array, "n d"],
        of_others: Float[Array, " z"],
        theirs: Float[Array, "z d"],
        seed: int,
    ) -> Float[Array, " n"]:
        """What candidates exceed their out-shadows by, in the median and deviation of non-members like them."""
        from sklearn.ensemble import HistGradientBoostingRegressor  # it costs a second to import

        middle, upper = (
            HistGradientBoostingRegressor(
                loss="quantile",
                quantile=level,
                max_iter=self.trees,
                max_leaf_nodes=4,
                early_stopping=False,
                random_state=seed,
            )
            .fit(theirs, of_others)
            .predict(features)
            for level in (_MEDIAN, _UPPER)
        )
        whole = np.diff(np.quantile(of_others, (_MEDIAN, _UPPER)))[0]
        result: Array = (excess - middle) / np.maximum(upper - middle, max(_NARROWEST * whole, 1e-6))
        return result


@dataclass(frozen=True)
class _Classes:
    """Mean hinge confidence of out-shadows in each class, the grand mean where no candidate is of it."""

    means: Float[Array, " c"]

    @classmethod
    def of(cls, outside: Float[Array, "k n"], labels: Int[Array, " n"], classes: int) -> _Classes:
        """From the candidates."""
        values = outside.mean(axis=0)
        count, total = np.bincount(labels, minlength=classes), np.bincount(labels, values, minlength=classes)
        return cls(np.where(count > 0, total / np.maximum(count, 1), values.mean()))


def _features(outside: Float[Array, "k r"], labels: Int[Array, " r"], classes: _Classes) -> Float[Array, "r 3"]:
    """What is known of a record without the target: mean and deviation over out-shadows, mean of its class."""
    return np.column_stack([outside.mean(axis=0), outside.std(axis=0, ddof=1), classes.means[labels]])
