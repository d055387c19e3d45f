"""The audit file: from TOML to validated, frozen settings. Errors name the key's path, rule, value and remedy."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import ValidationError

from dosimeter.config.beside import beside_settings, read_beside
from dosimeter.config.combinations import chain_problems, target_problems
from dosimeter.config.defense_rows import defense_problems, defense_rows, listed_defenses
from dosimeter.config.named_parts import DataPart, further_problems
from dosimeter.config.recorded import RecordedAudit, is_recorded, model_of, recorded_problems
from dosimeter.config.sent_defenses import listed, sent_problems, takes_defenses
from dosimeter.config.stages.leg_threats import at_last, leg_problems
from dosimeter.config.stages.legs import last_of
from dosimeter.config.tables import RecordedTarget, Report, Stage, Target, TargetTop, Top, Variant
from dosimeter.config.threat_rows import ThreatRow, threat_rows
from dosimeter.config.variant_rows import flat, merge_rows, placed, problems_of
from dosimeter.families.attack import NamedAttack
from dosimeter.families.topology import Topology
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.findings import Finding, findings, lines, scan
from dosimeter.foundation.table import Table
from dosimeter.foundation.toml import as_tuples, read
from dosimeter.foundation.wording import quote
from dosimeter.training.defending import DefenseRow

T = TypeVar("T", bound=Table)


@dataclasses.dataclass(frozen=True)
class Audit:
    """A validated audit file.

    Attributes:
        name: name of the run's folder.
        seed: root of all randomness.
        stages: the chain.
        threats: the adversaries, in order.
        report: wording of the report.
        base: folder of the audit file; relative paths and user modules are found from here.
        defenses: defenses of each stage.
        variants: further audits, each alone: a defense beside those of the stage at risk, or other settings.
        parts: parts of data by name.
        topology: who holds and runs what, or None.
        written: whether the file has a `[[threat]]`; otherwise they follow from the topology, or are the default.
    """

    name: str
    seed: int
    stages: tuple[Stage, ...]
    threats: tuple[ThreatRow, ...]
    report: Report
    base: Path
    defenses: tuple[tuple[DefenseRow, ...], ...]
    variants: tuple[DefenseRow | VariantRow, ...] = ()
    parts: Mapping[str, DataPart] = dataclasses.field(default_factory=dict)
    topology: Topology | None = None
    written: bool = True

    def settings(self) -> dict[str, Any]:
        """All keys with defaults filled in, as JSON values; stored in a run's folder."""
        return {
            **_common_settings(self),
            "stage": [stage.model_dump(mode="json") for stage in self.stages],
            "defense": listed_defenses([row for row in self.variants if isinstance(row, DefenseRow)]),
            "variant": [
                row.table.model_dump(mode="json", exclude_none=True)
                for row in self.variants
                if isinstance(row, VariantRow)
            ],
            **beside_settings(self.parts, self.topology),
        }

    @property
    def attacks(self) -> tuple[NamedAttack, ...]:
        """The attacks of all threats, in order."""
        return tuple(attack for row in self.threats for attack in row.attacks)

    def index_of(self, row: ThreatRow) -> int:
        """Index of the stage that a threat is after."""
        names = [stage.name for stage in self.stages]
        return names.index(row.threat.at_risk or str(last_of(self.stages, None, row.family)))

    @property
    def at_risk(self) -> int:
        """Index of the first stage at risk."""
        return min(map(self.index_of, self.threats))


