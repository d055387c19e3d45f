"""The dose under known laws: how near it comes, how often its interval misses, how often nothing looks like a leak.

Four kinds of cells: rehearsed readers and halves under seven laws of scores, several targets and persons, and guesses
among several values. What an interval should hold is what the fitted reader gains on new records, integrated, not what
the best reader would gain. Each cell is done in portions of 60 draws, and the figures are written after each: an
interrupted run goes on where it stopped. All take about a quarter of an hour on one core. `tests/statistics/dose`
holds the stored figures to the claims.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from zlib import crc32

import numpy as np
from machine import hardware
from scipy.special import ndtri

from dosimeter.statistics.dose.bits import fit_bits
from dosimeter.statistics.dose.guesses import fit_guesses
from dosimeter.statistics.dose.halves import halvings, usual_count
from dosimeter.statistics.dose.measure import Known, dose_of_bits, dose_of_guesses

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "dose.json"
sys.path.append(str(ROOT / "tests" / "statistics" / "dose"))
from dose_laws import LAWS, Law, targets  # noqa: E402

PORTION = 60
PILOT = (200, 1000)
"""Sides of the pilot table, which has 60 draws in each row."""
SIDES = (10, 20, 50, 200, 1000)
"""Members, and as many non-members."""
MIXES = 4
"""Assignments of halves over which the gain of halves' readers on new records is averaged."""


def cells() -> dict[str, tuple[int, Callable[[np.random.Generator], dict[str, float]]]]:
    """Name to the number of draws, and what one draw counts."""
    found: dict[str, tuple[int, Callable[[np.random.Generator], dict[str, float]]]] = {}
    for name in LAWS:
        for n in PILOT:
            found[f"pilot: {name}, n {n}"] = 60, functools.partial(rehearsed, name, n)
        for n in SIDES:
            found[f"rehearsed: {name}, n {n}"] = 540, functools.partial(rehearsed, name, n)
        for n in SIDES[1:]:
            found[f"halves: {name}, n {n}"] = 300, functools.partial(halved, name, n)
    for count in (1, 8):
        for persons, size in ((400, 1), (2000, 1), (80, 5), (400, 5), (20, 20)):
            shape = f"{count} targets, {persons} persons with {size}"
            found[f"null, halves: {shape}"] = 540, functools.partial(several, count, persons, size, 0.0, False)
            found[f"null, rehearsed: {shape}"] = 540, functools.partial(several, count, persons, size, 0.0, True)
    for count in (1, 2, 4, 8, 16):
        for persons, size in ((200, 1), (40, 5)):
            name = f"leak, rehearsed: {count} targets, {persons} persons with {size}"
            found[name] = 540, functools.partial(several, count, persons, size, 1.0, True)
    for kind in GUESSED:
        for strength in (0.0, 1.0, 3.0):
            for known in (True, False):
                how, draws = "rehearsed" if known else "halves", 540 if not strength else 300 if known else 120
                found[f"guesses, {how}: {kind}, strength {strength:g}"] = (
                    draws,
                    functools.partial(guessed, kind, strength, known),
                )
    return found


def judged(found, expected: float | None) -> dict[str, float]:
    """Counts of one dose; a reader may be ignored, so that less than nothing is not expected of it."""
    counts = {"draws": 1, "sum": found.value, "squares": found.value**2, "shown": int(found.low > 0)}
    counts["width"] = found.high - found.low
    if expected is not None:
        fair = max(0.0, expected)
        counts |= {"expected": expected, "low_misses": int(found.low > fair + 1e-9), "held": 1}
        counts["high_misses"] = int(found.high < fair - 1e-9)
    return counts


def rehearsed(name: str, n: int, rng: np.random.Generator) -> dict[str, float]:
    """A reader of rehearsals, judged on as many further scores; also the plain interval of the pilot."""
    law = LAWS[name]
    (known, bits), (scores, truth) = law.draw(rng, n), law.draw(rng, n)
    found = dose_of_bits(scores[None], truth[None], np.arange(2 * n), known=Known([known], [bits]), rng=rng)
    reader = fit_bits(known, bits, 0.5)
    given = reader.probability(scores)
    terms = 1 + np.log2(np.where(truth, given, 1 - given))
    plain = terms.mean() - 1.96 * terms.std() / sqrt(len(terms)) > 0
    return {**judged(found, law.expected(reader.probability)), "plain_shown": int(plain)}


def halved(name: str, n: int, rng: np.random.Generator) -> dict[str, float]:
    """Readers of halves; the same halves are drawn once more for what their readers gain on new records."""
    law, seed = LAWS[name], int(rng.integers(2**32))
    scores, truth = law.draw(rng, n)
    found = dose_of_bits(scores[None], truth[None], np.arange(2 * n), rng=np.random.default_rng(seed))
    again = halvings(np.arange(2 * n), truth.astype(float), np.random.default_rng(seed), usual_count(2 * n))
    pairs = [[fit_bits(scores[own], truth[own], 0.5) for own in (half, ~half)] for half in again]
    sides = rng.integers(0, 2, (MIXES, len(pairs)))
    gains = [
        law.expected(
            lambda x, mix=mix: np.mean([pair[s].probability(x) for pair, s in zip(pairs, mix, strict=True)], axis=0)
        )
        for mix in sides
    ]
    return judged(found, float(np.mean(gains)))


