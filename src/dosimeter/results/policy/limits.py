"""The policy file: from TOML to validated, frozen limits. Errors name the key's path, rule, value and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.findings import Finding, findings, lines, scan
from dosimeter.foundation.toml import read
from dosimeter.foundation.wording import quote

Metric = Literal["tpr", "auc", "precision", "exposure", "accuracy"]
Undecided = Literal["fail", "warn", "pass"]
Pattern = Annotated[str, Field(min_length=1, max_length=200)]
ONLY: Mapping[str, tuple[str, ...]] = {
    "fpr": ("tpr", "precision"),
    "prior": ("precision",),
    "threshold": ("tpr", "precision"),
    "attack": ("tpr", "auc", "precision"),
    "split": ("accuracy",),
    "unit": ("exposure",),
    "group": ("tpr", "auc", "precision", "accuracy"),
}
"""Keys that only some metrics have."""
NEEDED: Mapping[str, str] = {"tpr": "fpr", "precision": "prior"}
"""The key without which a metric has no meaning."""
EXAMPLES: Mapping[str, str] = {"fpr": "fpr = 0.01", "prior": "prior = 0.5"}
RATES = ("fpr", "prior", "max", "min")


class _Strict(BaseModel):
    """A table of the policy file: frozen, no unknown keys, no conversion between types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Limit(_Strict):
    """One `[[limit]]`: the rows of a result that it applies to, and bounds for the ends of their intervals.

    Attributes:
        metric: metric of the rows.
        fpr: their nominal false positive rate.
        prior: their share of members among candidates, of "precision".
        attack: id, a glob over the ids of attacks that are no controls, or "headline".
        stage: name or glob.
        variant: id or glob; "none" is the audit without its `[[defense]]` rows.
        group: name or glob; without it, the rows of all records together.
        threshold: "oracle", or without it the one that was set before the targets were measured.
        split: of "accuracy".
        unit: of "exposure"; without it, records, and persons and groups where the data name them.
        max: met if the upper end is at most this.
        min: met if the lower end is at least this.
        undecided: what it means if the interval holds the limit.
        name: what the limit is called.
        not_applicable: why it does not count.
    """

    metric: Metric
    fpr: float | None = None
    prior: float | None = None
    attack: Pattern = "*"
    stage: Pattern = "*"
    variant: Pattern = "none"
    group: Pattern | None = None
    threshold: Literal["shadow", "split", "oracle"] | None = None
    split: Literal["train", "nonmember", "test"] = "test"
    unit: Literal["record", "person", "group"] | None = None
    max: float | None = None
    min: float | None = None
    undecided: Undecided = "fail"
    name: str | None = Field(default=None, min_length=1, max_length=80)
    not_applicable: str | None = Field(default=None, min_length=1, max_length=300)


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


def load_policy(path: Path) -> Policy:
    """Reads a policy file.

    Args:
        path: a TOML file.

    Raises:
        ConfigError: every problem, one line each.
    """
    return parse_policy(read(path, absent="correct the path; docs/policies.md shows an example"))


def parse_policy(table: Mapping[str, Any]) -> Policy:
    """Validates the tables of a policy.

    Args:
        table: as TOML gives it.

    Raises:
        ConfigError: every problem, one line each.

    >>> parse_policy({"limit": [{"metric": "auc", "max": 60}]})
    Traceback (most recent call last):
    ...
    dosimeter.foundation.errors.ConfigError: limit[0].max: must be a share from 0 to below 1, got 60: write 0.6 for 60 %
    """
    found = scan(table)
    if any("nested deeper" in text for _, text in found):
        raise ConfigError(*lines(found))
    whole = _tuples(table)
    try:
        _Top.model_validate(whole)
    except ValidationError as error:
        found += findings(error, "", _Top.model_fields, tables=("limit",))
    raw, limits = whole.get("limit"), []
    for index, part in enumerate(raw[:1000] if isinstance(raw, tuple) else ()):
        limit, wrong = _limit(part, f"limit[{index}]")
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


def _limit(raw: Any, place: str) -> tuple[Limit | None, list[Finding]]:
    """One validated limit, or the problems with it."""
    if not isinstance(raw, Mapping):
        return None, [(place, f": must be a table, got {quote(raw, 80)}: write it below [[limit]]")]
    found, limit = [], None
    try:
        limit = Limit.model_validate(raw)
    except ValidationError as error:
        found = findings(error, place, Limit.model_fields)
    found += _impossible(raw, place)
    return (None if found else limit), found


def _impossible(raw: Mapping[str, Any], place: str) -> list[Finding]:
    """Problems with rates out of range, and with keys that contradict each other or the metric."""
    found = [one for key in RATES for one in _rate(raw.get(key), key, place)]
    metric = raw.get("metric")
    known = isinstance(metric, str) and metric in {name for names in ONLY.values() for name in names}
    for key, metrics in ONLY.items() if known else ():
        if key in raw and metric not in metrics:
            found.append((f"{place}.{key}", f": is only for {' and '.join(metrics)}, got {metric}: remove it"))
    needed = NEEDED.get(metric) if known and isinstance(metric, str) else None
    if needed and needed not in raw:
        found.append((f"{place}.{needed}", f": is required for {metric} and missing: write {EXAMPLES[needed]}"))
    if "max" not in raw and "min" not in raw:
        end = "min = 0.8" if metric == "accuracy" else "max = 0.05"
        found.append((place, f": must have max, min or both, got neither: write {end}"))
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


def _tuples(value: Any) -> Any:
    """Lists as tuples, so that strict validation accepts TOML arrays."""
    if isinstance(value, list | tuple):
        return tuple(_tuples(item) for item in value)
    return {key: _tuples(item) for key, item in value.items()} if isinstance(value, Mapping) else value
