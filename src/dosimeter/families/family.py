"""The interface of a family of attacks.

Three nouns. A `System` is a deployed model and how it came to be, whoever built it. A `Case` is one `[[threat]]` on one
system. `Findings` are what a case came to. Plan, run, measure, report, check and diff see nothing else, so none of them
asks which family, which attack or which door it has before it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dosimeter.families.attack import NamedAttack
from dosimeter.families.sights import StageRole
from dosimeter.families.threat import ThreatTable
from dosimeter.families.topology import Topology
from dosimeter.results.schema import read_schema

if TYPE_CHECKING:
    from dosimeter.data import Dataset
    from dosimeter.foundation.arrays import Array
    from dosimeter.jobs.job import Job
    from dosimeter.results.findings import Findings
    from dosimeter.results.metrics import Metric
    from dosimeter.results.page.section import Section
    from dosimeter.results.rows import Row
    from dosimeter.training.system import System

    Phases = Sequence[tuple[str, Sequence[Job]]]


@dataclass(frozen=True)
class CaseFolder:
    """What a run left of one threat.

    Attributes:
        path: folder of its arrays.
        summary: what `run.json` says of the run, and of this threat.
    """

    path: Path
    summary: Mapping[str, Any]

    def evidence(self) -> dict[str, dict[str, Array]]:
        """Arrays of each attack that was run, by its id.

        Raises:
            OSError, ValueError: a file is missing or damaged.
        """
        from dosimeter.jobs.arrays import read_arrays

        return {
            str(one["id"]): read_arrays(evidence_file(self.path, index))
            for index, one in enumerate(self.summary["attacks"])
            if one["status"] == "ok"
        }


def evidence_file(folder: Path, index: int) -> Path:
    """File for what one attack came to.

    Args:
        folder: of the case.
        index: place of the attack among all.
    """
    return folder / "evidence" / f"{index}.npz"


@dataclass(frozen=True)
class Surroundings:
    """What stands around a threat in an audit file.

    Attributes:
        draws: whether the rows that a model trains on can be chosen, as in a chain that is trained here.
        transferred: whether stages follow the one at risk; None if the stages are not known.
        trains: whether further models can be trained.
        recorded: whether recorded traffic stands in place of a model.
    """

    draws: bool = True
    transferred: bool | None = False
    trains: bool = True
    recorded: bool = False


@dataclass(frozen=True)
class Names:
    """Names of one kind that the threats of a family may use, such as query views.

    Attributes:
        about: each name to one line about it, or to empty text.
        defaults: those that are used unless a threat names others, to the case in which they are.
    """

    about: Mapping[str, str]
    defaults: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Case(Protocol):
    """One threat on one system; nothing is trained or asked yet."""

    def phases(self) -> Phases:
        """All jobs by name of the phase, in order; jobs of one phase do not depend on each other.

        Those that train or ask models come before those that play attacks. Cases are done one after another, and a job
        that several of them need is done once.
        """
        ...

    def datasets(self) -> Sequence[Dataset]:
        """Data that its jobs read from the store."""
        ...

    def records(self) -> int:
        """Number of records that one model of the stage at risk is trained on, for a test of that stage's model."""
        ...

    def definition(self) -> Mapping[str, Any]:
        """Content of the audit's key: everything about the case that can change a number."""
        ...

    def begin(self, progress: Callable[[str, int, int], None]) -> Case:
        """Does what must be done in this process before any job, such as to ask a live model; lists all jobs after it.

        Raises:
            AuditError: the model cannot be asked.
        """
        ...

    def refusals(self) -> Mapping[str, str]:
        """Why each attack cannot run, by id; attacks that can run are left out."""
        ...

    def notes(self) -> list[str]:
        """Remarks for the reader of a plan."""
        ...

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Copies what the jobs stored to a folder, in `games`, `truth` and `evidence`; plays nothing.

        Returns:
            The case's entry of `run.json`, with the keys `threat` (the adversary in words), `data`, `attacks` (as
            `NamedAttack.listed` gives them) and `gates`.
        """
        ...


@runtime_checkable
class LeavesOutDefaults(Protocol):
    """A case that leaves out, without a word, attacks that nobody named and that cannot run."""

    @property
    def shown_attacks(self) -> Sequence[NamedAttack]:
        """Attacks that a plan lists."""
        ...


@runtime_checkable
class Resizable(Protocol):
    """A case whose adversary could train more models or fewer; a plan says what that would cost and show."""

    def sizes(self) -> Mapping[str, Case]:
        """The case at other sizes, each under what it would show, as the begin of a sentence."""
        ...


@runtime_checkable
class KeepsYardsticks(Protocol):
    """A family with yardsticks and controls that run beside every list, since checks need them."""

    def beside(self, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> list[dict[str, Any]]:
        """Rows of those that a list of attacks lacks.

        Args:
            threat: the adversary.
            attacks: the list, one attack at least.
        """
        ...


@runtime_checkable
class AuditsTexts(Protocol):
    """A family that also asks about texts of language models."""

    def text_attacks(self, threat: ThreatTable, *, transferred: bool) -> list[dict[str, Any]]:
        """Rows of the attacks that run on texts if an audit names none; arguments as for `default_attacks`."""
        ...

    def text_template(self) -> Mapping[str, str]:
        """Text of the files of `dosimeter init --task language`, by name, as `Family.template` gives them."""
        ...


@runtime_checkable
class Family(Protocol):
    """A family of attacks: all that ask the same kind of question."""

    @property
    def name(self) -> str:
        """Name, such as "membership"."""
        ...

    @property
    def question(self) -> str:
        """The question in words, in which `{noun}` stands for a record."""
        ...

    @property
    def settings(self) -> type[ThreatTable]:
        """Keys of its `[[threat]]`."""
        ...

    @property
    def needs(self) -> type:
        """Type of its attacks' `needs`, which has a property `in_words`."""
        ...

    @property
    def takes(self) -> frozenset[str]:
        """What its threats read beside a model and its members.

        Of "data", "transcript", "defenses" of what crosses a cut, and "show_records".
        """
        ...

    @property
    def members(self) -> bool:
        """Returns whether its threats on a supplied model need records that it was trained on, and others."""
        ...

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """What a policy may limit."""
        ...

    @property
    def details_schema(self) -> Mapping[str, Any]:
        """JSON schema of `details` in `result.json`."""
        ...

    def attacks(self) -> Mapping[str, type]:
        """Attacks by name."""
        ...

    def default_attacks(self, threat: ThreatTable, *, transferred: bool) -> list[dict[str, Any]]:
        """Rows for an audit file that names no attack of this family.

        Args:
            threat: the adversary.
            transferred: whether stages follow the one at risk.
        """
        ...

    def threats(self, topology: Topology, stages: Sequence[StageRole]) -> Sequence[ThreatTable]:
        """What a topology exposes to whom: the threats of this family that follow from it, each with an id.

        Args:
            topology: who holds and runs what.
            stages: the chain in order, with the parts of each.
        """
        ...

    def names(self) -> Mapping[str, Names]:
        """Further names that its threats may use, by kind, as `dosimeter list` shows them."""
        ...

    def template(self) -> Mapping[str, str]:
        """Text of the files of `dosimeter init`, by name: an `audit.toml` that runs as it is, and its recipe."""
        ...

    def problems(self, threat: ThreatTable, attacks: Sequence[NamedAttack], around: Surroundings) -> list[str]:
        """What is wrong with a threat, seen without data, one line each, as the tail of its place."""
        ...

    def check_records(self, parts: Mapping[str, Dataset], threat: ThreatTable, *, trains: bool, seed: int) -> None:
        """Checks the records of a supplied model before it is asked.

        Args:
            parts: the records by name.
            threat: the adversary.
            trains: whether further models can be trained.
            seed: root of all randomness.

        Raises:
            AuditError: they are too few, or do not fit the threat.
        """
        ...

    def case(self, system: System, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> Case:
        """One threat on one system.

        Raises:
            AuditError: the threat does not fit the system or its data.
        """
        ...

    def measure(self, folder: CaseFolder) -> Findings:
        """What a case came to, from its arrays alone."""
        ...

    def compare(self, cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
        """Differences between variants of one case.

        Args:
            cases: by id of the variant, "none" first.
        """
        ...

    def section(self, result: Mapping[str, Any], provenance: Mapping[str, Any]) -> Section:
        """Part of the page that tells of one threat."""
        ...


class BuiltInFamily:
    """What the families of this package have in common: the files beside `families/F/family.py`, and derived threats.

    Attributes:
        name: name of the family.
        settings: keys of its `[[threat]]`.
    """

    name: str
    settings: type[ThreatTable]

    @property
    def folder(self) -> Path:
        """The family's folder."""
        return Path(str(sys.modules[type(self).__module__].__file__)).parent

    @property
    def details_schema(self) -> Mapping[str, Any]:
        """Implements `Family`."""
        return schema_of(self.folder / "details.schema.json")

    def threats(self, topology: Topology, stages: Sequence[StageRole]) -> Sequence[ThreatTable]:
        """Implements `Family`."""
        from dosimeter.families.derived import derived

        return [self.settings.model_validate(one) for one in derived(topology, stages, self.name, self.settings)]

    def names(self) -> Mapping[str, Names]:
        """Implements `Family`: none."""
        return {}

    def template(self) -> Mapping[str, str]:
        """Implements `Family`."""
        return files_of(self.folder / "template")


@cache
def schema_of(path: Path) -> Mapping[str, Any]:
    """A fragment of the schema of `result.json`, read once."""
    return read_schema(path)


def files_of(template: Path) -> Mapping[str, str]:
    """Text of the two files of a template, by name."""
    return {name: (template / name).read_text(encoding="utf-8") for name in ("audit.toml", "recipe.py")}