def several(count: int, persons: int, size: int, shift: float, known: bool, rng: np.random.Generator):
    """Several targets with effects of persons; a leak differs between targets, and the reader is of other persons."""
    scores, bits, person = _drawn(rng, count, persons, size, shift)
    if not known:
        return judged(dose_of_bits(scores, bits, person, rng=rng), None)
    other, theirs, _ = _drawn(rng, 2, persons, size, shift)
    found = dose_of_bits(scores, bits, person, known=Known([other], [theirs]), rng=rng)
    z = ndtri((np.arange(8001) + 0.5) / 8001)
    spread = 0.3 if shift else 0.0
    law = Law(((1.0, shift + sqrt(2 + spread**2) * z),), sqrt(2) * z, ())
    # One target's reader is judged for this target; its own shift is not known here, so only recipes are held.
    expected = law.expected(fit_bits(other, theirs, 0.5).probability) if count > 1 or not shift else None
    return judged(found, expected)


def _drawn(rng: np.random.Generator, count: int, persons: int, size: int, shift: float):
    """Scores of targets whose leaks differ."""
    scores, bits, person = targets(rng, count=count, persons=persons, size=size)
    shifts = shift + (0.3 * rng.normal(size=(count, 1)) if shift else 0.0)
    return scores + shifts * bits, bits, person


GUESSED = {
    "40 identities": (1, 40, None),
    "40 identities, 8 targets": (8, 40, None),
    "200 records, 3 values": (1, 200, (0.6, 0.3, 0.1)),
    "100 records, 100 candidates": (1, 100, None),
}
"""Number of targets, of records, and prior of the values; without one as many values as records."""


def guessed(kind: str, strength: float, known: bool, rng: np.random.Generator) -> dict[str, float]:
    """Guesses among values, of which the true one stands out by `strength` on average."""
    count, n, law = GUESSED[kind]
    v = n if law is None else len(law)
    prior = None if law is None else np.array(law)

    def drawn(rows: int, size: int):
        values = np.tile(np.arange(size) % v, (rows, 1)) if law is None else rng.choice(v, (rows, size), p=prior)
        guesses = rng.normal(size=(rows, size, v))
        np.put_along_axis(guesses, values[..., None], np.take_along_axis(guesses, values[..., None], -1) + strength, -1)
        return guesses, values

    guesses, values = drawn(count, n)
    if not known:
        return judged(dose_of_guesses(guesses, values, np.arange(n), prior=prior, rng=rng), None)
    other, theirs = drawn(1, n)
    found = dose_of_guesses(guesses, values, np.arange(n), known=Known([other], [theirs]), prior=prior, rng=rng)
    weights = np.ones(v) / v if prior is None else prior
    share = (
        np.ones(theirs.shape)
        if prior is None
        else (weights / np.maximum(np.bincount(theirs[0], minlength=v), 1))[theirs]
    )
    reader = fit_guesses(other, theirs, weights, share / share.sum())
    fresh, truth = drawn(1, 20_000)
    given = np.take_along_axis(reader.probability(fresh), truth[..., None], -1)
    return judged(found, found.ceiling + float(np.log2(given).mean()))


def portion(name: str, first: int) -> dict[str, float]:
    """The counts of some draws of a cell."""
    one, total = cells()[name][1], {}
    for number in range(first, first + PORTION):
        for key, count in one(np.random.default_rng([crc32(name.encode()), number])).items():
            total[key] = total.get(key, 0) + float(count)
    return total


def main() -> None:
    """Do what is missing, the least advanced cells first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=48.0, help="no portion is begun after so many")
    parser.add_argument("--only", default="", help="begin of the names of cells that are done")
    asked, start, machine = parser.parse_args(), time.perf_counter(), hardware()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"cells": {}}
    done: dict[str, dict[str, float]] = kept["cells"]
    todo = [
        (first, name)
        for name, (count, _) in cells().items()
        if name.startswith(asked.only)
        for first in range(int(done.get(name, {}).get("draws", 0)), count, PORTION)
    ]
    todo.sort(key=lambda one: one[0])
    while todo and time.perf_counter() - start < 60 * asked.minutes:
        first, name = todo.pop(0)
        total = done.setdefault(name, {})
        for key, value in portion(name, first).items():
            total[key] = round(total.get(key, 0.0) + value, 9)
        partial = RESULTS.with_suffix(".partial")
        partial.write_text(json.dumps({"machine": machine, "cells": done}, indent=1, sort_keys=True) + "\n")
        partial.replace(RESULTS)
    print(f"{len(todo)} portions of {PORTION} draws are left")


if __name__ == "__main__":
    main()
