"""Results of older versions in the current form: what versions 1 and 2 held is one threat of membership."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dosimeter.results.metrics import UTILITIES, UTILITY
from dosimeter.results.rows import EXPOSURE, Row
from dosimeter.results.schema import VERSION
from dosimeter.results.views import COMMON

MEMBERSHIP = "membership"
"""Family, and id, of the only threat that older results have."""
QUESTION = "Was this {noun} used to train the model?"
DETAILS = ("detection_limit", "canaries", "blind", "exposure", "curves", "histograms")
"""Keys that only membership has."""
OLD_VERSIONS = (1, 2)
NO_INTERVAL = "its interval was not kept"
PAIRED_LEVEL = 0.95
"""Level of the intervals of all changes that a variant makes."""


def with_door(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result of version 1 or 2 in the form of version 2; version 1 knew recipes only.

    >>> with_door({"schema": 1, "name": "a"})
    {'schema': 2, 'name': 'a', 'door': 'recipe'}
    """
    return {**result, "schema": 2, "door": "recipe"} if result.get("schema") == 1 else dict(result)


def upgrade(old: Mapping[str, Any]) -> dict[str, Any]:
    """A result of version 2 in the form of version 3.

    Args:
        old: content that its schema holds.
    """
    threat = dict(old["threat"])
    stage = str(threat.pop("at_risk") or "")
    numbers = [one for row in old["estimates"] for one in _estimates(row)]
    own = [one for one in numbers if one.variant == "none"]
    tried = [*(one for one in numbers if one.variant != "none"), *_leaks(old, stage)]
    numbers = [*own, *_exposures(old, stage), *sorted(tried, key=lambda one: _place(old, one.variant))]
    entry = {
        "id": MEMBERSHIP,
        "family": MEMBERSHIP,
        "question": QUESTION.replace("{noun}", str(old["noun"])),
        "at_risk": stage,
        "adversary": threat,
        "data": old["data"],
        "attacks": old["attacks"],
        "verdict": old["verdict"],
        "estimates": [row.to_json() for row in numbers],
        "gates": old["gates"],
        "gates_not_asked": old.get("gates_not_asked", []),
        "null_audit": [_null(one) for one in old["null_audit"]],
        "dose": None,
        "details": {key: old[key] for key in DETAILS if key in old},
        "not_tested": old["not_tested"],
    }
    return {
        "schema": VERSION,
        **{key: old[key] for key in COMMON},
        "topology": None,
        "verdict": {**{key: old["verdict"][key] for key in ("status", "sentences")}, "threat": MEMBERSHIP},
        "dose": [],
        "threats": [entry],
        "utility": [one.to_json() for row in old["utility"] for one in _utilities(row, stage)],
        "gates": [],
        "variants": [_variant(one) for one in old.get("variants") or ()],
        "not_tested": [],
    }


def _place(old: Mapping[str, Any], variant: str) -> int:
    """Place of a variant among all; rows of one that is not listed come last."""
    listed = [str(one["id"]) for one in old.get("variants") or ()]
    return listed.index(variant) if variant in listed else len(listed)


def _estimates(row: Mapping[str, Any]) -> Iterator[Row]:
    """An estimate, and the false positive rate that its threshold reached as a row of its own."""
    units = {"auc": "auc"}
    given = {key: row[key] for key in ("fpr", "prior", "threshold") if row[key] is not None}
    base: dict[str, Any] = {
        **{key: row[key] for key in ("family", "variant", "attack", "group", "level", "method", "n_targets")},
        "threat": MEMBERSHIP,
        "stage": str(row["stage"] or ""),
        "conditions": given,
        "n": {"members": row["n_members"], "nonmembers": row["n_nonmembers"]},
    }
    numbers = {key: row[key] for key in ("metric", "value", "low", "high", "status", "reason")}
    yield Row(**base, **numbers, unit=units.get(row["metric"], "share"))
    if row.get("fpr_reached") is not None:
        ends = {"value": row["fpr_reached"], "low": row.get("fpr_low"), "high": row.get("fpr_high")}
        whole = None not in ends.values()
        told: dict[str, Any] = {"status": "ok" if whole else "not_resolvable", "reason": "" if whole else NO_INTERVAL}
        yield Row(**base, **ends, **told, metric="fpr")


