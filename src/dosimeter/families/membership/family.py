"""Membership as a family of attacks: was this record used to train the model?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from dosimeter.families.attack import NamedAttack
from dosimeter.families.family import BuiltInFamily, CaseFolder, Names, Surroundings, files_of
from dosimeter.families.membership.metrics import METRICS, NAME
from dosimeter.families.membership.threat import VIEWS, Threat
from dosimeter.families.threat import ThreatTable
from dosimeter.results.metrics import Metric

if TYPE_CHECKING:
    from dosimeter.data import Dataset
    from dosimeter.families.membership.case.drawn import DrawnCase
    from dosimeter.families.membership.case.stated import StatedCase
    from dosimeter.results.findings import Findings
    from dosimeter.results.page.section import Section
    from dosimeter.results.rows import Row
    from dosimeter.training.system import SuppliedSystem, System, TrainedSystem


@dataclass(frozen=True)
class Membership(BuiltInFamily):
    """The family; a `Family`. Its methods import what they need, so that `check` and `list` are quick."""

    name: str = NAME
    question: str = "Was this {noun} used to train the model?"
    settings: type[Threat] = Threat
    takes: frozenset[str] = frozenset()
    members: bool = True
    metrics: ClassVar[Mapping[str, Metric]] = METRICS

    @property
    def needs(self) -> type:
        """Implements `Family`."""
        from dosimeter.families.membership.game import Needs

        return Needs

    def attacks(self) -> Mapping[str, type]:
        """Implements `Family`."""
        from dosimeter.families.membership.attacks import ATTACKS

        return ATTACKS

    def default_attacks(self, threat: ThreatTable, *, transferred: bool) -> list[dict[str, Any]]:
        """Implements `Family`: the default attacks, in every mode."""
        from dosimeter.families.membership.attacks import default_rows

        return default_rows(transferred=transferred)

    def beside(self, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> list[dict[str, Any]]:
        """Implements `KeepsYardsticks`: both controls, which must be at chance."""
        from dosimeter.families.membership.attacks import lacking

        return lacking(attacks)

    def text_attacks(self, threat: ThreatTable, *, transferred: bool) -> list[dict[str, Any]]:
        """Implements `AuditsTexts`."""
        from dosimeter.families.membership.attacks import text_rows

        return text_rows(transferred=transferred)

    def names(self) -> Mapping[str, Names]:
        """Implements `Family`: query views."""
        return {"views": Names(dict.fromkeys(VIEWS, ""), {"identity": "default; further ones if training augments"})}

    def text_template(self) -> Mapping[str, str]:
        """Implements `AuditsTexts`."""
        return files_of(self.folder / "template" / "language")

    def problems(self, threat: ThreatTable, attacks: Sequence[NamedAttack], around: Surroundings) -> list[str]:
        """Implements `Family`."""
        from dosimeter.families.membership.problems import problems_of

        return problems_of(cast(Threat, threat), around)

    def check_records(self, parts: Mapping[str, Dataset], threat: ThreatTable, *, trains: bool, seed: int) -> None:
        """Implements `Family`."""
        from dosimeter.families.membership.case.stated import check_parts

        check_parts(parts, cast(Threat, threat), trains=trains, seed=seed)

    def case(self, system: System, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> DrawnCase | StatedCase:
        """Implements `Family`: membership is drawn where rows can be chosen, else the user states it."""
        if system.draws:
            from dosimeter.families.membership.case.drawn import drawn_case

            return drawn_case(cast("TrainedSystem", system), cast(Threat, threat), attacks)
        from dosimeter.families.membership.case.stated import stated_case

        return stated_case(cast("SuppliedSystem", system), cast(Threat, threat), attacks)

    def compare(self, cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
        """Implements `Family`: paired differences of the AUC and of accuracies."""
        from dosimeter.families.membership.measures.variants import compare

        return compare(cases)

    def measure(self, folder: CaseFolder) -> Findings:
        """Implements `Family`."""
        from dosimeter.families.membership.measure import measure
        from dosimeter.families.membership.stored import material_of, read_case, write_exposure, write_scores

        left = read_case(folder)
        write_scores(folder.path / "scores.parquet", left)
        write_exposure(folder.path / "exposure.parquet", material := material_of(left))
        return measure(material)

    def section(self, threat: Mapping[str, Any], provenance: Mapping[str, Any]) -> Section:
        """Implements `Family`."""
        from dosimeter.families.membership.section.section import section  # loads Matplotlib, which takes a second

        return section(threat, provenance)


MEMBERSHIP = Membership()
