"""Output of the command line: the verdict, the plan, the catalogue."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from dosimeter.families.family import AuditsTexts, Family, Names
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.registry import Registry
from dosimeter.foundation.wording import one_line
from dosimeter.jobs.housekeeping import Collection, Entry, in_words
from dosimeter.pipeline.plan import AttackPlan, Plan
from dosimeter.pipeline.result import check_lines, first_sentences
from dosimeter.results.words import speak


def plain(text: object) -> str:
    """Text from a file or the user, as one line without hidden characters."""
    return one_line(speak(str(text)), limit=2000)


def verdict_lines(result: Mapping[str, Any], path: Path) -> list[str]:
    """The first sentences of a result and of its threats, its checks, and the place where it was written."""
    kind = "Report" if path.suffix == ".html" else "Result"
    return [plain(line) for line in (*first_sentences(result), *check_lines(result), f"{kind}: {path}")]


def plan_lines(plan: Plan) -> list[str]:
    """A plan as text."""
    lines = [f"Audit {plan.key}", "", "Stages"]
    for stage in plan.stages:
        lines.append(f"  {stage.name}: {stage.how}" + (f"; {stage.data}" if stage.data else ""))
        if stage.models:
            lines.append(f"    {stage.models} models: {stage.cached} cached, {stage.models - stage.cached} to train")
        if stage.reason:
            lines.append(f"    {stage.reason}")
    lines += _attack_lines(plan.attacks)
    seconds = "unknown" if plan.seconds is None else f"about {plan.seconds:.0f} s"
    lines += [
        "",
        f"Estimate: {seconds}, {in_words(plan.memory)} of memory per process, {in_words(plan.disk)} of disk "
        f"({in_words(plan.free)} free)",
    ]
    sources = plan.hashed["stage"]["sources"]
    if sources:
        lines.append("Hashed into the key: " + ", ".join(f"{name} {value[:12]}" for name, value in sources.items()))
    return lines + [f"Note: {note}" for note in plan.notes]


def _attack_lines(attacks: Sequence[AttackPlan]) -> list[str]:
    """The attacks of a plan, below their threat if there are several."""
    threats = list(dict.fromkeys(attack.threat for attack in attacks))
    lines = []
    for threat in threats:
        lines += ["", "Attacks" if len(threats) == 1 else f"Attacks of threat {threat}"]
        lines += [
            f"  {one.id}: REFUSED, {one.refused}"
            if one.refused
            else f"  {one.id}: needs {one.needs}" + (f"; uses {one.uses}" if one.uses else "")
            for one in attacks
            if one.threat == threat
        ]
    return lines


CHAIN = "default of a chain"
"""Mark of defaults for an audit in which stages follow the one at risk."""
TEXTS = "default of texts"
"""Mark of defaults for an audit of a language model."""


def families() -> dict[str, dict[str, Any]]:
    """The families of attack by name: question, attacks with the defaults among them, metrics, keys of a threat."""
    return {
        name: {
            "name": family.name,
            "question": family.question.replace("{noun}", "record"),
            "attacks": _about(family.attacks()),
            "defaults": _default_attacks(family),
            "metrics": {
                metric: {"unit": one.unit, "bad": one.bad, "limited": one.limited}
                for metric, one in family.metrics.items()
            },
            "threat": {
                key: {"required": one.is_required(), "default": _as_json(one)}
                for key, one in family.settings.model_fields.items()
            },
        }
        for name, family in FAMILIES.items()
    }


def catalogue() -> dict[str, dict[str, str]]:
    """Names that an audit file may use: for each kind a table from name to one line, of all families together."""
    from dosimeter.data import DATASETS
    from dosimeter.defenses import DEFENSES
    from dosimeter.models.names import ARCHITECTURES, Method

    found = {
        "attacks": _together(one["attacks"] for one in families().values()),
        "defenses": DEFENSES.about(),
        "data": {name: f"{spec.about} ({spec.source})" for name, spec in DATASETS.items()},
        "models": ARCHITECTURES.about(),
        "transfer": dict.fromkeys(get_args(Method), ""),
    }
    return found | {kind: _together(one.about for _, one in own) for kind, own in _names().items()}


def defaults() -> dict[str, dict[str, str]]:
    """Defaults for each kind in the catalogue, with the case in which they apply."""
    from dosimeter.config.tables import Stage

    found: dict[str, dict[str, str]] = {
        "attacks": _together(one["defaults"] for one in families().values()),
        "defenses": {},
        "data": {},
        "models": {},
        "transfer": {str(Stage.model_fields["transfer"].default): "default"},
    }
    return found | {kind: _together(one.defaults for _, one in own) for kind, own in _names().items()}


def catalogue_lines() -> list[str]:
    """The catalogue as text, family by family; a mark in brackets shows the defaults."""
    lines = [
        "[default]: used where the audit names none of its kind",
        f"[{CHAIN}]: used instead where stages follow the one at risk",
    ]
    for one in families().values():
        lines += _section(f"attacks of {one['name']}: {one['question']}", one["attacks"], one["defaults"])
    found, marks = catalogue(), defaults()
    for kind in ("defenses", "data", "models", "transfer"):
        lines += _section(kind if marks[kind] else f"{kind} (none by default)", found[kind], marks[kind])
    for kind, own in _names().items():
        for family, names in own:
            lines += _section(f"{kind} of {family}", names.about, names.defaults)
    return lines


def _section(heading: str, about: Mapping[str, str], marks: Mapping[str, str]) -> list[str]:
    """Names of one kind below a heading."""
    told = {name: f"{name} [{marks[name]}]" if name in marks else name for name in about}
    return [heading, *(f"  {told[name]}: {text}" if text else f"  {told[name]}" for name, text in about.items())]


def _default_attacks(family: Family) -> dict[str, str]:
    """Attacks that run where an audit names none of a family, with the case."""
    threat = family.settings.model_construct(family=family.name)
    marks: dict[str, list[str]] = {}
    listed = [(mark, family.default_attacks(threat, transferred=mark == CHAIN)) for mark in ("default", CHAIN)]
    if isinstance(family, AuditsTexts):
        listed.append((TEXTS, family.text_attacks(threat, transferred=False)))
    for mark, rows in listed:
        for row in rows:
            own = marks.setdefault(row["name"], [])
            own += [mark] if mark not in own else []
    return {name: "; ".join(own) for name, own in marks.items()}


def template_of(family: Family, task: str) -> Mapping[str, str]:
    """The files of `dosimeter init` by name.

    Raises:
        ConfigError: no such task, or the family has no attack on it.
    """
    if task == "classes":
        return family.template()
    if task != "language":
        raise ConfigError(
            f"--task: must be classes or language, got {task!r}: {suggest(task, ('classes', 'language'))}"
        )
    if not isinstance(family, AuditsTexts):
        raise ConfigError(
            f"--task: family {family.name!r} asks of models with classes, got {task!r}: use --family membership"
        )
    return family.text_template()


def _names() -> dict[str, list[tuple[str, Names]]]:
    """Names of further kinds, each with the family that has them."""
    found: dict[str, list[tuple[str, Names]]] = {}
    for name, family in FAMILIES.items():
        for kind, own in family.names().items():
            found.setdefault(kind, []).append((name, own))
    return found


def _together(tables: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Several tables as one; of a name that two have, the first tells."""
    found: dict[str, str] = {}
    for table in tables:
        found = {**found, **{name: text for name, text in table.items() if name not in found}}
    return found


