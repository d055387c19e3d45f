"""Results in the form of version 2, in which a run held one threat and an estimate was a flat table, and back.

Tests that speak of numbers read them in this form, so that they prove that none has moved since. Readers are called
here with the families that are installed, and with results of either version.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dosimeter.families.membership.family import MEMBERSHIP
from dosimeter.families.membership.measure import measure
from dosimeter.families.membership.measures.material import Material
from dosimeter.families.registry import FAMILIES
from dosimeter.pipeline import page
from dosimeter.pipeline.whole_result import one_threat
from dosimeter.results import compare as comparing
from dosimeter.results import lines as listing
from dosimeter.results import schema
from dosimeter.results.policy import check as checking
from dosimeter.results.policy import junit as as_junit
from dosimeter.results.policy import limits
from dosimeter.results.policy import sarif as as_sarif
from dosimeter.results.upgrade import upgrade, with_door
from dosimeter.results.views import own_rows, views
from dosimeter.results.whole.compose import compose

COMMON = ("audit_key", "door", "name", "noun", "chain")
RATES = {"value": "fpr_reached", "low": "fpr_low", "high": "fpr_high"}


def flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a result.json in the form of version 2.

    Args:
        content: of this version, with one threat; one of version 2 stays as it is.
    """
    if content["schema"] != 3:
        return dict(content)
    (entry,) = content["threats"]
    told = [] if entry["dose"] is None else [{"threat": entry["id"], **entry["dose"]}]
    assert content["dose"] == told  # version 2 had no dose, nor rows of it
    assert content["topology"] is None
    verdict = content["verdict"]
    assert verdict == {**{key: entry["verdict"][key] for key in ("status", "sentences")}, "threat": entry["id"]}
    changes = {
        (row["variant"], row["conditions"]["split"]): row
        for row in content["utility"]
        if row["metric"] == "accuracy_change"
    }
    return {
        "schema": 2,
        **{key: content[key] for key in COMMON},
        "threat": {"at_risk": entry["at_risk"], **entry["adversary"]},
        **{key: entry[key] for key in ("data", "attacks", "verdict", "gates_not_asked")},
        **_details(entry["details"]),
        "estimates": _estimates(entry["estimates"]),
        "utility": [_utility(row, changes) for row in content["utility"] if row["metric"] == "accuracy"],
        "gates": [*content["gates"], *entry["gates"]],
        "null_audit": [_null(row) for row in entry["null_audit"]],
        "not_tested": [*entry["not_tested"], *content["not_tested"]],
        **({"variants": [_variant(one, entry) for one in content["variants"]]} if content["variants"] else {}),
    }


def _details(found: Mapping[str, Any]) -> dict[str, Any]:
    """Details without what version 2 had not: Log-MIA, and grades of canaries."""
    kept = {key: value for key, value in found.items() if key != "log_mia"}
    if "canaries" in kept:
        kept["canaries"] = [
            {key: value for key, value in one.items() if not key.startswith("grade_")} for one in kept["canaries"]
        ]
    return kept


def _estimates(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Estimates with the false positive rates that they reached."""

    def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return (row["attack"], row["variant"], row["group"], *sorted(row["conditions"].items()))

    reached = {key(row): row for row in rows if row["metric"] == "fpr"}
    found = []
    for row in rows:
        if row["metric"] not in ("auc", "tpr", "precision"):
            continue
        assert row["threat"] == "membership"
        names = ("family", "stage", "variant", "attack", "metric", "group", "value", "low", "high", "level", "method")
        own = {name: row[name] for name in (*names, "n_targets", "status", "reason")}
        own |= {name: row["conditions"].get(name) for name in ("fpr", "prior", "threshold")}
        own |= {f"n_{name}": number for name, number in row["n"].items()}
        rate = reached.get(key(row), {}) if row["metric"] == "tpr" else {}
        found.append({**own, **{new: rate.get(old) for old, new in RATES.items()}})
    return found


def _utility(row: Mapping[str, Any], changes: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any]:
    """A utility with its change."""
    names = ("variant", "metric", "value", "low", "high", "level", "method", "n_targets")
    split = row["conditions"]["split"]
    change = changes.get((row["variant"], split))
    more = {} if change is None else _change("change", change)
    return {**{name: row[name] for name in names}, "split": split, "n": row["n"]["records"], **more}


def _change(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A difference with its ends."""
    return {name: row["value"], f"{name}_low": row["low"], f"{name}_high": row["high"]}


def _null(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the null audit."""
    assert row["metric"] == "auc"
    return {"attack": row["attack"], "auc": row["value"], **{key: row[key] for key in ("low", "high", "status")}}


def _variant(one: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """A variant with what it did."""
    own = {key: value for key, value in one.items() if key != "threats"}
    for outcome in one["threats"]:
        own |= _details({key: value for key, value in outcome.items() if key != "threat"})
    for row in entry["estimates"]:
        if row["metric"] == "auc_change" and row["variant"] == one["id"]:
            own |= _change("auc_change", row)
    return own


def raised(content: Mapping[str, Any]) -> dict[str, Any]:
    """A result of either version in the form of this one."""
    return dict(content) if content["schema"] == 3 else upgrade(with_door(content))


def composed(material: Material) -> dict[str, Any]:
    """The content of result.json for a material."""
    return compose(material.summary, [one_threat(MEMBERSHIP.name, MEMBERSHIP, measure(material), material.summary)])


def result(material: Material) -> dict[str, Any]:
    """What a material gives, in the form of version 2."""
    return flat(composed(material))


def problems(content: Mapping[str, Any]) -> list[str]:
    """What is wrong with a result, of either version."""
    if content.get("schema") == 3:
        return schema.problems(content, FAMILIES)
    return schema.old_problems(content) or schema.problems(raised(content), FAMILIES)


def parse_policy(table: Mapping[str, Any]) -> limits.Policy:
    """A policy, checked against the families that are installed."""
    return limits.parse_policy(table, FAMILIES)


def load_policy(path: Path) -> limits.Policy:
    """The same, from a file."""
    return limits.load_policy(path, FAMILIES)


def check(
    content: Mapping[str, Any], policy: limits.Policy | None, accepted: Mapping[str, Any] | None = None
) -> checking.Check:
    """A check of a result of either version."""
    return checking.check(raised(content), policy, FAMILIES, None if accepted is None else raised(accepted))


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> comparing.Comparison:
    """A comparison of results of either version."""
    return comparing.compare(raised(old), raised(new))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """How audits differ."""
    return list(comparing.differences(raised(old), raised(new)))


def lines(content: Mapping[str, Any]) -> list[listing.Line]:
    """The rows of a result of either version."""
    return listing.lines(raised(content))


def sarif(found: checking.Check, content: Mapping[str, Any]) -> str:
    """A check as SARIF."""
    return as_sarif.sarif(found, raised(content))


def junit(found: checking.Check, content: Mapping[str, Any]) -> str:
    """A check as JUnit XML."""
    return as_junit.junit(found, raised(content))


def render(content: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """The page of a result of either version."""
    return page.render(raised(content), provenance)


def view(content: Mapping[str, Any]) -> dict[str, Any]:
    """The only threat of a result of either version, with the rows of its variants."""
    (found,) = views(raised(content))
    return found


def own_view(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same without them."""
    return own_rows(view(content))
