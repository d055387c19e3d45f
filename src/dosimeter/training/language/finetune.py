"""Finetuning of one causal model from a given base, as an adversary does it who trains references of their own."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from dosimeter.foundation.seeds import seed_for
from dosimeter.models.lora import LoRA, release
from dosimeter.training.chain import texts_like
from dosimeter.training.language.recipe import Finetuning
from dosimeter.training.language.stage import language_adapters
from dosimeter.training.loop import seed_torch, train


def finetune(
    base: nn.Module, tokens: Int[Tensor, "n l"], recipe: Finetuning, *, seed: int, device: torch.device
) -> nn.Module:  # fmt: skip
    """A finetuned copy of a base.

    Args:
        base: tokens to logits `[n l v]`; it stays as it is.
        tokens: of the texts that it learns, -1 after the end.
        recipe: how.
        seed: of adapters, order and dropout.
        device: to train on.

    Raises:
        AuditError: no layer takes an adapter, or the loss is not finite.
    """
    # a base in half precision would lose most updates, and one that was frozen for use learns again
    net = copy.deepcopy(base).float().requires_grad_(True)
    if recipe.transfer == "lora":
        lora = LoRA(recipe.lora_rank, recipe.lora_alpha)
        with seed_torch(seed_for(seed, "adapters")):
            net = language_adapters(net, lora, texts_like(tuple(tokens.shape[1:])))
    train(net, tokens, tokens, recipe.hyperparameters, seed=seed, device=device)
    return net


def finetuning_key(recipe: Finetuning) -> dict[str, Any]:
    """Part of a key that depends on a recipe."""
    own = {"lora": [recipe.lora_rank, recipe.lora_alpha], "peft": release()} if recipe.transfer == "lora" else {}
    return {"hyperparameters": recipe.hyperparameters.settings, "transfer": recipe.transfer, **own}
