"""What an inversion attack gets, and what it may need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AccessError
from dosimeter.foundation.seeds import generator
from dosimeter.models.access import Access
from dosimeter.training.deployment.network import Opened
from dosimeter.training.learners.guided import Guidance, Guided
from dosimeter.training.learners.prior import Prior
from dosimeter.training.learners.students import Lessons

BATCH = 256
"""Records of one query."""
Checkpoint = Literal["none", "usual", "change"]
"""What an adversary makes of the public weights that the model was finetuned from: nothing, a notion of usual records
by their features there, or what finetuning changed in the features."""


@dataclass(frozen=True)
class Needs:
    """Requirements of an inversion attack.

    Attributes:
        access: to the deployed model.
        pictures: whether records must be pictures, channels by height by width.
        guided: a generator that is trained for the model; None without one.
        students: of the model; None without any.
        checkpoint: what is made of the weights that the model was finetuned from.
    """

    access: Access = Access.WEIGHTS
    pictures: bool = False
    guided: Guidance | None = None
    students: Lessons | None = None
    checkpoint: Checkpoint = "none"

    @property
    def in_words(self) -> str:
        """The requirements as text."""
        kind = "pictures" if self.pictures else "records"
        what = "weights" if Access.WEIGHTS in self.access else str(self.access.name).lower()
        origin = "" if self.checkpoint == "none" else ", the weights that it was finetuned from"
        return f"the model's {what}{origin}, and {kind} of other people"


@dataclass(frozen=True)
class Starts:
    """Random latents, the same ones for every attack and for every model that is attacked.

    Attributes:
        seed: root of all randomness.
        classes: the identities, by the number of their output.
        latent: numbers of a latent.
    """

    seed: int
    classes: Int[Array, " n"]
    latent: int

    def of_classes(self, restarts: int) -> Float[Tensor, "n r k"]:
        """Independent standard normal latents of each identity; a further restart changes no other.

        Args:
            restarts: latents of each identity.
        """
        drawn = [
            [
                generator(self.seed, "inversion start", int(one), restart).normal(size=self.latent)
                for restart in range(restarts)
            ]
            for one in self.classes
        ]
        return torch.from_numpy(np.array(drawn, dtype=np.float32).reshape(len(self.classes), restarts, self.latent))

    def samples(self, count: int) -> Float[Tensor, "m k"]:
        """Independent standard normal latents that serve all identities.

        Args:
            count: how many.
        """
        drawn = generator(self.seed, "inversion samples").normal(size=(count, self.latent))
        return torch.from_numpy(drawn.astype(np.float32))


@dataclass(frozen=True)
class Asked:
    """The deployed model, as somebody without its weights may ask it; defenses of its answers act here.

    Attributes:
        answer: from records to log-probabilities or logits `[b c]`.
        granted: what the model gives away.
        count: number of queries so far, one entry.
    """

    answer: Callable[[Tensor], Tensor]
    granted: Access
    count: list[int] = field(default_factory=lambda: [0])

    def labels(self, records: Float[Tensor, "b ..."]) -> Int[Tensor, " b"]:
        """The class that the model names for each record."""
        return self._asked(records, Access.LABELS).argmax(1)

    def log_probs(self, records: Float[Tensor, "b ..."]) -> Float[Tensor, "b c"]:
        """Logarithms of the probabilities of all classes, float64.

        Raises:
            AccessError: the model does not give them.
        """
        return self._asked(records, Access.PROBS).double().log_softmax(1)

    def _asked(self, records: Tensor, wanted: Access) -> Tensor:
        """Answers, by batches, counted."""
        if wanted not in self.granted.includes:
            raise AccessError(f"the model gives {str(self.granted.name).lower()}, and no {str(wanted.name).lower()}")
        self.count[0] += len(records)
        with torch.inference_mode():
            return torch.cat([self.answer(batch).cpu() for batch in torch.split(records, BATCH)])


@dataclass(frozen=True)
class InversionGame:
    """One deployed model before an adversary who wants to know what its classes look like.

    It holds no record of the identities at risk, and no other name of them than the number of their output.

    Attributes:
        ids: what a reconstruction is to be made for `[n]`.
        classes: the output of each `[n]`.
        public: records of other people, in the range that the model takes `[p ...]`.
        prior: what such records look like in general.
        starts: random latents.
        asked: the model's answers.
        opened: the model itself, with access "weights" only.
        guided: a generator that was trained for this model, if the attack needs one.
        students: networks that learned this model's answers on the public records, if the attack needs them.
        origin: the network that this model was finetuned from, if the attack needs it.
    """

    ids: Array
    classes: Int[Array, " n"]
    public: Float[Tensor, "p ..."]
    prior: Prior
    starts: Starts
    asked: Asked
    opened: Opened | None
    guided: Guided | None = None
    students: tuple[Callable[[Tensor], Tensor], ...] = ()
    origin: Opened | None = None

    @property
    def device(self) -> str:
        """Where the model and the records are."""
        return str(self.public.device)
