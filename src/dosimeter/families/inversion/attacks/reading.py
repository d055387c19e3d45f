"""What the attacks have in common: what they aim at, and the order in which they hand over what they found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.inversion.game import BATCH, InversionGame
from dosimeter.foundation.errors import AccessError
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.deployment.network import Opened

Aim = Literal["ce", "logit", "poincare", "margin"]
"""What is made small: the cross-entropy of the class, minus its logit beside the distance of features from usual ones,
the Poincaré distance to the class, or how much the best other class is ahead."""
SHORT = 1e-4
"""By which the Poincaré loss keeps its goal inside the ball."""
TINY = 1e-6
"""Least distance from the border of the ball, so that none is divided by zero."""
KEPT = 5
"""Most reconstructions of one identity that an attack hands over."""


def held(game: InversionGame) -> Opened:
    """The model of a game, for an attack that follows its gradients.

    Raises:
        AccessError: the weights are not granted.
    """
    if game.opened is None:
        raise AccessError("needs the model's weights, and the game has none: grant access = 'weights'")
    return game.opened


def each(game: InversionGame, restarts: int) -> Int[Tensor, " b"]:
    """The output of each start, identity by identity `[n * restarts]`."""
    return torch.from_numpy(np.repeat(game.classes, restarts)).to(game.device)


def aim_of(game: InversionGame, aim: Aim, wanted: Int[Tensor, " b"]) -> Callable[[Tensor], Float[Tensor, " b"]]:
    """What is made small: one number for each record, from which gradients flow.

    Args:
        game: the game.
        aim: "ce" is `-log p_y`; "logit" is `-f_y + mean (h - h_public)^2`, the logit loss of Nguyen et al. (2023), with
            the mean features `h` of the public records; "poincare" and "margin" as in the functions of these names.
        wanted: the output that each record is for.
    """
    model = held(game)
    if aim != "logit":
        return lambda x: of_logits(aim, model.answer(x)[1], wanted)
    with torch.inference_mode():
        parts = [model.answer(batch)[0].sum(0) for batch in torch.split(game.public, BATCH)]
    usual = (torch.stack(parts).sum(0) / len(game.public)).clone()

    def loss(x: Tensor) -> Tensor:
        features, logits = model.answer(x)
        return ((features - usual) ** 2).mean(1) + of_logits(aim, logits, wanted)

    return loss


def of_logits(aim: Aim, logits: Float[Tensor, "b c"], wanted: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """What is made small, as far as it depends on logits alone: of "logit" minus the logit of the class.

    Args:
        aim: what is made small.
        logits: of records.
        wanted: the output that each is for.
    """
    if aim == "poincare":
        return poincare(logits, wanted)
    if aim == "margin":
        return margin(logits, wanted)
    own = logits if aim == "logit" else logits.log_softmax(1)
    return -own.gather(1, wanted[:, None])[:, 0]


def poincare(logits: Float[Tensor, "b c"], wanted: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Distance in the Poincaré ball from logits, divided by the sum of their absolute values, to the wanted class.

    Struppek et al., "Plug & Play Attacks", ICML 2022, https://arxiv.org/abs/2201.12179, equation 4. Its slope does not
    vanish where the model is sure.

    Args:
        logits: of records.
        wanted: the output that each is for.
    """
    u = logits / logits.abs().sum(1, keepdim=True).clamp_min(TINY)
    v = nn.functional.one_hot(wanted, logits.shape[1]).float().sub(SHORT).clamp_min(0)
    inside = (1 - (u**2).sum(1)).clamp_min(TINY) * (1 - (v**2).sum(1))
    return torch.acosh(1 + 2 * ((u - v) ** 2).sum(1) / inside)


def margin(logits: Float[Tensor, "b c"], wanted: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """By how much the largest other logit is above that of the wanted class; negative where it is below.

    Yuan et al., "Pseudo Label-Guided Model Inversion Attack", AAAI 2023, https://arxiv.org/abs/2302.09814, equation 4.

    Args:
        logits: of records.
        wanted: the output that each is for.
    """
    own = nn.functional.one_hot(wanted, logits.shape[1]).bool()
    return logits.masked_fill(own, -torch.inf).amax(1) - logits[own]


def handed_over(game: InversionGame, records: Float[Tensor, "n r ..."], trust: Float[Tensor, "n r"]) -> Reconstructions:
    """The evidence: of each identity up to `KEPT` records, the one that the adversary trusts most first.

    Args:
        game: the game.
        records: of each identity and restart.
        trust: how much the adversary trusts each, by what they know themselves.
    """
    order = trust.argsort(dim=1, descending=True, stable=True)[:, :KEPT].to(records.device)
    index = order.reshape(*order.shape, *[1] * (records.ndim - 2)).expand(-1, -1, *records.shape[2:])
    return Reconstructions(game.ids, records.gather(1, index).cpu().float().numpy()[None])


def own_confidence(game: InversionGame, records: Float[Tensor, "n r ..."]) -> Float[Tensor, "n r"]:
    """Log-probability that the model itself gives each record's class.

    Args:
        game: with access to probabilities.
        records: of each identity and restart.
    """
    n, restarts = records.shape[:2]
    found = game.asked.log_probs(records.flatten(0, 1))
    return found[torch.arange(n * restarts), each(game, restarts).cpu()].reshape(n, restarts)
