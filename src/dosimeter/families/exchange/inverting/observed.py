"""What an adversary has of one step of joint training, and the gradient that records of a guess would give.

Axes: `b` records of a batch, `c` classes, `d` features.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call


@dataclass(frozen=True)
class Observed:
    """One gradient and all that the adversary knows beside it.

    Modules hold the parameters of the step at which the gradient was made, in the mode in which the owner trained.

    Attributes:
        trunk: from records to features `[b d]`.
        head: last layer, from features to logits; None where it is private and its outputs cannot be guessed.
        gradient: of the mean cross-entropy by the parameters of the trunk, by name; empty where only a head is tuned.
        head_gradient: by the parameters of the head; empty where the head does not cross.
        size: records in the batch.
        shape: of one record.
        classes: number of classes.
        box: least and largest number of a record, if they are known.
    """

    trunk: nn.Module
    head: nn.Module | None
    gradient: Mapping[str, Tensor]
    head_gradient: Mapping[str, Tensor]
    size: int
    shape: tuple[int, ...]
    classes: int
    box: tuple[float, float] | None = None
    scale: float = field(init=False)
    """Squared length of the whole gradient."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.classes < 2:
            raise ValueError(f"a batch has 1 record or more of 2 classes or more, got {self.size} and {self.classes}")
        if self.box is not None and not self.box[0] < self.box[1]:
            raise ValueError(f"box must be its least number, then its largest, got {self.box}")
        for place, module, found in (
            ("gradient", self.trunk, self.gradient), ("head_gradient", self.head, self.head_gradient),
        ):  # fmt: skip
            _fits(place, module, found)
        for module in (self.trunk, self.head):
            for name, one in module.named_modules() if module is not None else ():
                if isinstance(one, nn.modules.batchnorm._BatchNorm) and one.training:
                    raise ValueError(
                        f"{name or 'the model'} must not normalise by the batch, as its statistics are not known and a "
                        "guess would change them: call eval()"
                    )
        scale = math.fsum(float(one.double().pow(2).sum()) for one in self.parts)
        if not scale > 0:
            raise ValueError(f"gradient must have an entry that is not 0, got {len(self.parts)} arrays of zeros")
        object.__setattr__(self, "scale", scale)

    @property
    def parts(self) -> list[Tensor]:
        """All arrays of the gradient, the trunk's first."""
        return [*self.gradient.values(), *self.head_gradient.values()]

    @property
    def device(self) -> torch.device:
        """Where the gradient lies."""
        return self.parts[0].device

    def of(self, records: Float[Tensor, "b ..."], second: Tensor, *, graph: bool = False) -> list[Tensor]:
        """Gradient that a guess gives, in the order of `parts`.

        Args:
            records: guessed records.
            second: classes `[b]`, or probabilities of all classes `[b c]`; without a head, the gradient of the loss by
                the features `[b d]`.
            graph: keep the graph, so that the gradient can itself be differentiated.
        """
        own = {name: _leaf(self.trunk.get_parameter(name)) for name in self.gradient}
        features = functional_call(self.trunk, own, (records,))
        if self.head is None:
            loss, last = (features * second).sum(), {}
        else:
            last = {name: _leaf(self.head.get_parameter(name)) for name in self.head_gradient}
            loss = nn.functional.cross_entropy(functional_call(self.head, last, (features,)), second)
        return list(torch.autograd.grad(loss, [*own.values(), *last.values()], create_graph=graph))

    def mean_prediction(self, rng: np.random.Generator, count: int) -> Float[Tensor, " c"]:
        """Mean probabilities that the model gives noise: uniform in the box, or normal without one.

        Args:
            rng: generator of the noise, drawn on the CPU.
            count: records of noise.

        Raises:
            ValueError: there is no head.
        """
        if self.head is None:
            raise ValueError("predictions need a head, got none")
        shape = (count, *self.shape)
        drawn = rng.standard_normal(shape) if self.box is None else rng.uniform(*self.box, shape)
        with torch.no_grad():
            noise = torch.from_numpy(drawn.astype(np.float32)).to(self.device)
            found: Tensor = self.head(self.trunk(noise)).softmax(1).mean(0)
        return found

    def distance(self, made: list[Tensor]) -> Float[Tensor, ""]:
        """Squared distance of a gradient to the one that was seen, as a share of that one's squared length."""
        apart = [(a - b).pow(2).sum() for a, b in zip(made, self.parts, strict=True)]
        return torch.stack(apart).sum() / self.scale

    def angle(self, made: list[Tensor]) -> Float[Tensor, ""]:
        """One minus the cosine between a gradient and the one that was seen."""
        inner = torch.stack([(a * b).sum() for a, b in zip(made, self.parts, strict=True)]).sum()
        length = torch.stack([a.pow(2).sum() for a in made]).sum().clamp_min(1e-30).sqrt()
        return 1 - inner / (length * math.sqrt(self.scale))


@dataclass(frozen=True)
class Inverted:
    """What an attack made of a gradient.

    Attributes:
        records: in no order that means anything.
        labels: the class that goes with each; -1 where the attack has none.
        distance: of the gradient that they give, by which the attempt was chosen.
        attempts: distances of all attempts.
    """

    records: Float[Tensor, "b ..."]
    labels: Int[Tensor, " b"]
    distance: float
    attempts: tuple[float, ...]


def holding(module: nn.Module, parameters: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a module with other numbers in it, such as those of a message.

    Args:
        module: the module.
        parameters: by name; those that are not there stay.

    Raises:
        ValueError: the module has no such parameter, or one of another shape.
    """
    _fits("parameters", module, parameters)
    found = copy.deepcopy(module)
    with torch.no_grad():
        for name, values in parameters.items():
            found.get_parameter(name).copy_(values)
    return found


def _leaf(parameter: Tensor) -> Tensor:
    """The numbers of a parameter, to be differentiated by."""
    return parameter.detach().clone().requires_grad_(True)


def _fits(place: str, module: nn.Module | None, found: Mapping[str, Tensor]) -> None:
    """Refuses names and shapes that a module does not have, and what is not finite."""
    known = {} if module is None else dict(module.named_parameters())
    for name, values in found.items():
        if name not in known:
            raise ValueError(f"{place} must be by parameters of its module, got {name!r}: use {', '.join(known)}")
        if values.shape != known[name].shape:
            raise ValueError(f"{place}: {name} must have shape {tuple(known[name].shape)}, got {tuple(values.shape)}")
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"{place}: {name} must be finite, got NaN or infinite values")
