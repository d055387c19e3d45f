"""How PyTorch networks of any make are asked: inputs in the form they take, evaluation mode, device, fixed batches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dosimeter._resolve import describe
from dosimeter.errors import AuditError, TrainingError
from dosimeter.models import as_float

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Network:
    """A network and how it is asked.

    Attributes:
        module: the network.
        ask: a batch to what the network returns; inside `open`.
        open: evaluation mode, device, no gradients; all is as it was afterwards.
        kind: in words.
        batch: records it must be asked at once, or None for any number.
        notes: for the report.
    """

    module: nn.Module
    ask: Callable[[Array | Tensor], object]
    open: Callable[[], AbstractContextManager[object]]
    kind: str
    batch: int | None
    notes: tuple[str, ...]


def is_exported(model: object) -> bool:
    """Whether a thing is a program of `torch.export`, without loading that part of PyTorch."""
    return type(model).__name__ == "ExportedProgram" and type(model).__module__.startswith("torch.export")


def network(model: Any, example: Array | Tensor, *, device: str, place: str) -> Network:
    """Find out how a network takes the user's records.

    Fractions are given in the precision of the weights, whole numbers as int64, bytes as fractions in [0, 1]; if the
    network raises on that, whole numbers are given as fractions, and whole fractions and bytes as int64.

    Args:
        model: a module, a TorchScript module, or an exported program.
        example: some records.
        device: where it is asked.
        place: how messages begin.

    Raises:
        TrainingError: the network takes the records in no form.
    """
    exported = is_exported(model)
    module: nn.Module = model.module() if exported else model
    given = _declared(module)
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
    tried = _as_tensor(example)[: batch or 2]
    if batch and len(tried) < batch:
        tried = tried[torch.arange(batch).clamp(max=len(tried) - 1)]
    form, said = _form(module, call, tried, dtype, where, place)
    if given is not None:
        notes = (*notes, "is an exported program, which stays in the mode it was exported in")

    def ask(batch: Array | Tensor) -> object:
        return call(form(_as_tensor(batch), dtype).to(where))

    return Network(module, ask, lambda: _ready(module, where), kind_of(module, exported), batch, (*notes, *said))


def _as_tensor(batch: Array | Tensor) -> Tensor:
    """A batch as a tensor."""
    return batch if isinstance(batch, Tensor) else torch.from_numpy(np.ascontiguousarray(batch))


def fractions(batch: Tensor, dtype: torch.dtype) -> Tensor:
    """Inputs as floating-point numbers; bytes in [0, 1]."""
    return as_float(batch).to(dtype)


def whole(batch: Tensor, dtype: torch.dtype) -> Tensor:
    """Inputs as whole numbers: tokens, or ids."""
    return batch.long()


Form = Callable[[Tensor, torch.dtype], Tensor]


def _form(
    module: nn.Module, call: Callable[[Tensor], object], batch: Tensor, dtype: torch.dtype, device: torch.device,
    place: str,
) -> tuple[Form, tuple[str, ...]]:  # fmt: skip
    """The first form of the records that the network takes, and what to say about it."""
    forms: list[Form] = [fractions, whole] if batch.dtype in (torch.uint8, torch.bool) else [whole, fractions]
    if batch.is_floating_point():
        forms = [fractions, whole] if bool((batch == batch.round()).all()) else [fractions]
    first: BaseException | None = None
    with _ready(module, device):
        for form in forms:
            try:
                call(form(batch, dtype).to(device))
            except AuditError:
                raise
            except (Exception, SystemExit) as error:
                first = first or error
                continue
            odd = form is not forms[0]
            words = "whole numbers (int64)" if form is whole else "fractions"
            return form, (f"takes its inputs as {words}",) if odd else ()
    raise TrainingError(
        f"{place}: must take inputs of shape {tuple(batch.shape)}, got {describe(first or ValueError())}: correct it, "
        "or give a function that prepares its inputs"
    ) from first


def _call_of(module: nn.Module) -> tuple[Callable[[Tensor], object], tuple[str, ...]]:
    """How a network's `forward` is called: by position, or by the names that transformers' models declare."""
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


def _declared(module: nn.Module) -> Any:
    """The input that an exported program declares, or None for other networks."""
    graph = getattr(module, "graph", None)
    if not isinstance(module, torch.fx.GraphModule) or graph is None:
        return None
    inputs = [node.meta.get("val") for node in graph.nodes if node.op == "placeholder"]
    return inputs[0] if inputs and isinstance(inputs[0], Tensor) else None


@contextmanager
def _ready(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Evaluation mode on a device in inference mode; afterwards modes and device are as they were."""
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
    if exported or _declared(module) is not None:
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
