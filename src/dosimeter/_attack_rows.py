"""The `[[attack]]` rows: from names and hyperparameters to attacks, ours or the user's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dosimeter._check import suggest
from dosimeter._findings import findings, lines
from dosimeter._resolve import describe, import_from, one_line, quoted, resolve
from dosimeter.attacks import ATTACKS, DEFAULT
from dosimeter.errors import ConfigError
from dosimeter.games import Attack, MembershipGame, Needs, Scores
from dosimeter.store import canonical

MembershipAttack = Attack[MembershipGame, Scores]


@dataclasses.dataclass(frozen=True)
class AttackRow:
    """One `[[attack]]` row.

    Attributes:
        id: name in results; the attack's name and mode unless given.
        name: key of the registry, or `package.module:Class`.
        attack: the attack with its hyperparameters.
    """

    id: str
    name: str
    attack: MembershipAttack

    @property
    def settings(self) -> dict[str, Any]:
        """The hyperparameters."""
        return dataclasses.asdict(self.attack)  # type: ignore[call-overload,no-any-return]


def default_attacks() -> list[dict[str, Any]]:
    """The rows that stand for an audit file without `[[attack]]`: those of `DEFAULT`, in every mode."""
    rows: list[dict[str, Any]] = []
    for name in DEFAULT:
        modes = next((field for field in dataclasses.fields(ATTACKS[name]) if field.name == "mode"), None)
        rows += [{"name": name, "mode": mode} for mode in ("online", "offline")] if modes else [{"name": name}]
    return rows


def attack_rows(raw: Any, base: Path) -> tuple[tuple[AttackRow, ...], list[str]]:
    """Build the attacks of all rows and list what is wrong."""
    rows = raw if isinstance(raw, tuple) else ()
    if len(rows) > 1000:
        return (), []
    built: list[AttackRow] = []
    problems: list[str] = []
    for index, row in enumerate(rows or default_attacks()):
        if not isinstance(row, Mapping):
            continue  # the file's own validation tells
        try:
            built.append(_attack(row, base))
        except ConfigError as error:
            problems += [one_line(f"attack[{index}]{problem}", limit=600) for problem in error.problems]
    return tuple(built), problems + _repeated(built)


def named_attacks(attacks: Sequence[object], base: Path) -> tuple[AttackRow, ...]:
    """The attacks that Python code lists: names, tables as in an audit file, or attacks themselves.

    Raises:
        ConfigError: every problem, one line each.
    """
    tables = [{"name": one} if isinstance(one, str) else one for one in attacks]
    rows, problems = attack_rows(tuple(tables), base) if tables else ((), ["attack: name at least one, got none"])
    built = list(rows)
    for index, one in enumerate(tables):
        if not isinstance(one, Mapping):
            try:
                _check_attack(one)
            except ConfigError as error:
                problems += [f"attack[{index}]{problem}" for problem in error.problems]
                continue
            mode, name = getattr(one, "mode", None), one_line(type(one).__name__, 60)
            built.insert(index, AttackRow(f"{name} {mode}" if mode else name, name, cast(MembershipAttack, one)))
    problems += [line for line in _repeated(built) if line not in problems]
    if problems:
        raise ConfigError(*problems)
    return tuple(built)


def _repeated(rows: Iterable[AttackRow]) -> list[str]:
    """Ids that occur twice."""
    ids, problems = [row.id for row in rows], []
    for twice in sorted({one for one in ids if ids.count(one) > 1}):
        problems.append(f"attack: ids must be distinct, got {twice!r} {ids.count(twice)} times: give each row an `id`")
    return problems


def _attack(row: Mapping[str, Any], base: Path) -> AttackRow:
    """Build one attack; problems are given as the tail of `attack[i]`."""
    settings = dict(row)
    name, own_id = settings.pop("name", None), settings.pop("id", None)
    if name is None:
        raise ConfigError(f".name: is required and missing: {suggest('', ATTACKS)}")
    if not isinstance(name, str):
        raise ConfigError(f".name: must be text in quotes, got {quoted(name)}: {suggest('', ATTACKS)}")
    kind = _attack_class(name, base)
    fields = {field.name for field in dataclasses.fields(kind) if field.init}
    unknown = [f".{key}: unknown key, {suggest(str(key), [*fields, 'name', 'id'])}" for key in settings.keys() - fields]
    if unknown:
        raise ConfigError(*sorted(unknown))
    try:
        attack = kind(**_settings(kind, settings))
        _check_attack(attack)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        own = isinstance(error, ValueError) and name in ATTACKS
        raise ConfigError(f": {one_line(error) if own else 'raised ' + describe(error)}: correct the row") from error
    mode = getattr(attack, "mode", None)
    label = (f"{name} {mode}" if mode else name) if own_id is None else own_id
    if not isinstance(label, str) or not (0 < len(label) <= 80 and label.isprintable()):
        raise ConfigError(
            f".id: must be text of 1 to 80 characters, got {quoted(label)}: rename it, without hidden ones"
        )
    return AttackRow(label, name, attack)


def _settings(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as an attack's annotations want them."""
    hints, found, problems = get_type_hints(kind, include_extras=True), {}, []
    for key, value in given.items():
        try:
            found[key] = TypeAdapter(hints[key], config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            problems += [f".{line}" for line in lines(findings(error, key, []))]
    for field in dataclasses.fields(kind):
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.init and not optional and field.name not in given:
            problems.append(f".{field.name}: is required and missing: add it")
    if problems:
        raise ConfigError(*problems)
    return found


def _attack_class(name: str, base: Path) -> Any:
    """The class behind an attack's name."""
    if name in ATTACKS:
        return ATTACKS[name]
    if ":" not in name:
        raise ConfigError(
            f".name: unknown attack {quoted(name)}, {suggest(name, ATTACKS)} Or write package.module:Class"
        )
    import_from(base)
    try:
        kind = resolve(name)
    except ConfigError as error:
        raise ConfigError(*[f".name: {problem}" for problem in error.problems]) from error
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind) and callable(getattr(kind, "run", None))):
        raise ConfigError(
            f".name: must name a frozen dataclass with a method `run`, got {quoted(name)}, a {type(kind).__name__}: "
            "see `dosimeter.Attack`"
        )
    return kind


def _check_attack(attack: Any) -> None:
    """Refuse an attack that lacks what plan, observe and report read, or whose settings cannot be written down."""
    wanted = {"needs": Needs, "signals": tuple, "paper": str, "control": bool}
    for name, kind in wanted.items():
        value = getattr(attack, name, None)
        if not isinstance(value, kind):
            raise ConfigError(
                f".name: the attack's `{name}` must be a {kind.__name__}, got {type(value).__name__}: see "
                "`dosimeter.Attack`"
            )
    try:
        canonical(dataclasses.asdict(attack))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f": settings must be text, finite numbers, true, false and lists of them, got {one_line(error)}: correct it"
        ) from error
