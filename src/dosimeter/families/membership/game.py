"""The adversary's view as data: access, needs, the membership game; and separately the truth.

An attack receives a game and returns evidence; it never receives a `Truth`. Metrics receive evidence and truth and no
model. Axes: `t` targets, `s` shadows, `q` query views, `n` candidates, `z` population records, `c` classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.known import Known
from dosimeter.families.membership.texts import Texts
from dosimeter.families.membership.weights import Weights
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

BEFORE_TRANSFER = "logit_confidence_before_transfer"
"""Signal that no adversary of a transferred model sees: the logit-scaled confidence of the model at risk itself."""


@dataclass(frozen=True)
class Needs:
    """Requirements of an attack, so that `plan` can refuse it before anything is trained.

    Attributes:
        access: the least access to the target's outputs.
        in_shadows: fewest shadows per record that trained on it.
        out_shadows: fewest shadows per record that did not.
        population: fewest records outside every model.
        features: whether the features of a frozen backbone and the recipe of the head on them.
        inputs: whether the records themselves, as a few columns of numbers.
        informed: whether the adversary holds all other training records of the target, as no real adversary does. A
            recipe has them, so nothing is refused for it: plan and report say it beside the attack.
        retrain: whether further shadows that train on a membership of the attack's own choice.
        per_view: further shadows on each side for each view beyond the first.
        labelled: fewest records that are known to be members of the target, and fewest that are known not to be.
        weights: whether the models themselves, to train copies of them.
        texts: whether lengths and sizes of texts, whose tokens it reads.
        base: whether also what the model before the finetuning says of each token.
        tokens: fewest tokens after the first that half of the texts must have.
    """

    access: Access
    in_shadows: int = 0
    out_shadows: int = 0
    population: int = 0
    features: bool = False
    inputs: bool = False
    retrain: bool = False
    informed: bool = False
    per_view: int = 0
    labelled: int = 0
    weights: bool = False
    texts: bool = False
    base: bool = False
    tokens: int = 0

    @property
    def holds_more(self) -> bool:
        """Returns whether it needs knowledge beside answers, which exists for natural records only."""
        return self.features or self.inputs or self.retrain or self.weights

    @property
    def in_words(self) -> str:
        """The needs in words."""
        parts = [str(self.access.name).lower()]
        if self.in_shadows:
            parts.append(f"{self.in_shadows} in-shadows")
        if self.out_shadows:
            parts.append(f"{self.out_shadows} out-shadows")
        if self.population:
            parts.append(f"population {self.population}")
        if self.labelled:
            parts.append(f"{self.labelled} known members, {self.labelled} known non-members")
        told = {
            "features of a frozen backbone": self.features,
            "the records themselves": self.inputs,
            "shadows trained anew": self.retrain,
            "all other training records": self.informed,
            "copies of the target to train": self.weights,
            "tokens of texts": self.texts and not self.base,
            "tokens of texts under the base": self.base,
        }
        return ", ".join([*parts, *(words for words, needed in told.items() if needed)])


@dataclass(frozen=True)
class Population:
    """Records that are outside the training set of every model, and what the models say about them.

    Attributes:
        ids: record ids `[z]`.
        labels: true classes `[z]`.
        outputs: for each signal the targets' values `[t q z]`.
        shadow_outputs: for each signal the shadows' values `[s q z]`.
        inputs: the records themselves, in the columns of the candidates' `inputs`, or None.
    """

    ids: Array
    labels: Int[Array, " z"]
    outputs: Mapping[str, Float[Array, "t q z *c"]]
    shadow_outputs: Mapping[str, Float[Array, "s q z *c"]]
    inputs: Float[Array, "z d"] | None = None


@dataclass(frozen=True, eq=False)
class FrozenHead:
    """Knowledge of an adversary who has the frozen backbone and the recipe, but no weights; equal for all targets.

    Attributes:
        features: features of all records of the pool, of which every head trains on one half `[p d]`.
        labels: their classes `[p]`.
        classes: number of classes.
        candidates: the judged records, as positions in the pool `[n]`.
        rates: learning rate of each update of SGD `[k]`.
        momentum: momentum of SGD.
        weight_decay: L2 penalty.
        standardise: features are scaled over a head's own training rows.
    """

    features: Float[Array, "p d"]
    labels: Int[Array, " p"]
    classes: int
    candidates: Int[Array, " n"]
    rates: Float[Array, " k"]
    momentum: float
    weight_decay: float
    standardise: bool


@runtime_checkable
class Retrain(Protocol):
    """The adversary's own training: shadows of the recipe, with a membership of their choice.

    It does not know who was trained on what: candidates follow the given matrix, the rest of the pool is drawn.
    Every shadow trains on exactly half of the pool, as each model of the fleet does, with a seed of its own.
    """

    def __call__(self, member: Bool[Array, "k n"], seed: int) -> Mapping[str, Float[Array, "k q n"]]:
        """Trains one shadow for each row.

        Args:
            member: which shadow trains on which candidate, half of the candidates in each row.
            seed: of initialisation, order, and the rest of the pool.

        Returns:
            Every signal of the game on the candidates, float64.

        Raises:
            ValueError: a row leaves no way to train on exactly half of the pool.
        """
        ...


@dataclass(frozen=True)
class MembershipGame:
    """The view of an adversary who asks "was this record trained on?", for one fold of targets.

    The shadows of a fold leave out its targets' rows *and their complements* in the membership matrix; they come in
    whole complementary pairs (row 2i+1 is the negation of row 2i), so that every record has equally many in- and
    out-shadows whatever the targets' bits are.

    Attributes:
        ids: record ids `[n]`.
        labels: true classes `[n]`.
        classes: number of classes.
        outputs: for each declared signal the targets' values `[t q n]`, float64; `[t q n c]` of a signal of all classes
            of the deployed model.
        shadow_outputs: for each declared signal the shadows' values `[s q n]` or `[s q n c]`, float64.
        shadow_in: which shadow trained on which candidate `[s n]`.
        population: outputs on records outside every model, or None.
        head: frozen features and recipe, where the models are heads on them, or None.
        inputs: the records themselves, as a few columns of numbers, float64, or None.
        retrain: trains further shadows, or None.
        known: records whose membership is known for each target, or None.
        weights: the models themselves, or None.
        texts: of a language model: the judged texts, or None.

    Raises:
        ValueError: a shape does not fit, or shadow rows are not complementary pairs.
    """

    ids: Array
    labels: Int[Array, " n"]
    classes: int
    outputs: Mapping[str, Float[Array, "t q n *c"]]
    shadow_outputs: Mapping[str, Float[Array, "s q n *c"]]
    shadow_in: Bool[Array, "s n"]
    population: Population | None = None
    head: FrozenHead | None = None
    inputs: Float[Array, "n d"] | None = None
    retrain: Retrain | None = None
    known: Known | None = None
    weights: Weights | None = None
    texts: Texts | None = None

    def __post_init__(self) -> None:
        if len(self.shadow_in) % 2 or not (self.shadow_in[0::2] ^ self.shadow_in[1::2]).all():
            raise ValueError("shadow_in must consist of complementary pairs of rows, got rows that are not")
        for name, values in self.shadow_outputs.items():
            if len(values) != len(self.shadow_in):
                raise ValueError(f"shadow_outputs[{name!r}] must have {len(self.shadow_in)} shadows, got {len(values)}")
        for name, values in self.outputs.items():
            if values.shape[2] != len(self.ids):
                raise ValueError(f"outputs[{name!r}] must have {len(self.ids)} records, got {values.shape[2]}")

    @property
    def n_targets(self) -> int:
        """Number of targets in this fold."""
        return len(next(iter(self.outputs.values())))

    @property
    def n_shadows(self) -> int:
        """Number of shadow models in this fold."""
        return len(self.shadow_in)

    @cached_property
    def parted(self) -> dict[str, tuple[Array, Array]]:
        """Signals of which the shadows' values were parted by membership, see `reading.sides`; parts share them."""
        return {}

    def __getstate__(self) -> dict[str, object]:
        """The fields alone: a copy parts its signals anew, and a game is the same before and after an attack."""
        return {name: value for name, value in vars(self).items() if name != "parted"}

    def rehearse(self, pair: int) -> tuple[MembershipGame, Bool[Array, "2 n"]]:
        """Lets one pair of shadows play the targets before the remaining shadows, as an adversary would in training.

        Args:
            pair: which pair, 0 to `n_shadows / 2 - 1`.

        Returns:
            The game with two targets and two shadows fewer, and the membership bits `[2 n]`, which the adversary
            knows because they are of their own models.
        """
        rows = np.arange(2 * pair, 2 * pair + 2)
        rest = np.delete(np.arange(self.n_shadows), rows)

        def pick(values: Mapping[str, Array], which: Array) -> dict[str, Array]:
            return {name: array[which] for name, array in values.items()}

        population = self.population
        if population is not None:
            population = replace(
                population,
                outputs=pick(population.shadow_outputs, rows),
                shadow_outputs=pick(population.shadow_outputs, rest),
            )
        game = replace(
            self,
            outputs=pick(self.shadow_outputs, rows),
            shadow_outputs=pick(self.shadow_outputs, rest),
            shadow_in=self.shadow_in[rest],
            population=population,
            known=None if self.known is None else self.known.rehearse(rows, rest),
            weights=None if self.weights is None else self.weights.rehearse(rows, rest),
        )
        return game, self.shadow_in[rows]


