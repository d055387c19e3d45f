"""Grades of a leak on tables of scores under known laws: how often they claim more than the law does.

Every table has the grade of its law's own true and false positive rates at the thresholds that were used. Beside our
two ends stand verdicts on the AUC alone, on the same tables: AuditML's "vulnerable" above 0.55, SACRO-ML's mean AUC of
significant attacks above 0.65, and bands on the AUC as reports often use (0.6, 0.7, 0.8, 0.9 for weak to severe), which
are of no tool in particular. Tables are drawn in portions of 20, and the figures are written after each: an interrupted
run goes on where it stopped. All take about ten minutes on one core. `tests/statistics/log_mia` holds the stored
figures to the claims.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
from machine import hardware
from scipy.special import ndtr

from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import CrossFit, halvings
from dosimeter.families.membership.measures.log_mia import Reading, Standing, readings
from dosimeter.families.membership.measures.material import Material, choose_headline, measure_attacks
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.log_mia.grades import GRADES, UNDECIDABLE, rank_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "log_mia.json"
PORTION = 20
TABLES = 200
"""Tables of each cell; five set-ups make 1,000 tables where nothing leaks and 1,000 where something does."""
SETUPS: dict[str, dict[str, int | str]] = {
    "halves, one attack": {"attacks": 1, "kind": "halves"},
    "halves, five attacks": {"attacks": 5, "kind": "halves"},
    "shadows, one target": {"attacks": 3, "kind": "shadow"},
    "shadows, four targets": {"attacks": 1, "kind": "shadow", "targets": 4},
    "halves, persons with four records": {"attacks": 1, "kind": "halves", "person": 4},
}
SIDES = (60, 200, 600, 2000)
"""Members, and as many non-members."""
Parts = tuple[tuple[float, float], ...]
LAWS: dict[str, tuple[Parts, Parts]] = {
    **{f"normal, shift {shift:g}": (((1.0, shift),), ((1.0, 0.0),)) for shift in (0.2, 0.5, 1.0, 2.0, 3.0)},
    **{f"{share:.0%} surely known": (((1 - share, 0.0), (share, 6.0)), ((1.0, 0.0),)) for share in (0.02, 0.1, 0.4)},
    "a quarter of non-members look alike": (((1.0, 2.0),), ((0.75, 0.0), (0.25, 2.0))),
}
"""Members' and non-members' laws as mixtures: weight and centre of normal parts with standard deviation 1."""
NOTHING: tuple[Parts, Parts] = (((1.0, 0.0),), ((1.0, 0.0),))
FIRST = "attack 0"
BANDS = (0.6, 0.7, 0.8, 0.9)


def cells() -> dict[str, Callable[[np.random.Generator], dict[str, float]]]:
    """Name to what one table counts."""
    found = {}
    for name in SETUPS:
        for leaks in (False, True):
            found[f"{'leak' if leaks else 'null'}: {name}"] = functools.partial(one_table, name, leaks)
    return found


def draw(parts: Parts, shape: tuple[int, ...], rng: np.random.Generator):
    """Centres of scores under a mixture."""
    weights, centres = zip(*parts, strict=True)
    return rng.choice(centres, shape, p=weights)


def above(parts: Parts, cuts, spread: float):
    """Probability of a score above each threshold."""
    return sum(weight * ndtr((centre - cuts) / spread) for weight, centre in parts)


def one_table(setup: str, leaks: bool, rng: np.random.Generator) -> dict[str, float]:
    """The counts of one table."""
    asked = {"targets": 1, "person": 1, **SETUPS[setup]}
    law = LAWS[list(LAWS)[rng.integers(len(LAWS))]] if leaks else NOTHING
    one, spread = table(law, int(rng.choice(SIDES)), asked, rng)
    one, headline = choose_headline(one)
    assert headline is not None
    measured = measure_attacks(one)
    found = readings(one, measured, Standing(headline, {}, (), None))
    read = {reading.attack: reading for reading in found if reading.regime == "preset"}
    true = {name: true_grade(one, name, law, spread) for name in read}
    head, counts = read[headline], {"tables": 1.0}
    if true[headline] is not None:
        counts |= judged(head, int(true[headline] or 0))
        counts |= banded(measured[headline].auc, int(true[headline] or 0))
    others = [name for name in read if name != headline and true[name] is not None]
    if others:
        counts["others"] = 1
        counts["others_over"] = float(any(over(read[name], int(true[name] or 0)) for name in others))
    return counts


def table(law: tuple[Parts, Parts], side: int, asked: dict, rng: np.random.Generator) -> tuple[Material, float]:
    """A table of scores, and the standard deviation of a score around its centre."""
    person, targets = int(asked["person"]), int(asked["targets"])
    record = np.arange(2 * side) // person
    units = 2 * side // person
    rows = []
    for _ in range(-(-targets // 2)):
        bits = (rng.permutation(units) < units // 2)[record]
        rows += [bits, ~bits]
    member, spread = np.stack(rows[:targets]), 1.0 if person == 1 else float(np.sqrt(2))

    def scored(bits, name):
        inside, outside = law if name == FIRST or asked["kind"] == "shadow" else NOTHING
        own = np.where(bits, draw(inside, bits.shape, rng), draw(outside, bits.shape, rng))
        level = rng.normal(size=units)[record] if person > 1 else 0.0
        return own + rng.normal(size=bits.shape) + level

    names = [f"attack {number}" for number in range(int(asked["attacks"]))]
    scores = {name: scored(member, name) for name in names}
    if asked["kind"] == "halves":
        given = CrossFit(member, record, scores, halvings(record, member, rng))
    else:
        known = np.stack([rng.permutation(2 * side) < side for _ in range(4)])
        blocks = [known] * -(-targets // 2)
        given = Calibration(
            "shadow", np.arange(targets) // 2, blocks, {name: [scored(one, name) for one in blocks] for name in names}
        )
    drawn = asked["kind"] == "shadow"
    summary = {
        "door": "recipe" if drawn else "scores", "attacks": [{"id": name, "control": False} for name in names],
        "seed": int(rng.integers(2**31)), "leading_fpr": 0.01, "threat": {"at_risk": "s"},
    }  # fmt: skip
    truth = Truth(np.arange(2 * side), member, record)
    return Material(summary, truth, scores, given, {}, None, None, None, None, ()), spread


def true_grade(one: Material, attack: str, law: tuple[Parts, Parts], spread: float) -> int | None:
    """Grade of the law's own rates at the thresholds used; None for a choice of halves where something leaks."""
    if law is NOTHING or (attack != FIRST and attack not in one.choice and alone(one)):
        return 0  # both classes have one law, so their rates are equal at whatever threshold
    if attack in one.choice:
        return None
    found = []
    lead = one.leading or 0.1
    for fpr in (lead, 0.001):
        cuts = one.thresholds(attack, fpr)
        cuts = np.broadcast_to(cuts[:, None] if cuts.ndim == 1 else cuts, one.truth.is_member.shape)
        inside, outside = above(law[0], cuts, spread), above(law[1], cuts, spread)
        rates = float(inside[one.truth.is_member].mean()), float(outside[~one.truth.is_member].mean())
        if fpr == lead:
            found.append(rank_of(*rates))
        elif one.worth >= 2995:
            found.append(rank_of(*rates, ratio=False))
    return max(found)


