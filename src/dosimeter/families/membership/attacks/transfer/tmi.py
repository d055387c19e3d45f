"""TMI: a classifier for each pretraining record that reads the whole answer of a finetuned model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import expit

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.language import numbers
from dosimeter.families.membership.attacks.transfer.metaclassifiers import Recipe, member_odds
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Outputs = Literal["all", "top", "label", "texts"]
SIGNALS = {
    "all": ("scaled_confidences",), "top": ("scaled_top",), "label": ("predicted_class",), "texts": numbers.SIGNALS,
}  # fmt: skip
ACCESS = {"all": Access.PROBS, "top": Access.TOPK, "label": Access.LABELS, "texts": Access.PROBS}
_EPOCHS, _BATCH = 20, 64  # of the authors' code


@dataclass(frozen=True)
class TMI:
    """Score a record by the probability "member" that its own small classifier gives the target's answer.

    Paper: Abascal, Wu, Oprea, Ullman, "TMI! Finetuned Models Leak Private Information from their Pretraining Data",
    2024, https://arxiv.org/abs/2306.01181, as its public code does it. A row is the vector of a model's scaled
    confidences in the deployed task's classes, divided by its length if that is above 1. The rows of the shadow
    chains that were pretrained with the record, and of those without it, train a perceptron with 64 hidden units; the
    score is the mean over views of its probability "member".
    Threat model: answers of the finetuned model; shadow chains of the same recipe, pretrained with and without the
    record and finetuned as `threat.knows` says. The record's own class is not read.
    Deviations: a fixed number of updates instead of passes, so that fewer shadows or views do not mean less training;
    raw scores are pooled; initial weights, order and dropout are drawn once for all records. `compat` goes back to
    20 passes, to scores that are stretched to [0, 1] for each target, and to lengths for two classes too. Not
    reproduced are initial weights that chains share but for stem and head, batch normalisation in training mode when
    the victim answers, and confidences cut at 1e-15.
    Texts of a language model have no class. With "texts" a row is five numbers of a text: logit of the mean token's
    probability, entropy, share of tokens that are the likeliest, Min-K% and Min-K%++; less the shadows' mean of that
    text, in units of their spread over all texts, and not divided by its length. That is ours.
    Cost: O(updates 64 h c) for each record and fold, all records as one batched program.

    Attributes:
        outputs: what of the answer is read: "all" confidences, the "top" three, or the "label"; or of "texts" a few
            numbers.
        unit: divide long rows by their length; not done for two classes, of which only a sign would be left, unless
            `compat`.
        updates: of each classifier.
        compat: the public code's choices.
    """

    paper: ClassVar[str] = "Abascal et al., 2024, https://arxiv.org/abs/2306.01181"
    control: ClassVar[bool] = False

    outputs: Outputs = "all"
    unit: bool = True
    updates: int = 160
    compat: bool = False

    def __post_init__(self) -> None:
        reading.check_choices(self, outputs=Outputs)
        checks.in_range("updates", self.updates, 1, 100_000)

    @property
    def needs(self) -> Needs:
        """Access to the part of the answer that is read, and four chains on each side."""
        return Needs(ACCESS[self.outputs], in_shadows=4, out_shadows=4)

    @property
    def signals(self) -> tuple[str, ...]:
        """The one signal that is read, of all classes, the top three, or the label; several of texts."""
        return SIGNALS[self.outputs]

    def effective(self, classes: int) -> dict[str, Any]:
        """Returns the effective `unit` where it differs: rows of two classes are not divided by their length."""
        two = self.outputs != "texts" and classes == 2
        return {"unit": "off, two classes"} if self.unit and not self.compat and two else {}

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        own, shadows = self._answers(game)
        known, asked = self._rows(shadows), [self._rows(one[None]) for one in own]
        views, rows = own.shape[1], known.shape[1]
        updates = _EPOCHS * -(-rows // _BATCH) if self.compat else self.updates
        recipe = Recipe(updates, decays=max(1, 7 * updates // _EPOCHS))
        member = torch.from_numpy(np.repeat(game.shadow_in.T, views, axis=1))
        odds = member_odds(known, member, asked, recipe, rng).double().numpy()
        scores = expit(odds).mean(2)
        return Scores(game.ids, _rescale(scores) if self.compat else scores)

    def _answers(self, game: MembershipGame) -> tuple[Float[Array, "t q n c"], Float[Array, "s q n c"]]:
        """Answers of targets and shadows; of texts their numbers."""
        if self.outputs != "texts":
            (name,) = self.signals
            return game.outputs[name], game.shadow_outputs[name]
        return numbers.beside_shadows(numbers.numbers_of(game.outputs), numbers.numbers_of(game.shadow_outputs))

    def _rows(self, values: Float[Array, "m q n c"]) -> Float[torch.Tensor, "n r c"]:
        """The rows of every record, with the views of a model next to each other."""
        m, q, n, c = values.shape
        rows = values.transpose(2, 0, 1, 3).reshape(n, m * q, c)
        if self.unit and self.outputs != "texts" and (c > 2 or self.compat):
            rows = rows / np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1.0)
        return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))


def _rescale(scores: Float[Array, "t n"]) -> Float[Array, "t n"]:
    """Each target's scores, scaled linearly to [0, 1]."""
    low, high = scores.min(1, keepdims=True), scores.max(1, keepdims=True)
    result: Array = (scores - low) / np.maximum(high - low, 1e-300)
    return result
