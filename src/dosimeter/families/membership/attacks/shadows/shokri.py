"""The classic shadow-model attack: classifiers that separate members' posteriors from those of non-members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks import logistic, reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

_SHADOWS = 16
_TOP = ("top1", "top2", "top3")


@dataclass(frozen=True)
class Shokri:
    """Score a record by the log-odds that a classifier, trained on shadows' answers, gives to the target's answer.

    Paper: Shokri, Stronati, Song, Shmatikov, "Membership Inference Attacks Against Machine Learning Models", 2017,
    https://arxiv.org/abs/1610.05820, section V; the three highest posteriors of Salem et al., 2019,
    https://arxiv.org/abs/1806.01246. Features: whether the answer is correct, the logarithms of the three highest
    probabilities, and their products with correctness; a classifier for each true class.
    Threat model: the three highest classes with their probabilities; shadows of the same recipe with their membership
    bits. What a shadow says of a record is never compared with what the target says of the same record.
    Deviations: logistic regression in place of networks of 64 units; three posteriors in place of all, beside the
    bit that tells whether the highest belongs to the true class; features are kept within their range on shadows. Of
    more than 16 shadows the first 16 train. Of several views only the record itself is read.
    Cost: O(16 n) rows of 7 features, and a few Newton steps over them; loops over classes.

    Attributes:
        per_class: whether each class has its classifier; otherwise one serves all.
    """

    paper: ClassVar[str] = "Shokri et al., 2017, https://arxiv.org/abs/1610.05820"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.TOPK, in_shadows=1, out_shadows=1)
    signals: ClassVar[tuple[str, ...]] = ("correctness", *_TOP)

    per_class: bool = True

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        known = {name: values[:_SHADOWS] for name, values in game.shadow_outputs.items()}
        shadows, targets, bits = _features(known), _features(game.outputs), game.shadow_in[:_SHADOWS]
        scores = np.empty((game.n_targets, len(game.ids)))
        groups = reading.by_class(game.labels) if self.per_class else [np.arange(len(game.ids))]
        for records in groups:
            rows = shadows[:, records].reshape(-1, shadows.shape[-1])
            classifier = logistic.fit(rows, bits[:, records].ravel())
            scores[:, records] = classifier.decide(targets[:, records])
        return Scores(game.ids, scores)


def _features(values: Mapping[str, Array]) -> Float[Array, "m n d"]:
    """One row of features for each model and record."""
    correct = values["correctness"][:, 0]
    top = [values[name][:, 0] for name in _TOP]
    return np.stack([correct, *top, *(correct * one for one in top)], axis=-1)
