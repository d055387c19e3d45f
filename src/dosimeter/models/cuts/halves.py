"""The two halves of a model that is cut."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, fx, nn

from dosimeter.models.cuts.graph import ModelGraph
from dosimeter.models.cuts.places import ModelCut, needed


class Half(nn.Module):
    """One side of a cut.

    Args:
        module: takes tensors and returns a tuple of them.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """The values that it hands on."""
        handed: tuple[Tensor, ...] = tuple(self.module(*values))
        return handed


def halves(graph: ModelGraph, cut: ModelCut) -> tuple[Half, Half]:
    """What runs before and after a cut; both share the model's weights.

    The first takes the records and returns what crosses; the second takes that and returns `(answer,)`. What depends
    on weights alone is computed on the side that needs it. The graph is that of the model in evaluation mode, so put
    the model in that mode before its halves run.

    Args:
        graph: of a model.
        cut: one of its cuts.
    """
    program = graph.program.module.graph
    entry = next(node for node in program.nodes if node.op == "placeholder")
    by_name = {one.name: node for one, node in zip(graph.operations, graph.nodes, strict=True)}
    crossing = [by_name.get(name, entry) for name in needed(graph, cut.position)]
    last = next(node for node in program.nodes if node.op == "output")
    before = _part(graph, graph.nodes[: cut.position], [entry], crossing)
    after = _part(graph, graph.nodes[cut.position :], crossing, list(last.all_input_nodes))
    return before, after


def _part(graph: ModelGraph, own: Collection[fx.Node], takes: list[fx.Node], gives: list[fx.Node]) -> Half:
    """A module that runs some nodes.

    Args:
        graph: of the model.
        own: nodes that run here, beside those that depend on weights alone and are needed here.
        takes: nodes whose values come in.
        gives: nodes whose values go out.
    """
    part = fx.Graph()
    env: dict[fx.Node, fx.Node] = {node: part.placeholder(str(node.name)) for node in takes}
    wanted = set(own)
    todo = [node for node in (*own, *gives) if node not in env]
    while todo:
        for one in todo.pop().all_input_nodes:
            if one not in wanted and one not in env:
                wanted.add(one)
                todo.append(one)
    for node in graph.program.module.graph.nodes:
        if node in wanted and node not in env:
            env[node] = part.node_copy(node, lambda one: env[one])
    part.output(tuple(env[node] for node in gives))
    return Half(fx.GraphModule(graph.program.module, part))
