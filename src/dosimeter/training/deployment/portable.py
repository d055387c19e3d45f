"""A trained model without the store: what its chain is built of, so that somebody with the same code builds it anew."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from dosimeter.models.cuts.graph import ModelGraph
from dosimeter.training.chain import Link, build_chain
from dosimeter.training.deployment.network import deployed
from dosimeter.training.packs import PackJob

STRUCTURE = ("name", "model", "shape", "classes", "transfer", "head", "options")
"""Settings of a stage that decide what its network is; trained weights replace those of the builder."""


def structure(links: Sequence[Link]) -> list[dict[str, Any]]:
    """What the networks of a chain are built of, as JSON values."""
    return [
        {key: getattr(link, key) for key in STRUCTURE} | {"shape": list(link.shape), "options": dict(link.options)}
        for link in links
    ]


def rebuilt(told: Sequence[Mapping[str, Any]]) -> nn.Module:
    """The network of the last stage of a chain, with fresh weights, in evaluation mode.

    Args:
        told: what `structure` gave.

    Raises:
        AuditError: a builder is not there or failed.
    """
    links = tuple(Link(**{**one, "shape": tuple(one["shape"]), "options": _tuples(one["options"])}) for one in told)
    return build_chain(links, len(links) - 1, 0, None).eval()


def program_digest(graph: ModelGraph) -> str:
    """SHA-256 of the operations of a network, in the order in which they run; weights do not count."""
    module = graph.program.module
    called = [str(node.target) for node in module.graph.nodes if node.op == "call_module"]
    layers = [f"{name}: {module.get_submodule(name)!r}" for name in called]
    return hashlib.sha256("\n".join([module.code, *layers]).encode()).hexdigest()


def on_cpu(model: nn.Module) -> dict[str, Tensor]:
    """All tensors of a network, copied to the CPU."""
    return {name: one.detach().cpu().clone().contiguous() for name, one in model.state_dict().items()}


def _tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with tuples for lists, as an audit file gives them."""
    return {name: tuple(one) if isinstance(one, list) else one for name, one in options.items()}


def weights(pack: PackJob, number: int) -> dict[str, Tensor]:
    """All tensors of a deployed model, on the CPU; arguments as in `deployed`."""
    return on_cpu(deployed(pack, number))
