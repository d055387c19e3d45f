"""The `[[attack]]` rows: from names and hyperparameters to attacks, ours or the user's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from dosimeter.config.plugin_rows import Kind, build, check, label
from dosimeter.families.attack import Attack, NamedAttack
from dosimeter.families.membership.attacks import ATTACKS, DEFAULT, DEFAULT_TRANSFERRED
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import one_line, quote
from dosimeter.statistics.evidence import Scores

MembershipAttack = Attack[MembershipGame, Scores]
KIND = Kind(
    word="attack",
    known=ATTACKS,
    wanted="a frozen dataclass with a method `run`",
    fits=lambda found: callable(getattr(found, "run", None)),
    needs={"needs": Needs, "signals": tuple, "paper": str, "control": bool},
    protocol="dosimeter.Attack",
)


def default_attacks(*, transferred: bool = False) -> list[dict[str, Any]]:
    """Rows for an audit file without `[[attack]]`: the attacks of `DEFAULT`, in every mode.

    Args:
        transferred: whether stages follow the one at risk, for which there is another list.
    """
    if transferred:
        return [{"name": name} for name in DEFAULT_TRANSFERRED]
    rows: list[dict[str, Any]] = []
    for name in DEFAULT:
        modes = next((field for field in dataclasses.fields(ATTACKS[name]) if field.name == "mode"), None)
        rows += [{"name": name, "mode": mode} for mode in ("online", "offline")] if modes else [{"name": name}]
    return rows


def attack_rows(raw: Any, base: Path, *, transferred: bool = False) -> tuple[tuple[NamedAttack, ...], list[str]]:
    """Builds the attacks of all rows and lists the problems; `transferred` as in `default_attacks`."""
    rows = raw if isinstance(raw, tuple) else ()
    if len(rows) > 1000:
        return (), []
    built: list[NamedAttack] = []
    problems: list[str] = []
    for index, row in enumerate(rows or default_attacks(transferred=transferred)):
        if not isinstance(row, Mapping):
            continue  # the file's own validation tells
        try:
            built.append(_attack(row, base))
        except ConfigError as error:
            problems += [one_line(f"attack[{index}]{problem}", limit=600) for problem in error.problems]
    return tuple(built), problems + _repeated_ids(built)


def named_attacks(attacks: Sequence[object], base: Path) -> tuple[NamedAttack, ...]:
    """The attacks that Python code lists: names, tables as in an audit file, or attacks themselves.

    Raises:
        ConfigError: every problem, one line each.
    """
    if isinstance(attacks, str | Mapping) or not isinstance(attacks, Iterable):
        raise ConfigError(f"attacks: must be a list, got {quote(attacks)}: write [{quote(attacks)}]")
    tables = [{"name": one} if isinstance(one, str) else one for one in attacks]
    rows, problems = attack_rows(tuple(tables), base) if tables else ((), ["attack: name at least one, got none"])
    built = list(rows)
    for index, one in enumerate(tables):
        if not isinstance(one, Mapping):
            try:
                check(one, KIND)
            except ConfigError as error:
                problems += [f"attack[{index}]{problem}" for problem in error.problems]
                continue
            mode, name = getattr(one, "mode", None), one_line(type(one).__name__, 60)
            built.insert(index, NamedAttack(f"{name} {mode}" if mode else name, name, cast(MembershipAttack, one)))
    problems += [line for line in _repeated_ids(built) if line not in problems]
    if problems:
        raise ConfigError(*problems)
    return tuple(built)


def _repeated_ids(rows: Iterable[NamedAttack]) -> list[str]:
    """Problems with ids that occur twice."""
    ids, problems = [row.id for row in rows], []
    for twice in sorted({one for one in ids if ids.count(one) > 1}):
        problems.append(f"attack: ids must be distinct, got {twice!r} {ids.count(twice)} times: give each row an `id`")
    return problems


def _attack(row: Mapping[str, Any], base: Path) -> NamedAttack:
    """Builds one attack; problems are given as the tail of `attack[i]`."""
    name, own_id, attack = build(row, base, KIND)
    mode = getattr(attack, "mode", None)
    return NamedAttack(label(f"{name} {mode}" if mode else name) if own_id is None else own_id, name, attack)
