"""What an attack gets that makes records of batches again."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.families.exchange.game import Auxiliary
from dosimeter.families.exchange.inverting.observed import Observed
from dosimeter.foundation.arrays import Array


@dataclass(frozen=True)
class Shown:
    """What a source showed of the batch of a step, and what it would have shown of the adversary's own records.

    Attributes:
        features: of the batch, in its order `[b d]`.
        known: of all auxiliary records, by the layers of the same step and behind the same defenses `[p d]`.
        box: least and largest number of a record, if they are known.
    """

    features: Float[Tensor, "b d"]
    known: Float[Tensor, "p d"]
    box: tuple[float, float] | None


@dataclass(frozen=True)
class RecordsGame:
    """Some batches of one joint training as one party saw them.

    It holds no record, no label and no row of the victim.

    Attributes:
        ids: of the steps whose batches are sought `[n]`.
        seen: what the adversary has of each, the head where the threat says so; None where the gradient is all zeros.
        trunks: the shared layers at each step.
        size: records of a batch, with those of further parties whose part is in the sum, and of all local steps.
        auxiliary: records of the adversary's own.
        shown: representations of each step; empty where another channel is read.
    """

    ids: Array
    seen: tuple[Observed | None, ...]
    trunks: tuple[nn.Module, ...]
    size: int
    auxiliary: Auxiliary
    shown: tuple[Shown, ...] = ()
