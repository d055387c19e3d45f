"""Reads a model as a program of operations, by `torch.fx` or by `torch.export`, and checks that it is the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.foundation.wording import describe
from dosimeter.models.last_layer import at_rest, attempts

How = Literal["fx", "export", "names"]
RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""Largest difference between the program's answers and the model's, which sum in the same order."""


@dataclass(frozen=True)
class Program:
    """A model as operations, in evaluation mode.

    Attributes:
        module: the operations in the order in which they run; it shares the model's weights.
        how: what read it.
        inputs: two records, in the form in which the model takes them.
    """

    module: fx.GraphModule
    how: How
    inputs: Tensor


class _Tracer(fx.Tracer):
    """Follows a forward pass into all modules but PyTorch's own and some that are taken whole.

    Args:
        whole: modules that are taken as one operation.
    """

    def __init__(self, whole: set[nn.Module]) -> None:
        super().__init__()
        self.whole = whole
        self.stopped: nn.Module | None = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Returns whether a module is one operation."""
        return m in self.whole or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Follows a call, and keeps the innermost module in which that fails."""
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.stopped = self.stopped or m
            raise


def read_program(model: nn.Module, example: Tensor) -> Program:
    """The program of a model. The model is left as it was.

    `torch.fx` follows the forward pass; a module that it cannot follow is one operation. Where such a module holds
    several with weights, or the model itself cannot be followed, `torch.export` is tried.

    Args:
        model: takes one tensor and returns one.
        example: two different records `[2 ...]`.

    Raises:
        ConfigError: neither reads it, or what was read answers otherwise than the model.
    """
    problems: list[str] = []
    coarse: Program | None = None
    with at_rest(model):
        inputs = _accepted(model, example)
        for how, read in (("fx", _by_fx), ("export", _by_export)):
            try:
                module, fine = read(model, inputs)
                _check(model, module, inputs)
            except Exception as error:  # both raise many kinds, from the user's code too
                problems.append(f"torch.{how}: {describe(error)}")
                continue
            found = Program(module, "fx" if how == "fx" else "export", inputs)
            if fine:
                return found
            coarse = coarse or found
    if coarse is not None:
        return coarse
    raise ConfigError(
        f"model {type(model).__name__}: its operations cannot be read ({'; '.join(problems)}): let `forward` take one "
        "tensor, return one and not branch on values, or return an nn.Sequential of such parts"
    )


def _accepted(model: nn.Module, example: Tensor) -> Tensor:
    """The records in the first form that the model takes, on its device."""
    first: Exception | None = None
    place = next((one.device for one in model.parameters()), example.device)
    for inputs in attempts(model, example.to(place)):
        try:
            answer = model(inputs.clone())
        except AuditError:
            raise
        except Exception as error:
            first = first or error
            continue
        if not isinstance(answer, Tensor):
            raise ConfigError(
                f"model {type(model).__name__}: must return one tensor to be cut, got {type(answer).__name__}: return "
                "the logits alone"
            )
        return inputs
    raise ConfigError(
        f"model {type(model).__name__}: must take records of shape {tuple(example.shape[1:])} to be cut, got "
        f"{describe(first or ValueError())}: correct it"
    ) from first


def _by_fx(model: nn.Module, inputs: Tensor) -> tuple[fx.GraphModule, bool]:
    """The program by symbolic tracing, and whether each operation holds at most one module with weights."""
    whole: set[nn.Module] = set()
    while True:
        tracer = _Tracer(whole)
        try:
            graph = tracer.trace(model)
        except Exception:
            if tracer.stopped is None or tracer.stopped in whole:
                raise
            whole.add(tracer.stopped)
            continue
        return fx.GraphModule(model, graph), all(_simple(one) for one in whole)


def _simple(module: nn.Module) -> bool:
    """Returns whether at most one module within it has weights of its own."""
    return sum(any(True for _ in one.parameters(recurse=False)) for one in module.modules()) <= 1


def _by_export(model: nn.Module, inputs: Tensor) -> tuple[fx.GraphModule, bool]:
    """The program by `torch.export`, for any number of records."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of its own internals
        batch = {0: torch.export.Dim.AUTO}
        program = torch.export.export(model, (inputs.clone(),), dynamic_shapes=(batch,), strict=False)
        module = program.module()
    assert isinstance(module, fx.GraphModule)
    for node in list(module.graph.nodes):
        if node.op == "call_module" and str(node.target).startswith("_guards"):  # compares shapes, and gives nothing
            module.graph.erase_node(node)
    return fx.GraphModule(module, module.graph), True


def _check(model: nn.Module, module: fx.GraphModule, inputs: Tensor) -> None:
    """Compares a program with its model on two records and on three.

    Raises:
        ValueError: they differ.
    """
    for records in (inputs, torch.cat([inputs.flip(0), inputs[:1]])):
        answer, again = model(records.clone()), module(records.clone())
        if not torch.allclose(answer, again, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
            gap = float((answer - again).abs().max())
            raise ValueError(f"what was read answers otherwise than the model, by {gap:.2g} for {len(records)} records")
