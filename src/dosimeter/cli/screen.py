"""Output of the command line: the verdict, the plan, the catalogue."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dosimeter.foundation.wording import one_line
from dosimeter.jobs.housekeeping import Collection, Entry, in_words
from dosimeter.pipeline.plan import Plan
from dosimeter.pipeline.result import check_lines
from dosimeter.results.words import speak


def plain(text: object) -> str:
    """Text from a file or the user, as one line without hidden characters."""
    return one_line(speak(str(text)), limit=2000)


def verdict_lines(result: Mapping[str, Any], path: Path) -> list[str]:
    """The first sentences of a result, its checks, and the place where it was written."""
    kind = "Report" if path.suffix == ".html" else "Result"
    return [plain(line) for line in (*result["verdict"]["sentences"], *check_lines(result), f"{kind}: {path}")]


def plan_lines(plan: Plan) -> list[str]:
    """A plan as text."""
    lines = [f"Audit {plan.key}", "", "Stages"]
    for stage in plan.stages:
        lines.append(f"  {stage.name}: {stage.how}" + (f"; {stage.data}" if stage.data else ""))
        if stage.models:
            lines.append(f"    {stage.models} models: {stage.cached} cached, {stage.models - stage.cached} to train")
        if stage.reason:
            lines.append(f"    {stage.reason}")
    lines += ["", "Attacks"]
    for attack in plan.attacks:
        lines.append(
            f"  {attack.id}: needs {attack.needs}"
            if not attack.refused
            else f"  {attack.id}: REFUSED, {attack.refused}"
        )
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


def catalogue() -> dict[str, dict[str, str]]:
    """Names that an audit file may use: for each kind a table from name to one line."""
    from typing import get_args

    from dosimeter.data import DATASETS
    from dosimeter.defenses import DEFENSES
    from dosimeter.families.membership.attacks import ATTACKS
    from dosimeter.families.membership.threat import VIEWS
    from dosimeter.models.architectures import ARCHITECTURES
    from dosimeter.models.transfer import Method

    def first(text: str | None) -> str:
        return (text or "").strip().splitlines()[0]

    return {
        "attacks": {name: first(kind.__doc__) for name, kind in ATTACKS.items()},
        "defenses": {name: first(kind.__doc__) for name, kind in DEFENSES.items()},
        "data": {name: f"{spec.about} ({spec.source})" for name, spec in DATASETS.items()},
        "models": {name: first(builder.__doc__) for name, builder in ARCHITECTURES.items()},
        "transfer": dict.fromkeys(get_args(Method), ""),
        "views": dict.fromkeys(VIEWS, ""),
    }


CHAIN = "default of a chain"
"""Mark of defaults for an audit in which stages follow the one at risk."""


def defaults() -> dict[str, dict[str, str]]:
    """Defaults for each kind in the catalogue, with the case in which they apply."""
    from dosimeter.config.tables import Stage
    from dosimeter.families.membership.attacks import DEFAULT, DEFAULT_TRANSFERRED

    attacks = dict.fromkeys(DEFAULT_TRANSFERRED, CHAIN)
    attacks |= {name: f"default; {CHAIN}" if name in attacks else "default" for name in DEFAULT}
    return {
        "attacks": attacks,
        "defenses": {},
        "data": {},
        "models": {},
        "transfer": {str(Stage.model_fields["transfer"].default): "default"},
        "views": {"identity": "default; further ones if training augments"},
    }


def catalogue_lines(found: dict[str, dict[str, str]]) -> list[str]:
    """A catalogue as text; a mark in brackets shows the defaults."""
    lines = [
        "[default]: used where the audit names none of its kind",
        f"[{CHAIN}]: used instead where stages follow the one at risk",
    ]
    marks = defaults()
    for kind, entries in found.items():
        own = marks[kind]
        lines.append(kind if own else f"{kind} (none by default)")
        for name, text in entries.items():
            mark = f" [{own[name]}]" if name in own else ""
            lines.append(f"  {name}{mark}: {text}" if text else f"  {name}{mark}")
    return lines


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
