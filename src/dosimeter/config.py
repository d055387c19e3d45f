"""The audit file: TOML to validated, frozen settings. Errors name the key's path, rule, value and remedy."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dosimeter._check import suggest
from dosimeter._findings import findings, lines, scan
from dosimeter._impossible import chain_problems, threat_problems
from dosimeter._resolve import describe, import_from, one_line, quoted, resolve
from dosimeter._tables import VIEWS, Report, Stage, Table, Threat, Top
from dosimeter.attacks import ATTACKS
from dosimeter.errors import ConfigError
from dosimeter.games import Attack, MembershipGame, Needs, Scores
from dosimeter.store import canonical

__all__ = [
    "FPRS", "PRIORS", "VIEWS", "AttackRow", "Audit", "Draft", "Report", "Stage", "Threat", "default_attacks", "draft",
    "load", "parse", "read",
]  # fmt: skip

MembershipAttack = Attack[MembershipGame, Scores]
FPRS = (0.1, 0.01, 0.001, 0.0001)
"""False positive rates at which true positive rates are reported."""
PRIORS = (0.5, 0.1, 0.01)
"""Shares of members among candidates at which precision is reported."""
MOST_BYTES = 1_000_000
"""Of an audit file."""
T = TypeVar("T", bound=Table)


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


@dataclasses.dataclass(frozen=True)
class Audit:
    """A validated audit file.

    Attributes:
        name: of the run's folder.
        seed: root of all randomness.
        stages: the chain.
        threat: the adversary.
        attacks: what is run, in order.
        report: how the report speaks.
        base: folder of the audit file; relative paths and user modules are found from here.
    """

    name: str
    seed: int
    stages: tuple[Stage, ...]
    threat: Threat
    attacks: tuple[AttackRow, ...]
    report: Report
    base: Path

    def settings(self) -> dict[str, Any]:
        """Every key with its default filled in, as JSON takes it; what a run's folder keeps."""
        return {
            "name": self.name,
            "seed": self.seed,
            "stage": [stage.model_dump(mode="json") for stage in self.stages],
            "threat": self.threat.model_dump(mode="json"),
            "attack": [{"id": row.id, "name": row.name, **row.settings} for row in self.attacks],
            "report": self.report.model_dump(mode="json"),
        }

    @property
    def at_risk(self) -> int:
        """Index of the stage at risk."""
        names = [stage.name for stage in self.stages]
        return names.index(self.threat.at_risk) if self.threat.at_risk else len(names) - 1

    @property
    def views(self) -> tuple[str, ...]:
        """The query views, at most eight unless listed: the identity, and what training augmented with."""
        if self.threat.views != "auto":
            return self.threat.views
        augment = self.stages[self.at_risk].augment
        if "shift" in augment:
            return VIEWS[:8] if "flip" in augment else ("identity", "left", "right", "up", "down")
        return ("identity", "flip") if "flip" in augment else ("identity",)


@dataclasses.dataclass(frozen=True)
class Draft:
    """An audit file that may be wrong, so that problems of its data can be told together with its own.

    Attributes:
        audit: None if there are problems.
        stages: those that are right by themselves, None for the others.
        seed: of the audit, 0 if it is wrong.
        problems: one line each.
    """

    audit: Audit | None
    stages: tuple[Stage | None, ...]
    seed: int
    problems: tuple[str, ...]


def default_attacks() -> list[dict[str, Any]]:
    """The rows that stand for an audit file without `[[attack]]`: every attack, in every mode."""
    rows: list[dict[str, Any]] = []
    for name, kind in ATTACKS.items():
        modes = next((field for field in dataclasses.fields(kind) if field.name == "mode"), None)
        rows += [{"name": name, "mode": mode} for mode in ("online", "offline")] if modes else [{"name": name}]
    return rows


