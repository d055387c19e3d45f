"""What a plan and a result say of a case: its notes, its cuts, and the defenses there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dosimeter.defenses.sending import CutDefense, settings_of
from dosimeter.families.split.case.cuts import numbers_of
from dosimeter.families.split.case.overlap import trained_on
from dosimeter.families.split.case.people import People
from dosimeter.families.split.threat import SplitThreat
from dosimeter.models.cuts.places import ModelCut
from dosimeter.training.system import TrainedSystem

BACK = (
    "gradients: those that the deployed model would send back over the cut for victims and auxiliary records, as if "
    "its training went on with them"
)
"""Note of a threat in which the adversary sees gradients."""
STEERED = (
    "active: the first half is trained anew, on the victims' records, by what the server returns; all other attacks "
    "read the model that is trained by the protocol"
)
"""Note of a threat in which the adversary decides what comes back in training."""


def notes_of(
    system: TrainedSystem,
    threat: SplitThreat,
    people: People,
    places: Sequence[ModelCut],
    counterparts: Sequence[str],
    *,
    left_out: int,
    known: bool = True,
) -> list[str]:
    """Notes of a plan.

    Args:
        system: the chain.
        threat: the adversary.
        people: victims and auxiliary records.
        places: the cuts.
        counterparts: ids of the attacks that play on the answers too.
        left_out: places at which the model could be cut, of all that were asked for.
        known: whether the records are known that the model is trained on.
    """
    cuts = ", ".join(f"{one.name} ({numbers_of(one):,} numbers)" for one in places)
    notes = [f"cuts: {cuts}; features of all cuts come from one pass of each model"]
    if left_out:
        notes.append(
            f"cuts: {len(places)} of {len(places) + left_out} places, since each attack is trained at each; name "
            "others to test those"
        )
    notes.append(f"null audit: each attack plays once more, on victims that were exchanged, at {places[0].name}")
    if counterparts:
        where = "on the answers behind each cut" if system.releases else "on the answers alone"
        notes.append(f"floor: {', '.join(counterparts)} play once more, {where}")
    if threat.gradients:
        notes.append(BACK)
    if threat.active:
        notes.append(STEERED)
    if threat.repeats > 1 and not system.releases:
        notes.append(
            "repeats: no defense changes what crosses the cut, so the mean of many queries of a record is one of "
            "them; each is sent once here"
        )
    notes += [
        f"{type(one).__name__}: {released(one, threat.repeats)['guarantee']}; the second half answers what it is sent"
        for one in system.releases
    ]
    notes += people.notes
    if 2 <= threat.targets < 4:
        notes.append(f"targets: intervals over {threat.targets} models are very wide; take 1, or 4 and more")
    if not known:
        notes.append(
            "training records: not known, so that victims and auxiliary records are none of them is yours to see to; "
            "give some as `members` to have it checked"
        )
    elif count := trained_on(people.victims, system):
        notes.append(f"victims: {count} of them are records that a stage is trained on")
    if known and (count := trained_on(people.auxiliary, system)):
        notes.append(f"auxiliary: the adversary has {count} records that a stage is trained on")
    if threat.show_records:
        notes.append("show_records: the report will show inputs of victims, and what attacks made of their features")
    return notes


def counted(people: People, system: TrainedSystem) -> dict[str, Any]:
    """What a result says of the records, in numbers."""
    return {
        "name": system.sources[system.index], "records": len(people.victims),
        "persons": None if people.victims.persons is None else int(len(np.unique(people.victims.persons))),
        "lineup": len(people.lineup), "auxiliary": len(people.auxiliary), "pictures": people.pictures,
        "trained": len(system.at_risk), "shape": list(people.victims.inputs.shape[1:]),
        "victims_trained_on": trained_on(people.victims, system),
        "auxiliary_trained_on": trained_on(people.auxiliary, system),
    }  # fmt: skip


def released(one: CutDefense, repeats: int) -> dict[str, Any]:
    """What a result says of a defense of the cut.

    Args:
        one: the defense.
        repeats: how often each record is sent; a guarantee is of each of them.
    """
    told = str(getattr(one, "guarantee", "no ε can be given: this defense bounds nothing"))
    found = getattr(one, "epsilon", None)
    if found is not None and repeats > 1:
        told = f"{told}; this is for one of the {repeats} times that each record is sent"
    return {"name": type(one).__name__, "settings": settings_of(one), "epsilon": found, "guarantee": told}


def told(cut: ModelCut) -> dict[str, Any]:
    """What a result says of a cut."""
    return {
        "name": cut.name, "shapes": [list(one.shape) for one in cut.tensors], "numbers": numbers_of(cut),
        "bytes": dict(cut.bytes), "parameters": cut.parameters, "multiply_adds": cut.multiply_adds,
        "counted": cut.counted,
    }  # fmt: skip