@runtime_checkable
class OwnRehearsal(Protocol):
    """An attack that lets its shadows play the target by itself, and so needs no further pair for thresholds."""

    def run_and_rehearse(
        self, game: MembershipGame, rng: np.random.Generator, pairs: Sequence[int]
    ) -> tuple[Scores, Float[Array, "k n"]]:
        """Scores of the targets, as `run` gives them, and those of some shadows, each as if it were a target.

        Args:
            game: the game, as `run` gets it.
            rng: a generator in the same state as that of `run`.
            pairs: numbers of the pairs of these shadows; pair 0 is the first two.

        Returns:
            Both; the shadows pair by pair.
        """
        ...


Seats = tuple[Int[Array, " t"], Int[Array, " s"]]
"""Rows of the membership matrix that play target in a game, and rows of its shadows."""


@dataclass(frozen=True)
class Holdings:
    """Holdings of an adversary beside signals, equal for all targets; an attack gets the part that it needs.

    Attributes:
        head: frozen features and recipe, or None.
        inputs: all records that have signals, as a few columns `[n+k+z d]`, or None.
        retrain: trains further shadows, or None.
        weights: the models, of nobody in particular, or None.
        texts: of a language model: the judged texts, and perhaps further ones after them, or None.
    """

    head: FrozenHead | None = None
    inputs: Float[Array, "r d"] | None = None
    retrain: Retrain | None = None
    weights: Weights | None = None
    texts: Texts | None = None

    def tell(self, game: MembershipGame, needs: Needs, seats: Seats | None = None) -> MembershipGame:
        """The game, with the holdings that an attack needs.

        Args:
            game: what the signals make.
            needs: the attack's needs.
            seats: numbers in the fleet of those who play target, and of the shadows; None where no models are held.
        """
        weights = None
        if needs.weights and self.weights is not None and seats is not None:
            weights = replace(self.weights, rows=seats[0], shadow_rows=seats[1])
        n, k = len(game.ids), 0 if game.known is None else len(game.known.ids)
        known = game.known if needs.labelled else None
        if known is not None and needs.base and self.texts is not None:
            known = replace(known, texts=self.texts.between(n, n + k))
        game = replace(
            game,
            head=self.head if needs.features else None,
            retrain=self.retrain if needs.retrain else None,
            known=known,
            weights=weights,
            texts=self.texts.first(n) if (needs.texts or needs.base) and self.texts is not None else None,
        )
        if not needs.inputs or self.inputs is None:
            return game
        population = game.population
        if population is not None:
            population = replace(population, inputs=self.inputs[n + k :])
        return replace(game, inputs=self.inputs[:n], population=population)
