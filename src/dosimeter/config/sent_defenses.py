"""Defenses of what a supplied model sends over its cut, and of messages that were recorded: each is a further audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dosimeter.config.defense_rows import defense_rows, listed_defenses, repeated
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.toml import as_tuples
from dosimeter.foundation.wording import quote
from dosimeter.training.defending import DefenseRow
from dosimeter.training.deployment.replayable import unplayable
from dosimeter.training.recipe import BlursCut, FitsCut, Release


def takes_defenses(rows: Sequence[ThreatRow], *, recorded: bool = False) -> bool:
    """Returns whether every threat of an audit is about what crosses a cut, or of recorded messages about these."""
    return all(("parties" if recorded else "defenses") in row.family.takes for row in rows)


def sent_problems(rows: Sequence[DefenseRow], place: str, *, recorded: bool = False) -> list[str]:
    """Problems with defenses of what a supplied model sends over its cut, or of recorded messages, one line each.

    Args:
        rows: each for a variant.
        place: name of the rows in messages.
        recorded: whether messages of a joint training were recorded, in place of a supplied model.
    """
    if recorded:
        told = [f"{place}[{index}]: {text}" for index, row in enumerate(rows) if (text := unplayable(row))]
        return told + repeated(rows, place)
    problems = [
        f"{place}[{index}]: must act at the cut, since a supplied model is not trained here, got {row.name}, which "
        "acts elsewhere: remove it"
        for index, row in enumerate(rows)
        if not isinstance(row.defense, Release | FitsCut) or isinstance(row.defense, BlursCut)
    ]
    return problems + repeated(rows, place)


def python_defenses(
    given: object, rows: Sequence[ThreatRow], base: Path, *, recorded: bool = False
) -> tuple[DefenseRow, ...]:
    """The defenses of a call, each for a further audit.

    Args:
        given: tables as in an audit file; None for none.
        rows: the adversaries.
        base: the folder that user modules come from.
        recorded: whether something was recorded, in place of a supplied model.

    Raises:
        ConfigError: every problem, one line each.
    """
    if given is None:
        return ()
    odd = [one for one in given if not isinstance(one, Mapping)] if isinstance(given, list | tuple) else [given]
    if odd:
        raise ConfigError(f"defenses: must be a list of tables, got {quote(odd[0])}: write [{{'name': 'noise'}}]")
    if not takes_defenses(rows, recorded=recorded):
        raise ConfigError(
            "defenses: act on what crosses a cut, got threats of other families beside them: audit each in a call of "
            "its own"
        )
    found, problems = defense_rows(as_tuples({"rows": given})["rows"], base, "defenses")
    if problems := [*problems, *sent_problems(found, "defenses", recorded=recorded)]:
        raise ConfigError(*problems)
    return found


def listed(rows: Sequence[DefenseRow]) -> dict[str, Any]:
    """Settings of the defenses, for the run's folder."""
    return {"defense": listed_defenses(rows)} if rows else {}
