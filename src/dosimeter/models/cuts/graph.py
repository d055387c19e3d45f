"""The graph of a model: its operations in the order in which they run, what each takes, gives and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves

from dosimeter.models.cuts.counting import FlopCounter
from dosimeter.models.cuts.reading import Program, read_program
from dosimeter.models.last_layer import at_rest

INPUT = "input"
"""Name of the records that the model takes."""
OUTPUT = "output"
"""Name of the place after the last operation."""
MODES = {"dropout": "dropout", "batch_norm": "batch norm", "batchnorm": "batch norm", "instance_norm": "instance norm"}
"""Part of the name of an operation that acts otherwise in training, to its usual name."""
WEIGHTED_SUMS = (nn.Embedding, nn.EmbeddingBag, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Modules that hold weights and multiply no matrix."""


@dataclass(frozen=True)
class Value:
    """A tensor that an operation gives.

    Attributes:
        shape: of one record.
        dtype: type of a number, such as "float32".
        numbers: for one record; 0 if the tensor does not divide into records along its first axis.
        size: bytes of one number.
        memory: where its numbers lie; two values with the same share them.
        axis: along which the records lie; None if they lie along none, or more than one grows with their number.
    """

    shape: tuple[int, ...]
    dtype: str
    numbers: int
    size: int
    memory: int
    axis: int | None = 0


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        name: names it in the graph, such as "backbone.1.0" or "layer1.add"; distinct.
        ends: names of modules of which it is the last operation, the outermost first.
        kind: what it does, such as "Conv2d".
        takes: names of the operations whose values it takes, or `INPUT`.
        gives: tensors that it gives; empty if it gives none, such as a size.
        parameters: parameters that it uses, by identity, with their number.
        multiply_adds: for one record, in products of matrices, convolutions and attention; None if they cannot be
            counted.
        mode: "dropout", "batch norm" ... if it acts otherwise in training; else empty.
        mutates: memory that it changes in place.
    """

    name: str
    ends: tuple[str, ...]
    kind: str
    takes: tuple[str, ...]
    gives: tuple[Value, ...]
    parameters: dict[int, int] = field(repr=False)
    multiply_adds: int | None
    mode: str
    mutates: frozenset[int] = field(repr=False)


@dataclass(frozen=True)
class ModelGraph:
    """The graph of a model.

    Attributes:
        program: what runs.
        records: the input.
        operations: those that depend on the input, in order.
        nodes: the program's node of each.
        answer: names of the operations whose values the model returns.
    """

    program: Program
    records: Value
    operations: tuple[Operation, ...]
    nodes: tuple[fx.Node, ...] = field(repr=False)
    answer: tuple[str, ...]


def read_graph(model: nn.Module, example: Tensor) -> ModelGraph:
    """The graph of a model, which is left as it was; arguments and errors as of `read_program`."""
    program = read_program(model, example)
    graph = program.module.graph
    entry = next(node for node in graph.nodes if node.op == "placeholder")
    dependent = depending_on(graph, entry)
    nodes = tuple(node for node in graph.nodes if node in dependent and node.op not in ("placeholder", "output"))
    names = _names(nodes)
    ends = _ends(nodes)
    meter = _Meter(program.module)
    with at_rest(program.module):
        meter.run(program.inputs.clone())
        more = _Shapes(program.module)
        more.run(torch.cat([program.inputs, program.inputs[:1]]))
    known: dict[fx.Node, str] = {entry: INPUT, **dict(zip(nodes, names, strict=True))}
    operations = tuple(
        Operation(
            name,
            ends[node],
            _kind(program.module, node),
            tuple(known[one] for one in node.all_input_nodes if one in known),
            meter.values(node, more.shapes[node]),
            _parameters(program.module, node, dependent),
            meter.multiply_adds(node, len(program.inputs)),
            _mode(program.module, node),
            meter.mutated[node],
        )
        for node, name in zip(nodes, names, strict=True)
    )
    last = next(node for node in graph.nodes if node.op == "output")
    answer = tuple(known[one] for one in last.all_input_nodes if one in known)
    return ModelGraph(program, meter.values(entry, more.shapes[entry])[0], operations, nodes, answer)


def depending_on(graph: fx.Graph, entry: fx.Node) -> set[fx.Node]:
    """Nodes whose value depends on that of `entry`, with itself."""
    found = {entry}
    for node in graph.nodes:  # in the order of the program, so inputs come first
        if any(one in found for one in node.all_input_nodes):
            found.add(node)
    return found


class _Meter(fx.Interpreter):
    """Runs a program, keeps every value, counts multiply-adds, and sees what is changed in place."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.flops: dict[fx.Node, int | None] = {}
        self.kept: dict[fx.Node, list[Tensor]] = {}
        self.mutated: dict[fx.Node, frozenset[int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """The value of a node; what it costs is kept."""
        taken = [one for node in n.all_input_nodes for one in self.kept.get(node, [])]
        before = [one._version for one in taken]
        counter = FlopCounter()
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # fused layers and fused attention are counted as nothing
        try:
            with counter, sdpa_kernel(SDPBackend.MATH):
                value = super().run_node(n)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
        self.flops[n] = counter.total
        self.mutated[n] = frozenset(
            memory(one) for one, version in zip(taken, before, strict=True) if one._version != version
        )
        self.kept[n] = [one for one in tree_leaves(value) if isinstance(one, Tensor)]
        return value

    def values(self, node: fx.Node, more: Sequence[torch.Size]) -> tuple[Value, ...]:
        """The tensors of a node, for one record.

        Args:
            node: of the program.
            more: their shapes for another number of records.
        """
        found = []
        for one, other in zip(self.kept[node], more, strict=True):
            axis = axis_of_records(tuple(one.shape), tuple(other))
            shape, numbers = (tuple(one.shape[1:]), one[0].numel()) if axis == 0 else (tuple(one.shape), 0)
            dtype = str(one.dtype).removeprefix("torch.")
            found.append(Value(shape, dtype, numbers, one.element_size(), memory(one), axis))
        return tuple(found)

    def multiply_adds(self, node: fx.Node, records: int) -> int | None:
        """Of a node for one record, or None if it has some that were not counted."""
        flops = self.flops[node]
        if flops is None:
            return None
        if node.op == "call_module":
            module = self.module.get_submodule(str(node.target))
            inner = list(module.modules())
            plain = [one for one in inner if not isinstance(one, WEIGHTED_SUMS)]
            matrices = any(weight.ndim > 1 for one in plain for weight in one.parameters(recurse=False))
            if (matrices and not flops) or any(isinstance(one, nn.RNNBase) for one in inner):
                return None
        elif any(word in node.name for word in ("lstm", "gru", "rnn")):
            return None
        return flops // (2 * records)  # a multiplication and an addition are two operations


class _Shapes(fx.Interpreter):
    """Runs a program and keeps the shapes of its tensors."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, list[torch.Size]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """The value of a node."""
        value = super().run_node(n)
        self.shapes[n] = [one.shape for one in tree_leaves(value) if isinstance(one, Tensor)]
        return value


def axis_of_records(few: tuple[int, ...], more: tuple[int, ...]) -> int | None:
    """The axis of a tensor along which the records lie: the one that is as long as their number, two and three.

    Args:
        few: its shape for two records.
        more: its shape for three.

    >>> axis_of_records((2, 5), (3, 5)), axis_of_records((5, 2), (5, 3)), axis_of_records((4, 5), (6, 5))
    (0, 1, None)
    """
    if len(few) != len(more):
        return None
    grown = [axis for axis, (two, three) in enumerate(zip(few, more, strict=True)) if two != three]
    fits = len(grown) == 1 and (few[grown[0]], more[grown[0]]) == (2, 3)
    return grown[0] if fits else None


def memory(tensor: Tensor) -> int:
    """Where a tensor's numbers lie; views of one tensor have the same."""
    return tensor.untyped_storage().data_ptr()


def _stack(node: fx.Node) -> list[tuple[str, str]]:
    """Calls of modules around a node, the outermost first: one key per call, and the module's name."""
    stack = node.meta.get("nn_module_stack") or {}
    found = [(str(key), str(value[0])) for key, value in stack.items()]
    return [(key, name) for key, name in found if name and name not in ("L['self']", "L__self__")]


def _names(nodes: Sequence[fx.Node]) -> list[str]:
    """A distinct name for each node, with the module around it."""
    found: list[str] = []
    for node in nodes:
        stack = _stack(node)
        inner = stack[-1][1] + ("@" + stack[-1][0].rpartition("@")[2] if "@" in stack[-1][0] else "") if stack else ""
        name = inner if node.op == "call_module" and inner else f"{inner}.{node.name}" if inner else str(node.name)
        found.append(f"{name}.{node.name}" if name in found or name in (INPUT, OUTPUT) else name)
    return found


def _ends(nodes: Sequence[fx.Node]) -> dict[fx.Node, tuple[str, ...]]:
    """Modules of which each node is the last operation; a module that is called twice has no one end."""
    calls: dict[str, set[str]] = {}
    last: dict[str, fx.Node] = {}
    for node in nodes:
        for key, name in _stack(node):
            calls.setdefault(name, set()).add(key)
            last[name] = node
    found: dict[fx.Node, tuple[str, ...]] = dict.fromkeys(nodes, ())
    for name in sorted(last, key=lambda one: (one.count("."), one)):
        if len(calls[name]) == 1:
            found[last[name]] += (name,)
    return found


def _kind(module: fx.GraphModule, node: fx.Node) -> str:
    """What a node does, in one word."""
    if node.op == "call_module":
        return type(module.get_submodule(str(node.target))).__name__
    if isinstance(node.target, str):
        return node.target
    return str(getattr(node.target, "__name__", node.target)).partition(".")[0].strip("_")


def _mode(module: fx.GraphModule, node: fx.Node) -> str:
    """Name of the kind of operation that acts otherwise in training, or empty."""
    told = [_kind(module, node)]
    if node.op == "call_module":
        told += [type(one).__name__ for one in module.get_submodule(str(node.target)).modules()]
    low = " ".join(told).lower()
    return next((usual for word, usual in MODES.items() if word in low), "")


def _parameters(module: fx.GraphModule, node: fx.Node, dependent: set[fx.Node]) -> dict[int, int]:
    """Parameters that a node uses: those of its module, and those behind what it takes beside the input's values."""
    if node.op == "call_module":
        return {id(one): one.numel() for one in module.get_submodule(str(node.target)).parameters()}
    found: dict[int, int] = {}
    todo = [one for one in node.all_input_nodes if one not in dependent]
    while todo:
        one = todo.pop()
        todo += one.all_input_nodes
        if one.op == "call_module":
            found |= {id(own): own.numel() for own in module.get_submodule(str(one.target)).parameters()}
        elif one.op == "get_attr":
            value: Any = module
            for word in str(one.target).split("."):
                value = getattr(value, word)
            if isinstance(value, nn.Parameter):
                found[id(value)] = value.numel()
    return found