def alone(one: Material) -> bool:
    """Returns whether only the first attack finds anything, as where halves choose among several."""
    return isinstance(one.calibration, CrossFit)


def over(read: Reading, true: int) -> bool:
    """Returns whether a shown grade is worse than the true one."""
    assert read.grade is not None
    return read.grade.shown != UNDECIDABLE and GRADES.index(read.grade.shown) > true


def judged(read: Reading, true: int) -> dict[str, float]:
    """Counts of one grade."""
    assert read.grade is not None
    shown, upper = read.grade.shown, GRADES.index(read.grade.not_excluded)
    right = shown != UNDECIDABLE and GRADES.index(shown) == true
    return {
        "graded": 1, "over": float(over(read, true)), "under": float(upper < true), "right": float(right),
        "undecidable": float(shown == UNDECIDABLE), f"true {GRADES[true]}": 1, f"shown {shown}": 1,
    }  # fmt: skip


def banded(auc, true: int) -> dict[str, float]:
    """Counts of what an AUC alone would say."""
    band = sum(auc.value > edge for edge in BANDS)
    significant = auc.low is not None and auc.low > 0.5
    return {
        "band_over": float(band > true), "band_under": float(band < true), "band_right": float(band == true),
        "auditml": float(auc.value > 0.55), "sacro": float(significant and auc.value > 0.65),
        "sacro_missed": float(true >= 2 and not (significant and auc.value > 0.65)),
        "auditml_missed": float(true >= 2 and auc.value <= 0.55), "moderate or worse": float(true >= 2),
    }  # fmt: skip


def portion(name: str, first: int) -> dict[str, float]:
    """The counts of some tables of a cell."""
    one, total = cells()[name], dict[str, float]()
    for number in range(first, first + PORTION):
        for key, count in one(np.random.default_rng([crc32(name.encode()), number])).items():
            total[key] = total.get(key, 0.0) + count
    return total


def main() -> None:
    """Do what is missing, the least advanced cells first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=48.0, help="no portion is begun after so many")
    asked, start, machine = parser.parse_args(), time.perf_counter(), hardware()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"cells": {}}
    done: dict[str, dict[str, float]] = kept["cells"]
    todo = [
        (first, name) for name in cells() for first in range(int(done.get(name, {}).get("tables", 0)), TABLES, PORTION)
    ]
    todo.sort(key=lambda one: one[0])
    while todo and time.perf_counter() - start < 60 * asked.minutes:
        first, name = todo.pop(0)
        total = done.setdefault(name, {})
        for key, value in portion(name, first).items():
            total[key] = total.get(key, 0.0) + value
        partial = RESULTS.with_suffix(".partial")
        partial.write_text(json.dumps({"machine": machine, "cells": done}, indent=1, sort_keys=True) + "\n")
        partial.replace(RESULTS)
    print(f"{len(todo)} portions of {PORTION} tables are left")


if __name__ == "__main__":
    main()
