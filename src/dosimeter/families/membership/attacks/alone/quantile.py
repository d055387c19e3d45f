"""Quantile regression: how confident is the target on non-members that are as difficult as this record?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from dosimeter.data.record_features import one_hot
from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Mode = Literal["shadows", "inputs"]
_FEWEST_POPULATION = 50
_TREES = {"shadows": 30, "inputs": 100}
_MEDIAN, _UPPER = 0.5, 0.8413447460685429  # a normal law's mean, and one deviation above it
_NARROWEST = 0.1  # of the deviation over all non-members; estimated quantiles may touch or cross


@dataclass(frozen=True)
class Quantile:
    """Score a record by how far the target's confidence lies above what non-members like it get.

    Paper: Bertran, Tang, Kearns, Morgenstern, Roth, Wu, "Scalable Membership Inference Attacks via Quantile
    Regression", 2023, https://arxiv.org/abs/2307.03694: quantiles q_tau(x) of the target's hinge confidence
    h(x) = z_y - max over c != y of z_c are learned on public non-members by the pinball loss; a record is a member if
    h(x) > q_(1 - FPR)(x). The score, which a normal law of h given x makes a standard normal one for non-members, is

        s = (h(x) - q_.5(x)) / (q_.84(x) - q_.5(x))

    "inputs" learns q from the record and its class, as the paper does. "shadows" learns it from what shadows that
    never saw x say of it: q_tau(x) = m(x) + g_tau(x), with m their mean h, and g read off m, their deviation, and the
    mean of the class. This is the paper's regression with another adversary.
    Threat model: probabilities of the target; records known to be outside every model, on which q is learned for each
    target. With "inputs" the candidates' and these records' columns (see `few_columns`) and no shadow; with "shadows"
    shadows of the same recipe, of which only out-shadows are read.
    Deviations: two levels, as of a normal law, in place of 41: some hundred non-members have no quantile at 1e-4, and
    the score has no ties. Boosted trees on at most 200 columns of the record, or of its features where the backbone
    is frozen, in place of a network. With "shadows" one shadow of each pair is read on non-members, as many as a
    candidate has out-shadows. Of several views only the record itself is read.
    Cost: two boosted regressions on z records for each target, O(trees (z d + n)); with "shadows" O(s n) beside.

    Attributes:
        mode: what q is learned from.
        trees: boosting steps of each regression, 1 to 1000. None: 30 from shadows, 100 from inputs.
    """

    paper: ClassVar[str] = "Bertran et al., 2023, https://arxiv.org/abs/2307.03694"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("hinge",)

    mode: Mode = "shadows"
    trees: int | None = None

    def __post_init__(self) -> None:
        reading.check_choices(self, mode=Mode)
        if self.trees is not None:
            checks.in_range("trees", self.trees, 1, 1000)

    @property
    def needs(self) -> Needs:
        """Probabilities, enough non-members to learn from, and records ("inputs") or two out-shadows ("shadows")."""
        reads_inputs = self.mode == "inputs"
        return Needs(
            Access.PROBS, out_shadows=0 if reads_inputs else 2, population=_FEWEST_POPULATION, inputs=reads_inputs
        )

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game.

        Raises:
            ValueError: too few shadows or population records, no inputs, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        assert game.population is not None  # `require` has refused this
        known = _columns_from_inputs(game) if self.mode == "inputs" else _columns_from_shadows(game)
        seed = int(rng.integers(2**31))  # the same for each target, which is judged by itself
        scores = np.empty((game.n_targets, len(game.ids)))
        for row, h, others in zip(
            scores, game.outputs["hinge"][:, 0], game.population.outputs["hinge"][:, 0], strict=True
        ):
            row[:] = self._standardise(h, others, known, seed)
        return Scores(game.ids, scores)

    def _standardise(
        self, h: Float[Array, " n"], of_others: Float[Array, " z"], known: _Known, seed: int
    ) -> Float[Array, " n"]:
        """Candidates' confidence above its expectation, in units of the median and deviation of similar non-members."""
        from sklearn.ensemble import HistGradientBoostingRegressor  # it costs a second to import

        excess = of_others - known.expected_theirs
        middle, upper = (
            HistGradientBoostingRegressor(
                loss="quantile",
                quantile=level,
                max_iter=self.trees or _TREES[self.mode],
                max_leaf_nodes=4,
                early_stopping=False,
                random_state=seed,
            )
            .fit(known.theirs, excess)
            .predict(known.ours)
            for level in (_MEDIAN, _UPPER)
        )
        whole = np.diff(np.quantile(excess, (_MEDIAN, _UPPER)))[0]
        result: Array = (h - known.expected - middle) / np.maximum(upper - middle, max(_NARROWEST * whole, 1e-6))
        return result


@dataclass(frozen=True)
class _Known:
    """Knowledge about candidates and non-members without the target, and the confidence that it predicts."""

    ours: Float[Array, "n d"]
    theirs: Float[Array, "z d"]
    expected: Float[Array, " n"]
    expected_theirs: Float[Array, " z"]


def _columns_from_inputs(game: MembershipGame) -> _Known:
    """Columns of the record and one column for each class; the expected confidence is 0."""
    population, n = game.population, len(game.ids)
    assert population is not None
    assert game.inputs is not None
    assert population.inputs is not None
    columns = np.concatenate([game.inputs, population.inputs])
    rows = np.column_stack([columns, one_hot(np.concatenate([game.labels, population.labels]))])
    return _Known(rows[:n], rows[n:], np.zeros(n), np.zeros(len(rows) - n))


def _columns_from_shadows(game: MembershipGame) -> _Known:
    """Mean and deviation over out-shadows and the class mean; the first is the expected confidence."""
    population = game.population
    assert population is not None
    _, outside = reading.split(game.shadow_outputs["hinge"][:, :1], game.shadow_in)
    means = _class_means(outside[:, 0], game.labels, game.classes)
    ours = _features(outside[:, 0], game.labels, means)
    theirs = _features(population.shadow_outputs["hinge"][0::2, 0], population.labels, means)
    return _Known(ours, theirs, ours[:, 0], theirs[:, 0])


def _class_means(outside: Float[Array, "k n"], labels: Int[Array, " n"], classes: int) -> Float[Array, " c"]:
    """Mean hinge confidence of out-shadows in each class; the grand mean for a class without candidates."""
    values = outside.mean(axis=0)
    count, total = np.bincount(labels, minlength=classes), np.bincount(labels, values, minlength=classes)
    return np.where(count > 0, total / np.maximum(count, 1), values.mean())


def _features(outside: Float[Array, "k r"], labels: Int[Array, " r"], means: Float[Array, " c"]) -> Float[Array, "r 3"]:
    """Mean and deviation over out-shadows, and the mean of the record's class."""
    return np.column_stack([outside.mean(axis=0), outside.std(axis=0, ddof=1), means[labels]])
