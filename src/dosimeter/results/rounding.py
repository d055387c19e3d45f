"""Rounds numbers of result.json, so that two runs are equal byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def round_numbers(value: Any) -> Any:
    """Floats to 12 significant digits, so that files compare byte by byte; anything not finite becomes a string."""
    if isinstance(value, Mapping):
        return {
            str(key): _edges(item) if key == "edges" and _numbers(item) else round_numbers(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [round_numbers(item) for item in value]
    if isinstance(value, (np.floating, float)):
        number = float(value)
        return float(f"{number:.12g}") if np.isfinite(number) else str(number)
    return value.item() if isinstance(value, np.generic) else value


def _numbers(values: Any) -> bool:
    """Returns whether these are edges of bins; a topology has edges too."""
    return isinstance(values, (list, tuple)) and all(isinstance(one, (int, float, np.number)) for one in values)


def _edges(values: list[float]) -> list[float]:
    """Bin edges with 12 digits, or with all digits if 12 would move an edge visibly within its bin."""
    short: list[float] = round_numbers(values)
    with np.errstate(over="ignore"):
        narrowest = np.diff(values).min() if len(values) > 1 else np.inf
    return short if np.abs(np.subtract(short, values)).max() <= narrowest / 1000 else [float(one) for one in values]
