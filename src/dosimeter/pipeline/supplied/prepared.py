"""A supplied model: its records, the shadows that the user's `fit` trains, and the answers of all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from dosimeter.config.tables import Report
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.data import Dataset, Options
from dosimeter.data.cells import Held
from dosimeter.data.parts.apart import with_classes_of
from dosimeter.data.supplied import read_apart
from dosimeter.families.family import Case
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.wording import one_line
from dosimeter.jobs.job import models_of
from dosimeter.models.language.given import Finetuned
from dosimeter.models.supplied.adapt import Adapted
from dosimeter.pipeline.prepared import Prepared, jobs_of
from dosimeter.training.defending import DefenseRow
from dosimeter.training.language.recipe import Finetuning
from dosimeter.training.preflight import about
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
        members: records that the model was trained on; None where no threat needs them and none were given.
        nonmembers: records that it was not; None as above.
        population: further records that it was not trained on, known to the adversary; or None.
        fit: trains a shadow; None if there is no recipe.
        fit_name: name of `fit` in the report.
        depends: further modules and functions whose source belongs to the shadows' keys, by name or themselves.
        threats: the adversaries, in order.
        report: wording of the report.
        output: meaning of the model's output.
        duplicates: what to do with records that are members and non-members at once.
        gates: checks of the loading of model and data.
        base: folder that user modules come from.
        sources: hashes of the code that shadows depend on.
        named: the user's name for each part's records, if they have one.
        data: further records by name, for families that read them.
        given: settings as the user gave them, for the run's folder.
        variants: further audits, each with one defense of what crosses the cut.
        parent: of a finetuned language model: the model before, as `model` is given; None if it is not known.
        tokenizer: of texts: the folder of the tokenizer that cut them, or the tokenizer; None for bytes and words.
        trust_pickle: whether weights of a language model may be read from a pickle.
        finetuning: how shadows of a language model are finetuned from `parent`, in the place of `fit`.
    """

    name: str
    seed: int
    model: object
    model_name: str
    members: Dataset | None
    nonmembers: Dataset | None
    population: Dataset | None
    fit: Fit | str | None
    fit_name: str
    depends: tuple[object, ...]
    threats: tuple[ThreatRow, ...]
    report: Report
    output: Literal["auto", "logits", "probs"] = "auto"
    duplicates: Literal["refuse", "exclude"] = "refuse"
    gates: tuple[Gate, ...] = ()
    base: Path = Path()
    sources: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Dataset] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[DefenseRow, ...] = ()
    parent: object = None
    tokenizer: Any = None
    trust_pickle: bool = False
    finetuning: Finetuning | None = None

    @property
    def trains(self) -> bool:
        """Returns whether shadows can be trained."""
        return self.fit is not None or self.finetuning is not None

    def settings(self) -> Mapping[str, Any]:
        """Settings as the user gave them."""
        return self.given

    @property
    def parts(self) -> dict[str, Dataset]:
        """Members, non-members and population, as far as they were given."""
        return self._judged if self.population is None else {**self._judged, "population": self.population}

    @property
    def _judged(self) -> dict[str, Dataset]:
        """Members and non-members, as far as they were given."""
        found = {"members": self.members, "nonmembers": self.nonmembers}
        return {name: one for name, one in found.items() if one is not None}

    @property
    def classified(self) -> dict[str, Dataset]:
        """All records of the model's classes; those of strangers have others, and those of guests may have."""
        strangers = {name for row in self.threats for name in row.threat.strangers}
        own = next(iter(self._judged.values()), None)
        further = {
            name: one
            for name, one in self.data.items()
            if name not in strangers and (own is None or one.classes == own.classes)
        }
        return {**self.parts, **further}

    @property
    def tried(self) -> dict[str, Dataset]:
        """Records on which the model is tried: members and non-members, or further ones where neither were given."""
        return self._judged or self.classified

    @property
    def first(self) -> Dataset:
        """The first of them, by whose form and classes the others go."""
        return next(iter(self.tried.values()))

    def matched(self, parts: Mapping[str, Dataset]) -> Supplied:
        """The same with other records of the model's classes, by the same names.

        Args:
            parts: in place of those in `classified`.
        """
        return replace(
            self, members=parts.get("members"), nonmembers=parts.get("nonmembers"), population=parts.get("population"),
            data={name: parts.get(name, one) for name, one in self.data.items()},
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Asked:
    """A model that was tried on some of its records.

    Attributes:
        adapted: the model as one query.
        gates: checks of how it was queried.
        probe: the first of the records.
        answers: its answers to these records.
        noise: change of the answers from query to query, nats.
        seconds: time of one answer, seconds.
        language: the model and its base, if it is a language model.
    """

    adapted: Adapted
    gates: tuple[Gate, ...]
    probe: Held
    answers: Tensor
    noise: float
    seconds: float
    language: Finetuned | None = None


@dataclass(frozen=True)
class PreparedSupplied(Prepared):
    """A supplied model with its jobs listed; nothing is trained yet.

    Attributes:
        audit: the model and its records, as the user named them.
        system: the model in the form that can be queried.
        cases: the cases by id of their threat.
    """

    audit: Supplied
    system: SuppliedSystem
    cases: Mapping[str, Case]

    @property
    def door(self) -> str:
        """Implements `Prepared`."""
        return "model"

    @cached_property
    def variants(self) -> tuple[tuple[DefenseRow, PreparedSupplied], ...]:
        """Implements `Prepared`: the same model, behind each defense of what crosses its cut."""
        found = []
        for row in self.audit.variants:
            with about("defense"):
                system = replace(self.system, defenses=(row,))
                cases = {one.id: one.family.case(system, one.threat, one.attacks) for one in self.audit.threats}
                told = {key: one for key, one in self.audit.given.items() if key != "defense"}
                audit = replace(self.audit, name=f"{self.audit.name}: {row.id}", variants=(), given=told)
                own = PreparedSupplied(audit, system, cases)
                _ = own.key  # what a job cannot be asked for is told now
            found.append((row, own))
        return tuple(found)

    @property
    def case(self) -> Any:
        """The first case."""
        return next(iter(self.cases.values()))

    @property
    def fit(self) -> object:
        """Implements `Prepared`."""
        return self.audit.fit

    def origin(self) -> dict[str, Any]:
        """Implements `Prepared`."""
        shadows = [job for job in jobs_of(self.cases) if models_of(job)]
        return {
            "data_sha256": self.system.pool.fingerprint,
            "target_sha256": self.system.adapted.fingerprint,
            "sources": {"fit": dict(self.audit.sources)} if self.audit.sources else {},
            **({"hashed": shadows[-1].definition} if shadows else {}),
        }


def read_records(
    sources: Mapping[str, object], threats: Sequence[ThreatRow], *, seed: int, base: Path, options: Options
) -> dict[str, Dataset]:
    """The records of a supplied model by name.

    Args:
        sources: where they come from, by name.
        threats: the adversaries, who say whose classes are others than the model's, and whose may be.
        seed: handed to a function that a reference names.
        base: the folder that paths start from.
        options: options for reading.

    Raises:
        DataError: every part that cannot be read, or a difference between parts.
    """
    guests = {name for row in threats for name in row.threat.guests if "members" in sources and name in sources}
    apart = {name for row in threats for name in row.threat.strangers} | guests
    parts = read_apart(sources, apart=sorted(apart), seed=seed, base=base, options=options)
    return {name: with_classes_of(one, parts["members"]) if name in guests else one for name, one in parts.items()}


def name_of(thing: object) -> str:
    """Name of a function or a model in a report."""
    return one_line(getattr(thing, "__qualname__", None) or type(thing).__name__, 80)
