"""Which attacks cannot run, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dosimeter.families.attack import NamedAttack
from dosimeter.families.inversion.threat import InversionThreat
from dosimeter.models.access import Access


def refusals(
    attacks: Sequence[NamedAttack], threat: InversionThreat, shape: tuple[int, ...], *, closed: str = ""
) -> Mapping[str, str]:
    """Why each attack cannot run, by id; attacks that can are left out.

    Args:
        attacks: to run.
        threat: the adversary.
        shape: of a record.
        closed: why nobody can follow the model's gradients; empty where they can.
    """
    found, granted = {}, threat.access_flag.includes
    for row in attacks:
        wanted = row.attack.needs.access
        if wanted not in granted:
            names = " and ".join(str(one.name).lower() for one in wanted if one not in granted)
            found[row.id] = f"needs {names}, but threat.access grants {threat.access}: grant it or leave the attack out"
        elif closed and Access.WEIGHTS in wanted:
            found[row.id] = f"needs gradients, but {closed}: leave the attack out, or supply the network itself"
        elif row.attack.needs.pictures and len(shape) != 3:
            found[row.id] = f"needs pictures, but records have the shape {shape}: leave the attack out"
    return found
