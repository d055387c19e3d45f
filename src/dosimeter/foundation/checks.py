"""Checks of arguments, each written once. They raise `ValueError` in the form "what, rule, got value"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np


def in_range(
    name: str,
    value: float | int,
    low: float | int,
    high: float | int,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Refuses a number outside an interval, NaN included.

    >>> in_range("fpr", 1.5, 0, 1, open_low=True)
    Traceback (most recent call last):
    ...
    ValueError: fpr must be in (0, 1], got 1.5
    """
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below):
        left, right = "([", ")]"
        raise ValueError(f"{name} must be in {left[not open_low]}{low}, {high}{right[not open_high]}, got {value}")


def finite(name: str, array: np.ndarray[Any, np.dtype[Any]]) -> None:
    """Refuses an array with NaN or infinite entries; the error says how many and where the first is."""
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, got {int(bad.sum())} NaN or infinite values, the first at {first}")


def same_length(**arrays: np.ndarray[Any, np.dtype[Any]]) -> None:
    """Refuses arrays whose first axes differ in length."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"{' and '.join(lengths)} must have equal lengths, got {listed}")


def suggest(wrong: str, allowed: Iterable[str]) -> str:
    """End of a message about an unknown name: the nearest allowed name, or all of them.

    >>> suggest("epoch", ["epochs", "lr"])
    "did you mean 'epochs'?"
    >>> suggest("zzz", ["epochs", "lr"])
    'use one of: epochs, lr'
    """
    allowed = sorted(allowed)
    close = difflib.get_close_matches(wrong, allowed, n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(allowed)}"
