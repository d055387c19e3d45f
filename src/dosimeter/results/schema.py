"""Checks whether this version can read a result.json, against the published format `result.schema.json`.

What only one family's threats hold is checked against that family's own fragment, its rows against its metrics. Only
the keywords of JSON Schema that these files use are understood, so that reading a result needs no further package. Two
more are our own: `x-same-length` names lists of an object that are equally long, `x-one-longer` one that has an entry
more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dosimeter.foundation.wording import one_line, quote
from dosimeter.results.metrics import BOUNDS, UTILITY, WORDS, Families, metric_of

VERSION = 3
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
    "object": Mapping,
    "array": list,
}
REMEDY = "use the dosimeter version that wrote it, or run `dosimeter measure` again"


@cache
def result_schema() -> Mapping[str, Any]:
    """The published JSON schema (draft 2020-12) of result.json."""
    return read_schema(Path(__file__).with_name("result.schema.json"))


@cache
def old_schema() -> Mapping[str, Any]:
    """That of version 2, which held one threat of membership; `run.json` still has its parts."""
    return read_schema(Path(__file__).with_name("format2.schema.json"))


def read_schema(path: Path) -> Mapping[str, Any]:
    """A JSON schema of the package."""
    schema: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return schema


def problems(result: object, families: Families) -> list[str]:
    """Places where a result breaks the published schema or contradicts itself, one line each.

    Args:
        result: what `json.loads` made of a result.json.
        families: families of attack that are installed, by name.

    >>> problems({"schema": 4}, {})
    ['schema: must be 3, got 4: use the dosimeter version that wrote it, or run `dosimeter measure` again']
    >>> problems([], {})
    ['result: must be object, got array']
    """
    found = list(_of_version(result, VERSION)) or list(breaks(result, result_schema()))
    if found or not isinstance(result, Mapping):
        return found
    return [*_of_threats(result, families), *_of_rows(result["utility"], families, "utility")]


def old_problems(result: object) -> list[str]:
    """Places where a result of version 2 breaks its schema or contradicts itself, one line each."""
    found = list(_of_version(result, 2)) or list(breaks(result, old_schema()))
    if found or not isinstance(result, Mapping):
        return found
    for kind in ("estimates", "utility"):
        found += [one for index, row in enumerate(result[kind]) for one in _of_ends(row, f"{kind}[{index}]")]
    return found


def _of_version(result: object, wanted: int) -> Iterator[str]:
    """Yields the problem with a result of another version."""
    if isinstance(result, Mapping) and "schema" in result and result["schema"] != wanted:
        yield f"schema: must be {wanted}, got {json.dumps(result['schema'], default=str)}: {REMEDY}"


def summary_problems(summary: Mapping[str, Any]) -> list[str]:
    """Places where a run's summary would break the result that is made from it, one line each.

    >>> summary_problems({"door": "recipe"})[:2]
    ['audit_key: is missing', 'name: is missing']
    """
    attacks = summary.get("attacks")
    listed = [{**one, "headline": False} if isinstance(one, Mapping) else one for one in attacks or ()]
    found: list[str] = []
    for key in ("audit_key", "door", "name", "noun", "data", "chain", "threat", "attacks", "gates"):
        if key not in summary:
            found.append(f"{key}: is missing")
        else:
            value = listed if key == "attacks" and isinstance(attacks, list) else summary[key]
            found += breaks(value, old_schema(), node=old_schema()["properties"][key], place=key)
    return found


def _of_threats(result: Mapping[str, Any], families: Families) -> Iterator[str]:
    """Yields what is wrong with threats beyond the common schema: their family, its own part, whose rows they hold."""
    ids = [entry["id"] for entry in result["threats"]]
    for index, entry in enumerate(result["threats"]):
        place, name = f"threats[{index}]", entry["family"]
        if ids.index(entry["id"]) < index:
            yield f"{place}.id: must differ from those of other threats, got {quote(entry['id'], 80)}"
        if name not in families:
            known = ", ".join(families) or "none"
            yield f"{place}.family: must be one that is installed ({known}), got {quote(name, 80)}: {REMEDY}"
            continue
        yield from breaks(entry, families[name].details_schema, place=place)
        for number, row in enumerate(entry["estimates"]):
            for key, wanted in (("threat", entry["id"]), ("family", name)):
                if row[key] != wanted:
                    got = quote(row[key], 80)
                    yield f"{place}.estimates[{number}].{key}: must be {quote(wanted, 80)}, got {got}"
        yield from _of_rows(entry["estimates"], families, f"{place}.estimates")
    named = [("verdict.threat", result["verdict"]["threat"])]
    named += [(f"utility[{index}].threat", row["threat"]) for index, row in enumerate(result["utility"])]
    for place, one in named:
        if one not in ids:
            yield f"{place}: must be the id of a threat, got {quote(one, 80)}"


def _of_rows(rows: list[Mapping[str, Any]], families: Families, place: str) -> Iterator[str]:
    """Yields what is wrong with rows: no metric of their family, other conditions than its, a number out of range."""
    for index, row in enumerate(rows):
        here, family = f"{place}[{index}]", UTILITY if place == "utility" else row["family"]
        metric = metric_of(families, family, row["metric"])
        if row["family"] != family:
            yield f"{here}.family: must be {family!r}, got {quote(row['family'], 80)}"
        elif metric is None:
            yield one_line(f"{here}.metric: must be a metric of {family}, got {quote(row['metric'], 80)}", limit=300)
        else:
            allowed = {*metric.needs, *metric.may, *metric.fixed}
            for key in [one for one in metric.needs if one not in row["conditions"]]:
                yield f"{here}.conditions.{key}: is missing"
            for key in [one for one in row["conditions"] if one not in allowed]:
                yield one_line(f"{here}.conditions.{key}: is no condition of {row['metric']}", limit=300)
            for name in [one for one in metric.counts if one not in row["n"]]:
                yield f"{here}.n.{name}: is missing"
            if row["unit"] != metric.unit:
                yield f"{here}.unit: must be {metric.unit!r}, got {quote(row['unit'], 80)}"
            yield from _of_bounds(row, metric.unit, here)
            yield from _of_words(row["conditions"], f"{here}.conditions")
        yield from _of_ends(row, here)


def _of_bounds(row: Mapping[str, Any], unit: str, here: str) -> Iterator[str]:
    """Yields numbers of a row that its unit does not have, and rates among its conditions that are no shares."""
    least, most = BOUNDS.get(unit, (-math.inf, math.inf))
    for name in ("value", "low", "high"):
        if row[name] is not None and not least <= row[name] <= most:
            bound = f"at least {least:g}" if row[name] < least else f"at most {most:g}"
            yield f"{here}.{name}: must be {bound}, got {row[name]}"
    for name in ("fpr", "prior"):
        rate = row["conditions"].get(name, 0.5)
        if isinstance(rate, str) or not 0 <= rate <= 1:
            yield f"{here}.conditions.{name}: must be a share from 0 to 1, got {quote(rate, 40)}"


def _of_words(conditions: Mapping[str, Any], here: str) -> Iterator[str]:
    """Yields conditions that all families write alike and that are none of their words."""
    for name, allowed in WORDS.items():
        if name in conditions and conditions[name] not in allowed:
            yield f"{here}.{name}: must be one of {', '.join(allowed)}, got {quote(conditions[name], 80)}"


def _of_ends(row: Mapping[str, Any], here: str) -> Iterator[str]:
    """Yields rules on the numbers of a row that a schema cannot state."""
    if row.get("status", "ok") != "ok":
        return
    if any(row[key] is None for key in ("value", "low", "high")):
        yield f'{here}: status "ok" needs value, low and high, got null'
    elif row["low"] > row["high"]:
        yield f"{here}: low must be at most high, got {row['low']} and {row['high']}"


def breaks(
    value: Any, root: Mapping[str, Any], *, node: Mapping[str, Any] | None = None, place: str = ""
) -> Iterator[str]:  # fmt: skip
    """Yields the rules of a schema that a value breaks, one line each.

    Args:
        value: of JSON.
        root: the schema, which holds the definitions that others refer to.
        node: the part of it that the value must fit; the whole unless given.
        place: of the value, for the lines.
    """
    schema = root if node is None else node
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "if" in schema:
        fits = next(breaks(value, root, node=schema["if"], place=place), None) is None
        yield from breaks(value, root, node=schema.get("then" if fits else "else", {}), place=place)
    here = place or "result"
    if "type" in schema:
        names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        if _type_name(value) not in names and not (_type_name(value) == "integer" and "number" in names):
            yield f"{here}: must be {' or '.join(names)}, got {_type_name(value)}"
            return
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if allowed is not None and value not in allowed:
        yield f"{here}: must be one of {json.dumps(allowed)}, got {json.dumps(value, default=str)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from _out_of_range(value, schema, here)
    if isinstance(value, Mapping):
        yield from _object_breaks(value, root, schema, place)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{here}: must have at least {schema['minItems']} entries, got {len(value)}"
        for index, item in enumerate(value):
            yield from breaks(item, root, node=schema.get("items", {}), place=f"{here}[{index}]")


def _object_breaks(
    value: Mapping[str, Any], root: Mapping[str, Any], schema: Mapping[str, Any], place: str
) -> Iterator[str]:  # fmt: skip
    """Yields keys that are missing from an object, breaks inside its values, and lists of other lengths."""
    dot = f"{place}." if place else ""
    for key in schema.get("required", []):
        if key not in value:
            yield f"{dot}{key}: is missing"
    properties = schema.get("properties", {})
    for key, item in value.items():
        node = properties.get(key, schema.get("additionalProperties"))
        if node is not None:
            yield from breaks(item, root, node=node, place=f"{dot}{key}")
    names = [key for key in schema.get("x-same-length", ()) if isinstance(value.get(key), list)]
    lengths, longer = [len(value[key]) for key in names], schema.get("x-one-longer")
    if longer is not None and isinstance(value.get(longer), list):
        lengths.insert(0, len(value[longer]) - 1)
    if len(set(lengths)) > 1:
        told = f"{', '.join(names[:-1])} and {names[-1]}"
        rule = f"{told} must have equal lengths" if longer is None else f"{longer} must be one more than {told}"
        yield f"{place}: {rule}, got {lengths}" + ("" if longer is None else " bins")


def _out_of_range(value: float | int, schema: Mapping[str, Any], here: str) -> Iterator[str]:
    """NaN, infinity, or a number outside the schema's bounds."""
    if not math.isfinite(value):
        yield f"{here}: must be finite, got {value}"
    elif "minimum" in schema and value < schema["minimum"]:
        yield f"{here}: must be at least {schema['minimum']}, got {value}"
    elif "maximum" in schema and value > schema["maximum"]:
        yield f"{here}: must be at most {schema['maximum']}, got {value}"


def _type_name(value: object) -> str:
    """The JSON Schema name of a value's type; a bool is no integer."""
    if isinstance(value, bool):
        return "boolean"
    return next(
        (name for name in ("null", "string", "integer", "number", "object", "array") if isinstance(value, TYPES[name])),
        type(value).__name__,
    )
