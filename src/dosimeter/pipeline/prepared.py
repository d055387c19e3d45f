"""A prepared audit, whoever trained its model: the system, a case for each threat, and what the run says of them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dosimeter.config.tables import Report
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.families.family import Case, Resizable
from dosimeter.foundation.errors import AccessError
from dosimeter.jobs.job import Job, models_of
from dosimeter.jobs.store import key_of
from dosimeter.training.system import System

if TYPE_CHECKING:
    pass


@runtime_checkable
class Settings(Protocol):
    """What audits of every door say."""

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        ...

    @property
    def seed(self) -> int:
        """Root of all randomness."""
        ...

    @property
    def threats(self) -> tuple[ThreatRow, ...]:
        """The adversaries, in order."""
        ...

    @property
    def report(self) -> Report:
        """Wording of the report."""
        ...

    @property
    def base(self) -> Path:
        """Folder that user modules come from."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """All settings, as JSON values."""
        ...


@dataclass(frozen=True)
class Prepared(abc.ABC):
    """An audit with its data read and its jobs listed; nothing is trained yet.

    Attributes:
        audit: the settings.
        system: the deployed model and its origin.
        cases: the cases by id of their threat.
    """

    audit: Settings
    system: System
    cases: Mapping[str, Case]

    @property
    @abc.abstractmethod
    def door(self) -> str:
        """How the model came: "recipe" or "model"."""

    @property
    @abc.abstractmethod
    def variants(self) -> Sequence[tuple[Any, Prepared]]:
        """The same audit with each `[[defense]]` or `[[variant]]`."""

    @property
    def fit(self) -> object:
        """A function of the user's that jobs carry to other processes; None without any.

        Its jobs run in processes of their own, since it must not touch a model that is audited in this one.
        """
        return None

    @abc.abstractmethod
    def origin(self) -> dict[str, Any]:
        """What provenance says of the data and of the user's code."""

    @property
    def more_key(self) -> Mapping[str, Any]:
        """What decides the result beside the cases, for the audit's key."""
        return {}

    @cached_property
    def key(self) -> str:
        """The audit's key: equal for runs whose results must be equal."""
        audit = self.audit
        settings = {
            "door": self.door,
            "seed": audit.seed,
            "name": audit.name,
            "report": audit.report.model_dump(mode="json"),
            "threats": [
                [name, row.family.name, case.definition()]
                for row, (name, case) in zip(audit.threats, self.cases.items(), strict=True)
            ],
        }
        settings |= self.more_key
        if self.variants:
            settings["variants"] = [[row.id, one.key] for row, one in self.variants]
        return key_of(settings)


def jobs_of(cases: Mapping[str, Case]) -> list[Job]:
    """All jobs of some cases, each key once."""
    found: dict[str, Job] = {}
    for case in cases.values():
        for _, jobs in case.phases():
            for job in jobs:
                found.setdefault(job.key, job)
    return list(found.values())


def other_sizes(cases: Mapping[str, Case], seconds: Callable[[Sequence[Job]], float | None]) -> list[str]:
    """What other numbers of models of the adversary would cost and show, one remark each.

    Args:
        cases: the cases by id of their threat.
        seconds: duration of what is missing of some jobs; None if a user's code decides it.
    """
    notes = []
    for name, case in cases.items():
        for told, other in (case.sizes() if isinstance(case, Resizable) else {}).items():
            jobs = jobs_of({name: other})
            took, models = seconds(jobs), sum(map(models_of, jobs))
            cost = f"{models} models" if took is None else f"{models} models, about {took:.0f} s"
            notes.append(f"{told if len(cases) == 1 else f'threat {name}: {told}'} ({cost})")
    return notes


def require_attacks(prepared: Prepared) -> None:
    """Refuses a run in which a threat has only controls that could run.

    Raises:
        AccessError: why each attack is refused, one line each.
    """
    problems: list[str] = []
    for row, case in zip(prepared.audit.threats, prepared.cases.values(), strict=True):
        refused, own = case.refusals(), [one.id for one in row.attacks if not one.attack.control]
        if all(name in refused for name in own):
            where = "" if len(prepared.cases) == 1 else f"threat {row.id!r}: "
            lines = [f"{where}attack {name!r}: {refused[name]}" for name in own]
            none = f"{where}attack: at least one must be no control, got none: add a [[attack]] row"
            problems += lines or [none]
    if problems:
        raise AccessError(*problems)
