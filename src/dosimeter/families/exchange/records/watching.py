"""What an adversary saw of some steps, as attacks on records read it: the gradient of a mean loss, and the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dosimeter.families.exchange.attacks.drawing import Drawn
from dosimeter.families.exchange.attacks.simulating import observed_of
from dosimeter.families.exchange.attacks.standing import Stand
from dosimeter.families.exchange.game import ExchangeGame
from dosimeter.families.exchange.inverting.observed import Observed, holding
from dosimeter.families.exchange.records.game import RecordsGame, Shown
from dosimeter.families.exchange.threat import Channel
from dosimeter.foundation.errors import AccessError
from dosimeter.training.joint.transcript import COORDINATOR, Agreement, Transcript

Heads = Mapping[int, tuple[nn.Linear, Mapping[str, Tensor]]]
"""The victim's last layer at a step, and the gradient of it."""


def watched(
    game: ExchangeGame, steps: Sequence[int], channel: Channel | None, classes: int,
    box: tuple[float, float] | None, heads: Heads,
) -> RecordsGame:  # fmt: skip
    """The batches of some steps as the adversary saw them.

    Args:
        game: the joint training.
        steps: numbers of the steps.
        channel: what is read; of None nothing.
        classes: number of classes.
        box: least and largest number of a record, if they are known.
        heads: the victim's last layer at each of these steps; empty where it is private.

    Raises:
        AccessError: nothing of a step was seen.
    """
    agreement, others = game.seen.agreement, 1 + further_parties(game)
    trunks = [holding(game.model.trunk(), one).eval() for one in trunks_of(game, steps)]
    size, shape = game.batch * agreement.local_steps * others, tuple(game.auxiliary.inputs.shape[1:])
    seen: list[Observed | None] = [None] * len(steps)
    shown: tuple[Shown, ...] = ()
    if channel == "representations":
        shown = _shown(nearby(game, steps), steps, box)
    elif channel is not None:
        near = nearby(game, steps)
        told = observed_of(near, channel, Stand(near, [], np.random.default_rng(0)))  # nothing is drawn without heads
        if any(step not in told for step in steps):
            raise AccessError(f"channel {channel!r}: of some steps nothing was seen: leave the attack out")
        for place, (step, trunk) in enumerate(zip(steps, trunks, strict=True)):
            mean = _mean_gradient(told[step], dict(trunk.named_parameters()), agreement, step, others)
            head, last = heads.get(step, (None, {}))
            if any(bool(one.any()) for one in (*mean.values(), *last.values())):
                seen[place] = Observed(trunk, head, mean, last, size, shape, classes, box)
    ids = np.array([f"{step:06d}" for step in steps])
    return RecordsGame(ids, tuple(seen), tuple(trunks), size, game.auxiliary, shown)


def _shown(game: ExchangeGame, steps: Sequence[int], box: tuple[float, float] | None) -> tuple[Shown, ...]:
    """What the source showed at some steps, and what it would have shown of the adversary's own records.

    Raises:
        AccessError: nothing of a step was seen.
    """
    own, rng = game.auxiliary, np.random.default_rng(0)  # it seeds defenses that stand for the victim's
    stand = Stand(game, [game.model.head(0)], rng)
    told = observed_of(game, "representations", stand)
    if any("features" not in told.get(step, {}) for step in steps):
        raise AccessError("channel 'representations': of some steps no rows were seen: leave the attack out")
    whole = Drawn(own.inputs[None], own.labels[None], np.zeros(1, np.int64))
    return tuple(
        Shown(told[step]["features"], stand.said(step, "representations", whole)["features"][0], box) for step in steps
    )


def nearby(game: ExchangeGame, steps: Sequence[int]) -> ExchangeGame:
    """The game with the messages alone from which the gradients of some steps follow: of them and of their neighbours.

    Behind a secure sum all stay, since the adversary's own part follows from its whole training.
    """
    if game.seen.agreement.sum_bits is not None:
        return game
    needed = {0, *(step + beside for step in steps for beside in (-1, 0, 1))}
    kept = tuple(one for one in game.seen.messages if one.step in needed)
    return replace(game, seen=Transcript(game.seen.agreement, kept))


def trunks_of(game: ExchangeGame, steps: Sequence[int]) -> list[Mapping[str, Tensor]]:
    """The parameters of the trunk with which the victim made its message of each step."""
    soft = game.seen.agreement.method == "soft"
    found = game.seen.of("parameters" if soft else "trunk", game.victim if soft else COORDINATOR)
    return [found[step] for step in steps]


def further_parties(game: ExchangeGame) -> int:
    """Further parties whose part is in the sum that is seen."""
    parties = len(game.seen.agreement.parties)
    if game.adversary == COORDINATOR:
        return 0 if game.seen.agreement.sum_bits is None else parties - 1
    return parties - 2


def _mean_gradient(
    told: Mapping[str, Tensor], trunk: Mapping[str, Tensor], agreement: Agreement, step: int, others: int
) -> dict[str, Tensor]:
    """The gradient of the mean loss over all records of the message.

    An update of several local steps is read as if all had been made at the first trunk: exact for one, and else what
    somebody would do who does not undo them. With momentum the first gradients count more often.
    """
    if agreement.method != "fedavg":
        return {name: one / others for name, one in told.items()}
    weight = sum(
        sum(agreement.momentum**power for power in range(agreement.local_steps - one))
        for one in range(agreement.local_steps)
    )
    with torch.no_grad():
        return {
            name: -one / (others * agreement.rates[step] * weight) - agreement.weight_decay * trunk[name]
            for name, one in told.items()
        }