def _about(attacks: Mapping[str, type]) -> dict[str, str]:
    """One line about each attack; those of a family of this package are not imported for it."""
    if isinstance(attacks, Registry):
        return attacks.about()
    return {name: (kind.__doc__ or "").strip().partition("\n")[0] for name, kind in attacks.items()}


def _as_json(key: FieldInfo) -> Any:
    """The default of a key, None if it is required."""
    return None if key.is_required() else to_jsonable_python(key.get_default(call_default_factory=True))


def entry_lines(entries: Sequence[Entry]) -> list[str]:
    """The entries of a store as text."""
    lines = [
        f"{entry.key}  {in_words(entry.size):>8}  {time.strftime('%Y-%m-%d %H:%M', time.localtime(entry.used))}  "
        f"{entry.kind}{f': {entry.what}' if entry.what else ''}"
        for entry in entries
    ]
    total = sum(entry.size for entry in entries)
    return [*lines, f"{len(entries)} entries, {in_words(total)}"]


def collection_line(found: Collection, dry_run: bool) -> str:
    """Result of a cleaning, in one line."""
    did = "Would remove" if dry_run else "Removed"
    kept = f"; {found.in_use} stay because a run uses them" if found.in_use else ""
    removed = "1 entry" if len(found.removed) == 1 else f"{len(found.removed)} entries"
    return f"{did} {removed}, {in_words(found.freed)}; {found.kept} left, {in_words(found.size)}{kept}"