@dataclasses.dataclass(frozen=True)
class VariantRow:
    """One `[[variant]]` row.

    Attributes:
        name: empty, since this is no defense.
        paper: empty, since this is no defense.
        table: the row in the file.
        audit: the whole audit that the row stands for.
    """

    name: ClassVar[str] = ""
    paper: ClassVar[str] = ""

    table: Variant
    audit: Audit

    @property
    def id(self) -> str:
        """Id of the variant, and name of its folder."""
        return self.table.id

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that the variant changes."""
        return flat(self.table)

    @property
    def place(self) -> str:
        """Part of the audit that it changes: "chain" or "adversary"."""
        return "chain" if self.table.stage else "adversary"


def with_variant(audit: Audit, row: DefenseRow | VariantRow) -> Audit:
    """The audit that a variant stands for, without variants of its own."""
    name = f"{audit.name}: {row.id}"
    if isinstance(row, VariantRow):
        return dataclasses.replace(row.audit, name=name)
    defenses = list(audit.defenses)
    defenses[audit.at_risk] += (row,)
    return dataclasses.replace(audit, name=name, defenses=tuple(defenses), variants=())


@dataclasses.dataclass(frozen=True)
class SuppliedAudit:
    """A validated audit file about a supplied model.

    Attributes:
        name: name of the run's folder.
        seed: root of all randomness.
        target: the model and its records.
        threats: the adversaries, in order.
        report: wording of the report.
        base: folder of the audit file; relative paths and user modules are found from here.
        variants: further audits, each with one defense of what crosses the cut.
    """

    name: str
    seed: int
    target: Target
    threats: tuple[ThreatRow, ...]
    report: Report
    base: Path
    variants: tuple[DefenseRow, ...] = ()

    def settings(self) -> dict[str, Any]:
        """All keys with defaults filled in, as JSON values; stored in a run's folder."""
        return {**_common_settings(self), "target": self.target.model_dump(mode="json"), **listed(self.variants)}


AnyAudit = Audit | SuppliedAudit | RecordedAudit
"""A validated audit file, whatever its model."""


def _common_settings(audit: AnyAudit) -> dict[str, Any]:
    """Settings that both kinds of audit file have."""
    return {
        "name": audit.name,
        "seed": audit.seed,
        **threat_settings(audit.threats),
        "report": audit.report.model_dump(mode="json"),
    }


def threat_settings(threats: Sequence[ThreatRow]) -> dict[str, Any]:
    """Settings of the threats and their attacks, as JSON values."""

    def attacks(row: ThreatRow) -> list[dict[str, Any]]:
        return [{"id": one.id, "name": one.name, **one.settings} for one in row.attacks]

    def threat(row: ThreatRow) -> dict[str, Any]:
        return row.threat.model_dump(mode="json", exclude_none=True)

    if len(threats) == 1:
        return {"threat": threat(threats[0]), "attack": attacks(threats[0])}
    return {"threat": [{**threat(row), "id": row.id, "attack": attacks(row)} for row in threats]}


@dataclasses.dataclass(frozen=True)
class Draft:
    """An audit file that may be wrong, so that problems of its data can be reported together with its own.

    Attributes:
        audit: None if there are problems.
        stages: the valid stages, None for the others.
        seed: seed of the audit, 0 if it is wrong.
        problems: problems, one line each.
        parts: the valid parts of data by name.
    """

    audit: Audit | SuppliedAudit | RecordedAudit | None
    stages: tuple[Stage | None, ...]
    seed: int
    problems: tuple[str, ...]
    parts: Mapping[str, DataPart] = dataclasses.field(default_factory=dict)


def load(path: Path) -> AnyAudit:
    """Reads an audit file.

    Args:
        path: a TOML file.

    Raises:
        ConfigError: every problem that can be seen without data, one line each.
    """
    return parse(read(path), base=path.resolve().parent, name=path.stem)


def parse(table: Mapping[str, Any], *, base: Path, name: str = "audit") -> AnyAudit:
    """Validates the tables of an audit.

    Args:
        table: as TOML gives it.
        base: folder from which relative paths and user modules are found.
        name: used where the table gives no name.

    Raises:
        ConfigError: every problem, one line each.
    """
    found = draft(table, base=base, name=name)
    if found.audit is None:
        raise ConfigError(*found.problems)
    return found.audit


