"""Gradient labels: what comes back over the cut for a record points where its class does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from dosimeter.families.split.attacks.reading import flat, sought
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.statistics.evidence import Guesses

SHARPNESS = 2.0 ** np.arange(9)
"""By which mean cosines are multiplied, to choose among."""
TINY = 1e-30
"""Least size of a gradient that is divided by; also that of one that rounded to zero."""


@dataclass(frozen=True)
class GradientLabels:
    """Compare each victim's gradient at the cut with those of records whose class is known.

    Paper: Li, Sun, Yang, Gao, Zhang, Xie, Smith, Wang, "Label Leakage and Protection in Two-party Split Learning", ICLR
    2022, https://arxiv.org/abs/2102.08504: the cosine with gradients of one class, and the size of the gradient.
    Cosines for more than two classes: Liu, Lyu, 2022, https://arxiv.org/abs/2203.05222.
    Threat model: of each record the gradient of its loss by its features, as the party with the labels sends it back in
    training; the same of own records, and labels of some of these.
    Deviations: gradients are those of the deployed model, as if training went on, where they are smallest; the mean
    cosine with all known records of a class; scores of sizes are normal densities of their logarithm.
    Cost: one gradient of each record.

    Attributes:
        mode: what is read of a gradient, its "direction" or its "norm".
    """

    paper: ClassVar[str] = "Li et al., ICLR 2022, https://arxiv.org/abs/2102.08504"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("attribute", gradients=True)
    signals: ClassVar[tuple[str, ...]] = ()

    mode: Literal["direction", "norm"] = "direction"

    def run(self, game: SplitGame, rng: np.random.Generator) -> Guesses:
        """Attacks one attribute of one model at one cut; `rng` is not used.

        Raises:
            DataError: a value has fewer than two labels.
        """
        secret, victims = sought(game), flat(game.seen)
        known, values = flat(game.auxiliary.seen)[secret.rows], secret.known
        counts = np.bincount(values, minlength=len(secret.values))
        if counts.min() < 2:
            least = secret.values[int(counts.argmin())]
            raise DataError(
                f"attribute {secret.name!r}: the adversary needs 2 labels of each value or more, got "
                f"{int(counts.min())} of {least!r}: give them more `labels`, or auxiliary records with this value"
            )
        way = by_direction if self.mode == "direction" else by_size
        return Guesses(game.ids, way(victims, known, values)[None])


def by_direction(
    victims: Float[Array, "n d"], known: Float[Array, "l d"], values: Int[Array, " l"]
) -> Float[Array, "n v"]:
    """Log-scores from the mean cosine with the known gradients of each value, as sharp as suits the known ones best.

    Args:
        victims: gradients.
        known: gradients of the adversary's own records.
        values: of the latter, from 0 on; each occurs twice or more.
    """
    mine, own = (one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), TINY) for one in (victims, known))
    belongs = np.eye(int(values.max()) + 1)[values]
    sums, counts = belongs.T @ own, belongs.sum(0)
    # Of a known record the others of its value count, and not itself, whose cosine is 1.
    aside = (own @ sums.T - belongs * (own**2).sum(1, keepdims=True)) / (counts - belongs)
    fits = [_normalised(sharp * aside)[np.arange(len(values)), values].mean() for sharp in SHARPNESS]
    return _normalised(SHARPNESS[int(np.argmax(fits))] * (mine @ sums.T) / counts)


def by_size(victims: Float[Array, "n d"], known: Float[Array, "l d"], values: Int[Array, " l"]) -> Float[Array, "n v"]:
    """Log-scores from the density of the logarithm of a gradient's norm among each value's; arguments as above."""
    mine, own = (np.log(np.maximum(np.linalg.norm(one, axis=1), TINY)) for one in (victims, known))
    columns = []
    for value in range(int(values.max()) + 1):
        some = own[values == value]
        spread = max(float(some.std()), 1e-6 * max(float(own.std()), 1.0))
        columns.append(np.log(len(some) / len(own)) - np.log(spread) - ((mine - some.mean()) / spread) ** 2 / 2)
    return _normalised(np.stack(columns, 1))


def _normalised(scores: Float[Array, "n v"]) -> Float[Array, "n v"]:
    """Scores as log-probabilities."""
    top = scores - scores.max(1, keepdims=True)
    return np.asarray(top - np.log(np.exp(top).sum(1, keepdims=True)))
