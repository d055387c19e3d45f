"""What crosses several cuts of a model, from one pass of the records through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import quote
from dosimeter.models.cuts.graph import ModelGraph
from dosimeter.models.cuts.places import ModelCut, needed
from dosimeter.models.last_layer import at_rest


class _Recorder(fx.Interpreter):
    """Runs a program and copies values when it reaches a cut.

    Args:
        graph: of the model.
        cuts: of the model.
    """

    def __init__(self, graph: ModelGraph, cuts: Sequence[ModelCut]) -> None:
        super().__init__(graph.program.module, garbage_collect_values=False)
        entry = next(node for node in graph.program.module.graph.nodes if node.op == "placeholder")
        by_name = {one.name: node for one, node in zip(graph.operations, graph.nodes, strict=True)}
        self.crossing = [[by_name.get(name, entry) for name in needed(graph, cut.position)] for cut in cuts]
        self.last = [graph.nodes[cut.position - 1] if cut.position else entry for cut in cuts]
        self.sent: dict[int, tuple[Tensor, ...]] = {}
        self.made: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Runs one operation; after the last one before a cut, copies what crosses."""
        self.made[n] = super().run_node(n)
        for index, last in enumerate(self.last):
            if last is n:
                # Later operations may change a value in place, as ReLU often does: what was sent stays as it was.
                values = tree_leaves([self.made[one] for one in self.crossing[index]])
                self.sent[index] = tuple(one.clone() for one in values if isinstance(one, Tensor))
        return self.made[n]


def crossings(
    graph: ModelGraph, cuts: Sequence[ModelCut], records: Float[Tensor, "b ..."]
) -> tuple[tuple[tuple[Tensor, ...], ...], Float[Tensor, "b c"]]:
    """What crosses each cut, and the answers, from one pass.

    It equals what the first of both `halves` sends at each cut, which takes one pass for each.

    Args:
        graph: of a model in evaluation mode.
        cuts: of the model.
        records: as the model takes them, on its device; they stay as they are.

    Returns:
        By cut the tensors that cross, in order; and the model's answers.
    """
    recorder = _Recorder(graph, cuts)
    with torch.no_grad(), at_rest(graph.program.module):
        answer = recorder.run(records.clone())
    return tuple(recorder.sent[index] for index in range(len(cuts))), answer


LOST = 0.01
"""Share of the differences between records that may be lost where numbers become float32."""
ROUNDED = 1e-14
"""Differences of this share of the largest number, and smaller ones, are rounding of float64."""


def lost_in_float32(values: Tensor) -> bool:
    """Returns whether differences between records are lost where numbers become float32, as attacks read them.

    So it is with a large constant added, or with numbers too small for float32: attacks would find nothing there.

    Args:
        values: of some records `[b ...]`, of any type of numbers.
    """
    if len(values) < 2 or not values.numel() or values.dtype in (torch.float32, torch.float16, torch.bfloat16):
        return False
    whole = values if values.is_floating_point() else values.to(torch.int64)
    apart = (whole - whole[:1]).double()
    left = (values.float() - values[:1].float()).double()
    size = float(apart.abs().max())
    if size == 0 or (values.is_floating_point() and size <= ROUNDED * float(values.abs().max())):
        return False
    return not float(((left - apart) / size).square().sum()) <= LOST * float((apart / size).square().sum())


def flat(sent: Sequence[Tensor]) -> Float[Tensor, "b ..."]:
    """What crosses a cut as one tensor: as it is, or several tensors, or one number, as one row for each record.

    Args:
        sent: the tensors, records first.
    """
    if len(sent) == 1:
        return sent[0].float() if sent[0].ndim > 1 else sent[0].float()[:, None]
    return torch.cat([one.reshape(len(one), -1).float() for one in sent], 1)


def folded(features: Float[Tensor, "b ..."], cut: ModelCut) -> tuple[Tensor, ...]:
    """The tensors that the second half takes, from what `flat` made of them.

    Args:
        features: of records, on the model's device.
        cut: which they cross.
    """
    parts = torch.split(features.flatten(1), [int(np.prod(one.shape)) for one in cut.tensors], 1)
    return tuple(
        one.reshape(len(features), *told.shape).to(getattr(torch, told.dtype))
        for one, told in zip(parts, cut.tensors, strict=True)
    )


def recorded(
    graph: ModelGraph,
    cuts: Sequence[ModelCut],
    records: Tensor,
    prepare: Callable[[Tensor], Tensor],
    batch: int = 256,
) -> tuple[list[Float[Tensor, "n ..."]], Float[Tensor, "n c"]]:
    """Features of many records at each cut, and the answers, by batches, on the CPU.

    Args:
        graph: as in `crossings`.
        cuts: as in `crossings`.
        records: as they are stored.
        prepare: from a batch as it is stored to one as the model takes it, on its device.
        batch: records that run together.
    """
    parts: list[list[Tensor]] = [[] for _ in cuts]
    answers = []
    for some in torch.split(records, batch):
        sent, answer = crossings(graph, cuts, prepare(some))
        for own, one, cut in zip(parts, sent, cuts, strict=True):
            own.append(flat([_whole(part, f"what crosses after {quote(cut.name)}") for part in one]).cpu())
        answers.append(_whole(answer, "the model's answers").float().cpu())
    return [torch.cat(one) for one in parts], torch.cat(answers)


def _whole(one: Tensor, place: str) -> Tensor:
    """A tensor of some records, if attacks can read it as float32.

    Args:
        one: the tensor `[b ...]`.
        place: what it is, in words.

    Raises:
        ConfigError: it has numbers that are not finite or not real, or differences that are lost.
    """
    if one.is_complex() or not bool(one.isfinite().all()):
        got = "complex ones" if one.is_complex() else "others, such as NaN or infinity"
        raise ConfigError(
            f"threat.cuts: {place} must be finite real numbers, got {got}, which no attack reads: change the model, or "
            "cut it elsewhere"
        )
    if lost_in_float32(one):
        raise ConfigError(
            f"threat.cuts: {place} must differ between records by what float32 can hold, got {one.dtype} numbers "
            "whose differences are lost there: scale or shift them in the model, or cut it elsewhere"
        )
    return one
