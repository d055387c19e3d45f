"""Training that stops before its last epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dosimeter.foundation import checks
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class EarlyStopping:
    """Stop after a share of the epochs; until then, training is exactly the undefended one, learning rates included.

    Paper: Song and Mittal, "Systematic Evaluation of Privacy Risks of Machine Learning Models", 2021,
    https://arxiv.org/abs/2003.10595, section 5.2.

    Stronger: a smaller share. Since it only ends training sooner, it is the baseline that any other defense must beat
    at equal accuracy.
    Deviations: the epoch is fixed beforehand instead of chosen on validation records, which would have to be held out
    of every model, and whose choice would differ between target and shadows.
    Cost: that share of one training.

    Attributes:
        share: share of the epochs, above 0 and below 1; at least one epoch is trained.
    """

    paper: ClassVar[str] = "Song and Mittal, 2021, https://arxiv.org/abs/2003.10595"
    place: ClassVar[str] = "recipe"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"share": 0.5}, {"share": 0.25}, {"share": 0.1})

    share: float = 0.5

    def __post_init__(self) -> None:
        checks.in_range("share", self.share, 0, 1, open_low=True, open_high=True)

    def recipe(self, hp: Hyperparameters) -> Hyperparameters:
        """The recipe with fewer epochs."""
        epochs = max(1, round(self.share * hp.epochs))
        return replace(hp, epochs=epochs, share=hp.share * epochs / hp.epochs)
