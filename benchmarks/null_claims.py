"""Audits in which nothing leaks, in numbers that no test run has time for: how often is a leak claimed all the same?

Four doors: tables of persons with unequally many records, tables of scores of other shapes, fleets of a recipe, and
supplied models with a fit. With fewer than four shadows, halves of the records set thresholds; how many are called
wrongly at them is counted too.
Each cell is done in portions of 20 audits, and the figures are written after each: an interrupted run goes on where it
stopped. All cells take about an hour on two cores. `tests/test_null_claims.py` holds the stored figures to the bounds.
The detection limit, which never moves a verdict, is left out, as in the zoo.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace

from machine import cores, hardware

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "null_claims.json"
PORTION = 20
SIZES = ("few outside", "pareto", "few inside", "five each", "few on both sides")
TABLES = (
    "half of 600 records",
    "members are 80 %, coarse scores",
    "members are 15 %",
    "persons with five records each",
    "four targets, heavy tails",
)
FLEETS = ((8, 1), (16, 8), (32, 16))
FEW = ((0, 1), (0, 2), (2, 1), (2, 4))
SUPPLIED = (0, 2)
FEW_AUDITS = 200
"""Audits of each cell without rehearsal; more narrow the bounds, and portions that were done stay."""


def cells() -> dict[str, tuple[int, Callable[[int], dict[str, int]]]]:
    """Name to the number of audits and what one of them counts, given its number."""
    found: dict[str, tuple[int, Callable[[int], dict[str, int]]]] = {}
    for spread, count in ((2.0, 400), (0.0, 200)):
        for targets in (1, 4):
            for sizes in SIZES:
                name = f"unequal persons: {sizes}, person effect {spread:g}, {targets} targets"
                found[name] = count, functools.partial(unequal, sizes, targets, spread)
    for case in TABLES:
        found[f"table: {case}"] = 300, functools.partial(table, case)
    for shadows, targets in FLEETS:
        name = f"recipe: {shadows} shadows, {targets} targets"
        found[name] = 600 if targets == 1 else 200, functools.partial(fleet, shadows, targets)
    for shadows, targets in FEW:
        found[f"recipe: {shadows} shadows, {targets} targets"] = FEW_AUDITS, functools.partial(few, shadows, targets)
    for shadows in SUPPLIED:
        found[f"supplied model: {shadows} shadows"] = FEW_AUDITS, functools.partial(supplied, shadows)
    return found


def unequal(sizes: str, targets: int, spread: float, number: int) -> dict[str, int]:
    """A table of persons with unequally many records."""
    import zoo
    import zoo_cases

    zoo_cases.DRAWS = 100_000
    drawn = zoo_cases.draw(zoo_cases.Case("sizes", sizes=sizes, targets=targets, record_sd=spread), number)
    found = zoo.audited(drawn)
    smallest = [gate.value for gate in found.gates if gate.id == "P14"]
    held = [one["holds"] for one in zoo.intervals(drawn, found) if one["of"] == "AUC"]
    return {
        **_said(found),
        "p14_at_most_5_percent": sum(one <= 0.05 for one in smallest),
        "p14": len(smallest),
        "auc_held": sum(held),
        "auc": len(held),
    }


def table(case: str, number: int) -> dict[str, int]:
    """A table of scores of another shape."""
    import zoo
    from null_tables import material_of

    found = zoo.audited(SimpleNamespace(material=material_of(case, number)))
    return {**_said(found), **_half_held(found)}


def fleet(shadows: int, targets: int, number: int) -> dict[str, int]:
    """A recipe's fleet of models that are at chance."""
    import zoo
    from audits import attacks, gaussian, material

    drawn = gaussian(1000 + number, leakage=0.0, shadows=shadows, targets=targets)
    rows = attacks(shadows)
    found = zoo.audited(SimpleNamespace(material=material(*drawn, seed=1000 + number, rows=rows)))
    return {**_said(found), **_half_held(found)}


def few(shadows: int, targets: int, number: int) -> dict[str, int]:
    """A recipe's fleet at chance, where no shadow rehearses."""
    import zoo
    from audits import attacks, gaussian, material

    drawn = gaussian(5000 + number, leakage=0.0, n=700, shadows=shadows, targets=targets)
    found = zoo.audited(SimpleNamespace(material=material(*drawn, seed=5000 + number, rows=attacks(shadows))))
    return {**_said(found), **_half_held(found), **_called(found, 350 * targets)}


def supplied(shadows: int, number: int) -> dict[str, int]:
    """A supplied model at chance, beside shadows of its fit and classifiers that never ask it."""
    import zoo
    from audits import attacks, lone

    one = lone(9000 + number, leakage=0.0, n=700, shadows=shadows, rows=attacks(shadows))
    found = zoo.audited(SimpleNamespace(material=one))
    return {**_said(found), **_half_held(found), **_called(found, 350)}


def _said(found) -> dict[str, int]:
    """What the verdict claims."""
    status = found.verdict["status"]
    return {"audits": 1, "shown": int(status == "shown"), "withdrawn": int(status == "withdrawn")}


def _half_held(found) -> dict[str, int]:
    """Whether the interval of the headline's AUC holds one half."""
    attack = found.verdict["attack"]
    row = next(row for row in found.estimates if (row.attack, row.metric) == (attack, "auc"))
    return {"auc_held": int(row.low <= 0.5 <= row.high), "auc": 1}


def _called(found, nonmembers: int) -> dict[str, int]:
    """Unused records that the headline calls, of how many, and the rate that it aims at, in thousandths."""
    attack, aim = found.verdict["attack"], found.verdict["fpr"]
    (reached,) = [
        row.value
        for row in found.estimates
        if (row.attack, row.metric, row.conditions.get("fpr")) == (attack, "fpr", aim) and row.group is None
    ]
    return {"called": round(reached * nonmembers), "unused": nonmembers, "aim": round(1000 * aim)}


def portion(name: str, first: int) -> tuple[str, int, dict[str, int]]:
    """The counts of some audits of a cell."""
    for folder in (ROOT / "tests", ROOT / "tests" / "families" / "membership" / "simulations"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    _, one = cells()[name]
    total: dict[str, int] = {}
    for number in range(first, first + PORTION):
        for key, count in one(number).items():
            total[key] = total.get(key, 0) + int(count)
    return name, first, total


def main() -> None:
    """Do what is missing, the least advanced cells first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=48.0, help="no portion is begun after so many")
    parser.add_argument("--only", default="", help="begin of the names of cells that are done")
    asked = parser.parse_args()
    start = time.perf_counter()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"portions": {}}
    done: dict[str, dict[str, dict[str, int]]] = kept["portions"]
    todo = [
        (first, name)
        for name, (count, _) in cells().items()
        if name.startswith(asked.only)
        for first in range(0, count, PORTION)
        if str(first) not in done.get(name, {})
    ]
    todo.sort(key=lambda one: one[0])
    with ProcessPoolExecutor(cores()) as pool:
        running = set()
        while todo or running:
            while todo and len(running) < cores() and time.perf_counter() - start < 60 * asked.minutes:
                first, name = todo.pop(0)
                running.add(pool.submit(portion, name, first))
            if not running:
                break
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for one in ended:
                name, first, counts = one.result()
                done.setdefault(name, {})[str(first)] = counts
            partial = RESULTS.with_suffix(".partial")
            partial.write_text(json.dumps({"machine": hardware(), "portions": done}, indent=1, sort_keys=True) + "\n")
            partial.replace(RESULTS)
    print(f"{len(todo)} portions of {PORTION} audits are left")


if __name__ == "__main__":
    main()
