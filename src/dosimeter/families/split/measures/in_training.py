"""What the adversaries of a training can do at its end, beside fresh ones: it may flatter the model."""

from __future__ import annotations

from typing import Any

import numpy as np

from dosimeter.families.split.measures.measured import LEVEL, Measured
from dosimeter.statistics.leakage.attributes import auc_of
from dosimeter.statistics.leakage.pixels import mean_of


def in_training(found: Measured) -> list[dict[str, Any]]:
    """One entry for each thing that they were after: their number, and that of the strongest fresh attack there.

    Args:
        found: what a run left.
    """
    arrays, cut = found.left.in_training, found.left.summary.get("in_training")
    if not arrays or cut not in found.cuts:
        return []
    source, entries = found.cuts.index(cut), []
    for told in found.attributes:
        guesses = arrays.get(f"guesses-{told.index}")
        if guesses is None:
            continue
        one = auc_of(guesses[..., told.kept], told.truth, told.unit)
        fresh = [
            auc_of(found.guesses(attack, told, source), told.truth, told.unit).value
            for attack in found.of("attribute", "features")
        ]
        entries.append(_entry("attribute_auc", told.name, cut, one, max(fresh, default=None)))
    if "mse" in arrays:
        one = mean_of(arrays["mse"], found.person, limits=(0.0, np.inf))
        attacks = found.of("input", "features")
        errors = [float(found.left.evidence[attack]["mse"][:, source].mean()) for attack in attacks]
        entries.append(_entry("mse", None, cut, one, min(errors, default=None)))
    return entries


def _entry(metric: str, attribute: str | None, cut: str, one: Any, fresh: float | None) -> dict[str, Any]:
    """An entry of `details.in_training`."""
    return {
        "metric": metric, "attribute": attribute, "cut": cut, "value": one.value, "low": one.low, "high": one.high,
        "level": LEVEL, "method": one.method, "fresh": fresh,
    }  # fmt: skip
