"""A first half in split training, and a server that leads it to features of its own by what it returns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.architectures import as_float
from dosimeter.models.learners import feature_critic, inert, inverse
from dosimeter.training.learners.drawing import Drawing
from dosimeter.training.learners.stepping import adam
from dosimeter.training.loop import Optimizer, StepNoise, augment_batch, gradients_of, seed_torch
from dosimeter.training.recipe import BlursCut, ChargesCut, Hyperparameters

BATCH = 64
"""Records of the server's own in a step."""
REHEARSED = 4
"""A rehearsal has one of so many steps."""
TINY = 1e-12
"""Added to a squared gradient, whose root has no slope at zero."""
MOMENTS = (0.5, 0.9)
"""Decay of the critic's mean gradient and of the mean squared one, of Gulrajani et al., algorithm 1."""


@runtime_checkable
class Trained(Protocol):
    """A first half whose owner trains it by what comes back over the cut; it hands out features and nothing else."""

    @property
    def recipe(self) -> Hyperparameters:
        """How it is trained, which both sides agree on."""
        ...

    def fresh(self, seed: int) -> nn.Module:
        """Another first half of the same form, as it is before any training; takes records, gives features."""
        ...

    def sends(self) -> Float[Tensor, "b ..."]:
        """Features of the next batch, as the first half is now; which records they are of is not told."""
        ...

    def returns(self, gradient: Float[Tensor, "b ..."]) -> None:
        """Takes what comes back for this batch in place of the gradient of a loss, and goes one step along it."""
        ...

    def features(self) -> Float[Tensor, "n ..."]:
        """Features of each record, in order, as the first half is now."""
        ...