def _of_target(
    target: Target | RecordedTarget | None, rows: Sequence[ThreatRow], parts: Mapping[str, DataPart], base: Path
) -> list[str]:
    """Problems with a supplied model or with what was recorded, beside what asks of it."""
    if isinstance(target, RecordedTarget):
        return recorded_problems(target, rows, parts, base)
    if target is None:
        return []
    takes = [one for row in rows for one in row.family.takes]
    needs = any(row.family.members for row in rows) or not rows
    return target_problems(target, members=needs) + further_problems(list(target.data), takes)


def draft(table: Mapping[str, Any], *, base: Path, name: str = "audit") -> Draft:
    """Validates the tables of an audit and lists every problem; arguments as in `parse`.

    Each table is validated by itself, so that a wrong key hides no problem elsewhere.
    """
    odd = scan(table)
    found = list(odd)
    if any("nested deeper" in text for _, text in found):
        return Draft(None, (), 0, tuple(lines(found)))
    default_name = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-") or "audit"
    whole = {"name": default_name[:64], **as_tuples(table)}
    top, of_top = _top(whole)
    found += of_top
    parts, of_stages = _stages(whole)
    beside = read_beside(whole, parts, base)
    target, of_target = _target(whole)
    report, more = _table(Report, whole.get("report", {}), "report")
    threats = threat_rows(whole, parts, base, beside.topology)
    recorded = isinstance(target, RecordedTarget)
    sent = target is not None and takes_defenses(threats.rows, recorded=recorded)
    variants, own, problems = _read_defenses(whole, parts, base, sent=sent)
    problems = [*threats.problems, *problems, *(sent_problems(variants, "defense", recorded=recorded) if sent else [])]
    stages = tuple(stage for stage in parts if stage)
    if parts and None not in parts:
        placed = {row.place: at_last(row, stages) for row in threats.rows}
        problems = chain_problems(stages, {place: one.at_risk for place, one in placed.items()}, base) + problems
        problems += defense_problems(stages, own, variants, placed)
        problems += leg_problems(stages, threats.rows)
    problems = [*_of_target(target, threats.rows, beside.parts, base), *problems, *beside.problems]
    if "target" in whole and "stage" in whole:
        problems.append("target: a supplied model is not trained here, got [[stage]] beside it: remove one of them")
    problems = lines([*found, *of_stages, *of_target, *more]) + _unreported(problems, odd)
    seed = whole.get("seed", 0)
    if problems or top is None or report is None:
        return Draft(None, tuple(parts), seed if type(seed) is int and seed >= 0 else 0, tuple(problems), beside.parts)
    if isinstance(target, RecordedTarget):
        plain = RecordedAudit(top.name, top.seed, target.transcript, threats.rows, report, base, beside.parts)
        plain = dataclasses.replace(plain, common=_common_settings(plain), model=model_of(target), variants=variants)
        return Draft(plain, (), top.seed, ())
    if target is not None:
        return Draft(SuppliedAudit(top.name, top.seed, target, threats.rows, report, base, variants), (), top.seed, ())
    audit = Audit(top.name, top.seed, stages, threats.rows, report, base, own, variants)
    written = beside.topology is None or "threat" in whole
    audit = dataclasses.replace(audit, parts=beside.parts, topology=beside.topology, written=written)
    return _add_variants(whole, audit)


def _top(whole: Mapping[str, Any]) -> tuple[Top | TargetTop | None, list[Finding]]:
    """The keys outside of all tables, None if they are wrong, and the problems."""
    kind = TargetTop if "target" in whole else Top
    try:
        return kind.model_validate(whole), []
    except ValidationError as error:
        return None, list(findings(error, "", kind.model_fields, tables=("stage", "attack", "defense", "variant")))


def _target(whole: Mapping[str, Any]) -> tuple[Target | RecordedTarget | None, list[Finding]]:
    """The supplied model or the recorded traffic, None if there is neither or it is wrong, and the problems."""
    if "target" not in whole:
        return None, []
    kind: type[Target | RecordedTarget] = RecordedTarget if is_recorded(whole) else Target
    return _table(kind, whole["target"], "target")


