"""Which attacks cannot run, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import torch

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.case.people import Partners, Watched
from dosimeter.families.exchange.threat import Channel
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.training.joint.guarding import Guard
from dosimeter.training.joint.methods import SHOWING
from dosimeter.training.recipe import Hyperparameters

WORDS = {
    "gradient": "gradients of the trunk",
    "update": "updates of the trunk",
    "representations": "representations",
    "moments": "representations",
    "alignment_gradient": "a gradient of an alignment",
}
"""What each channel reads, in words."""


def refusals(
    attacks: Sequence[NamedAttack], partners: Partners | Watched, method: str, recipe: Hyperparameters
) -> Mapping[str, str]:  # fmt: skip
    """Why each attack cannot run, by id; attacks that can are left out.

    Args:
        attacks: to run.
        partners: who trains together.
        method: how.
        recipe: with its defenses.
    """
    found = {row.id: _refusal(row.attack.needs.channel or "", partners, method, recipe) for row in attacks}
    return {name: reason for name, reason in found.items() if reason}


def readable(partners: Partners, method: str, recipe: Hyperparameters) -> tuple[Channel, ...]:
    """Channels in which something of the victim can be read; arguments as of `refusals`."""
    return tuple(one for one in get_args(Channel) if not _refusal(one, partners, method, recipe))


def _refusal(channel: str, partners: Partners | Watched, method: str, recipe: Hyperparameters) -> str:
    """Why what is read in a channel cannot be; empty if it can, or if nothing is read."""
    if channel in ("", "trunk"):  # every party holds the shared layers
        return ""
    word, pair = WORDS[channel], [partners.victim, partners.adversary]
    if not crosses(channel, method):
        return f"needs {word}, which transfer {method!r} does not send: leave the attack out"
    if method == "dsn" and channel not in ("representations", "moments"):
        return (
            f"needs the private encoders of 'dsn', which shape {word} and never cross: read 'representations' or "
            "'moments', or leave the attack out"
        )
    if method == "dann" and pair != partners.order:
        receiver = partners.order[1]
        return (
            f"needs the discriminator of 'dann', which {receiver!r} alone has, but {pair[1]!r} watches {pair[0]!r}: "
            f"let {receiver!r} watch, or leave the attack out"
        )
    if channel in ("gradient", "update"):
        return ""
    sender, reader = (1, 0) if channel == "alignment_gradient" else (0, 1)
    if pair != [partners.order[sender], partners.order[reader]]:
        return (
            f"needs {word}, which {partners.order[sender]!r} sends to {partners.order[reader]!r} alone, but "
            f"{pair[1]!r} watches {pair[0]!r}: leave the attack out"
        )
    if channel == "representations" and not _shows_rows(recipe):
        return "needs rows of representations, of which a defense tells moments alone: use channel 'moments'"
    return ""


def _shows_rows(recipe: Hyperparameters) -> bool:
    """Returns whether rows of representations cross behind the defenses, by asking them for a made-up batch."""
    try:
        return "features" in Guard(recipe, 0).protect("representations", 0, {"features": torch.ones(2, 3)})
    except TrainingError:  # a defense for features of one width; where it is wrong, the training says so
        return True


def crosses(channel: str, method: str) -> bool:
    """Returns whether messages of a method tell what a channel reads; of "soft" parameters give gradients away."""
    if channel == "update":
        return method == "fedavg"
    return method != "fedavg" if channel == "gradient" else method in SHOWING


def named_or_able(attacks: Sequence[NamedAttack], refused: Mapping[str, str]) -> tuple[NamedAttack, ...]:
    """Attacks without defaults that cannot run: what somebody named stays, and is said not to run.

    Args:
        attacks: of a threat.
        refused: why some cannot run, whatever the defenses are, by id.
    """
    return tuple(row for row in attacks if not (row.default and row.id in refused))


def require_telling(attacks: Sequence[NamedAttack], refused: Mapping[str, str]) -> None:
    """Refuses a case of which no attack on messages can run.

    Raises:
        ConfigError: why none can.
    """
    telling = [row for row in attacks if row.attack.needs.channel is not None]
    if all(row.id in refused for row in telling):
        told = "; ".join(f"{row.id}: {refused[row.id]}" for row in telling)
        raise ConfigError(f"threat.family: exchange needs an attack that can run, got {told}")
