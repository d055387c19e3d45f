"""Problems of a table, one line for each key: path, rule, value, remedy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.wording import one_line, quote

DEEPEST = 12
"""Largest depth of nested tables."""
LARGEST = 2**63 - 1
"""Largest whole number: TOML promises it and every library takes it."""
Finding = tuple[str, str]
"""Path of a key, and the rest of the line."""


def lines(found: Iterable[Finding]) -> list[str]:
    """Findings as lines; of several at one place only the first is kept."""
    return [one_line(f"{place}{text}", limit=600) for place, text in dict(reversed(list(found))).items()][::-1]


def scan(value: Any, place: str = "", depth: int = 0) -> list[Finding]:
    """Values that no key can have: NaN and infinity, dates, huge numbers, control characters, too deep tables."""
    if depth > DEEPEST:
        return [(place, f": tables must not be nested deeper than {DEEPEST}, got more: flatten it")]
    if isinstance(value, Mapping):
        found = []
        for key, item in value.items():
            if not str(key).isprintable() or not 0 < len(key) <= 100:
                found.append(
                    (
                        place or "the audit file",
                        f": keys must be 1 to 100 printable characters, got {quote(key)}: rename it",
                    )
                )
            else:
                found += scan(item, f"{place}.{key}" if place else str(key), depth + 1)
        return found
    if isinstance(value, list | tuple):
        return [one for i, item in enumerate(value) for one in scan(item, f"{place}[{i}]", depth + 1)]
    if isinstance(value, float) and not math.isfinite(value):
        return [(place, f": must be a finite number, got {value}: write a number")]
    if isinstance(value, int) and abs(value) > LARGEST:
        return [(place, f": must be at most {LARGEST}, got {_digits(value)}: write a smaller number")]
    if isinstance(value, str) and not value.isprintable():
        return [(place, f": must be text without line breaks and control characters, got {quote(value)}: remove them")]
    if not isinstance(value, bool | int | float | str):
        return [(place, f": must be text, a number, true, false, a list or a table, got {value}: put it in quotes")]
    return []


def _digits(value: int) -> str:
    return str(value) if value.bit_length() < 256 else f"one of {value.bit_length()} bits"


def findings(error: ValidationError, place: str, keys: Iterable[str], *, tables: Sequence[str] = ()) -> list[Finding]:
    """The findings of pydantic in one table.

    Args:
        error: the error that pydantic raised.
        place: path of the table, empty for the file itself.
        keys: keys that the table may have.
        tables: those of the keys that are written as `[[key]]`.
    """
    found = []
    items = error.errors(include_url=False)
    within = {one["loc"][:-1] for one in items if one["loc"]}
    for item in items:
        if item["type"] == "too_short" and item["loc"] in within:
            continue  # entries that are wrong themselves were not counted
        last = str(item["loc"][-1]) if item["loc"] else ""
        unknown = item["type"] == "extra_forbidden"
        if last.startswith("literal[") and isinstance(item["input"], tuple) and not unknown:
            continue  # the other branch of the union tells more
        first, end = int(bool(keys)), len(item["loc"]) - unknown  # keys may look like branches; these never do
        own = [part for i, part in enumerate(item["loc"]) if not first <= i < end or not _branch(part)]
        path = _path(place, own)
        if unknown:
            if not path.isprintable() or len(path) > 600:
                continue  # `scan` tells
            found.append((path, f": unknown key, {suggest(str(own[-1])[:100], _keys(keys, own[:-1]))}"))
        elif item["type"] == "missing":
            found.append((path, ": is required and missing: add it"))
        else:
            found.append((path, _line(item, double=bool(own) and own[0] in tables)))
    return found


def _keys(keys: Iterable[str], tables: Sequence[str | int]) -> Iterable[str]:
    """Keys of a table within a table, from the fields of the outer table."""
    for name in tables:
        inner = keys[name].annotation if isinstance(keys, Mapping) and name in keys else None
        known = [one for one in (inner, *get_args(inner)) if hasattr(one, "model_fields")]  # a table may be optional
        keys = known[0].model_fields if known else keys
    return keys


def _branch(part: str | int) -> bool:
    """Returns whether a part of a location names a branch of a union, which is no key."""
    return isinstance(part, str) and part.startswith(
        ("tuple[", "literal[", "constrained-", "function-", "str", "dict[")
    )


def _path(place: str, parts: Sequence[str | int]) -> str:
    """`("stage", 1, "lr")` as `stage[1].lr`."""
    for part in parts:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    return place or "the audit file"


RULES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "bool_type": lambda _: "true or false",
    "string_type": lambda _: "text in quotes",
    "dict_type": lambda _: "a table",
    "model_type": lambda _: "a table",
    "dataclass_type": lambda _: "a table",
    "tuple_type": lambda _: "a list",
    "string_pattern_mismatch": lambda _: (
        "1 to 64 letters, digits, dots, hyphens and underscores that begin with a letter or digit"
    ),
    "string_too_short": lambda rule: f"text of at least {rule['min_length']} character",
    "string_too_long": lambda rule: f"text of at most {rule['max_length']} characters",
    "too_short": lambda rule: f"a list of at least {rule['min_length']}",
    "too_long": lambda rule: f"a list of at most {rule['max_length']}",
    "greater_than": lambda rule: f"greater than {rule['gt']}",
    "greater_than_equal": lambda rule: f"at least {rule['ge']}",
    "less_than": lambda rule: f"less than {rule['lt']}",
    "less_than_equal": lambda rule: f"at most {rule['le']}",
    "literal_error": lambda rule: f"one of {rule['expected'].replace(' or ', ', ')}",
}
"""Kinds of findings of pydantic, with the rule in words."""


def _line(item: Any, *, double: bool) -> str:
    """Rest of the line for one finding about a value."""
    kind, value = item["type"], item["input"]
    if item["loc"] and item["loc"][-1] == "tuple[str, ...]":  # of `views`
        return f": must be 'auto' or a list of names, got {_as_toml(value)}: write for example ['identity', 'flip']"
    if kind not in RULES:
        return f": {one_line(item['msg'].removeprefix('Value error, '))}, got {_as_toml(value)}: correct it"
    return f": must be {RULES[kind](item.get('ctx', {}))}, got {_as_toml(value)}: {_remedy(kind, value, item, double)}"


def _remedy(kind: str, value: Any, item: Any, double: bool) -> str:
    """Remedy for a value, in words."""
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    if kind in ("int_type", "float_type") and isinstance(value, str) and value.strip().isdecimal():
        return f"write {value.strip()} without quotes"
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return f'write "{value}"'
    if kind == "tuple_type":
        return "write the table's head in double brackets, [[...]]" if double else f"write [{_as_toml(value)}]"
    if kind in ("dict_type", "model_type") and isinstance(value, list | tuple):
        return "write the table's head once, in single brackets"
    if kind == "literal_error" and isinstance(value, str):
        expected = item["ctx"]["expected"].replace(" or ", ", ").split(", ")
        if value in expected:
            return f"write {value} without quotes"
        allowed = [one.strip("' ") for one in expected]
        return suggest(value, allowed)
    return {"greater_than": "raise it", "greater_than_equal": "raise it", "less_than": "lower it",
            "less_than_equal": "lower it", "string_pattern_mismatch": "rename it",
            "too_short": "add one", "too_long": "shorten it"}.get(kind, "correct it")  # fmt: skip


def _as_toml(value: Any) -> str:
    """A value as TOML writes it, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    return quote(list(value) if isinstance(value, tuple) else value, 80)
