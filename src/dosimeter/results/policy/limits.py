"""The policy file: from TOML to validated, frozen limits. Errors name the key's path, rule, value and remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.findings import Finding, findings, lines, scan
from dosimeter.foundation.toml import as_tuples, read
from dosimeter.foundation.wording import quote
from dosimeter.results.metrics import UTILITIES, Families, metrics_of

Undecided = Literal["fail", "warn", "pass"]
MaxGrade = Literal["weak", "moderate", "high"]
"""Worst grades that a limit may allow: nothing milder can be certified, and nothing is worse than the next one."""
Pattern = Annotated[str, Field(min_length=1, max_length=200)]
Condition = float | str
CHOOSING = ("fpr", "prior", "threshold", "attack", "split", "unit", "group")
"""Keys that only some metrics have; families may have further ones."""
RATES = ("fpr", "prior", "max", "min")
"""Keys that are shares; the last two only of metrics whose unit is one."""
SHARES = {"share", "auc"}


class _Strict(BaseModel):
    """A table of the policy file: frozen, no unknown keys, no conversion between types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Limit(_Strict):
    """One `[[limit]]`: the rows of a result that it applies to, and bounds for the ends of their intervals.

    Attributes:
        metric: metric of the rows.
        family: name or glob of the family of their threat.
        threat: id or glob of their threat.
        fpr: their nominal false positive rate.
        prior: their share of members among candidates, of "precision".
        attack: id, a glob over the ids of attacks that are no controls, or "headline".
        stage: name or glob.
        variant: id or glob; "none" is the audit without its `[[defense]]` rows.
        group: name or glob; without it, the rows of all records together.
        threshold: "oracle", or without it the one that was set before the targets were measured.
        split: of "accuracy".
        unit: of "exposure"; without it, records, and persons and groups where the data name them.
        conditions: further conditions that the family's metric has, such as a number of shots.
        max: met if the upper end is at most this.
        min: met if the lower end is at least this.
        max_grade: of a graded metric: met if the grade that is not excluded is at most this.
        undecided: what it means if the interval holds the limit.
        name: what the limit is called.
        not_applicable: why it does not count.
    """

    metric: Pattern
    family: Pattern = "*"
    threat: Pattern = "*"
    fpr: float | None = None
    prior: float | None = None
    attack: Pattern = "*"
    stage: Pattern = "*"
    variant: Pattern = "none"
    group: Pattern | None = None
    threshold: Literal["shadow", "split", "oracle"] | None = None
    split: Literal["train", "nonmember", "test"] = "test"
    unit: Literal["record", "person", "group"] | None = None
    conditions: dict[str, Condition] = Field(default_factory=dict)
    max: float | None = None
    min: float | None = None
    max_grade: MaxGrade | None = None
    undecided: Undecided = "fail"
    name: str | None = Field(default=None, min_length=1, max_length=80)
    not_applicable: str | None = Field(default=None, min_length=1, max_length=300)

    @property
    def wanted(self) -> dict[str, Condition]:
        """Conditions that a row must have, by name; the split of a utility is added by whoever knows the metric."""
        named = {name: getattr(self, name) for name in ("fpr", "prior", "threshold", "unit")}
        return {**{name: value for name, value in named.items() if value is not None}, **self.conditions}


class Gates(_Strict):
    """`[gates]`: results of the audit's own checks that are accepted.

    Attributes:
        allow_warn: whether a warning is accepted; a failed check never is.
    """

    allow_warn: bool = True


class _Top(_Strict):
    """The file; its tables are validated one by one, so that one wrong key hides no other."""

    limit: tuple[Any, ...] = Field(min_length=1, max_length=1000)
    gates: dict[str, Any] = Field(default_factory=dict)


class Policy(_Strict):
    """A validated policy file."""

    limit: tuple[Limit, ...]
    gates: Gates = Gates()


def load_policy(path: Path, families: Families) -> Policy:
    """Reads a policy file.

    Args:
        path: a TOML file.
        families: families of attack that are installed, by name.

    Raises:
        ConfigError: every problem, one line each.
    """
    return parse_policy(read(path, absent="correct the path; docs/policies.md shows an example"), families)


def parse_policy(table: Mapping[str, Any], families: Families) -> Policy:
    """Validates the tables of a policy.

    Args:
        table: as TOML gives it.
        families: families of attack that are installed, by name.

    Raises:
        ConfigError: every problem, one line each.

    >>> parse_policy({"limit": [{"metric": "accuracy", "max": 60}]}, {})
    Traceback (most recent call last):
    ...
    dosimeter.foundation.errors.ConfigError: limit[0].max: must be a share from 0 to below 1, got 60: write 0.6 for 60 %
    """
    found = scan(table)
    if any("nested deeper" in text for _, text in found):
        raise ConfigError(*lines(found))
    whole = as_tuples(table)
    try:
        _Top.model_validate(whole)
    except ValidationError as error:
        found += findings(error, "", _Top.model_fields, tables=("limit",))
    raw, limits = whole.get("limit"), []
    for index, part in enumerate(raw[:1000] if isinstance(raw, tuple) else ()):
        limit, wrong = _limit(part, f"limit[{index}]", families)
        limits.append(limit)
        found += wrong
    gates = Gates()
    if isinstance(whole.get("gates"), Mapping):
        try:
            gates = Gates.model_validate(whole["gates"])
        except ValidationError as error:
            found += findings(error, "gates", Gates.model_fields)
    if found:
        raise ConfigError(*lines((_policys(place), text) for place, text in found))
    return Policy(limit=tuple(limit for limit in limits if limit), gates=gates)