def _exposures(old: Mapping[str, Any], stage: str) -> Iterator[Row]:
    """The highest exposure of each kind of unit in the data, measurable or not; a single group is not a kind."""
    told = old.get("exposure")
    if told:
        yield from exposure_rows(told, old["data"], stage=stage, targets=old["threat"]["targets"])


def exposure_rows(told: Mapping[str, Any], data: Mapping[str, Any], *, stage: str, targets: int) -> Iterator[Row]:
    """Rows of the highest exposure of any record, person or group.

    Args:
        told: the key `exposure` of membership's details.
        data: the records, as the threat tells them.
        stage: at risk.
        targets: models that were measured.
    """
    named = {"records": True, "persons": bool(data.get("persons")), "groups": (data.get("groups") or 0) > 1}
    for kind, declared in named.items():
        part = told[kind]
        if part is None and not declared:
            continue
        rate = {} if told["fpr"] is None else {"fpr": told["fpr"]}
        base: dict[str, Any] = {
            **dict.fromkeys(("threat", "family"), MEMBERSHIP), "stage": stage, "variant": "none",
            "attack": told["attack"], "metric": EXPOSURE, "conditions": {**rate, "unit": kind[:-1]},
            "level": told["level"],
        }  # fmt: skip
        if part is None:
            reason = told["reason"] or f"none of the {kind} has a rate of its own"
            yield Row(**base, status="not_resolvable", reason=reason, n={kind: 0}, n_targets=told["models"])
            continue
        ends = {name: part["highest"][name] for name in ("value", "low", "high")}
        yield Row(**base, **ends, n={kind: part["n"]}, n_targets=told["models"] or targets)


def _leaks(old: Mapping[str, Any], stage: str) -> Iterator[Row]:
    """What each variant changes about the AUC of the strongest attack."""
    for one in old.get("variants") or ():
        if one.get("auc_change") is not None:
            yield Row(
                MEMBERSHIP, MEMBERSHIP, stage, one["id"], one["attack"], "auc_change", "auc_difference",
                value=one["auc_change"], low=one["auc_change_low"], high=one["auc_change_high"], level=PAIRED_LEVEL,
            )  # fmt: skip


def _utilities(row: Mapping[str, Any], at_risk: str) -> Iterator[Row]:
    """A utility, and its change against the audit without the variant as a row of its own."""
    base: dict[str, Any] = {
        "threat": MEMBERSHIP,
        "family": UTILITY,
        "stage": str(row.get("stage") or at_risk),
        "variant": row["variant"],
        "attack": None,
        "group": row.get("group"),
        "conditions": {"split": row["split"]},
        "n": {"records": row["n"]},
        "n_targets": row["n_targets"],
    }
    numbers = {key: row[key] for key in ("metric", "value", "low", "high", "level", "method")}
    yield Row(**base, **numbers, status=row.get("status", "ok"), reason=row.get("reason", ""))
    if row.get("change") is not None:
        ends = {"value": row["change"], "low": row["change_low"], "high": row["change_high"]}
        changed = f"{row['metric']}_change"
        yield Row(**base, **ends, metric=changed, unit=UTILITIES[changed].unit, level=PAIRED_LEVEL)


def _null(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the null audit."""
    ends = {key: row[key] for key in ("low", "high")}
    return {"attack": row["attack"], "metric": "auc", "value": row["auc"], **ends, "status": row["status"]}


def _variant(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A variant, with what it did to the only threat."""
    names = ("attack", "fpr", "verdict", "canaries")
    outcome = {"threat": MEMBERSHIP, **{key: entry[key] for key in names if key in entry}}
    left = (*names, "auc_change", "auc_change_low", "auc_change_high")
    kept = {key: value for key, value in entry.items() if key not in left}
    return {**kept, "threats": [outcome] if entry["status"] == "ok" else []}
