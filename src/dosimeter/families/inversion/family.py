"""Inversion as a family of attacks: could a picture be made by which a person of the training data is recognised?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from dosimeter.families.attack import NamedAttack
from dosimeter.families.family import BuiltInFamily, Case, CaseFolder, Surroundings
from dosimeter.families.inversion.metrics import METRICS
from dosimeter.families.inversion.threat import NAME, InversionThreat
from dosimeter.families.threat import ThreatTable
from dosimeter.results.metrics import Metric

if TYPE_CHECKING:
    from dosimeter.data import Dataset
    from dosimeter.results.findings import Findings
    from dosimeter.results.page.section import Section
    from dosimeter.results.rows import Row
    from dosimeter.training.system import SuppliedSystem, System, TrainedSystem


@dataclass(frozen=True)
class Inversion(BuiltInFamily):
    """The family; a `Family`. Its methods import what they need, so that `check` and `list` are quick."""

    name: str = NAME
    question: str = (
        "Could somebody with this model make a {noun} by which an identity of its training data is recognised?"
    )
    settings: type[InversionThreat] = InversionThreat
    takes: frozenset[str] = frozenset({"data"})
    members: bool = True
    metrics: ClassVar[Mapping[str, Metric]] = METRICS

    @property
    def needs(self) -> type:
        """Implements `Family`."""
        from dosimeter.families.inversion.game import Needs

        return Needs

    def attacks(self) -> Mapping[str, type]:
        """Implements `Family`."""
        from dosimeter.families.inversion.attacks import ATTACKS

        return ATTACKS

    def default_attacks(self, threat: ThreatTable, *, transferred: bool) -> list[dict[str, Any]]:
        """Implements `Family`: all attacks, of which those are refused by name that the access does not allow.

        None where stages follow the one at risk, which is refused.
        """
        from dosimeter.families.inversion.attacks import default_rows

        return [] if transferred else default_rows()

    def beside(self, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> list[dict[str, Any]]:
        """Implements `KeepsYardsticks`: the mean public record, which must be at chance."""
        from dosimeter.families.inversion.attacks import MeanPublic

        there = any(type(row.attack) is MeanPublic for row in attacks)
        return [] if there else [{"name": "mean_public"}]

    def problems(self, threat: ThreatTable, attacks: Sequence[NamedAttack], around: Surroundings) -> list[str]:
        """Implements `Family`."""
        from dosimeter.families.inversion.problems import problems_of

        return problems_of(cast(InversionThreat, threat), around)

    def check_records(self, parts: Mapping[str, Dataset], threat: ThreatTable, *, trains: bool, seed: int) -> None:
        """Implements `Family`: there must be members and non-members of each identity."""
        from dosimeter.families.inversion.case.held import held_records

        held_records(parts, seed)

    def case(self, system: System, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> Case:
        """Implements `Family`."""
        from dosimeter.families.inversion.case.case import inversion_case
        from dosimeter.families.inversion.case.supplied import supplied_case

        own = cast(InversionThreat, threat)
        if not system.draws:
            return supplied_case(cast("SuppliedSystem", system), own, attacks)
        return inversion_case(cast("TrainedSystem", system), own, attacks)

    def measure(self, folder: CaseFolder) -> Findings:
        """Implements `Family`."""
        from dosimeter.families.inversion.measure import measure

        return measure(folder)

    def compare(self, cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
        """Implements `Family`: differences of the share that is recognised, and of accuracies, paired."""
        from dosimeter.families.inversion.measures.variants import compare

        return compare(cases)

    def section(self, result: Mapping[str, Any], provenance: Mapping[str, Any]) -> Section:
        """Implements `Family`."""
        from dosimeter.families.inversion.section.section import section

        return section(result)


INVERSION = Inversion()
