"""Training of causal language models: the loss, the adapters, and what such a stage may not have."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.lora import LoRA, WithAdapters, with_adapters
from dosimeter.training.recipe import AddsStepNoise, BoundsRecords, ChangesRecipe, Defense

HEAD = "head"
"""Name of the last layer of our own transformer."""


def is_text(labels: Tensor) -> bool:
    """Returns whether labels are tokens of texts `[n l]`, and neither classes `[n]` nor probabilities `[n c]`."""
    return labels.ndim == 2 and not labels.is_floating_point()


def next_token_loss(logits: Float[Tensor, "b l v"], tokens: Int[Tensor, "b l"]) -> Float[Tensor, " b"]:
    """Mean cross-entropy of the tokens after the first of each text, nats; what stands after the end does not count.

    Args:
        logits: those at place j are about the token at place j + 1.
        tokens: -1 after the end of a text; two at least in each.
    """
    following = tokens[:, 1:]
    each = nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), following, ignore_index=-1, reduction="none")
    return each.sum(1) / (following >= 0).sum(1)


def language_adapters(model: nn.Module, lora: LoRA, example: Tensor) -> WithAdapters:
    """Puts adapters into all layers but the last, in place; nothing else is trained, the last layer neither.

    Args:
        model: a causal model.
        lora: rank and scale.
        example: two texts.

    Raises:
        ConfigError: the package peft is absent.
        TrainingError: no layer takes an adapter.
    """
    head = _head_of(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft says of GPT-2's layers that their weights are transposed, and does it
        found = with_adapters(model, head, lora, example)
    model.get_submodule(head).requires_grad_(False)
    return found


def _head_of(model: nn.Module) -> str:
    """Dotted name of the layer that gives the logits."""
    named = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    own: list[str] = [name for name, _ in named if name.rpartition(".")[2] in (HEAD, "lm_head", "embed_out")]
    return str(own[-1] if own else named[-1][0])


def unfit_defenses(defenses: Sequence[Defense], place: str) -> None:
    """Refuses defenses that need classes, a last layer or answers.

    Args:
        defenses: of a stage of texts.
        place: start of messages.

    Raises:
        ConfigError: there is one, a line each.
    """
    problems = [
        f"{place}: defense {type(one).__name__} needs records with a class, which texts of a language model have not: "
        "remove it, or use early_stopping, l2, sgld or dp_sgd"
        for one in defenses
        if not isinstance(one, ChangesRecipe | BoundsRecords | AddsStepNoise)
    ]
    if problems:
        raise ConfigError(*problems)
