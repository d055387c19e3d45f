"""Persons with unequally many records: claims and coverage by simulation; more in `benchmarks/null_claims.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import zoo  # noqa: F401  (the zoo's own modules)
    import zoo_cases

    monkeypatch.setattr(zoo_cases, "DRAWS", 100_000)
    yield zoo_cases
    zoo_cases.law.cache_clear()


def audits(cases, sizes, targets, record_sd, count):
    """Verdicts, Holm's smallest p-values, and whether the AUC's interval holds the truth, of tables without a leak."""
    zoo = sys.modules["zoo"]
    case = cases.Case("sizes", sizes=sizes, targets=targets, record_sd=record_sd)
    claimed, smallest, holds = [], [], []
    for seed in range(count):
        drawn = cases.draw(case, seed)
        found = zoo.audited(drawn)
        claimed.append(found.verdict["status"] == "shown")
        smallest += [gate.value for gate in found.gates if gate.id == "P14"]
        holds += [one["holds"] for one in zoo.intervals(drawn, found) if one["of"] == "AUC"]
    return claimed, smallest, holds


@pytest.mark.slow
def test_pure_noise_about_few_persons_is_not_shown(cases):
    """12 tables of the shape that was shown in 13 of 100: more than 2 claims happen with probability 0.2 % at 5 %."""
    claimed, _, holds = audits(cases, "few outside", 1, 2.0, 12)
    assert sum(claimed) <= 2
    assert np.mean(holds) >= 0.75
