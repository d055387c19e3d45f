"""A trained model of a fleet as it is deployed: its network for somebody who holds it, and its answers for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import seed_for
from dosimeter.models.architectures import as_float, locate
from dosimeter.models.last_layer import example_of
from dosimeter.models.weights import load_state
from dosimeter.training.chain import build_chain, head_of, parts_of
from dosimeter.training.packs import PackJob


def deployed(pack: PackJob, number: int) -> nn.Module:
    """The whole network of one model of a pack that is trained: its frozen part and its trained part as one.

    Args:
        pack: the pack.
        number: place of the model in the pack.

    Returns:
        The network in evaluation mode, on the pack's device; no parameter asks for a gradient.
    """
    index, state = len(pack.links) - 1, pack.state()
    parent = pack.store.load(pack.parent) if pack.parent else None
    # Weights that are not stored are given ones, for which every job builds the model with this seed.
    model, place = build_chain(pack.links, index, 0, parent), f"stage {pack.links[index].name!r}"
    if pack.heads:
        trained: nn.Module = parts_of(pack.links, index, model).trained  # a part shares its tensors with the whole
        load_state(trained, {name: state[name][number] for name in ("weight", "bias")}, place)
    elif pack.whole or pack.links[index].fit:
        load_state(model, state, place)
    else:
        parts = parts_of(pack.links, index, model)
        load_state(parts.trained, state, place)
        model = model if parts.frozen is not None else parts.trained
    return model.to(pack.device).eval().requires_grad_(False)


def untrained(pack: PackJob, number: int, seed: int | None = None) -> nn.Module:
    """The whole network of one model of a pack as it is before the training of its stage.

    Args:
        pack: of a stage that trains the whole model by the built-in training.
        number: place of the model in the pack.
        seed: of fresh weights; None for those that this very model began with.

    Returns:
        The network in evaluation mode, on the pack's device; parameters ask for gradients as they do in training.
    """
    index = len(pack.links) - 1
    own = pack.seed if pack.alike else pack.seeds()[number]
    parent = pack.store.load(pack.parent) if pack.parent else None
    drawn = seed_for(own if seed is None else seed, "initialisation")
    return build_chain(pack.links, index, drawn, parent).to(pack.device).eval()


@dataclass(frozen=True)
class Opened:
    """A network whose weights somebody holds, so that gradients flow to its inputs.

    Attributes:
        model: the network.
        head: its last layer.
    """

    model: nn.Module
    head: nn.Linear

    def answer(self, x: Float[Tensor, "b ..."]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b c"]]:
        """Features that the last layer takes, and logits; gradients flow to the records.

        Args:
            x: records, as the model takes them.
        """
        taken: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, given: taken.append(given[0]))
        try:
            logits: Tensor = self.model(x)
        finally:
            hook.remove()
        return taken[-1].flatten(1).float(), logits.float()


def opened(pack: PackJob, number: int) -> Opened:
    """One model of a pack for somebody who holds its weights; arguments as in `deployed`."""
    return _opened(pack, deployed(pack, number), len(pack.links) - 1)


def origin(pack: PackJob) -> Opened:
    """The network that the models of a pack were finetuned from, as it was released, for somebody who holds it.

    Args:
        pack: of a stage that starts from another one.

    Raises:
        TrainingError: the stage starts from nothing.
    """
    index = len(pack.links) - 2
    if index < 0 or pack.links[-1].transfer == "scratch":
        raise TrainingError(f"stage {pack.links[-1].name!r}: must start from weights of a stage before it, got none")
    model = build_chain(pack.links, index, 0, None)
    if pack.parent:
        load_state(model, pack.store.load(pack.parent), f"stage {pack.links[index].name!r}")
    return _opened(pack, model.to(pack.device).eval().requires_grad_(False), index)


def _opened(pack: PackJob, model: nn.Module, index: int) -> Opened:
    """A network of a stage with its last layer."""
    named = head_of(pack.links, index, put=index + 1)
    head = locate(model, example_of(pack.links[-1].shape).to(pack.device), named).head
    return Opened(model, next(one for one in model.modules() if isinstance(one, nn.Linear) and _same(one, head)))


def _same(a: nn.Linear, b: nn.Linear) -> bool:
    """Returns whether two layers are one."""
    return a is b or a.weight is b.weight


def answers(model: nn.Module, records: Tensor, device: str, size: int = 64) -> Float[Tensor, "n c"]:
    """Logits of records, by batches, on the CPU.

    Args:
        model: in evaluation mode.
        records: floats, or bytes of images.
        device: where the model is.
        size: records of a batch.
    """
    with torch.inference_mode():
        found: Sequence[Tensor] = [
            model(as_float(batch).to(device)).float().cpu() for batch in torch.split(records, size)
        ]
    return torch.cat(list(found))
