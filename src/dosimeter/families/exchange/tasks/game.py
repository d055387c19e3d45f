"""What an attack gets that tells which tasks a shared encoder was trained on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from dosimeter.foundation.arrays import Array


@dataclass(frozen=True)
class TasksGame:
    """One joint training, of whose victim a coin decided for each task whether it trained on it.

    It holds no record, label or coin of the victim.

    Attributes:
        ids: of the tasks `[n]`.
        encoder: the shared layers as the training left them, in the mode of answers.
        start: the shared layers as they began.
        probes: records of the adversary's own of each task `[k ...]`.
        pool: records of the adversary's own of other tasks `[p ...]`.
    """

    ids: Array
    encoder: nn.Module
    start: nn.Module
    probes: tuple[Tensor, ...]
    pool: Tensor
