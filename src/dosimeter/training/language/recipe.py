"""How the references of a supplied language model are finetuned, as a value that needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class Finetuning:
    """How references are finetuned from their base.

    Attributes:
        hyperparameters: of the training loop.
        transfer: "full", or "lora" for adapters in all layers but the last.
        lora_rank, lora_alpha: rank and scale of adapters.
    """

    hyperparameters: Hyperparameters
    transfer: Literal["full", "lora"] = "full"
    lora_rank: int = 8
    lora_alpha: int = 16

    def __str__(self) -> str:
        hp = self.hyperparameters
        how = "adapters of its base" if self.transfer == "lora" else "its base in full"
        return f"{how}: epochs {hp.epochs}, lr {hp.lr:g}, batch_size {hp.batch_size}, {hp.optimizer}"
