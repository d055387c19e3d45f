"""A supplied model: its records, the shadows that the user's `fit` trains, and the answers of all models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dosimeter.config.tables import Report
from dosimeter.data import Dataset
from dosimeter.data.cells import together
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.supplied_case import SuppliedCase
from dosimeter.families.membership.threat import Threat
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.wording import one_line
from dosimeter.jobs.store import key_of
from dosimeter.models.access import Access
from dosimeter.models.supplied.adapt import Adapted
from dosimeter.training.system import SuppliedSystem
from dosimeter.training.user_fit import Fit


@dataclass(frozen=True)
class Supplied:
    """A model with the records that its user knows to be members and non-members.

    Attributes:
        name: name of the audit.
        seed: root of all randomness.
        model: anything that `adapt` takes.
        model_name: name of the model in the report.
        members: records that the model was trained on.
        nonmembers: records that it was not.
        population: further records that it was not trained on, known to the adversary; or None.
        fit: trains a shadow; None if there is no recipe.
        fit_name: name of `fit` in the report.
        depends: further modules and functions whose source belongs to the shadows' keys, by name or themselves.
        threat: the threat model; `access`, `shadows`, `views` and `rehearsals` are read.
        access_given: whether the user set the access; otherwise it is what the model gives.
        attacks: attacks to run.
        report: wording of the report.
        output: meaning of the model's output.
        duplicates: what to do with records that are members and non-members at once.
        gates: checks of the loading of model and data.
        base: folder that user modules come from.
        sources: hashes of the code that shadows depend on.
        named: the user's name for each part's records, if they have one.
        settings: as the user gave them, for the run's folder.
    """

    name: str
    seed: int
    model: object
    model_name: str
    members: Dataset
    nonmembers: Dataset
    population: Dataset | None
    fit: Fit | str | None
    fit_name: str
    depends: tuple[object, ...]
    threat: Threat
    access_given: bool
    attacks: tuple[NamedAttack, ...]
    report: Report
    output: Literal["auto", "logits", "probs"] = "auto"
    duplicates: Literal["refuse", "exclude"] = "refuse"
    gates: tuple[Gate, ...] = ()
    base: Path = Path()
    sources: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PreparedSupplied:
    """A supplied model with its jobs listed; nothing is trained yet.

    Attributes:
        supplied: the model and its records, as the user named them.
        case: its threat model.
    """

    supplied: Supplied
    case: SuppliedCase

    @property
    def system(self) -> SuppliedSystem:
        """The model in the form that can be queried."""
        return self.case.system

    @cached_property
    def key(self) -> str:
        """The audit's key: equal for runs whose results must be equal."""
        supplied, case, system = self.supplied, self.case, self.system
        return key_of(
            {
                "door": "model",
                "seed": supplied.seed,
                "name": supplied.name,
                "target": system.adapted.fingerprint,
                "output": system.adapted.output,
                "data": system.pool.fingerprint,
                "members": len(supplied.members),
                "candidates": len(case.design.ids),
                "threat": [str(case.access.name), case.shadows, list(case.views), supplied.threat.rehearsals],
                "attacks": [[row.id, row.name, row.settings] for row in supplied.attacks],
                "report": supplied.report.model_dump(mode="json"),
                "shadows": [job.key for job in case.jobs],
            }
        )


def access_of(supplied: Supplied, adapted: Adapted) -> Access:
    """The adversary's access: what the user granted, if the model gives it; by default all that the model gives.

    Raises:
        ConfigError: more is granted than the model gives.
    """
    gives = Access.LOGITS if adapted.output == "logits" else Access.PROBS
    if not supplied.access_given:
        return gives
    granted = supplied.threat.access_flag
    if Access.LOGITS in granted.includes and gives is Access.PROBS:
        raise ConfigError(
            f"threat.access: the model gives probabilities, got access {supplied.threat.access!r}: use 'probs', or "
            "bring a model that returns logits"
        )
    return granted


def join_parts(parts: Mapping[str, Dataset]) -> Dataset:
    """All records of a supplied model as one data set, in the order of the parts."""
    sets = list(parts.values())
    first = sets[0]
    return Dataset(
        inputs=np.concatenate([one.inputs for one in sets]),
        labels=np.concatenate([one.labels for one in sets]),
        classes=first.classes,
        ids=np.concatenate([one.ids.astype(str) for one in sets]),
        noun=first.noun,
        name=" and ".join(parts),
        columns=first.columns,
        categories=first.categories,
        cells=together([one.cells for one in sets]),
        tokens=first.tokens,
        ordered=all(one.ordered for one in sets),
    )


def name_of(thing: object) -> str:
    """Name of a function or a model in a report."""
    return one_line(getattr(thing, "__qualname__", None) or type(thing).__name__, 80)
