"""Exchange as a family of attacks: what do the messages of a joint training tell about a party's records?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.metrics import METRICS
from dosimeter.families.exchange.threat import NAME, ExchangeThreat
from dosimeter.families.family import BuiltInFamily, Case, CaseFolder, Surroundings
from dosimeter.families.threat import ThreatTable
from dosimeter.foundation.errors import ConfigError
from dosimeter.results.metrics import Metric
from dosimeter.results.schema import read_schema

if TYPE_CHECKING:
    from dosimeter.data import Dataset
    from dosimeter.results.findings import Findings
    from dosimeter.results.page.section import Section
    from dosimeter.results.rows import Row
    from dosimeter.training.system import System, TrainedSystem


@dataclass(frozen=True)
class Exchange(BuiltInFamily):
    """The family; a `Family`. Its methods import what they need, so that `check` and `list` are quick."""

    name: str = NAME
    question: str = (
        "Two organisations train one model together: what do the messages between them tell about a batch of {noun}s?"
    )
    settings: type[ExchangeThreat] = ExchangeThreat
    takes: frozenset[str] = frozenset({"parties", "data", "transcript", "defenses"})
    members: bool = False
    metrics: ClassVar[Mapping[str, Metric]] = METRICS

    @property
    def needs(self) -> type:
        """Implements `Family`."""
        from dosimeter.families.exchange.game import Needs

        return Needs

    @property
    def details_schema(self) -> Mapping[str, Any]:
        """Implements `Family`."""
        return _details_schema()

    def attacks(self) -> Mapping[str, type]:
        """Implements `Family`."""
        from dosimeter.families.exchange.attacks import ATTACKS

        return ATTACKS

    def default_attacks(self, threat: ThreatTable, *, transferred: bool) -> list[dict[str, Any]]:
        """Implements `Family`: every channel, or way to make records again, with yardstick and control."""
        from dosimeter.families.exchange.attacks import default_rows

        return [] if transferred else default_rows(cast(ExchangeThreat, threat).question)

    def beside(self, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> list[dict[str, Any]]:
        """Implements `KeepsYardsticks`."""
        from dosimeter.families.exchange.attacks import lacking

        return lacking(attacks, cast(ExchangeThreat, threat).question)

    def problems(self, threat: ThreatTable, attacks: Sequence[NamedAttack], around: Surroundings) -> list[str]:
        """Implements `Family`."""
        from dosimeter.families.exchange.problems import problems_of

        return problems_of(cast(ExchangeThreat, threat), attacks, around)

    def check_records(self, parts: Mapping[str, Dataset], threat: ThreatTable, *, trains: bool, seed: int) -> None:
        """Implements `Family`: no supplied model is taken."""

    def case(self, system: System, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> Case:
        """Implements `Family`."""
        from dosimeter.families.exchange.case.case import exchange_case
        from dosimeter.families.exchange.case.received import received_case
        from dosimeter.families.exchange.distribution.case import distribution_case
        from dosimeter.families.exchange.records.case import records_case
        from dosimeter.families.exchange.tasks.case import tasks_case
        from dosimeter.training.deployment.received import ReceivedSystem

        if isinstance(system, ReceivedSystem):
            return received_case(system, cast(ExchangeThreat, threat), attacks)
        if not system.draws:
            raise ConfigError("threat.family: exchange needs a stage that parties train here: write its [[stage]]")
        made: Mapping[str, Callable[..., Case]] = {
            "property": exchange_case,
            "records": records_case,
            "tasks": tasks_case,
            "distribution": distribution_case,
        }
        own = cast(ExchangeThreat, threat)
        return made[own.question](cast("TrainedSystem", system), own, attacks)

    def measure(self, folder: CaseFolder) -> Findings:
        """Implements `Family`."""
        from dosimeter.families.exchange.distribution.measure import measure_distribution
        from dosimeter.families.exchange.measure import measure
        from dosimeter.families.exchange.records.measures.measure import measure_records
        from dosimeter.families.exchange.tasks.measure import measure_tasks

        made = {
            "property": measure, "records": measure_records, "tasks": measure_tasks,
            "distribution": measure_distribution,
        }  # fmt: skip
        return made[question_of(folder.summary["threat"])](folder)

    def compare(self, cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
        """Implements `Family`: differences of AUCs and of accuracies, paired by step and record."""
        from dosimeter.families.exchange.distribution.measure import compare_distribution
        from dosimeter.families.exchange.measures.variants import compare
        from dosimeter.families.exchange.records.measures.variants import compare_records
        from dosimeter.families.exchange.tasks.measure import compare_tasks

        made = {
            "property": compare, "records": compare_records, "tasks": compare_tasks,
            "distribution": compare_distribution,
        }  # fmt: skip
        return made[question_of(cases["none"].summary["threat"])](cases)

    def section(self, result: Mapping[str, Any], provenance: Mapping[str, Any]) -> Section:
        """Implements `Family`."""
        from dosimeter.families.exchange.section.distribution import distribution_section
        from dosimeter.families.exchange.section.records import records_section
        from dosimeter.families.exchange.section.section import section
        from dosimeter.families.exchange.section.tasks import tasks_section

        made = {
            "property": section, "records": records_section, "tasks": tasks_section,
            "distribution": distribution_section,
        }  # fmt: skip
        return made[question_of(result["adversary"])](result)


@cache
def _details_schema() -> Mapping[str, Any]:
    """The fragments of all questions, read once."""
    folder = Path(__file__).parent
    found = {**read_schema(folder / "details.schema.json")}
    for question in ("records", "tasks", "distribution"):
        found = {"if": _asks(question), "then": read_schema(folder / question / "details.schema.json"), "else": found}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _asks(question: str) -> Mapping[str, Any]:
    """The schema of a threat with a question."""
    asked = {"properties": {"question": {"const": question}}, "required": ["question"]}
    return {"properties": {"adversary": asked}, "required": ["adversary"]}


def question_of(threat: Mapping[str, Any]) -> str:
    """The question of a threat, of the adversary in a run or a result; runs of older versions have one alone."""
    return str(threat.get("question", "property"))


EXCHANGE = Exchange()
