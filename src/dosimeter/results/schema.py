"""Checks whether this version can read a result.json, against the published format `result.schema.json`.

It understands only the keywords of JSON Schema that this file uses, so that reading a result needs no further package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

VERSION = 2
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
    "object": Mapping,
    "array": list,
}


@cache
def result_schema() -> Mapping[str, Any]:
    """The published JSON schema (draft 2020-12) of result.json."""
    schema: Mapping[str, Any] = json.loads(Path(__file__).with_name("result.schema.json").read_text("utf-8"))
    return schema


def problems(result: object) -> list[str]:
    """Places where a result breaks the published schema or contradicts itself, one line each.

    Args:
        result: what `json.loads` made of a result.json.

    >>> problems({"schema": 3})
    ['schema: must be 2, got 3: use the dosimeter version that wrote it, or run `dosimeter measure` again']
    >>> problems([])
    ['result: must be object, got array']
    """
    if isinstance(result, Mapping) and "schema" in result and result["schema"] != VERSION:
        version = json.dumps(result["schema"], default=str)
        remedy = "use the dosimeter version that wrote it, or run `dosimeter measure` again"
        return [f"schema: must be {VERSION}, got {version}: {remedy}"]
    found = list(_breaks(result, result_schema(), ""))
    if not found and isinstance(result, Mapping):
        found = list(_contradictions(result))
    return found


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
            found += _breaks(value, result_schema()["properties"][key], key)
    return found


def upgrade(result: object) -> object:
    """A result of an older version in the current form; anything else unchanged.

    Version 1 knew recipes only.

    >>> upgrade({"schema": 1, "name": "a"})
    {'schema': 2, 'name': 'a', 'door': 'recipe'}
    """
    if isinstance(result, Mapping) and result.get("schema") == 1:
        return {**result, "schema": VERSION, "door": "recipe"}
    return result


def _breaks(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yields the rules of one schema node that a value breaks."""
    if "$ref" in schema:
        schema = result_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
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
        yield from _object_breaks(value, schema, place)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{here}: must have at least {schema['minItems']} entries, got {len(value)}"
        for index, item in enumerate(value):
            yield from _breaks(item, schema.get("items", {}), f"{here}[{index}]")


def _object_breaks(value: Mapping[str, Any], schema: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yields keys that are missing from an object, and breaks inside its values."""
    dot = f"{place}." if place else ""
    for key in schema.get("required", []):
        if key not in value:
            yield f"{dot}{key}: is missing"
    properties = schema.get("properties", {})
    for key, item in value.items():
        node = properties.get(key, schema.get("additionalProperties"))
        if node is not None:
            yield from _breaks(item, node, f"{dot}{key}")


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


def _contradictions(result: Mapping[str, Any]) -> Iterator[str]:
    """Yields rules that a schema cannot state: "ok" rows have ordered numbers, columns of one plot equal lengths."""
    for kind in ("estimates", "utility"):
        for index, row in enumerate(result[kind]):
            if row.get("status", "ok") != "ok":
                continue
            if any(row[key] is None for key in ("value", "low", "high")):
                yield f'{kind}[{index}]: status "ok" needs value, low and high, got null'
            elif row["low"] > row["high"]:
                yield f"{kind}[{index}]: low must be at most high, got {row['low']} and {row['high']}"
    for name, curve in result["curves"].items():
        lengths: Sequence[int] = [len(curve[key]) for key in ("fpr", "tpr", "low", "high")]
        if len(set(lengths)) > 1:
            yield f"curves.{name}: fpr, tpr, low and high must have equal lengths, got {lengths}"
    for name, bars in result["histograms"].items():
        lengths = [len(bars["edges"]) - 1, len(bars["members"]), len(bars["nonmembers"])]
        if len(set(lengths)) > 1:
            yield f"histograms.{name}: edges must be one more than members and nonmembers, got {lengths} bins"
