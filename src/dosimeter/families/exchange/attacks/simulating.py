"""What the adversary would have seen of batches of their own, and what they saw, as numbers for a classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.families.exchange.attacks.drawing import drawn
from dosimeter.families.exchange.attacks.features import (
    of_both,
    of_entries,
    of_inputs,
    of_moments,
    of_set,
    of_told_moments,
)
from dosimeter.families.exchange.attacks.standing import Stand
from dosimeter.families.exchange.game import ExchangeGame
from dosimeter.families.exchange.threat import Channel
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AccessError
from dosimeter.training.joint.gradients import others_gradient, others_update
from dosimeter.training.joint.transcript import ALL, COORDINATOR, Transcript
from dosimeter.training.recipe import GuardsMessages, Hyperparameters

Gradients = Mapping[str, Float[Tensor, "k ..."]]
READINGS: Mapping[str, Callable[[Gradients], Tensor]] = {"inputs": of_inputs, "entries": of_entries, "both": of_both}
"""Ways to read a gradient, or an update."""
SETS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "representations": of_set, "moments": of_moments, "alignment_gradient": of_set,
}  # fmt: skip
"""Ways to read a number of rows in no order."""
PARTS = ("gradient", "update")
"""Channels of what moves the trunk."""


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


def observed_of(game: ExchangeGame, channel: Channel, stand: Stand) -> dict[int, Mapping[str, Tensor]]:
    """What the adversary saw in a channel, by step: the victim's part, or with other parties a sum that holds it.

    Args:
        game: one joint training.
        channel: what is read.
        stand: knows what the adversary's own party gave, which a secure sum does not show.
    """
    return observed_in(game.seen, channel, (game.victim, game.adversary), stand.own_parts)


def observed_in(
    seen: Transcript, channel: Channel, who: tuple[str, str], own_parts: Callable[[], dict[int, dict[str, Tensor]]]
) -> dict[int, Mapping[str, Tensor]]:  # fmt: skip
    """What the adversary saw in a channel, by step; as `observed_of`, which gives its game.

    Args:
        seen: the adversary's part of the messages.
        channel: what is read.
        who: the victim, then the adversary.
        own_parts: what the adversary's own party gave at each step; asked for where a secure sum does not show it.
    """
    (victim, adversary), hidden = who, seen.agreement.sum_bits is not None
    if channel not in PARTS:
        return seen.of("alignment_gradient" if channel == "alignment_gradient" else "representations", victim)
    if channel != ("update" if seen.agreement.method == "fedavg" else "gradient"):
        return {}
    if adversary == COORDINATOR:
        return seen.of("sum", ALL) if hidden else seen.of("update" if channel == "update" else "gradient", victim)
    worked_out = others_update if channel == "update" else others_gradient
    return dict(worked_out(seen, adversary, own_parts() if hidden else None))


def simulated(
    game: ExchangeGame, channel: Channel, *, per_side: int, heads: int, rng: np.random.Generator,
    reading: str = "inputs",
) -> Simulated:  # fmt: skip
    """Simulates each step that was seen, with the trunk of that step and behind the agreed defenses.

    Args:
        game: one joint training.
        channel: what is read.
        per_side: simulated batches of each side, for each step and head.
        heads: heads of the adversary's own that stand for the victim's.
        rng: generator of batches, heads, and the randomness of simulated defenses.
        reading: how gradients and updates are read, one of `READINGS`.

    Raises:
        AccessError: nothing was seen in the channel.
    """
    stand = Stand(game, [game.model.head(int(rng.integers(2**31))) for _ in range(heads)], rng)
    seen = observed_of(game, channel, stand)
    if not seen:
        raise AccessError(f"channel {channel!r}: nothing of the victim was seen in it: leave the attack out")
    features, sides, observed = [], [], []
    for step in range(len(game.ids)):
        if step in seen:
            for which in range(heads):
                batches = drawn(game, per_side, rng)
                features.append(read(channel, stand.said(step, channel, batches, which), reading))
                sides.append(batches.sides)
            observed.append(read(channel, {name: one[None] for name, one in seen[step].items()}, reading))
        stand.advance(step)
    return Simulated(
        torch.cat(features).double().numpy(), np.concatenate(sides), torch.cat(observed).double().numpy(),
        np.array([step for step in range(len(game.ids)) if step in seen]),
    )  # fmt: skip


def fitting(recipe: Hyperparameters) -> str:
    """The reading of gradients for a recipe: "inputs", or "both" where a defense leaves out some of their numbers."""
    return "both" if any(isinstance(one, GuardsMessages) for one in recipe.defenses) else "inputs"


def read(channel: Channel, told: Gradients, reading: str) -> Float[Tensor, "k d"]:
    """Numbers for a classifier, of messages of one kind."""
    if channel in PARTS:
        return READINGS[reading](told)
    if "features" in told:
        return SETS[channel](told["features"])
    if channel == "alignment_gradient":  # by moments, which have an order
        return torch.cat([one.flatten(1) for one in told.values()], 1)
    return of_told_moments(told)
