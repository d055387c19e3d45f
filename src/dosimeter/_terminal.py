"""What the command line shows: progress with the time left, the plan, the catalogue."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from dosimeter.housekeeping import Collection, Entry, in_words
from dosimeter.place import Progress, silent
from dosimeter.planning import Plan

PLAIN_EVERY = 5.0
"""Seconds between lines of progress where there is no terminal."""


@contextlib.contextmanager
def showing(quiet: bool) -> Iterator[Progress]:
    """A progress callback: bars with the time left on a terminal, plain lines elsewhere, nothing if quiet."""
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    else:
        yield _plain_lines()


@contextlib.contextmanager
def _bars() -> Iterator[Progress]:
    """Bars by rich on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def advance(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total, completed=done)
            bars.update(tasks[phase], completed=done, total=total)

        yield advance


def _plain_lines() -> Progress:
    """One line at the start and the end of a phase and every few seconds between."""
    started: dict[str, tuple[float, int]] = {}  # the clock starts with the first piece done, after workers have loaded
    last: dict[str, float] = {}

    def advance(phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        known = phase in started
        if not known or started[phase][1] == 0:
            started[phase] = (now, done)
        if known and done < total and now - last[phase] < PLAIN_EVERY:
            return
        begin, first = started[phase]
        left = (now - begin) / (done - first) * (total - done) if done > first else None
        tail = "done" if done >= total else "" if left is None else f"about {left:.0f} s left"
        print(f"{phase}: {done}/{total} {tail}".rstrip(), file=sys.stderr, flush=True)
        last[phase] = now

    return advance


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
    """What can be named in an audit file: per kind a table from name to one line."""
    from typing import get_args

    from dosimeter.attacks import ATTACKS
    from dosimeter.config import VIEWS
    from dosimeter.data import DATASETS
    from dosimeter.defenses import DEFENSES
    from dosimeter.models import ARCHITECTURES
    from dosimeter.transfer import Method

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


def catalogue_lines(found: dict[str, dict[str, str]]) -> list[str]:
    """A catalogue as text."""
    lines = []
    for kind, entries in found.items():
        lines += [kind, *[f"  {name}: {text}" if text else f"  {name}" for name, text in entries.items()]]
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
    """What a cleaning did, in one line."""
    did = "Would remove" if dry_run else "Removed"
    kept = f"; {found.in_use} stay because a run uses them" if found.in_use else ""
    removed = "1 entry" if len(found.removed) == 1 else f"{len(found.removed)} entries"
    return f"{did} {removed}, {in_words(found.freed)}; {found.kept} left, {in_words(found.size)}{kept}"
