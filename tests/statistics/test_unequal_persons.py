"""Persons with unequally many records: false claims and coverage of audits of stated membership, by simulation."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SHAPES = ("few outside", "pareto", "few inside", "five each", "few on both sides")
TABLES = 400


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
        claimed.append(found["verdict"]["status"] == "shown")
        smallest += [gate["value"] for gate in found["gates"] if gate["id"] == "P14"]
        holds += [one["holds"] for one in zoo.intervals(drawn, found) if one["of"] == "AUC"]
    return claimed, smallest, holds


def test_pure_noise_about_few_persons_is_not_shown(cases):
    """12 tables of the shape that was shown in 13 of 100: more than 2 claims happen with probability 0.2 % at 5 %."""
    claimed, _, holds = audits(cases, "few outside", 1, 2.0, 12)
    assert sum(claimed) <= 2
    assert np.mean(holds) >= 0.75


@pytest.mark.slow
@pytest.mark.parametrize("targets", [1, 4])
@pytest.mark.parametrize("record_sd", [0.0, 2.0])
@pytest.mark.parametrize("sizes", SHAPES)
def test_no_shape_is_shown_too_often_and_intervals_hold(cases, sizes, record_sd, targets, record_figure):
    """400 tables each. Claims, and P14's p, exceed 5 % only with probability 0.001; coverage by 2 points likewise."""
    claimed, smallest, holds = audits(cases, sizes, targets, record_sd, TABLES)
    record_figure(
        "stated membership of unequal persons, nothing leaks",
        sizes=sizes, record_sd=record_sd, targets=targets, tables=TABLES, shown=int(sum(claimed)),
        holm_p_at_most_5_percent=int(np.sum(np.array(smallest) <= 0.05)), with_p=len(smallest),
        auc_held=int(sum(holds)), of=len(holds),
    )  # fmt: skip
    assert binomtest(int(sum(claimed)), TABLES, 0.05, "greater").pvalue > 1e-3
    assert binomtest(int(np.sum(np.array(smallest) <= 0.05)), TABLES, 0.05, "greater").pvalue > 1e-3
    assert binomtest(int(sum(holds)), len(holds), 0.93, "less").pvalue > 1e-3
