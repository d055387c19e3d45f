"""The layers of a first half with weights of the adversary's own, for who knows the model's form and nothing else."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.families.split.play.halves import CutModel
from dosimeter.models.cuts.recorder import flat
from dosimeter.training.loop import seed_torch


@dataclass(frozen=True, eq=False)
class OwnForm:
    """Implements `Form`."""

    model: CutModel

    def fresh(self, seed: int) -> nn.Module:
        """Implements `Form`: the true half with every weight drawn anew."""
        half = deepcopy(self.model.parts[1])
        redraw(half, seed)
        return _Copy(half, self.model).to(self.model.record.device).eval().requires_grad_(True)


class _Copy(nn.Module):
    """A half with other weights, from records to what is read, as one tensor.

    Args:
        half: with these weights.
        model: whose records and answers it takes and gives.
    """

    def __init__(self, half: nn.Module, model: CutModel) -> None:
        super().__init__()
        self.layers, self.model = half, model

    def forward(self, records: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Features, or answers where the whole model is copied."""
        host = self.model.record.host
        made = flat(self.layers(host.prepare(records.clone())))
        return made if self.model.source is not None else host.read(made)


def redraw(half: nn.Module, seed: int) -> None:
    """Gives a module fresh weights, so that nothing that it learned is left.

    Layers of PyTorch are drawn as it draws them. Of others, and of a program that has no layers any more, scales become
    1, shifts 0 and all else is drawn from a normal law with one over its inputs as variance, by names and axes. Weights
    that are shared are drawn once.

    Args:
        half: to change.
        seed: of the weights.
    """
    done: set[int] = set()
    with seed_torch(seed), torch.no_grad():
        for layer in half.modules():
            own = dict(layer.named_parameters(recurse=False)) | dict(layer.named_buffers(recurse=False))
            fresh = {name: one for name, one in own.items() if id(one) not in done}
            done |= {id(one) for one in own.values()}
            reset = getattr(layer, "reset_parameters", None)
            if fresh and callable(reset) and type(layer).__module__.startswith("torch.nn.modules"):
                reset()
            else:
                for name, one in fresh.items():
                    _draw(name, one)


def _draw(name: str, weight: Tensor) -> None:
    """Fresh values of one tensor; numbers that are counted, such as positions, were not learned and stay."""
    if not weight.is_floating_point():
        return
    if name.endswith(("running_mean", "bias")):
        weight.zero_()
    elif weight.ndim < 2 and name.endswith(("weight", "running_var")):
        weight.fill_(1.0)
    elif isinstance(weight, nn.Parameter):
        weight.normal_(0.0, float(weight[0].numel() if weight.ndim else 1) ** -0.5)