def _policys(place: str) -> str:
    """The place of a finding, in the words of a policy file."""
    return place.replace("the audit file", "the policy file") or "the policy file"


def _limit(raw: Any, place: str, families: Families) -> tuple[Limit | None, list[Finding]]:
    """One validated limit, or the problems with it."""
    if not isinstance(raw, Mapping):
        return None, [(place, f": must be a table, got {quote(raw, 80)}: write it below [[limit]]")]
    found, limit = _of_metric(raw, place, families), None
    further = _further(raw, families)
    known = {key: value for key, value in raw.items() if key not in further}
    try:
        limit = Limit.model_validate({**known, **({"conditions": further} if further else {})})
    except ValidationError as error:
        found = [*findings(error, place, {k: v for k, v in Limit.model_fields.items() if k != "conditions"}), *found]
    if "conditions" in raw:
        found.append((f"{place}.conditions", ": unknown key: write each condition as a key of its own"))
    units = {metric.unit for one, metric in metrics_of(families) if one == raw.get("metric")}
    found += _impossible(raw, place, RATES if not units or units <= SHARES else RATES[:2])
    return (None if found else limit), found


def _further(raw: Mapping[str, Any], families: Families) -> dict[str, Any]:
    """Keys of a limit that are conditions of a family's metric and no key that every limit has."""
    conditions = {key for _, metric in metrics_of(families) for key in (*metric.needs, *metric.may)}
    return {key: value for key, value in raw.items() if key in conditions and key not in Limit.model_fields}


def _of_metric(raw: Mapping[str, Any], place: str, families: Families) -> list[Finding]:
    """Problems with a metric that no family has, or with keys that it has not or lacks."""
    name, family = raw.get("metric"), raw.get("family", "*")
    if not isinstance(name, str) or not isinstance(family, str):
        return []  # missing, or its type is told
    every = list(metrics_of(families, family))
    limited = list(dict.fromkeys(one for one, metric in every if metric.limited))
    if len(every) == len(UTILITIES) and families and not any(fnmatchcase(one, family) for one in families):
        remedy = suggest(family, list(families))
        return [(f"{place}.family", f": must match a family of attacks, got {quote(family, 80)}: {remedy}")]
    if name not in limited:
        told = ", ".join(repr(one) for one in limited)
        return [(f"{place}.metric", f": must be one of {told}, got {quote(name, 80)}: {suggest(name, limited)}")]
    own, found = [metric for one, metric in every if one == name], []
    known = {*CHOOSING, *_further(raw, families)}
    for key in [key for key in raw if key in known and not any(key in metric.keys for metric in own)]:
        having = list(dict.fromkeys(one for one, metric in every if metric.limited and key in metric.keys))
        told = " and ".join(having) or "metrics of other families"
        found.append((f"{place}.{key}", f": is only for {told}, got {name}: remove it"))
    for key in own[0].needs:
        if key not in raw and all(key in metric.needs for metric in own):
            example = f"{key} = {own[0].example.get(key, 1)!r}"
            found.append((f"{place}.{key}", f": is required for {name} and missing: write {example}"))
    graded = any(metric.graded for metric in own)
    if "max_grade" in raw and not graded:
        told = " and ".join(dict.fromkeys(one for one, metric in every if metric.graded)) or "no metric"
        found.append((f"{place}.max_grade", f": is only for {told}, got {name}: remove it"))
    if not ({"max", "min"} | ({"max_grade"} if graded else set())) & raw.keys():
        end = "max" if own[0].bad == "high" else "min"
        example = f"{end} = {own[0].example.get(end, 0.05)!r}"
        found.append((place, f": must have max, min or both, got neither: write {example}"))
    return found


def _impossible(raw: Mapping[str, Any], place: str, rates: Sequence[str]) -> list[Finding]:
    """Problems with rates out of range, and with ends that contradict each other."""
    found = [one for key in rates for one in _rate(raw.get(key), key, place)]
    low, high = raw.get("min"), raw.get("max")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        found.append((f"{place}.min", f": must be at most max = {high}, got {low}: exchange them"))
    return found


def _rate(value: Any, key: str, place: str) -> list[Finding]:
    """Problems with a rate that is no share."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []  # missing, or its type is told
    least = key == "max"  # the only one that may be 0
    rule = "a share from 0 to below 1" if least else "a share above 0 and below 1"
    if 1 <= value <= 100:
        return [(f"{place}.{key}", f": must be {rule}, got {value}: write {value / 100:g} for {value:g} %")]
    if value > 100 or value < 0 or (value == 0 and not least):
        remedy = "lower it" if value > 100 else "raise it"
        return [(f"{place}.{key}", f": must be {rule}, got {quote(value, 40)}: {remedy}")]
    return []
