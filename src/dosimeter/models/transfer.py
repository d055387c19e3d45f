"""Transfer: a stage starts from scratch, or from its parent with a new head, the last k blocks, adapters, or all.

A method decides which modules are frozen (their outputs are computed once and cached) and which are trained. Batch
normalisation in the frozen prefix stays in evaluation mode.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.models.architectures import cut, locate
from dosimeter.models.last_layer import Backbone, replace_head
from dosimeter.models.lora import LORA, LoRA, with_adapters
from dosimeter.models.names import Method, Statistics


@dataclass(frozen=True)
class Parts:
    """A model divided into a frozen and a trained part.

    Attributes:
        frozen: modules that are never trained, or None.
        trained: the modules after them, ending in the head.
    """

    frozen: nn.Sequential | None
    trained: nn.Module


def divide(
    model: nn.Module, method: Method, last_k: int = 1, example: Tensor | None = None, head: str | None = None,
    lora: LoRA = LORA, *, put: bool = False,
) -> Parts:  # fmt: skip
    """Divides a model into frozen and trained part, by a transfer method.

    Args:
        model: the whole model, with the head for the new task.
        method: "scratch" and "full" train everything, "head" the last layer, "last-k" also k blocks before it, "lora"
            also adapters, which are put into the model and drawn from PyTorch's default generator.
        last_k: blocks with parameters to train before the head, for "last-k".
        example: two records, by which the head of a model without `backbone` and `head` is found.
        head: dotted name of the head, where it is not to be found.
        lora: rank and scale of the adapters, for "lora".
        put: a defense put a block before the head, which is trained with it and does not count for "last-k".

    Raises:
        ConfigError: the package of the adapters is absent.
        TrainingError: the model has no known cut, or no known order of blocks, or fewer than `last_k`
            blocks with parameters, or no layer that takes an adapter.
    """
    if method in ("scratch", "full"):
        return Parts(None, model)
    if method == "lora":
        return Parts(None, with_adapters(model, locate(model, example, head).name, lora, example))
    backbone, last = cut(model, example, head)
    blocks = list(backbone.children())
    if method == "last-k" and isinstance(blocks[0] if blocks else None, Backbone):
        raise TrainingError(
            f"model {type(model).__name__}: transfer 'last-k' needs the order of the blocks, got a model of which only "
            "the last layer was found: give attributes `backbone` (a Sequential) and `head` (a Linear), or use 'head'"
        )
    line = len(blocks) - put
    if method == "last-k":
        with_weights = [i for i, block in enumerate(blocks[:line]) if any(True for _ in block.parameters())]
        if len(with_weights) < last_k:
            remedy = f"use up to {len(with_weights)}" if with_weights else "use transfer 'head'"
            raise TrainingError(
                f"model {type(model).__name__}: last_k must be at most the number of blocks with parameters before the "
                f"head, {len(with_weights)}, got {last_k}: {remedy}"
            )
        line = with_weights[-last_k]
    frozen = nn.Sequential(*blocks[:line]).eval().requires_grad_(False)
    return Parts(frozen, last if line == len(blocks) else nn.Sequential(*blocks[line:], last))


def fix_first(trunk: nn.Sequential, blocks: int, name: str) -> None:
    """Makes parameters of the first blocks of a trunk constants, in place: no message and no gradient has them.

    Parameters elsewhere that require no gradient, which a user's model may have, become constants too.

    Args:
        trunk: the blocks before the head.
        blocks: how many of those with parameters.
        name: of the model, for messages.

    Raises:
        TrainingError: no block with parameters would be left, or their order is not known.
    """
    own = list(trunk.children())
    if blocks and own and isinstance(own[0], Backbone):
        raise TrainingError(
            f"model {name}: frozen needs the order of the blocks, got a model of which only the last layer was found: "
            "give attributes `backbone` (a Sequential) and `head` (a Linear), or remove frozen"
        )
    with_weights = [one for one in own if any(True for _ in one.parameters())]
    if blocks and blocks >= len(with_weights):
        raise TrainingError(
            f"model {name}: frozen must leave a block with parameters to train, of {len(with_weights)} before the "
            f"head, got {blocks}: use at most {max(0, len(with_weights) - 1)}"
        )
    fixed = {inner for one in with_weights[:blocks] for inner in one.modules()}
    for module in trunk.modules():
        for key, parameter in list(module.named_parameters(recurse=False)):
            if module in fixed or not parameter.requires_grad:
                delattr(module, key)
                module.register_buffer(key, parameter.detach(), persistent=False)
    if next(trunk.parameters(), None) is None:
        raise TrainingError(
            f"model {name}: a trunk that parties share must have parameters to train, got none that require gradients: "
            "let some of them be trained"
        )


class Live(nn.Module):
    """A frozen part that runs anew for every batch, and the trained part after it.

    Args:
        frozen: blocks that are not trained.
        trained: blocks that are, ending in the head.
        statistics: "strict", batch normalisation of the frozen part keeps its stored statistics; "official", it takes
            those of the batch in training and moves the stored ones, as the code of Ho et al., 2024,
            https://arxiv.org/abs/2405.05588, does.
    """

    def __init__(self, frozen: nn.Sequential, trained: nn.Sequential, statistics: Statistics) -> None:
        super().__init__()
        self.frozen, self.trained, self.statistics = frozen, trained, statistics

    @property
    def backbone(self) -> nn.Sequential:
        """All blocks before the head."""
        return nn.Sequential(*self.frozen.children(), *list(self.trained.children())[:-1])

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        return self.trained[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[b c]`."""
        logits: Tensor = self.trained(self.frozen(x))
        return logits

    def train(self, mode: bool = True) -> Live:
        """Puts the trained part in training mode; the frozen one only where its statistics move."""
        super().train(mode)
        if self.statistics == "strict":
            self.frozen.eval()
        return self


def with_new_head(model: nn.Module, classes: int, example: Tensor | None = None, head: str | None = None) -> nn.Module:
    """Replaces the head, in place, by a freshly initialised one for `classes` classes.

    Args:
        model: a model whose cut is known.
        classes: classes of the new task.
        example: two records, by which the head of a model without `backbone` and `head` is found.
        head: dotted name of the head, where it is not to be found.

    Returns:
        The same module.
    """
    found = locate(model, example, head)
    fresh = nn.Linear(found.head.in_features, classes, bias=found.head.bias is not None)
    replace_head(model, found.name, fresh.to(found.head.weight.dtype))
    return model
