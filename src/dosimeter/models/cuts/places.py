"""The places at which a model can be cut, and what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dosimeter.models.cuts.graph import INPUT, OUTPUT, ModelGraph, Operation, Value

WIDTHS = {"float32": 4, "float16": 2, "int8": 1}
"""Bytes of a number on the wire, by its form."""


@dataclass(frozen=True)
class Crossing:
    """A tensor that crosses a cut.

    Attributes:
        name: name of the operation that gives it, or `INPUT`.
        shape: of one record.
        dtype: type of its numbers in the model.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class ModelCut:
    """A place at which a model is cut: operations up to it run on one side, the others on the other side.

    Attributes:
        name: layer after which it lies, `INPUT` if no operation comes before it, `OUTPUT` if none comes after it.
        names: all names of the place.
        position: number of operations before it.
        tensors: all that cross, in order.
        bytes: for one record, by form: fractions in float32, float16 or int8, other numbers as they are. The scale of
            int8 numbers is not counted, since it is agreed on once.
        parameters: before the cut.
        multiply_adds: before the cut, for one record.
        counted: whether all of them are counted; otherwise `multiply_adds` is a lower limit.
        modes: kinds of operation before the cut that act otherwise in training, such as "batch norm".
    """

    name: str
    names: tuple[str, ...]
    position: int
    tensors: tuple[Crossing, ...]
    bytes: dict[str, int]
    parameters: int
    multiply_adds: int
    counted: bool
    modes: tuple[str, ...]

    @property
    def bare(self) -> bool:
        """Returns whether the records themselves cross."""
        return any(one.name == INPUT for one in self.tensors)


def cuts(graph: ModelGraph) -> tuple[ModelCut, ...]:
    """Every place of the program at which a model can be cut, from the input to the output.

    A cut lies after an operation, in the order in which the program runs. All tensors cross that were made before it
    and are needed after it: one in a chain, several inside a residual block. Left out are places after an operation
    that gives no tensor, where the records do not lie along the first axis of a tensor, and where two tensors share
    numbers that are changed later, so that copies of them would go different ways.
    """
    ways = [OUTPUT if i == len(graph.operations) else graph.operations[i - 1].name for i in range(1, _count(graph))]
    found = []
    for position, name in enumerate((INPUT, *ways)):
        alive = _alive(graph, position)
        values = [value for _, value in alive]
        gives = not position or graph.operations[position - 1].gives
        if gives and values and all(one.numbers for one in values) and not _tangled(graph, position, values):
            found.append(_cut(graph, position, name, alive))
    return tuple(found)


def _count(graph: ModelGraph) -> int:
    return len(graph.operations) + 1


def _alive(graph: ModelGraph, position: int) -> list[tuple[str, Value]]:
    """Tensors that are made before a position and needed after it, with the names of their operations."""
    return [(name, value) for name, values in _needed(graph, position) for value in values]


def _needed(graph: ModelGraph, position: int) -> list[tuple[str, Sequence[Value]]]:
    """Operations before a position whose values are needed after it, the input among them."""
    later = {name for one in graph.operations[position:] for name in one.takes} | set(graph.answer)
    made: list[tuple[str, Sequence[Value]]] = [(INPUT, (graph.records,))]
    made += [(one.name, one.gives) for one in graph.operations[:position]]
    return [(name, values) for name, values in made if name in later]


def needed(graph: ModelGraph, position: int) -> tuple[str, ...]:
    """Names of the operations before a position whose values are needed after it, `INPUT` among them."""
    return tuple(name for name, _ in _needed(graph, position))


def _tangled(graph: ModelGraph, position: int, values: Sequence[Value]) -> bool:
    """Returns whether two of the tensors share numbers that a later operation changes in place."""
    where = [one.memory for one in values]
    shared = {one for one in where if where.count(one) > 1}
    return any(shared & one.mutates for one in graph.operations[position:])


def _cut(graph: ModelGraph, position: int, name: str, alive: Sequence[tuple[str, Value]]) -> ModelCut:
    """The cut at a position."""
    before: Sequence[Operation] = graph.operations[:position]
    weights: dict[int, int] = {}
    for one in before:
        weights |= one.parameters
    names = (name,)
    if before:
        ends = before[-1].ends
        names = tuple(dict.fromkeys((*((OUTPUT,) if name == OUTPUT else ()), *ends, before[-1].name)))
    sizes = {
        form: sum(one.numbers * (width if "float" in one.dtype else one.size) for _, one in alive)
        for form, width in WIDTHS.items()
    }
    return ModelCut(
        names[0],
        names,
        position,
        tuple(Crossing(made, one.shape, one.dtype) for made, one in alive),
        sizes,
        sum(weights.values()),
        sum(one.multiply_adds or 0 for one in before),
        all(one.multiply_adds is not None for one in before),
        tuple(dict.fromkeys(one.mode for one in before if one.mode)),
    )


def not_divided(graph: ModelGraph, name: str) -> str:
    """Why a layer of a model is no place for a cut although something crosses there; empty if that is not the reason.

    Args:
        graph: of the model.
        name: of an operation, or of a layer that ends with one.
    """
    for position, one in enumerate(graph.operations, 1):
        if name in (*one.ends, one.name):
            odd = [(made, value) for made, value in _alive(graph, position) if value.axis != 0]
            if odd:
                made, value = odd[0]
                where = "no axis" if value.axis is None else f"axis {value.axis}"
                return f"the records lie along {where} of what {made} gives, and not along its first"
    return ""


def find_cut(found: Sequence[ModelCut], name: str) -> ModelCut | None:
    """The cut after a layer, None if there is none."""
    return next((one for one in found if name in one.names), None)
