"""What an attack gets that makes records of batches again."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dosimeter.families.exchange.game import Auxiliary
from dosimeter.families.exchange.inverting.observed import Observed
from dosimeter.foundation.arrays import Array


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
    """

    ids: Array
    seen: tuple[Observed | None, ...]
    trunks: tuple[nn.Module, ...]
    size: int
    auxiliary: Auxiliary
