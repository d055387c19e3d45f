"""Which attacks on records cannot run, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.case.people import Partners
from dosimeter.families.exchange.case.refusals import WORDS, crosses, refusals
from dosimeter.families.exchange.records.first_layer import dense_first
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.training.joint.methods import SHOWING
from dosimeter.training.joint.transcript import COORDINATOR
from dosimeter.training.recipe import GuardsMessages, HidesParts
from dosimeter.training.system import TrainedSystem


def records_refusals(
    attacks: Sequence[NamedAttack], threat: ExchangeThreat, partners: Partners, system: TrainedSystem, trunk: nn.Module
) -> Mapping[str, str]:
    """Why each attack cannot run, by id; attacks that can are left out.

    Args:
        attacks: to run.
        threat: the adversary.
        partners: who trains together.
        system: the chain.
        trunk: the shared layers.
    """
    found = {}
    for row in attacks:
        needs, method = row.attack.needs, str(system.link.transfer)
        if needs.channel is not None and not crosses(needs.channel, method):
            found[row.id] = f"needs {WORDS[needs.channel]}, which transfer {method!r} does not send: leave it out"
        elif needs.channel == "representations" and (reason := _unread(row, partners, system)):
            found[row.id] = reason
        elif needs.dense and dense_first(trunk, tuple(system.at_risk.inputs.shape[1:])) is None:
            found[row.id] = (
                "needs a first layer that is dense, has biases and is trained, which the model has not: leave it out, "
                "or use 'dlg'"
            )
        elif needs.head and (reason := without_head(threat, partners, system)):
            found[row.id] = reason
    return found


def _unread(row: NamedAttack, partners: Partners, system: TrainedSystem) -> str:
    """Why rows of representations cannot be read; empty if they can."""
    return refusals([row], partners, str(system.link.transfer), system.link.hyperparameters).get(row.id, "")


def without_head(threat: ExchangeThreat, partners: Partners, system: TrainedSystem) -> str:
    """Why no attack can read the victim's last layer; empty if one can.

    Args:
        threat: the adversary.
        partners: who trains together.
        system: the chain.
    """
    method = str(system.link.transfer)
    if threat.head == "private":
        return (
            "needs the victim's last layer and its gradient, which no party sends: write head = 'seen' to ask what a "
            "shared one would tell, or leave it out"
        )
    if method in SHOWING:
        return (
            f"needs a gradient of the classes' loss alone, but with transfer {method!r} that of an alignment is in it: "
            "use 'dlg' or 'dense_inversion', or leave it out"
        )
    joint = system.joint
    if joint is not None and joint.local_steps > 1:
        return (
            f"needs the last layer of one step, but the victim makes {joint.local_steps} in a round: use 'dlg' or "
            "'dense_inversion', or leave it out"
        )
    summed = any(isinstance(one, HidesParts) for one in system.link.hyperparameters.defenses)
    if len(partners.parties) > 2 and (summed or partners.adversary != COORDINATOR):
        return "needs the gradient of the victim alone, but a sum over parties is seen: use 'dense_inversion'"
    if any(isinstance(one, GuardsMessages) for one in system.link.hyperparameters.defenses):
        return (
            "needs a last layer as parties would send it, but a defense that changes messages has none to change: "
            "write head = 'private', or leave it out"
        )
    return ""