class Client:
    """Implements `Trained` but `fresh`, for records that are here.

    Batches come as in any training: all records in a random order, again and again. Defenses of the training that
    charge for what crosses the cut add their gradient to the one that comes back, and those that add noise to steps add
    it. The rate is the recipe's highest.

    Args:
        network: from records to features; it is trained in place.
        inputs: the records, on the network's device.
        labels: their classes, for defenses that read them.
        recipe: optimiser, rate, batches and augmentation.
        seed: of the order, and of what defenses and augmentation draw.
    """

    def __init__(
        self, network: nn.Module, inputs: Tensor, labels: Int[Tensor, " n"], recipe: Hyperparameters, seed: int
    ) -> None:
        self.network, self.inputs, self.labels, self.recipe = network, inputs, labels, recipe
        self.optimizer = Optimizer([one for one in network.parameters() if one.requires_grad], recipe)
        self.noise = StepNoise(recipe, [seed])
        self.charging = [
            one for one in recipe.defenses if not isinstance(one, BlursCut) and isinstance(one, ChargesCut)
        ]
        self.augments = torch.Generator().manual_seed(seed_for(seed, "augmentation"))
        self.drawn = self._batches(seed)
        self.sent: tuple[Tensor, Tensor, Tensor] | None = None

    def _batches(self, seed: int) -> Iterator[Tensor]:
        """Rows of one batch after the other, without end."""
        rng = generator(seed, "order")
        while True:
            order = torch.from_numpy(rng.permutation(len(self.inputs))).to(self.inputs.device)
            yield from torch.split(order, self.recipe.batch_size)

    def sends(self) -> Float[Tensor, "b ..."]:
        """Implements `Trained`."""
        rows = next(self.drawn)
        batch = as_float(self.inputs[rows])
        batch = augment_batch(batch, self.recipe.augment, self.augments) if self.recipe.augment else batch
        made: Tensor = self.network(batch)
        self.sent = made, batch, self.labels[rows]
        return made.detach().clone()

    def returns(self, gradient: Float[Tensor, "b ..."]) -> None:
        """Implements `Trained`."""
        assert self.sent is not None, "features are sent first"
        (made, batch, labels), self.sent = self.sent, None
        if not made.requires_grad:  # nothing before the cut has weights
            return
        loss: Tensor = (made * gradient).sum()
        for one in self.charging:
            loss = loss + one.charge_cut(batch.flatten(1), made.flatten(1), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.noise.add(gradients_of(self.optimizer.parameters), self.recipe.lr)
        self.optimizer.update(self.recipe.lr)

    def features(self) -> Float[Tensor, "n ..."]:
        """Implements `Trained`."""
        with torch.no_grad():
            return torch.cat([self.network(as_float(some)) for some in torch.split(self.inputs, 256)])


@dataclass(frozen=True)
class Hijacking:
    """Settings of the server.

    Attributes:
        warm_up: steps of the pilot and its decoder.
        steps: gradients that are returned.
        lr: rate of Adam, of the pilot, the decoder and the critic.
        penalty: weight of the critic's gradient penalty.
        scales: by which of them the gradients are multiplied, to choose among.
    """

    warm_up: int
    steps: int
    lr: float
    penalty: float
    scales: tuple[float, ...]


def hijack(trained: Trained, known: tuple[Tensor, Int[Tensor, " p"]], settings: Hijacking, seed: int) -> nn.Module:
    """Leads a first half to the features of a pilot by the gradients that are returned, and gives the pilot's decoder.

    Pasquini, Ateniese, Bernaschi, "Unleashing the Tiger: Inference Attacks on Split Learning", CCS 2021,
    https://arxiv.org/abs/2012.02670, section 3.1, with the Wasserstein critic of the authors' code: the critic tells
    the pilot's features of the server's records from those that are sent, and what comes back is the gradient that
    makes them alike to it. The pilot and its decoder are trained before, and then stay as they are.

    Args:
        trained: the first half, which changes.
        known: records of the server's own, as fractions, and their classes.
        settings: of the server.
        seed: of all randomness.

    Returns:
        From features to records, in evaluation mode.

    Raises:
        TrainingError: what is sent is not finite.
    """
    inputs, labels = known
    pilot, decoder = _pilot(trained, inputs, settings, seed)
    with torch.no_grad():
        aim = torch.cat([pilot(some) for some in torch.split(inputs, 256)])
    scale = settings.scales[0]
    # Adam takes the scale out of a gradient, unless the device adds one of its own to it.
    charged = any(isinstance(one, ChargesCut) for one in trained.recipe.defenses)
    if len(settings.scales) > 1 and (charged or trained.recipe.optimizer == "sgd"):
        errors = []
        for one in settings.scales:
            double = Client(trained.fresh(seed_for(seed, "double")), inputs, labels, trained.recipe, seed)
            _steer(double, aim, settings, one, seed, settings.steps // REHEARSED)
            with torch.no_grad():
                made = torch.cat([decoder(some) for some in torch.split(double.features(), 256)])
            error = float(((made - inputs) ** 2).mean())
            errors.append(math.inf if math.isnan(error) else error)
        scale = settings.scales[errors.index(min(errors))]
    _steer(trained, aim, settings, scale, seed, settings.steps)
    if not bool(torch.isfinite(trained.features()).all()):
        raise TrainingError(
            f"a first half that is trained by returned gradients must send finite numbers, got others after "
            f"{settings.steps} steps: lower `scales`"
        )
    return decoder


def _pilot(trained: Trained, inputs: Tensor, settings: Hijacking, seed: int) -> tuple[nn.Module, nn.Module]:
    """A first half of the server's own, and a decoder that makes records of its features again; both at rest."""
    pilot = trained.fresh(seed_for(seed, "pilot"))
    with torch.no_grad():
        shape = tuple(pilot(inputs[:2]).shape[1:])
    with seed_torch(seed_for(seed, "pilot decoder")):
        span = (float(inputs.min()), float(inputs.max()))
        decoder = inverse(shape, tuple(inputs.shape[1:]), span).to(inputs.device)
    both = [one for one in (*pilot.parameters(), *decoder.parameters()) if one.requires_grad]
    optimiser, draw = adam(both, settings.lr), Drawing(generator(seed, "pilot draws"), inputs.device)
    for step in range(settings.warm_up):
        if step == max(1, 2 * settings.warm_up // 3):
            for group in optimiser.param_groups:
                group["lr"] = settings.lr / 10
        some = inputs[draw.rows(len(inputs), BATCH)]
        loss = ((decoder(pilot(some)) - some) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return inert(pilot), inert(decoder)


def _steer(
    trained: Trained | Client, aim: Float[Tensor, "p ..."], settings: Hijacking, scale: float, seed: int, steps: int
) -> None:
    """Returns gradients that lead what is sent to look like `aim`."""
    shift, size = aim.mean(0), aim.std().clamp_min(1e-6)
    with seed_torch(seed_for(seed, "critic")):
        judge = feature_critic(tuple(aim.shape[1:])).to(aim.device)
    judges = torch.optim.Adam(judge.parameters(), settings.lr, betas=MOMENTS)
    draw = Drawing(generator(seed, "critic draws"), aim.device)
    for _ in range(steps):
        sent = trained.sends()
        if not bool(torch.isfinite(sent).all()):
            return
        own, other = ((one - shift) / size for one in (sent, aim[draw.rows(len(aim), len(sent))]))
        loss = judge(own).mean() - judge(other).mean() + settings.penalty * _slope(judge, own, other, draw)
        judges.zero_grad()
        loss.backward()
        judges.step()
        own.requires_grad_(True)
        (back,) = torch.autograd.grad(-judge(own).mean(), own)
        trained.returns(scale * back / size)


def _slope(judge: nn.Module, own: Tensor, other: Tensor, draw: Drawing) -> Float[Tensor, ""]:
    """The gradient penalty of Gulrajani et al., NeurIPS 2017, https://arxiv.org/abs/1704.00028, equation 3."""
    part = draw.uniform(len(own)).reshape(-1, *[1] * (own.ndim - 1))
    mixed = (part * own + (1 - part) * other).requires_grad_(True)
    (slope,) = torch.autograd.grad(judge(mixed).sum(), mixed, create_graph=True)
    found: Tensor = (((slope**2).flatten(1).sum(1) + TINY).sqrt() - 1) ** 2
    return found.mean()
