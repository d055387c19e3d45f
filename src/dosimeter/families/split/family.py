"""Split as a family of attacks: does what crosses the cut of a model tell the input, or a private attribute of it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from dosimeter.families.attack import NamedAttack
from dosimeter.families.family import BuiltInFamily, CaseFolder, Surroundings
from dosimeter.families.split.metrics import METRICS
from dosimeter.families.split.threat import NAME, SplitThreat
from dosimeter.families.threat import ThreatTable
from dosimeter.results.metrics import Metric

if TYPE_CHECKING:
    from dosimeter.data import Dataset
    from dosimeter.families.split.case.case import SplitCase
    from dosimeter.results.findings import Findings
    from dosimeter.results.page.section import Section
    from dosimeter.results.rows import Row
    from dosimeter.training.system import SuppliedSystem, System, TrainedSystem


@dataclass(frozen=True)
class Split(BuiltInFamily):
    """The family; a `Family`. Its methods import what they need, so that `check` and `list` are quick."""

    name: str = NAME
    question: str = "Could somebody who sees what leaves the device tell the {noun}, or a private attribute of it?"
    settings: type[SplitThreat] = SplitThreat
    takes: frozenset[str] = frozenset({"data", "transcript", "defenses"})
    members: bool = False
    metrics: ClassVar[Mapping[str, Metric]] = METRICS

    @property
    def needs(self) -> type:
        """Implements `Family`."""
        from dosimeter.families.split.game import Needs

        return Needs

    def attacks(self) -> Mapping[str, type]:
        """Implements `Family`."""
        from dosimeter.families.split.attacks import ATTACKS

        return ATTACKS

    def default_attacks(self, threat: ThreatTable, *, transferred: bool) -> list[dict[str, Any]]:
        """Implements `Family`: all attacks; those on attributes where the threat names some."""
        from dosimeter.families.split.attacks import default_rows

        own = cast(SplitThreat, threat)
        seen = own.answers == "seen"
        rows = default_rows(
            attributes=bool(own.attributes), answers=seen, gradients=own.gradients, active=own.active,
            blind=own.knows == "nothing",
        )  # fmt: skip
        return [] if transferred else rows

    def beside(self, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> list[dict[str, Any]]:
        """Implements `KeepsYardsticks`."""
        from dosimeter.families.split.case.yardsticks import lacking

        return lacking(cast(SplitThreat, threat), attacks)

    def problems(self, threat: ThreatTable, attacks: Sequence[NamedAttack], around: Surroundings) -> list[str]:
        """Implements `Family`."""
        from dosimeter.families.split.problems import problems_of

        return problems_of(cast(SplitThreat, threat), attacks, around)

    def check_records(self, parts: Mapping[str, Dataset], threat: ThreatTable, *, trains: bool, seed: int) -> None:
        """Implements `Family`: records are checked with the model, or with its traffic."""

    def case(self, system: System, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> SplitCase:
        """Implements `Family`."""
        from dosimeter.families.split.case.case import split_case
        from dosimeter.training.deployment.recorded import RecordedSystem

        if isinstance(system, RecordedSystem):
            from dosimeter.families.split.case.recorded import recorded_case

            return recorded_case(system, cast(SplitThreat, threat), attacks)
        if not system.draws:
            from dosimeter.families.split.case.supplied import supplied_case

            return supplied_case(cast("SuppliedSystem", system), cast(SplitThreat, threat), attacks)
        return split_case(cast("TrainedSystem", system), cast(SplitThreat, threat), attacks)

    def measure(self, folder: CaseFolder) -> Findings:
        """Implements `Family`."""
        from dosimeter.families.split.measure import measure

        return measure(folder)

    def compare(self, cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
        """Implements `Family`: differences of shares and AUCs at each cut, and of accuracies, paired."""
        from dosimeter.families.split.measures.variants import compare

        return compare(cases)

    def section(self, result: Mapping[str, Any], provenance: Mapping[str, Any]) -> Section:
        """Implements `Family`."""
        from dosimeter.families.split.section.section import section

        return section(result)


SPLIT = Split()
