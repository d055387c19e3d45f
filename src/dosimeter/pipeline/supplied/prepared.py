"""A supplied model: its records, the shadows that the user's `fit` trains, and the answers of all models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from dosimeter.config.tables import Report
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.data import Dataset
from dosimeter.data.cells import Held
from dosimeter.families.family import Case
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.wording import one_line
from dosimeter.jobs.job import models_of
from dosimeter.models.language.given import Finetuned
from dosimeter.models.supplied.adapt import Adapted
from dosimeter.pipeline.prepared import Prepared, jobs_of
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
        parent: of a finetuned language model: the model before, as `model` is given; None if it is not known.
        tokenizer: of texts: the folder of the tokenizer that cut them, or the tokenizer; None for bytes and words.
        trust_pickle: whether weights of a language model may be read from a pickle.
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
    parent: object = None
    tokenizer: Any = None
    trust_pickle: bool = False

    @property
    def parts(self) -> dict[str, Dataset]:
        """The records that are judged, and the population, by part."""
        found = {"members": self.members, "nonmembers": self.nonmembers}
        return found if self.population is None else {**found, "population": self.population}

    def settings(self) -> Mapping[str, Any]:
        """Settings as the user gave them."""
        return self.given


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

    @property
    def variants(self) -> tuple[()]:
        """Implements `Prepared`: none, since a supplied model is not trained here."""
        return ()

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


def name_of(thing: object) -> str:
    """Name of a function or a model in a report."""
    return one_line(getattr(thing, "__qualname__", None) or type(thing).__name__, 80)
