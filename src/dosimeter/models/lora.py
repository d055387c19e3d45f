"""Low-rank adapters (LoRA): a frozen network with trained products of two thin matrices added to its layers."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.wording import describe
from dosimeter.models.last_layer import at_rest, attempts, replace_head


@dataclass(frozen=True)
class LoRA:
    """LoRA, Hu, Shen, Wallis et al., 2021, https://arxiv.org/abs/2106.09685: weights W + (alpha / rank) B A.

    Attributes:
        rank: of the product that is added to a layer's weights.
        alpha: its scale times the rank.
    """

    rank: int = 8
    alpha: int = 16


LORA = LoRA()


class WithAdapters(nn.Module):
    """A network whose adapters and head are trained. Its state dict holds only these.

    Modules with buffers, such as batch normalisation, stay in evaluation mode, so that their statistics stay.

    Args:
        net: with adapters in it; what needs no gradient is frozen.
        layers: dotted names of the adapted layers.
    """

    def __init__(self, net: nn.Module, layers: tuple[str, ...]) -> None:
        super().__init__()
        self.net = net
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """The network's output."""
        with by_layers():
            answer: Tensor = self.net(x)
        return answer

    def train(self, mode: bool = True) -> WithAdapters:
        """Sets the mode of all modules that are not kept in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if next(module.buffers(recurse=False), None) is not None:
                module.training = False
        return self

    def state_dict(self, *arguments: Any, **options: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """The trained tensors."""
        kept = {name for name, one in self.named_parameters() if one.requires_grad}
        return {name: one for name, one in super().state_dict(*arguments, **options).items() if name in kept}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads the trained tensors."""
        return super().load_state_dict({**super().state_dict(), **state_dict}, strict, assign)


@contextlib.contextmanager
def by_layers() -> Iterator[None]:
    """Makes attention call its layers inside the block; its fused kernel reads their weights and skips adapters."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def release() -> str:
    """The release of peft, which is part of keys; empty if it is not installed."""
    try:
        return metadata.version("peft")
    except metadata.PackageNotFoundError:
        return ""


def with_adapters(model: nn.Module, head: str, lora: LoRA, example: Tensor | None = None) -> WithAdapters:
    """Puts adapters into every layer that can have one, in place, and freezes everything but them and the head.

    An adapter adds nothing before it is trained. Its first weights come from PyTorch's default generator.

    Args:
        model: the whole network.
        head: dotted name of its last layer, which gets none.
        lora: rank and scale.
        example: two records, by which the layers that run are found; without them all count.

    Raises:
        ConfigError: the package peft is absent.
        TrainingError: no layer takes an adapter.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own imports
            from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError(
            f"transfer 'lora': needs the package peft, got {describe(error)}: run pip install \"dosimeter[lora]\""
        ) from error
    names = adaptable(model, head, example)
    if not names:
        there = sorted({type(one).__name__ for one in model.modules() if one._parameters} - {"Linear"})
        raise TrainingError(
            f"model {type(model).__name__}: transfer 'lora' needs a Linear or an ungrouped Conv2d that runs before the "
            f"head, got none{', with ' + ', '.join(there) if there else ''}: use 'head' or 'full'"
        )
    chosen = "|".join(map(re.escape, names))
    inject_adapter_in_model(LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=chosen), model)
    model.requires_grad_(False)
    model.get_submodule(head).requires_grad_(True)
    for name in names:
        layer = model.get_submodule(name)
        layer.get_submodule("lora_A").requires_grad_(True)
        layer.get_submodule("lora_B").requires_grad_(True)
    return WithAdapters(model, names)


def adaptable(model: nn.Module, head: str, example: Tensor | None = None) -> tuple[str, ...]:
    """Dotted names of the layers that get an adapter; arguments as for `with_adapters`.

    These are the Linear and Conv2d layers, and the Conv1D of transformers, before the head that run as layers, are of
    no class of their own, and share their weights with no other. Of convolutions only those with one group, no
    dilation and zeros around.
    """
    uses = Counter(id(one) for module in model.modules() for one in module._parameters.values())
    names = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    found = {
        name: module
        for name, module in model.named_modules()
        if name not in ("", head) and _takes_one(module) and names[id(module)] == 1 and uses[id(module.weight)] == 1
    }
    if example is None or not found:
        return tuple(found)
    ran: set[str] = set()
    hooks = [module.register_forward_hook(lambda *_, name=name: ran.add(name)) for name, module in found.items()]
    try:
        with at_rest(model), by_layers():
            for inputs in attempts(model, example):
                ran.clear()
                with contextlib.suppress(Exception):  # of a network that does not take these, told where models run
                    model(inputs)
                    return tuple(name for name in found if name in ran)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(found)


def _takes_one(module: nn.Module) -> bool:
    """Returns whether peft's adapter fits the layer exactly, so that it can be added into its weights."""
    if type(module) is nn.Conv2d:
        return module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"
    # the linear layers of GPT-2, whose weights are transposed, which peft knows
    gpt2 = (type(module).__module__, type(module).__name__) == ("transformers.pytorch_utils", "Conv1D")
    return gpt2 or type(module) is nn.Linear


def merge_adapters(model: nn.Module) -> nn.Module:
    """The network with its adapters added into its weights, in place, under its own names; any other as it is."""
    if not isinstance(model, WithAdapters):
        return model
    for name in model.layers:
        layer: Any = model.net.get_submodule(name)
        layer.merge()
        replace_head(model.net, name, layer.get_base_layer())
    return model.net
