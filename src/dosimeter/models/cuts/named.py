"""The graph of a network whose operations cannot be read: it is run up to layers that are named, and on from there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import describe, quote
from dosimeter.models.cuts.counting import FlopCounter
from dosimeter.models.cuts.graph import ModelGraph, Operation, Value, memory
from dosimeter.models.cuts.reading import Program
from dosimeter.models.last_layer import at_rest


class _Reached(Exception):
    """A run has come to the layer at which it stops.

    Args:
        value: what the layer gave.
    """

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value


class Segment(nn.Module):
    """What a network does between two layers.

    After `start` it goes on with what it is given in place of that layer's value. The layers before it run on another
    record, whose values are thrown away; if some of them reach further, the answers are wrong, which a comparison with
    the network shows.

    Args:
        model: the network.
        start: the layer from which it goes on; None from the records.
        stop: the layer at which it ends; None at the answer.
        record: a record `[1 ...]`, as the network takes it.
    """

    def __init__(self, model: nn.Module, start: str | None, stop: str | None, record: Tensor) -> None:
        super().__init__()
        self.model, self.start, self.stop, self.record = model, start, stop, record

    def forward(self, value: Tensor) -> Tensor:
        """The value of `stop`, or the answer."""
        known = dict(self.model.named_modules())

        def end(_: nn.Module, __: object, made: Tensor) -> None:
            raise _Reached(made)

        with ExitStack() as hooks:
            if self.start is not None:
                hooks.callback(known[self.start].register_forward_hook(lambda *_: value).remove)
            if self.stop is not None:
                hooks.callback(known[self.stop].register_forward_hook(end).remove)
            records = value if self.start is None else self.record.expand(len(value), *self.record.shape[1:]).clone()
            try:
                answer: Tensor = self.model(records)
            except _Reached as reached:
                return reached.value
        if self.stop is not None:
            raise ConfigError(f"threat.cuts: {quote(self.stop)} did not run after {self.start!r}: cut elsewhere")
        return answer


def read_named(model: nn.Module, example: Tensor, names: Sequence[str]) -> ModelGraph:
    """A graph whose operations are what a network does up to each of some layers, in the order in which they run.

    Args:
        model: takes one tensor and returns one.
        example: two different records `[2 ...]`, as it takes them.
        names: of layers.

    Raises:
        ConfigError: there is no such layer, or it does not run once, or gives no single tensor for each record.
    """
    with at_rest(model):
        order, entered = _order(model, example, names)
        ends: list[str | None] = [*order, None]
        starts: list[str | None] = [None, *order]
        graph, holder = fx.Graph(), nn.Module()
        node = graph.placeholder("records")
        nodes = []
        for number, (start, stop) in enumerate(zip(starts, ends, strict=True)):
            holder.add_module(f"part{number}", Segment(model, start, stop, example[1:2]))
            node = graph.call_module(f"part{number}", (node,))
            nodes.append(node)
        graph.output(node)
        module = fx.GraphModule(holder, graph)
        values, value = [], example
        for number in range(len(ends)):
            value = module.get_submodule(f"part{number}")(value.clone())
            values.append(value)
        work = [_multiply_adds(model, stop, example) for stop in ends]
    operations = []
    for number, stop in enumerate(ends):
        before, now = (0 if not number else work[number - 1]), work[number]
        own = entered[stop] if not number else entered[stop] - entered[ends[number - 1]]
        operations.append(
            Operation(
                name=stop or "answer",
                ends=() if stop is None else (stop,),
                kind="layers",
                takes=("input" if not number else str(ends[number - 1]),),
                gives=(_value(values[number], len(example)),),
                parameters={id(one): one.numel() for part in own for one in part.parameters(recurse=False)},
                multiply_adds=None if before is None or now is None else now - before,
                mode="",
                mutates=frozenset(),
            )
        )
    records = _value(example, len(example))
    return ModelGraph(Program(module, "names", example), records, tuple(operations), tuple(nodes), ("answer",))


def _order(
    model: nn.Module, example: Tensor, names: Sequence[str]
) -> tuple[list[str], dict[str | None, frozenset[nn.Module]]]:
    """The layers in the order in which they end, and the modules that were entered until each ended; None is the end.

    Raises:
        ConfigError: as of `read_named`.
    """
    known = dict(model.named_modules())
    absent = [one for one in names if one not in known or not one]
    if absent:
        inner = [one for one in known if one]
        raise ConfigError(f"threat.cuts: the model has no layer {quote(absent[0])}, {suggest(absent[0], inner)}")
    ran: list[tuple[str, object]] = []
    entered: set[nn.Module] = set()
    seen: dict[str | None, frozenset[nn.Module]] = {}

    def enter(module: nn.Module, _: object) -> None:
        entered.add(module)

    def leave(name: str, made: object) -> None:
        ran.append((name, made))
        seen[name] = frozenset(entered)

    with ExitStack() as hooks:
        for module in model.modules():
            hooks.callback(module.register_forward_pre_hook(enter).remove)
        for name in names:
            hook = known[name].register_forward_hook(lambda _, __, made, name=name: leave(name, made))
            hooks.callback(hook.remove)
        try:
            model(example.clone())
        except Exception as error:
            raise ConfigError(
                f"model {type(model).__name__}: cannot be run, got {describe(error)}: correct it"
            ) from error
    seen[None] = frozenset(entered)
    for name in names:
        made = [one for other, one in ran if other == name]
        fits = len(made) == 1 and isinstance(made[0], Tensor) and made[0].ndim and len(made[0]) == len(example)
        if not fits:
            got = f"{len(made)} runs" if len(made) != 1 else type(made[0]).__name__
            raise ConfigError(
                f"threat.cuts: layer {quote(name)} must run once and give one tensor with a row for each record, got "
                f"{got}: name another one"
            )
    return [name for name, _ in ran], seen


def _value(tensor: Tensor, records: int) -> Value:
    """A tensor with a row for each record."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Value(tuple(tensor.shape[1:]), dtype, tensor.numel() // records, tensor.element_size(), memory(tensor))


def _multiply_adds(model: nn.Module, stop: str | None, example: Tensor) -> int | None:
    """Of one record up to a layer; None if there are some that cannot be counted."""
    if any(isinstance(one, nn.RNNBase) for one in model.modules()):
        return None
    counter = FlopCounter()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused layers are counted as nothing
    try:
        with counter, sdpa_kernel(SDPBackend.MATH):
            Segment(model, None, stop, example[1:2])(example.clone())
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return None if counter.total is None else counter.total // (2 * len(example))
