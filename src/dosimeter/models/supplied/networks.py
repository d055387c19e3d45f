"""Queries of PyTorch networks of any kind: form of inputs, evaluation mode, device, fixed batch sizes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """A network and the way it is queried.

    Attributes:
        module: the network.
        call: function from a batch in the right form to the network's return value; inside `open`.
        dtype: type of its weights.
        device: device that runs it.
        open: context with evaluation mode, device and no gradients; it restores everything afterwards.
        kind: kind of network, in words.
        batch: number of records in a query, or None for any number.
        notes: remarks for the report.
    """

    module: nn.Module
    call: Callable[[Tensor], object]
    dtype: torch.dtype
    device: torch.device
    open: Callable[[], AbstractContextManager[object]]
    kind: str
    batch: int | None
    notes: tuple[str, ...]


def is_exported(model: object) -> bool:
    """Returns whether an object is a program of `torch.export`, without loading that part of PyTorch."""
    return type(model).__name__ == "ExportedProgram" and type(model).__module__.startswith("torch.export")


def network(model: Any, *, device: str) -> Network:
    """Determines how a network is called.

    Args:
        model: a module, a TorchScript module, or an exported program.
        device: where it is asked; exported programs stay where they were exported for.
    """
    exported = is_exported(model)
    module: nn.Module = model.module() if exported else model
    given = _declared_shape(module)
    first = next((one for one in module.parameters() if one.is_floating_point()), None)
    dtype = first.dtype if first is not None else torch.float32
    batch = None
    if given is not None:  # an exported program says what it takes
        batch = given.shape[0] if isinstance(given.shape[0], int) else None
        dtype = given.dtype if given.is_floating_point() else dtype
    where = torch.device(device)
    if given is not None:
        where = first.device if first is not None else given.device
    call, notes = _call_of(module)
    if given is not None:
        notes = (*notes, "is an exported program, which stays in the mode it was exported in")
    return Network(module, call, dtype, where, lambda: _ready(module, where), kind_of(module, exported), batch, notes)


def looks_up(module: nn.Module, call: Callable[[Tensor], object], batch: Tensor) -> bool:
    """Returns whether a network looks its inputs up in an embedding, so that they are tokens; inside `open`.

    Args:
        module: the network.
        call: as in `Network`.
        batch: in the form that it takes.
    """
    if batch.ndim != 2 or batch.is_floating_point():
        return False
    seen: list[bool] = []

    def watch(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        looked = inputs[0] if inputs else None
        seen.append(isinstance(looked, Tensor) and looked.numel() == batch.numel() and torch.equal(
            looked.reshape(-1).cpu().long(), batch.reshape(-1).cpu().long()))  # fmt: skip

    tables = [one for one in module.modules() if isinstance(one, nn.Embedding | nn.EmbeddingBag)]
    if not tables or isinstance(module, torch.jit.ScriptModule):
        return False
    hooks = [one.register_forward_pre_hook(watch) for one in tables]
    try:
        call(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return any(seen)


def _call_of(module: nn.Module) -> tuple[Callable[[Tensor], object], tuple[str, ...]]:
    """The call of a network's `forward`: by position, or by the names that transformers' models declare."""
    config = getattr(module, "config", None)
    main = getattr(module, "main_input_name", None) if config is not None else None
    try:
        names = inspect.signature(module.forward).parameters
    except (TypeError, ValueError):
        return module, ()
    mask = names.get("attention_mask")
    tokens = main == "input_ids" or "input_ids" in names
    pad = getattr(config, "pad_token_id", None)
    if mask is not None and tokens and (pad is not None or mask.default is mask.empty):
        padding = 0 if pad is None else int(pad)
        key = main or "input_ids"
        note = f"tokens equal to {padding} are masked as padding"
        return lambda x: module(**{key: x, "attention_mask": (x != padding).long()}), (note,)
    if isinstance(main, str) and main in names:
        return lambda x: module(**{main: x}), ()
    return module, ()


def _declared_shape(module: nn.Module) -> Any:
    """The input shape that an exported program declares, or None for other networks."""
    graph = getattr(module, "graph", None)
    if not isinstance(module, torch.fx.GraphModule) or graph is None:
        return None
    inputs = [node.meta.get("val") for node in graph.nodes if node.op == "placeholder"]
    return inputs[0] if inputs and isinstance(inputs[0], Tensor) else None


@contextmanager
def _ready(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Sets evaluation mode, device and inference mode inside the block; restores modes and device afterwards."""
    modes = {part: part.training for part in module.modules()}
    homes = {tensor.device for tensor in (*module.parameters(), *module.buffers())}
    moved = len(homes) == 1 and homes != {device}
    try:
        if moved:
            module.to(device)
        try:
            module.eval()
        except NotImplementedError:  # exported programs have no modes
            modes = {}
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode
        if moved:
            module.to(homes.pop())


def kind_of(module: nn.Module, exported: bool = False) -> str:
    """A network's kind in words.

    >>> kind_of(nn.Linear(1, 1))
    'torch module Linear'
    """
    if exported or _declared_shape(module) is not None:
        return "exported program"
    if isinstance(module, torch.jit.ScriptModule):
        return f"TorchScript module {getattr(module, 'original_name', type(module).__name__)}"
    for part in module.modules():
        name, home = type(part).__name__, type(part).__module__
        if home.startswith("transformers.") and name.endswith("Classification"):
            what = "image classifier" if name.endswith("ForImageClassification") else "text classifier"
            return f"transformers {what} {name}"
        if home.startswith("timm."):
            return f"timm {name}"
    return f"torch module {type(module).__name__}"
