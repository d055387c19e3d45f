"""The audit file: TOML to validated, frozen settings. Errors name the key's path, rule, value and remedy."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dosimeter._check import suggest
from dosimeter.attacks import ATTACKS
from dosimeter.errors import ConfigError
from dosimeter.games import Access, Attack, MembershipGame, Scores
from dosimeter.training import Hyperparameters
from dosimeter.transfer import Method

MembershipAttack = Attack[MembershipGame, Scores]
Reference = Annotated[str, Field(min_length=1)]
VIEWS = ("identity", "flip", "left", "right", "up", "down", "flip+left", "flip+right", "flip+up", "flip+down")
FPRS = (0.1, 0.01, 0.001, 0.0001)
"""False positive rates at which true positive rates are reported."""
PRIORS = (0.5, 0.1, 0.01)
"""Shares of members among candidates at which precision is reported."""


class _Table(BaseModel):
    """A table of the audit file: frozen, no unknown keys, no conversion between types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Stage(_Table):
    """One stage of the chain: data, model, how it starts from its parent, how it is trained.

    A stage with `weights` is given: nothing is trained.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    data: Reference | None = None
    rows: str | None = None
    test: Reference | None = None
    test_rows: str | None = None
    model: Reference | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    classes: int | None = Field(default=None, ge=2)
    transfer: Method = "scratch"
    last_k: int = Field(default=1, ge=1)
    fit: Reference | None = None
    depends: tuple[str, ...] = ()
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=32, ge=1)
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(default=0.01, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    precision: Literal["float32", "bfloat16"] = "float32"
    augment: tuple[Literal["flip", "shift"], ...] = ()
    standardise: bool = False

    @property
    def given(self) -> bool:
        """Whether the stage's weights are brought rather than trained."""
        return self.weights is not None

    @property
    def hyperparameters(self) -> Hyperparameters:
        """What the training loop needs."""
        names = [field.name for field in dataclasses.fields(Hyperparameters)]
        return Hyperparameters(**{name: getattr(self, name) for name in names})


class Threat(_Table):
    """What the adversary knows and holds, and which records are judged."""

    at_risk: str | None = None
    access: Literal["labels", "topk", "probs", "logits", "features", "weights"] = "logits"
    shadows: int = Field(default=16, ge=2)
    targets: int = Field(default=1, ge=1)
    candidates: int | None = Field(default=None, ge=2)
    population: int = Field(default=0, ge=0)
    stratify: bool = False
    views: tuple[str, ...] | Literal["auto"] = "auto"
    rehearsals: int = Field(default=8, ge=2)

    @property
    def granted(self) -> Access:
        """The access as a flag."""
        return Access[self.access.upper()]


class Report(_Table):
    """How the report speaks."""

    noun: str | None = Field(default=None, min_length=1, max_length=40)
    leading_fpr: Literal[0.1, 0.01, 0.001, 0.0001] = 0.01


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


