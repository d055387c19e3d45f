"""What a plan and a result say of a case about records: its notes, its records, and its attacks."""

from __future__ import annotations

from typing import Any

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.attacks import MeanRecord
from dosimeter.families.exchange.case.held import held_by_both, held_notes
from dosimeter.families.exchange.case.people import Partners
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.training.system import TrainedSystem

LARGE = 8
"""Records of a batch from which on searches seldom find any."""


def notes_of(system: TrainedSystem, threat: ExchangeThreat, partners: Partners, size: int) -> list[str]:
    """Notes of a plan.

    Args:
        system: the chain.
        threat: the adversary.
        partners: who trains together.
        size: records of a batch, with all local steps.
    """
    notes = [
        f"records: {threat.batches} batches of {size} of {partners.victim!r} are sought in each of {threat.targets} "
        "trainings; they share no record and have equal classes, so that classes tell nothing of which is which"
    ]
    if size > LARGE:
        notes.append(
            f"batch_size: of {size} records in one message searches seldom find any; `dense_inversion` finds some"
        )
    if threat.head == "seen":
        notes.append("head: no party sends its last layer here; head = 'seen' asks what a shared one would tell")
    if threat.show_records:
        notes.append("show_records: the report will hold records of the victim, and what attacks made of them")
    if system.test is None:
        notes.append("accuracy: stage has no `test`, so whether the joint training is worth it is not known")
    if 2 <= threat.targets < 4:
        notes.append(f"targets: intervals over {threat.targets} trainings are very wide; take 1, or 4 and more")
    return notes + held_notes(partners.parties, partners.victim)


def counted(system: TrainedSystem, partners: Partners, *, pictures: bool) -> dict[str, Any]:
    """What a result says of the records, in numbers."""
    own = partners.parties[partners.victim]
    return {
        "name": own.name, "records": len(own), "parties": {name: len(one) for name, one in partners.parties.items()},
        "auxiliary": len(partners.auxiliary), "pictures": pictures,
        "test": None if system.test is None else len(system.test),
        "held": held_by_both(partners.parties, partners.victim),
    }  # fmt: skip


def listed(row: NamedAttack, refused: str) -> dict[str, Any]:
    """Entry of `run.json` about an attack, with what it reads and makes."""
    needs = row.attack.needs
    anchor = type(row.attack) is MeanRecord
    return {**row.listed(refused), "channel": needs.channel, "makes": needs.makes, "anchor": anchor}
