"""Why an attack cannot run in a case, told before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dosimeter.data import Dataset
from dosimeter.families.attack import NamedAttack
from dosimeter.families.inversion.game import Needs
from dosimeter.families.inversion.threat import InversionThreat
from dosimeter.models.access import Access
from dosimeter.training.recipe import PutsBottleneck
from dosimeter.training.system import TrainedSystem


def refusals(
    attacks: Sequence[NamedAttack],
    threat: InversionThreat,
    public: Dataset,
    system: TrainedSystem | None = None,
    *,
    closed: str = "",
) -> Mapping[str, str]:
    """Why each attack cannot run, by id; attacks that can are left out. Arguments as in `refusal`."""
    found = {row.id: refusal(row.attack.needs, threat, public, system, closed=closed) for row in attacks}
    return {row: reason for row, reason in found.items() if reason}


def refusal(
    needs: Needs, threat: InversionThreat, public: Dataset, system: TrainedSystem | None = None, *, closed: str = ""
) -> str:
    """Why an attack cannot run, in one line; empty if it can.

    Args:
        needs: of the attack.
        threat: the adversary.
        public: records of other people.
        system: the chain; None of a supplied model.
        closed: why nobody can follow the model's gradients; empty where they can.
    """
    granted, shape = threat.access_flag.includes, tuple(int(side) for side in public.inputs.shape[1:])
    # Generators follow the model's gradients, and students learn answers that no defense has changed.
    trains = needs.guided is not None or needs.students is not None
    wanted = needs.access | Access.WEIGHTS if trains else needs.access
    if wanted not in granted:
        names = " and ".join(str(one.name).lower() for one in wanted if one not in granted)
        return f"needs {names}, but threat.access grants {threat.access}: grant it or leave the attack out"
    if closed and Access.WEIGHTS in wanted:
        return f"needs gradients, but {closed}: leave the attack out, or supply the network itself"
    if needs.pictures and len(shape) != 3:
        return f"needs pictures, but records have the shape {shape}: leave the attack out"
    if needs.guided is not None and needs.guided.top >= len(public):
        return (
            f"needs more public records than its top = {needs.guided.top}, else all classes have the same ones, got "
            f"{len(public)}: lower top or give more records"
        )
    if system is None:
        if trains or has_origin(needs):
            return "needs what is trained or kept beside the model, which a supplied model has not: leave it out"
        return ""
    return _of_checkpoint(needs, system)


def has_origin(needs: Needs) -> bool:
    """Returns whether an attack has the weights that the model was finetuned from.

    Args:
        needs: of the attack.
    """
    return needs.checkpoint != "none"


def _of_checkpoint(needs: Needs, system: TrainedSystem) -> str:
    """Why nothing can be made of the weights that the model was finetuned from; empty if it can, or need not."""
    link, use = system.link, f"checkpoint = {needs.checkpoint!r}"
    if not has_origin(needs):
        return ""
    if not system.inherits:
        return (
            f"{use} needs weights that the model was finetuned from, but stage {link.name!r} starts from nothing: "
            "leave checkpoint out, or put a stage before it and set transfer"
        )
    if needs.checkpoint == "change" and link.transfer == "head" and link.fit is None:
        return (
            f"{use} needs features that finetuning changed, but stage {link.name!r} trains its last layer alone: use "
            "checkpoint = 'usual' or leave it out"
        )
    if needs.checkpoint == "change" and any(isinstance(one, PutsBottleneck) for one in link.hyperparameters.defenses):
        return (
            f"{use} needs the features of the stage before, but a defense of stage {link.name!r} puts others in their "
            "place: use checkpoint = 'usual' or leave it out"
        )
    return ""