class _File(_Table):
    """The tables of the audit file before its attacks are built."""

    name: str = Field(default="audit", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    seed: int = Field(default=0, ge=0)
    stage: tuple[Stage, ...] = Field(min_length=1)
    threat: Threat = Threat()
    attack: tuple[dict[str, Any], ...] = ()
    report: Report = Report()


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


def default_attacks() -> list[dict[str, Any]]:
    """The rows that stand for an audit file without `[[attack]]`: every attack, in every mode."""
    rows: list[dict[str, Any]] = []
    for name, kind in ATTACKS.items():
        modes = next((field for field in dataclasses.fields(kind) if field.name == "mode"), None)
        rows += [{"name": name, "mode": mode} for mode in ("online", "offline")] if modes else [{"name": name}]
    return rows


def load(path: Path) -> Audit:
    """Read an audit file.

    Args:
        path: a TOML file.

    Raises:
        ConfigError: every problem that can be seen without data, one line each.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read, {error.strerror}: run `dosimeter init` to make one") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: must be UTF-8 text, got byte {error.object[error.start]:#x}: save it as UTF-8"
        ) from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML, {error}: correct that line") from error
    return parse(table, base=path.resolve().parent, name=path.stem)


def parse(table: Mapping[str, Any], *, base: Path, name: str = "audit") -> Audit:
    """Validate the tables of an audit.

    Args:
        table: as TOML gives it.
        base: folder from which relative paths and user modules are found.
        name: used where the table gives no name.

    Raises:
        ConfigError: every problem, one line each.
    """
    default_name = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-") or "audit"
    try:
        file = _File.model_validate(_tuples({"name": default_name[:64], **table}))
    except ValidationError as error:
        raise ConfigError(*[_problem(item, _File) for item in error.errors(include_url=False)]) from error
    attacks, problems = _attacks(file.attack or default_attacks())
    audit = Audit(file.name, file.seed, file.stage, file.threat, attacks, file.report, base)
    problems += _impossible(audit)
    if problems:
        raise ConfigError(*problems)
    return audit


def _tuples(value: Any) -> Any:
    """Lists as tuples, so that strict validation accepts TOML arrays."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return {key: _tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


def _path(location: Sequence[str | int]) -> str:
    """`("stage", 1, "lr")` as `stage[1].lr`; the names of union branches, which are no keys, are left out."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith(("tuple[", "literal[", "constrained", "str", "function-")):
            text += f".{part}" if text else part
    return text or "audit"


def _problem(item: Any, model: type[BaseModel]) -> str:
    """One line for one finding of pydantic."""
    place, kind = _path(item["loc"]), item["type"]
    if kind == "extra_forbidden":
        table: Any = model
        for part in item["loc"][:-1]:
            if isinstance(part, str) and part in table.model_fields:
                table = {"stage": Stage, "threat": Threat, "report": Report}.get(part, table)
        return f"{place}: unknown key, {suggest(str(item['loc'][-1]), table.model_fields)}"
    if kind == "missing":
        return f"{place}: is required and missing: add it"
    value = repr(item["input"])
    message = item["msg"].removeprefix("Input ").removeprefix("Value ").replace("valid tuple", "list")
    return f"{place}: {message}, got {value if len(value) < 80 else value[:77] + '...'}"


def _attacks(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[AttackRow, ...], list[str]]:
    """Build the attacks of all rows and list what is wrong."""
    built: list[AttackRow] = []
    problems: list[str] = []
    for index, row in enumerate(rows):
        try:
            built.append(_attack(row))
        except ConfigError as error:
            problems += [f"attack[{index}]{problem}" for problem in error.problems]
    ids = [row.id for row in built]
    for twice in sorted({one for one in ids if ids.count(one) > 1}):
        problems.append(f"attack: ids must be distinct, got {twice!r} {ids.count(twice)} times: give each row an `id`")
    return tuple(built), problems


def _attack(row: Mapping[str, Any]) -> AttackRow:
    """Build one attack; problems are given as the tail of `attack[i]`."""
    settings = dict(row)
    name, own_id = settings.pop("name", None), settings.pop("id", None)
    if not isinstance(name, str):
        raise ConfigError(f".name: must be a string, got {name!r}: {suggest('', ATTACKS)}")
    kind = _attack_class(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    unknown = [f".{key}: unknown key, {suggest(key, [*fields, 'name', 'id'])}" for key in settings.keys() - fields]
    if unknown:
        raise ConfigError(*sorted(unknown))
    try:
        attack = TypeAdapter(kind).validate_python(settings)
    except ValidationError as error:
        raise ConfigError(*["." + _problem(item, _File) for item in error.errors(include_url=False)]) from error
    except ValueError as error:
        raise ConfigError(f": {error}") from error
    mode = getattr(attack, "mode", None)
    label = own_id or (f"{name} {mode}" if mode else name)
    if not isinstance(label, str) or not 0 < len(label) <= 80:
        raise ConfigError(f".id: must be a string of 1 to 80 characters, got {label!r}")
    return AttackRow(label, name, attack)


def _attack_class(name: str) -> Any:
    """The class behind an attack's name."""
    if name in ATTACKS:
        return ATTACKS[name]
    if ":" not in name:
        raise ConfigError(f".name: unknown attack {name!r}, {suggest(name, ATTACKS)}, or write package.module:Class")
    from dosimeter._resolve import resolve  # noqa: PLC0415  user code is only imported when it is named

    kind = resolve(name)
    if not (dataclasses.is_dataclass(kind) and isinstance(kind, type) and hasattr(kind, "run")):
        raise ConfigError(f".name: {name!r} must be a frozen dataclass with a method `run`, got {type(kind).__name__}")
    return kind


def _impossible(audit: Audit) -> list[str]:
    """Combinations of keys that cannot be, one line each."""
    problems: list[str] = []
    names = [stage.name for stage in audit.stages]
    for twice in sorted({one for one in names if names.count(one) > 1}):
        problems.append(f"stage: names must be distinct, got {twice!r} {names.count(twice)} times: rename one")
    threat = audit.threat
    if threat.at_risk is not None and threat.at_risk not in names:
        return [*problems, f"threat.at_risk: no such stage, got {threat.at_risk!r}, {suggest(threat.at_risk, names)}"]
    for index, stage in enumerate(audit.stages):
        problems += [f"stage[{index}].{problem}" for problem in _stage_problems(stage, index, audit)]
    if audit.at_risk < len(names) - 1:
        problems.append(
            f"threat.at_risk: must be the last stage in this version, got {names[audit.at_risk]!r} before "
            f"{names[-1]!r}: end the chain at the stage at risk"
        )
    return problems + _threat_problems(threat)


def _threat_problems(threat: Threat) -> list[str]:
    """Impossible numbers in `[threat]`."""
    problems: list[str] = []
    if threat.shadows % 2:
        problems.append(
            f"threat.shadows: must be even, since shadows come in complementary pairs, got {threat.shadows}: "
            f"use {threat.shadows + 1}"
        )
    elif threat.targets > max(threat.shadows - 2, 1):
        problems.append(
            f"threat.targets: must be at most shadows - 2 = {threat.shadows - 2}, since two pairs of models beyond the "
            f"targets set the thresholds, got {threat.targets}: lower it or raise shadows"
        )
    if threat.views != "auto":
        wrong = [view for view in threat.views if view not in VIEWS]
        problems += [f"threat.views: unknown view {view!r}, {suggest(view, VIEWS)}" for view in wrong]
        if not wrong and (
            not threat.views or threat.views[0] != "identity" or len(set(threat.views)) < len(threat.views)
        ):
            problems.append(
                f"threat.views: must be distinct and begin with 'identity', got {list(threat.views)}: put it first"
            )
    return problems


def _stage_problems(stage: Stage, index: int, audit: Audit) -> list[str]:
    """Impossible combinations within a stage, as tails of `stage[i].`."""
    problems: list[str] = []
    if index == 0 and stage.model is None:
        problems.append("model: the first stage needs one: name an architecture or package.module:function")
    if stage.given and (stage.data or stage.fit):
        problems.append("weights: a given stage is not trained, so it takes neither `data` nor `fit`: remove them")
    if stage.given and stage.model is None:
        problems.append("model: a given stage needs the model that its weights belong to: name one")
    if stage.classes is not None and not stage.given:
        problems.append(
            "classes: only a given stage says how many classes its head has; others take it from data: remove it"
        )
    if not stage.given and stage.data is None:
        problems.append("data: a stage that is trained needs data: name a data set or a file, or give `weights`")
    if stage.given and index == audit.at_risk:
        problems.append(f"weights: stage {stage.name!r} is at risk and must be trained here: give `data` instead")
    if index == 0 and not stage.given and stage.transfer != "scratch":
        problems.append(f"transfer: the first stage has no parent, got {stage.transfer!r}: use 'scratch'")
    if index > 0 and stage.transfer == "scratch" and stage.model is None:
        problems.append("model: transfer 'scratch' needs a model of its own: name one, or use 'head', 'last-k', 'full'")
    if index > 0 and stage.transfer != "scratch" and stage.model is not None:
        problems.append(f"model: transfer {stage.transfer!r} takes the parent's model, got {stage.model!r}: remove it")
    if stage.augment and stage.transfer in ("head", "last-k"):
        problems.append(
            f"augment: transfer {stage.transfer!r} computes frozen features once, so pictures cannot be augmented: "
            f"remove it or use transfer 'full'"
        )
    if stage.standardise and (stage.transfer != "head" or stage.fit):
        problems.append("standardise: only the built-in training of transfer 'head' has it: remove it")
    if stage.precision == "bfloat16" and stage.transfer == "head" and not stage.fit:
        problems.append("precision: heads are trained in float32: remove 'bfloat16'")
    return problems
