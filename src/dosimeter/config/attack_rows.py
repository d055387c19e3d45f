"""The `[[attack]]` rows: from names and hyperparameters to attacks, ours or the user's, for the threats they serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dosimeter.config.plugin_rows import Kind, build, check, label
from dosimeter.families.attack import NamedAttack
from dosimeter.families.family import AuditsTexts, Family, KeepsYardsticks
from dosimeter.families.registry import FAMILIES
from dosimeter.families.threat import ThreatTable
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.toml import as_tuples
from dosimeter.foundation.wording import one_line, quote

MOST = 1000
"""Most rows of an audit file."""
Served = tuple[Family, ThreatTable, str]
"""A threat with its family and its place, as attacks are shared out."""


def kind_of(family: Family) -> Kind:
    """The kind of plug-in that is an attack of a family."""
    return Kind(
        word="attack",
        known=family.attacks(),
        wanted="a frozen dataclass with a method `run`",
        fits=lambda found: callable(getattr(found, "run", None)),
        needs={"needs": family.needs, "signals": tuple, "paper": str, "control": bool},
        protocol="dosimeter.Attack",
    )


def share_attacks(
    raw: Any, base: Path, threats: Sequence[Served], transferred: Sequence[bool], *, texts: bool = False
) -> tuple[list[tuple[NamedAttack, ...]], list[str]]:
    """The attacks of each threat: those of the rows that are for it, else its family's defaults; and the problems.

    Yardsticks and controls that checks need stand beside every list.

    Args:
        raw: the `[[attack]]` rows.
        base: folder from which the user's modules are found.
        threats: the threats.
        transferred: of each, whether stages follow the one at risk.
        texts: whether the records are texts of a language model.
    """
    built, problems = _shared(raw, base, threats, transferred, texts=texts)
    return [_beside(own, base, served) for own, served in zip(built, threats, strict=True)], problems


def _beside(own: Sequence[NamedAttack], base: Path, served: Served) -> tuple[NamedAttack, ...]:
    """The attacks of one threat with the yardsticks that they lack, in whose names no attack of the user's stands."""
    family, threat, _ = served
    found, taken = list(own), {row.id for row in own}
    for settings in family.beside(threat, own) if own and isinstance(family, KeepsYardsticks) else ():
        row = replace(_attack(settings, base, family), default=True, beside=True)
        found.append(replace(row, id=f"{row.id} beside") if row.id in taken else row)
    return tuple(found)


def _shared(
    raw: Any, base: Path, threats: Sequence[Served], transferred: Sequence[bool], *, texts: bool = False
) -> tuple[list[tuple[NamedAttack, ...]], list[str]]:
    """The attacks of each threat without what stands beside every list; arguments as of `share_attacks`."""
    rows = raw if isinstance(raw, tuple) else ()
    problems: list[str] = []
    if len(rows) > MOST:
        return [() for _ in threats], []
    built: list[list[NamedAttack]] = [[] for _ in threats]
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            continue  # the file's own validation tells
        try:
            serves, settings = _serves(row, threats)
            for one, attack in _built(settings, base, threats, serves):
                built[one].append(attack)
        except ConfigError as error:
            problems += [one_line(f"attack[{index}]{problem}", limit=600) for problem in error.problems]
    for one, (family, threat, _) in enumerate(threats):
        if not built[one] and not problems:
            for settings in _defaults(family, threat, transferred=transferred[one], texts=texts):
                built[one].append(replace(_attack(settings, base, family), default=True))
    for own in built:
        problems += [line for line in _repeated_ids(own) if line not in problems]
    return [tuple(own) for own in built], problems


def _defaults(family: Family, threat: ThreatTable, *, transferred: bool, texts: bool) -> list[dict[str, Any]]:
    """Rows of the attacks that run if none is named."""
    if texts and isinstance(family, AuditsTexts):
        return family.text_attacks(threat, transferred=transferred)
    return family.default_attacks(threat, transferred=transferred)


def _built(
    settings: Mapping[str, Any], base: Path, threats: Sequence[Served], serves: Sequence[int]
) -> Iterable[tuple[int, NamedAttack]]:
    """Yields the attack for each threat that it serves; threats of one family share one object."""
    made: dict[str, NamedAttack] = {}
    for one in serves:
        family = threats[one][0]
        if family.name not in made:
            made[family.name] = _attack(settings, base, family)
        yield one, made[family.name]


def _serves(row: Mapping[str, Any], threats: Sequence[Served]) -> tuple[list[int], dict[str, Any]]:
    """Numbers of the threats that a row is for, and the row without the keys that say so.

    Raises:
        ConfigError: as the tail of the row's place.
    """
    settings = dict(row)
    wanted, ids = settings.pop("family", None), settings.pop("threats", None)
    families = list(dict.fromkeys(family.name for family, *_ in threats))
    if wanted is not None and wanted not in families:
        known = suggest(wanted, families) if isinstance(wanted, str) else "write text in quotes"
        raise ConfigError(f".family: must be the family of a [[threat]], got {quote(wanted)}: {known}")
    if wanted is None:
        wanted = _family_of(settings.get("name"), families)
    if ids is None:
        return [one for one, (family, *_) in enumerate(threats) if family.name == wanted], settings
    own = {threat.id or family.name: one for one, (family, threat, _) in enumerate(threats) if family.name == wanted}
    if not isinstance(ids, tuple) or not ids:
        raise ConfigError(f".threats: must be a list of ids, got {quote(ids)}: write threats = [{next(iter(own))!r}]")
    unknown = [one for one in ids if one not in own]
    if unknown:
        raise ConfigError(
            f".threats: must be ids of threats of family {wanted!r}, got {quote(unknown[0])}: "
            + (suggest(unknown[0], own) if isinstance(unknown[0], str) else "write text in quotes")
        )
    return [own[one] for one in dict.fromkeys(ids)], settings


