"""Which attacks cannot run, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.case.people import Partners
from dosimeter.foundation.errors import ConfigError
from dosimeter.training.joint.methods import ALIGNED


def refusals(attacks: Sequence[NamedAttack], partners: Partners, method: str) -> Mapping[str, str]:
    """Why each attack cannot run, by id; attacks that can are left out.

    Args:
        attacks: to run.
        partners: who trains together.
        method: how.
    """
    found = {row.id: _refusal(row, partners, method) for row in attacks}
    return {name: reason for name, reason in found.items() if reason}


def _refusal(row: NamedAttack, partners: Partners, method: str) -> str:
    """Why one attack cannot run; empty if it can."""
    channel = row.attack.needs.channel
    if channel in (None, "gradient"):
        return ""
    word = {"alignment_gradient": "a gradient of an alignment"}.get(str(channel), "representations")
    sender, reader = (1, 0) if channel == "alignment_gradient" else (0, 1)
    if method not in ALIGNED:
        return f"needs {word}, which transfer {method!r} does not send: leave the attack out"
    if [partners.victim, partners.adversary] != [partners.order[sender], partners.order[reader]]:
        return (
            f"needs {word}, which {partners.order[sender]!r} sends to {partners.order[reader]!r} alone, but "
            f"{partners.adversary!r} watches {partners.victim!r}: leave the attack out"
        )
    return ""


def require_telling(attacks: Sequence[NamedAttack], refused: Mapping[str, str]) -> None:
    """Refuses a case of which no attack on messages can run.

    Raises:
        ConfigError: why none can.
    """
    telling = [row for row in attacks if row.attack.needs.channel is not None]
    if all(row.id in refused for row in telling):
        told = "; ".join(f"{row.id}: {refused[row.id]}" for row in telling)
        raise ConfigError(f"threat.family: exchange needs an attack that can run, got {told}")
