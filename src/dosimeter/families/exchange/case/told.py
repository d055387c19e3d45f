"""What a plan and a result say of a case: its notes, its records, and its attacks."""

from __future__ import annotations

from typing import Any

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.case.held import held_by_both, held_notes
from dosimeter.families.exchange.case.people import Partners
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.training.system import TrainedSystem

TIED = 0.3
"""Correlation of a property with the classes from which on a plan says so."""
FEW_STEPS = 100
"""Steps below which only a large leak is shown."""


def notes_of(system: TrainedSystem, threat: ExchangeThreat, partners: Partners, steps: int) -> list[str]:
    """Notes of a plan.

    Args:
        system: the chain.
        threat: the adversary.
        partners: who trains together.
        steps: of one joint training.
    """
    size = system.link.hyperparameters.batch_size
    runs = threat.targets * len(threat.mixtures)
    notes = [
        f"joint: {runs} trainings of {steps} steps in which a coin chooses each batch of {size} of "
        f"{partners.victim!r}, and {threat.targets} in which nothing does, for the null audit and the accuracy"
    ]
    if threat.active:
        notes.append(
            f"active: {partners.adversary!r} departs from the protocol, by a loss about {threat.property} beside its "
            "own; accuracy is of trainings with it"
        )
    if steps < FEW_STEPS:
        notes.append(f"steps: {steps} batches show only a large leak; {FEW_STEPS} and more are better")
    if partners.correlation >= TIED:
        notes.append(
            f"property: {threat.property} goes with the classes (Cramér's V {partners.correlation:.2f}), so labels "
            "tell much of it; attacks must tell more than `label_only`"
        )
    if system.test is None:
        notes.append("accuracy: stage has no `test`, so whether the joint training is worth it is not known")
    if 2 <= threat.targets < 4:
        notes.append(f"targets: intervals over {threat.targets} trainings are very wide; take 1, or 4 and more")
    return notes + held_notes(partners.parties, partners.victim)


def counted(system: TrainedSystem, partners: Partners) -> dict[str, Any]:
    """What a result says of the records, in numbers."""
    return {
        "name": partners.parties[partners.victim].name, "records": len(partners.parties[partners.victim]),
        "parties": {name: len(one) for name, one in partners.parties.items()},
        "auxiliary": len(partners.auxiliary), "having": int(partners.has.sum()),
        "auxiliary_having": int(partners.known.sum()), "correlation": partners.correlation,
        "test": None if system.test is None else len(system.test),
        "held": held_by_both(partners.parties, partners.victim),
    }  # fmt: skip


def listed(row: NamedAttack, refused: str) -> dict[str, Any]:
    """Entry of `run.json` about an attack, with what it reads."""
    needs = row.attack.needs
    return {**row.listed(refused), "channel": needs.channel, "reads": needs.reads}