def _family_of(name: Any, families: Sequence[str]) -> str:
    """The family that alone has an attack of this name, or the only family of the audit.

    Raises:
        ConfigError: several could be meant.
    """
    if len(families) == 1:
        return families[0]
    known = [family for family in families if isinstance(name, str) and name in FAMILIES[family].attacks()]
    if len(known) == 1:
        return known[0]
    if isinstance(name, str) and ":" not in name and not known:
        every = sorted({one for family in families for one in FAMILIES[family].attacks()})
        raise ConfigError(f".name: unknown attack {quote(name)}, {suggest(name, every)} (or package.module:Class)")
    raise ConfigError(f".family: must say which family is meant, got none for {quote(name)}: write family = "
                      f"{' or '.join(map(repr, known or families))}")  # fmt: skip


def named_attacks(
    attacks: Sequence[object] | None, base: Path, threats: Sequence[Served], *, texts: bool = False
) -> list[tuple[NamedAttack, ...]]:
    """The attacks that Python code lists for each threat: names, tables as in an audit file, or attacks themselves.

    Args:
        attacks: the list; None for the defaults.
        base: folder from which the user's modules are found.
        threats: the threats of the audit, about a model that is not transferred.
        texts: whether the records are texts of a language model.

    Raises:
        ConfigError: every problem, one line each.
    """
    plain = [False] * len(threats)
    if attacks is None:
        built, problems = share_attacks((), base, threats, plain, texts=texts)
        if problems:
            raise ConfigError(*problems)
        return built
    if isinstance(attacks, str | Mapping) or not isinstance(attacks, Iterable):
        raise ConfigError(f"attacks: must be a list, got {quote(attacks)}: write [{quote(attacks)}]")
    tables = [{"name": one} if isinstance(one, str) else one for one in attacks]
    if not tables:
        raise ConfigError("attack: name at least one, got none")
    problems, found = [], [list[NamedAttack]() for _ in threats]
    for index, one in enumerate(tables):
        if isinstance(one, Mapping):
            given, wrong = _shared((as_tuples(one),), base, threats, plain)
            serves = _named_by(one, threats) if not wrong else []
            problems += [line.replace("attack[0]", f"attack[{index}]", 1) for line in wrong]
            for number in serves:
                found[number] += given[number]
            continue
        try:
            for number, own in _object(one, threats):
                found[number].append(own)
        except ConfigError as error:
            problems += [f"attack[{index}]{problem}" for problem in error.problems]
    for number, (family, threat, _) in enumerate(threats):
        if not found[number] and not problems:
            own_rows = _defaults(family, threat, transferred=False, texts=texts)
            found[number] += [replace(_attack(row, base, family), default=True) for row in own_rows]
    problems += [line for own in found for line in _repeated_ids(own) if line not in problems]
    if problems:
        raise ConfigError(*problems)
    return [_beside(own, base, served) for own, served in zip(found, threats, strict=True)]


def _named_by(row: Mapping[str, Any], threats: Sequence[Served]) -> list[int]:
    """Numbers of the threats that a row is for."""
    return _serves({key: as_tuples(value) for key, value in row.items()}, threats)[0]


def _object(one: object, threats: Sequence[Served]) -> list[tuple[int, NamedAttack]]:
    """An attack itself, for the threats of the family whose needs it has.

    Raises:
        ConfigError: it is no attack, as the tail of its place.
    """
    fits = [
        number for number, (family, *_) in enumerate(threats) if isinstance(getattr(one, "needs", None), family.needs)
    ]
    check(one, kind_of(threats[fits[0] if fits else 0][0]))
    mode, name = getattr(one, "mode", None), one_line(type(one).__name__, 60)
    named: Any = NamedAttack(f"{name} {mode}" if mode else name, name, one)  # type: ignore[arg-type]
    return [(number, named) for number in fits]


def _repeated_ids(rows: Iterable[NamedAttack]) -> list[str]:
    """Problems with ids that occur twice."""
    ids, problems = [row.id for row in rows], []
    for twice in sorted({one for one in ids if ids.count(one) > 1}):
        problems.append(f"attack: ids must be distinct, got {twice!r} {ids.count(twice)} times: give each row an `id`")
    return problems


def _attack(row: Mapping[str, Any], base: Path, family: Family) -> NamedAttack:
    """Builds one attack; problems are given as the tail of `attack[i]`."""
    name, own_id, attack = build(row, base, kind_of(family))
    mode = getattr(attack, "mode", None)
    return NamedAttack(label(f"{name} {mode}" if mode else name) if own_id is None else own_id, name, attack)
