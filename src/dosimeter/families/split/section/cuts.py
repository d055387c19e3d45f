"""The table of cuts in split's part of the page: costs, accuracy, leaks, and the cut that is recommended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.results import words
from dosimeter.results.figures import Figure
from dosimeter.results.views import View


def cut_table(result: View, names: Mapping[str, str]) -> dict[str, Any]:
    """What the template shows of the cuts.

    Args:
        result: a threat of a valid result.json.
        names: of the attacks, by id.
    """
    found, rows = result["details"]["choice"], result["details"]["cuts"]
    return {
        "secrets": [_secret(one["attribute"], result) for one in rows[0]["leaks"]],
        "rows": [_row(one, names, found["cut"]) for one in rows],
        "recommended": _recommended(result, names),
        "agreement": _agreement(found["agreement"], len(rows)),
        "left_out": _left_out(found["left_out"]),
    }


def _secret(attribute: str | None, result: View) -> str:
    """Head of the column of one secret."""
    return f"Leak: the {result['noun']}" if attribute is None else f"Leak: {attribute}"


def _row(one: Mapping[str, Any], names: Mapping[str, str], recommended: str | None) -> dict[str, Any]:
    """One cut."""
    own, radius = one["accuracy"], one["radius"]
    return {
        "name": one["name"],
        "recommended": one["name"] == recommended,
        "pareto": one["pareto"],
        "crosses": " and ".join("x".join(map(str, shape)) or "1" for shape in one["shapes"]),
        "bytes": words.number(one["bytes"]["float32"]),
        "parameters": "not known" if one["parameters"] is None else words.number(one["parameters"]),
        "work": _work(one),
        "accuracy": "–" if own is None else words.percent(own["value"]),
        "radius": "–" if radius is None or radius["share"] is None else f"{radius['share']:.2f}",
        "leaks": [
            {"figure": _leak(leak), "attack": names.get(leak["attack"], leak["attack"]), "shown": leak["shown"]}
            for leak in one["leaks"]
        ],
    }


def _work(cut: Mapping[str, Any]) -> str:
    """Multiply-adds before a cut, in words."""
    if cut["multiply_adds"] is None:
        return "not known"
    return ("" if cut["counted"] else "at least ") + words.number(cut["multiply_adds"])


def _leak(one: Mapping[str, Any]) -> Figure:
    """A leak with its interval."""
    return Figure(words.decimal(one["value"]), words.decimal_range(one["low"], one["high"]))


def _recommended(result: View, names: Mapping[str, str]) -> str:
    """Which cut is recommended, how it was chosen, and what it leaks of others; or why none is."""
    found = result["details"]["choice"]
    if found["cut"] is None:
        return f"No cut is recommended: {found['reason']}."
    limits = found["limits"]
    keys = {"bytes": "bytes", "multiply_adds": "multiply-adds"}
    bound = " and ".join(f"at most {words.number(limits[key])} {keys[key]}" for key in keys if key in limits)
    leaks = "; ".join(
        f"{'the ' + result['noun'] if one['attribute'] is None else one['attribute']} "
        f"{words.decimal(one['value'])} ({words.decimal_range(one['low'], one['high'])}, "
        f"{names.get(one['attack'], one['attack'])})"
        for one in found["leaks"]
    )
    known = all(one["multiply_adds"] is not None for one in result["details"]["cuts"])
    cheap = "least work for the device" if known else "fewest bytes"
    first, other = (words.count(number, "person") for number in found["persons"])
    most = limits.get("leak")
    among = "is not above the interval of the least" if most is None else f"keeps within the limit of {most:g}"
    return (
        f"Recommended: the cut after “{found['cut']}”. Of the cuts{' with ' + bound if bound else ''} that lose at "
        f"most 1 point of accuracy, it is the one with {cheap} among those whose worst leak {among}. "
        f"It was chosen on {first}. On the other {other} the same attacks tell: {leaks}.{limit_told(found)}"
    )


def limit_told(found: Mapping[str, Any]) -> str:
    """Whether the limit of the leak is kept by those who did not choose; empty without one."""
    told = {"met": "is kept", "exceeded": "is exceeded", "undecided": "is neither shown to be kept nor to be exceeded"}
    kept = found.get("leak_limit")  # results of earlier versions have none
    return "" if kept is None else f" The limit of {found['limits']['leak']:g} {told[kept]} there."


def _agreement(value: float | None, cuts: int) -> str:
    """How far the radius orders the cuts as the leaks do."""
    if value is None:
        return ""
    return f"Over these {cuts} cuts, the rank correlation of R_c² and the worst leak is {value:.2f}."


def _left_out(count: int) -> str:
    """A sentence about places that were not tested."""
    if not count:
        return ""
    verb = "was" if count == 1 else "were"
    return f"{words.count(count, 'more place')} at which the model could be cut {verb} not tested."