def _unreported(problems: Sequence[str], odd: Sequence[Finding]) -> list[str]:
    """Further problems at places that have no problem yet."""
    told = [start for place, _ in odd for start in (f"{place}:", f"{': '.join(place.rsplit('.', 1))} must")]
    return [line for line in problems if not line.startswith(tuple(told))]


def _stages(whole: Mapping[str, Any]) -> tuple[list[Stage | None], list[Finding]]:
    """Each stage (None if it is wrong), and the problems."""
    parts: list[Stage | None] = []
    found: list[Finding] = []
    raw = whole.get("stage")
    for index, part in enumerate(raw if isinstance(raw, tuple) else ()):
        stage, wrong = _table(Stage, part, f"stage[{index}]")
        parts.append(stage)
        found += wrong
    return parts, found


def _add_variants(whole: Mapping[str, Any], audit: Audit) -> Draft:
    """A valid audit with its `[[variant]]` rows, or the problems with them."""
    rows: list[VariantRow] = []
    problems: list[str] = []
    for index, raw in enumerate(whole.get("variant", ())):
        place = f"variant[{index}]"
        table, found = _table(Variant, raw, place)
        problems += lines(found)
        if table is None:
            continue
        names = [stage.name for stage in audit.stages]
        wrong = problems_of(table, names, len(audit.threats), written=audit.written)
        problems += [f"{place}{text}" for text in wrong]
        if wrong:
            continue
        meant = draft(merge_rows(whole, table), base=audit.base, name=audit.name)
        problems += [placed(place, text) for text in meant.problems]
        if isinstance(meant.audit, Audit):
            rows.append(VariantRow(table, meant.audit))
    ids = [row.id.lower() for row in (*audit.variants, *rows)]
    for twice in sorted({one for one in ids if ids.count(one) > 1}):
        problems.append(f"variant: ids must be distinct, got {twice!r} {ids.count(twice)} times: rename one")
    if problems:
        return Draft(None, audit.stages, audit.seed, tuple(problems), audit.parts)
    return Draft(dataclasses.replace(audit, variants=(*audit.variants, *rows)), audit.stages, audit.seed, ())


def _read_defenses(
    whole: Mapping[str, Any], stages: Sequence[Stage | None], base: Path, *, sent: bool
) -> tuple[tuple[DefenseRow, ...], tuple[tuple[DefenseRow, ...], ...], list[str]]:
    """The variants, the defenses of each stage, and the problems with both.

    Args:
        whole: the file's tables.
        stages: its stages, None for those that are wrong.
        base: folder of the user's modules.
        sent: whether what a supplied model sends may be defended.
    """
    variants, problems = defense_rows(whole.get("defense"), base, "defense")
    for kind in ("defense", "variant"):
        if "target" in whole and whole.get(kind) and not (kind == "defense" and sent):
            what = "what was recorded" if is_recorded(whole) else "a supplied model"
            problems.append(f"{kind}: {what} is not trained here, got [[{kind}]] beside [target]: remove one")
    own = []
    for index, stage in enumerate(stages):
        rows, wrong = defense_rows(() if stage is None else stage.defenses, base, f"stage[{index}].defenses")
        own.append(rows)
        problems += wrong
    return variants, tuple(own), problems


def _table(model: type[T], raw: Any, place: str) -> tuple[T | None, list[tuple[str, str]]]:
    """One validated table, or the problems with it."""
    if not isinstance(raw, Mapping):
        # the file's own validation tells of [threat] and [report], but takes anything in the list of stages
        remedy = {Stage: "write it below [[stage]]", Target: "write the table's head once, as [target]"}.get(model)
        return None, [(place, f": must be a table, got {quote(raw, 80)}: {remedy}")] if remedy else []
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        return None, findings(error, place, model.model_fields)
