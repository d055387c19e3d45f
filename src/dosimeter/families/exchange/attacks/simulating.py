"""What the adversary would have seen of batches of their own, and what they saw, as numbers for a classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from dosimeter.families.exchange.attacks.drawing import Drawn, any_batches, drawn
from dosimeter.families.exchange.attacks.features import of_entries, of_inputs, of_moments, of_set
from dosimeter.families.exchange.game import ExchangeGame
from dosimeter.families.exchange.threat import Channel
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AccessError
from dosimeter.training.joint.aligning import DISTANCES
from dosimeter.training.joint.alignment import Distance
from dosimeter.training.joint.gradients import batch_gradients, others_gradient
from dosimeter.training.joint.transcript import COORDINATOR, Kind

Gradients = Mapping[str, Float[Tensor, "k ..."]]
READINGS: Mapping[str, Callable[[Gradients], Tensor]] = {"inputs": of_inputs, "entries": of_entries}
"""Ways to read a gradient."""
AGGREGATES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "representations": of_set, "moments": of_moments, "alignment_gradient": of_set,
}  # fmt: skip


@dataclass(frozen=True)
class Simulated:
    """Features of simulated batches and of what was observed.

    Attributes:
        features: `[k d]`.
        sides: of simulated batches, 1 for the first side of the mixture `[k]`.
        observed: of each step that was seen `[m d]`.
        steps: these steps, positions among the game's `[m]`.
    """

    features: Float[Array, "k d"]
    sides: Int[Array, " k"]
    observed: Float[Array, "m d"]
    steps: Int[Array, " m"]


def observed_of(game: ExchangeGame, channel: Channel) -> dict[int, Mapping[str, Tensor]]:
    """What the adversary saw of the victim in a channel, by step."""
    if channel == "gradient":
        if game.adversary == COORDINATOR:
            return game.seen.of("gradient", game.victim)
        return dict(others_gradient(game.seen, game.adversary))
    kind: Kind = "alignment_gradient" if channel == "alignment_gradient" else "representations"
    return game.seen.of(kind, game.victim)


def simulated(
    game: ExchangeGame, channel: Channel, *, per_side: int, heads: int, rng: np.random.Generator,
    reading: str = "inputs",
) -> Simulated:  # fmt: skip
    """Simulates each step that was seen, with the trunk of that step.

    Args:
        game: one joint training.
        channel: what is read.
        per_side: simulated batches of each side, for each step and head.
        heads: heads of the adversary's own that stand for the victim's, of the channel "gradient".
        rng: generator of batches and heads.
        reading: how gradients are read, one of `READINGS`.

    Raises:
        AccessError: nothing was seen in the channel.
    """
    seen, trunks = observed_of(game, channel), game.seen.of("trunk", COORDINATOR)
    if not seen:
        raise AccessError(f"channel {channel!r}: nothing of the victim was seen in it: leave the attack out")
    stand = Stand(game, game.model.trunk(), [game.model.head(int(rng.integers(2**31))) for _ in range(heads)])
    features, sides, observed = [], [], []
    for step in sorted(seen):
        if channel == "gradient":
            for own, batches in stand.gradients(step, trunks[step], per_side, rng):
                features.append(READINGS[reading](own))
                sides.append(batches.sides)
            observed.append(READINGS[reading]({name: one[None] for name, one in seen[step].items()}))
            continue
        batches = drawn(game, per_side * heads, rng)
        rows = stand.represent(trunks[step], batches.inputs)
        if channel == "alignment_gradient":
            rows = stand.returned(step, trunks[step], rows)
        features.append(AGGREGATES[channel](rows))
        sides.append(batches.sides)
        observed.append(AGGREGATES[channel](seen[step]["features"][None]))
    return Simulated(
        torch.cat(features).double().numpy(), np.concatenate(sides), torch.cat(observed).double().numpy(),
        np.array(sorted(seen)),
    )  # fmt: skip


@dataclass(frozen=True)
class Stand:
    """The adversary in the victim's place.

    Attributes:
        game: one joint training.
        trunk: the shared blocks.
        heads: last layers that stand for the victim's, which no message holds; they learn with the trunk.
    """

    game: ExchangeGame
    trunk: nn.Module
    heads: list[nn.Linear]

    @cached_property
    def distance(self) -> Callable[[Tensor, Tensor], Distance] | None:
        """The distance by which features are aligned; None of a method without one."""
        return DISTANCES.get(self.game.seen.agreement.method)

    @cached_property
    def source(self) -> bool:
        """Returns whether the victim is the party whose labels are used, where features are aligned."""
        return self.game.victim == self.game.seen.agreement.parties[0]

    @torch.no_grad()
    def represent(self, parameters: Mapping[str, Tensor], batches: Tensor) -> Float[Tensor, "k b d"]:
        """Features of batches under the trunk of a step."""
        flat = batches.flatten(0, 1)
        found: Tensor = functional_call(self.trunk, dict(parameters), (flat,))
        return found.flatten(1).reshape(*batches.shape[:2], -1)

    def returned(
        self, step: int, parameters: Mapping[str, Tensor], rows: Float[Tensor, "k b d"]
    ) -> Float[Tensor, "k b d"]:  # fmt: skip
        """Gradients of the alignment that the receiver would send back to the adversary, the source."""
        assert self.distance is not None
        assert self.game.own is not None
        (own,) = self.represent(parameters, self.game.own.inputs[step][None])
        return torch.stack([self.game.alignment * self.distance(own, one).source for one in rows])

    def gradients(
        self, step: int, parameters: Mapping[str, Tensor], per_side: int, rng: np.random.Generator
    ) -> Iterator[tuple[Gradients, Drawn]]:
        """Gradients of the trunk for batches of both sides, for each head; then the heads learn one step."""
        rate = self.game.seen.agreement.rates[step]
        for head in self.heads:
            batches = drawn(self.game, per_side, rng)
            if self.distance is None:
                found: Gradients = dict(batch_gradients(self.trunk, head, parameters, batches.inputs, batches.labels))
                for _ in range(self._others):
                    more = any_batches(self.game, len(batches.sides), rng)
                    added = batch_gradients(self.trunk, head, parameters, more.inputs, more.labels)
                    found = {name: one + added[name] for name, one in found.items()}
            else:
                found = self.aligned(step, parameters, head, batches, rng)
            yield found, batches
            self._teach(head, parameters, rate, rng)

    @property
    def _others(self) -> int:
        """Further parties whose gradients are summed with the victim's, where a party watches."""
        if self.game.adversary == COORDINATOR:
            return 0
        return len(self.game.seen.agreement.parties) - 2

    def aligned(
        self, step: int, parameters: Mapping[str, Tensor], head: nn.Linear, batches: Drawn, rng: np.random.Generator
    ) -> Gradients:
        """Gradients of a victim whose features are aligned with those of the adversary, or of somebody."""
        assert self.distance is not None
        others = any_batches(self.game, 1, rng).inputs[0] if self.game.own is None else self.game.own.inputs[step]
        (across,) = self.represent(parameters, others[None])
        found: dict[str, list[Tensor]] = {name: [] for name in parameters}
        for inputs, labels in zip(batches.inputs, batches.labels, strict=True):
            free = {name: one.detach().requires_grad_() for name, one in parameters.items()}
            rows = functional_call(self.trunk, free, (inputs,)).flatten(1)
            loss = nn.functional.cross_entropy(head(rows), labels) if self.source else rows.new_zeros(())
            pair = (rows.detach(), across) if self.source else (across, rows.detach())
            apart = self.distance(*pair)
            pull = self.game.alignment * (apart.source if self.source else apart.receiver)
            grads = torch.autograd.grad(loss + (rows * pull).sum(), list(free.values()), allow_unused=True)
            for (name, one), own in zip(free.items(), grads, strict=True):
                found[name].append(torch.zeros_like(one) if own is None else own)
        return {name: torch.stack(own) for name, own in found.items()}

    def _teach(
        self, head: nn.Linear, parameters: Mapping[str, Tensor], rate: float, rng: np.random.Generator
    ) -> None:  # fmt: skip
        """Moves a head as the victim moves theirs: one step on a batch of the adversary's own records."""
        batch = any_batches(self.game, 1, rng)
        (rows,) = self.represent(parameters, batch.inputs)
        loss = nn.functional.cross_entropy(head(rows), batch.labels[0])
        grads = torch.autograd.grad(loss, list(head.parameters()))
        with torch.no_grad():
            for one, own in zip(head.parameters(), grads, strict=True):
                one.sub_(own, alpha=rate / (1 - self.game.seen.agreement.momentum))
