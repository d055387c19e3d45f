"""What measuring and reporting need of a table of scores, whose origin is unknown."""

from __future__ import annotations

from typing import Any

from dosimeter.families.membership.table.table import ScoresTable


def scores_summary(table: ScoresTable, *, key: str, seed: int, noun: str, leading_fpr: float) -> dict[str, Any]:
    """Summary of a table of scores, whose origin is unknown."""
    truth = table.truth
    attack: dict[str, Any] = {
        "mode": None, "paper": "", "control": False, "settings": {}, "status": "ok", "reason": "",
    }  # fmt: skip
    return {
        "door": "scores",
        "audit_key": key,
        "name": table.name,
        "seed": seed,
        "noun": noun,
        "leading_fpr": leading_fpr,
        "data": {
            "name": table.name,
            "records": truth.is_member.shape[1],
            "candidates": truth.is_member.shape[1],
            "population": 0,
            "classes": None,
            "members_per_target": round(float(truth.is_member.sum(1).mean())),
            "persons": table.persons,
            "groups": None if table.groups is None else len(table.group_names),
        },
        "chain": [],
        "attacks": [{"id": name, "name": name, **attack} for name in table.attacks],
        "threat": {
            "at_risk": "unknown",
            "access": None,
            "shadows": None,
            "targets": len(truth.is_member),
            "population": 0,
            "views": [],
        },
    }