def read(path: Path) -> dict[str, Any]:
    """The tables of an audit file.

    Raises:
        ConfigError: no file, too large, not UTF-8, not TOML.
    """
    shown = one_line(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigError(
                f"{shown}: must have at most {MOST_BYTES} bytes, got more: keep data in files of its own and name them"
            )
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{shown}: must be UTF-8 text, got byte {error.object[error.start]:#x} at {error.start}: save it as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown}: must be TOML, got {one_line(error)}: correct that line") from error
    except (RecursionError, ValueError) as error:
        what = "tables nested too deep" if isinstance(error, RecursionError) else one_line(error)
        raise ConfigError(f"{shown}: must be TOML, got {what}: correct it") from error
    except OSError as error:
        raise ConfigError(
            f"{shown}: must be a readable file, got: {error.strerror}: correct the path, or run `dosimeter init` to "
            "make one"
        ) from error


def load(path: Path) -> Audit:
    """Read an audit file.

    Args:
        path: a TOML file.

    Raises:
        ConfigError: every problem that can be seen without data, one line each.
    """
    return parse(read(path), base=path.resolve().parent, name=path.stem)


def parse(table: Mapping[str, Any], *, base: Path, name: str = "audit") -> Audit:
    """Validate the tables of an audit.

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


def draft(table: Mapping[str, Any], *, base: Path, name: str = "audit") -> Draft:
    """Validate the tables of an audit and list every problem; arguments as in `parse`.

    Each table is validated by itself, so that a wrong key hides no problem elsewhere.
    """
    odd = scan(table)
    found = list(odd)
    if any("nested deeper" in text for _, text in found):
        return Draft(None, (), 0, tuple(lines(found)))
    default_name = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-") or "audit"
    whole = {"name": default_name[:64], **_tuples(table)}
    try:
        top: Top | None = Top.model_validate(whole)
    except ValidationError as error:
        top = None
        found += findings(error, "", Top.model_fields, tables=("stage", "attack"))
    parts: list[Stage | None] = []
    raw = whole.get("stage")
    for index, part in enumerate(raw if isinstance(raw, tuple) else ()):
        stage, wrong = _table(Stage, part, f"stage[{index}]")
        parts.append(stage)
        found += wrong
    threat, wrong = _table(Threat, whole.get("threat", {}), "threat")
    report, more = _table(Report, whole.get("report", {}), "report")
    attacks, problems = _attacks(whole.get("attack"), base)
    if threat is not None:
        problems = threat_problems(threat) + problems
    if parts and None not in parts:
        problems = chain_problems([stage for stage in parts if stage], threat, base) + problems
    problems = [line for line in problems if not line.startswith(tuple(f"{place}:" for place, _ in odd))]
    problems = lines([*found, *wrong, *more]) + problems
    seed = whole.get("seed", 0)
    if problems or top is None or threat is None or report is None:
        return Draft(None, tuple(parts), seed if type(seed) is int and seed >= 0 else 0, tuple(problems))
    stages = tuple(stage for stage in parts if stage)
    audit = Audit(top.name, top.seed, stages, threat, attacks, report, base)
    return Draft(audit, stages, top.seed, ())


def _table(model: type[T], raw: Any, place: str) -> tuple[T | None, list[tuple[str, str]]]:
    """One validated table, or what is wrong with it."""
    if not isinstance(raw, Mapping):
        # the file's own validation tells of [threat] and [report], but takes anything in the list of stages
        wrong = [(place, f": must be a table, got {quoted(raw, 80)}: write it below [[stage]]")]
        return None, wrong if model is Stage else []
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        return None, findings(error, place, model.model_fields)


def _tuples(value: Any) -> Any:
    """Lists as tuples, so that strict validation accepts TOML arrays."""
    if isinstance(value, list | tuple):
        return tuple(_tuples(item) for item in value)
    return {key: _tuples(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _attacks(raw: Any, base: Path) -> tuple[tuple[AttackRow, ...], list[str]]:
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
    ids = [row.id for row in built]
    for twice in sorted({one for one in ids if ids.count(one) > 1}):
        problems.append(f"attack: ids must be distinct, got {twice!r} {ids.count(twice)} times: give each row an `id`")
    return tuple(built), problems


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
    if not isinstance(label, str) or not 0 < len(label) <= 80:
        raise ConfigError(f".id: must be text of 1 to 80 characters, got {quoted(label)}: rename it")
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
