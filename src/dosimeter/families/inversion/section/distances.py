"""Inversion's table of distances, from a threat of `result.json`. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.results import figures, words
from dosimeter.results.views import View

COLUMNS: Mapping[str, str] = {
    "knn_distance": "Nearest record that the model learned",
    "feature_distance": "Mean of the identity's records",
    "kid_lite0": "KID-lite0, all as a set",
}
"""Titles by metric."""


def distances(result: View, names: Mapping[str, str]) -> dict[str, Any] | None:
    """The table: columns, a row for each attack, and rows to compare with; None without any distance.

    Args:
        result: a threat of a valid result.json.
        names: what each attack is called, by its id.
    """
    told = result["details"].get("distances") or {}
    shown = [metric for metric in COLUMNS if any(row.metric == metric for row in result["estimates"])]
    if not shown:
        return None
    attacks = [one["id"] for one in result["attacks"] if not one["reason"]]
    return {
        "noun": words.plural(result["noun"]),
        "columns": [COLUMNS[metric] for metric in shown],
        "rows": [
            {
                "name": names[attack],
                "cells": [(COLUMNS[one], figures.bits(figures.find(result, attack, one)), _by_chance(told, attack, one))
                          for one in shown],
            }
            for attack in attacks
        ],
        "real": [
            {
                "name": f"real {words.plural(result['noun'])} of {whose}",
                "cells": [(COLUMNS[one], words.bits(told[one][key]) if one in told else "–") for one in shown],
            }
            for key, whose in (("real", "the identity, not learned"), ("other", "others"))
        ],
        "sets": "kid_lite0" in shown,
    }  # fmt: skip


def _by_chance(told: Mapping[str, Any], attack: str, metric: str) -> str:
    """Mean distance of what an attack made if names were exchanged; empty where it is not told."""
    found = told.get(metric, {}).get("exchanged", {})
    return f"{words.bits(found[attack])} if names were exchanged" if attack in found else ""
