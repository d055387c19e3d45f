"""Losses of adversaries who have more than the model: students of it, or the weights that it was finetuned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.inversion.attacks.reading import Aim, aim_of, held, of_logits
from dosimeter.families.inversion.game import BATCH, Checkpoint, InversionGame
from dosimeter.foundation.errors import AccessError, AuditError
from dosimeter.training.deployment.network import Opened

TINY = 1e-6
"""Least spread of a feature that counts, as a share of the largest, so that none is divided by zero."""


@dataclass(frozen=True)
class Changed(Opened):
    """A network whose last layer reads what finetuning changed in the features, in place of the features.

    Attributes:
        origin: the network that it was finetuned from.
    """

    origin: Opened

    def answer(self, x: Float[Tensor, "b ..."]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b c"]]:
        """Features of the finetuned network, and its last layer's logits of their change; gradients flow.

        Args:
            x: records, as the model takes them.
        """
        features, _ = super().answer(x)
        before, _ = self.origin.answer(x)
        return features, nn.functional.linear(features - before, self.head.weight.float())


def helped_aim(
    game: InversionGame, aim: Aim, wanted: Int[Tensor, " b"], checkpoint: Checkpoint = "none", weight: float = 0.0
) -> Callable[[Tensor], Float[Tensor, " b"]]:
    """What is made small: one number for each record, from which gradients flow.

    It is the model's loss as `aim_of` gives it, or the mean of it and its students' losses: model augmentation, Nguyen
    et al., CVPR 2023, https://arxiv.org/abs/2304.01669, section 4.2. With checkpoint "change" the model's logits are
    those of the change of its features. With "usual" `weight` times the oddity of the features in the network that it
    was finetuned from is added: the mean squared distance from their mean over the public records, in standard
    deviations. Both are of this project.

    Args:
        game: the game.
        aim: what is made small.
        wanted: the output that each record is for.
        checkpoint: what is made of the weights that the model was finetuned from.
        weight: of the oddity.
    """
    if checkpoint == "change":
        model = held(game)
        game = replace(game, opened=Changed(model.model, model.head, _origin(game)))
    own, odd = aim_of(game, aim, wanted), _oddity(game) if checkpoint == "usual" else None

    def loss(x: Tensor) -> Tensor:
        found = own(x)
        if game.students:
            taught = [of_logits(aim, one(x), wanted) for one in game.students]
            found = torch.stack([found, *taught]).mean(0)
        return found if odd is None else found + weight * odd(x)

    return loss


def _oddity(game: InversionGame) -> Callable[[Tensor], Float[Tensor, " b"]]:
    """How unlike public records some are, to the network that the model was finetuned from.

    Raises:
        AuditError: all public records are the same to it.
    """
    origin = _origin(game)
    with torch.inference_mode():
        public = torch.cat([origin.answer(batch)[0] for batch in torch.split(game.public, BATCH)])
    mean, spread = public.mean(0).clone(), public.std(0, correction=0).clone()
    live = spread > TINY * spread.max()
    if not live.any():
        raise AuditError(
            "checkpoint = 'usual' needs features that differ between public records, got the same of all in the "
            "network that the model was finetuned from: use checkpoint = 'none'"
        )

    def odd(x: Tensor) -> Tensor:
        away = (origin.answer(x)[0] - mean)[:, live] / spread[live]
        return (away**2).mean(1)

    return odd


def _origin(game: InversionGame) -> Opened:
    """The network that the model was finetuned from.

    Raises:
        AccessError: the game has none.
    """
    if game.origin is None:
        raise AccessError(
            "needs the weights that the model was finetuned from, and the game has none: use checkpoint = 'none'"
        )
    return game.origin
