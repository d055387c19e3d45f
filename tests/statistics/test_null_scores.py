"""Tables of scores that know nothing of membership: how often the whole door claims a leak."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from dosimeter.families.membership.measure import result
from dosimeter.families.membership.measures.calibration import Calibration, halve
from dosimeter.families.membership.table.table import Counts, ScoresTable
from dosimeter.pipeline.summary import scores_summary
from dosimeter.pipeline.table import table_material
from dosimeter.statistics.evidence import Truth

CASES = {
    "half of 600 records": {},
    "members are 80 %, coarse scores": {"share": 0.8, "decimals": 1},
    "members are 15 %": {"share": 0.15},
    "persons with five records each": {"persons": 5, "n": 1500},
    "four targets, heavy tails": {"targets": 4, "heavy": True, "n": 400},
}


def table(rng, *, n=600, share=0.5, targets=1, persons=1, decimals=None, heavy=False):
    """Three attacks on stated members, whose scores depend on the person and on nothing else."""
    owner = np.arange(n) // persons
    people = owner.max() + 1
    inside = np.stack([rng.permutation(people) < round(share * people) for _ in range(targets)])[:, owner]
    base = rng.normal(size=people)[owner]
    scores = {}
    for name in "abc":
        noise = rng.standard_t(2, (targets, n)) if heavy else rng.normal(size=(targets, n))
        values = base + noise
        scores[name] = values if decimals is None else values.round(decimals)
    first, second = halve(owner, inside, rng)
    return ScoresTable(
        name="null",
        attacks=tuple(scores),
        targets=tuple(f"t{i}" for i in range(targets)),
        truth=Truth(second, inside[:, second], owner[second]),
        scores={name: values[:, second] for name, values in scores.items()},
        calibration=Calibration(
            "split",
            np.arange(targets),
            [inside[t, first] for t in range(targets)],
            {name: [values[t, first] for t in range(targets)] for name, values in scores.items()},
        ),
        groups=None,
        persons=None,
        counts={name: Counts((0, 0), 0, 0, (n, n)) for name in scores},
        fingerprint="0",
        notes=(),
    )


def claims(case, repetitions, seed=0):
    """False claims, and intervals of the headline's AUC that hold 0.5, with their mean width."""
    rng = np.random.default_rng([seed, len(case)])
    claimed, held, widths = 0, 0, []
    for _ in range(repetitions):
        drawn = table(rng, **CASES[case])
        seed = int(rng.integers(1 << 30))
        found = result(table_material(drawn, scores_summary(drawn, key="0", seed=seed, noun="record", leading_fpr=0.1)))
        claimed += found["verdict"]["status"] == "shown"
        area = next(
            row for row in found["estimates"] if (row["attack"], row["metric"]) == (found["verdict"]["attack"], "auc")
        )
        held += area["low"] <= 0.5 <= area["high"]
        widths.append(area["high"] - area["low"])
    return claimed, held, float(np.mean(widths))


def test_null_tables_claim_nothing_in_small():
    """8 tables: more than 3 claims happen with probability 0.04 % at a rate of 5 %."""
    claimed, held, _ = claims("members are 80 %, coarse scores", 8)
    assert claimed <= 3
    assert held >= 5


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_false_claims_through_the_scores_door(case, record_figure):
    repetitions = 300
    claimed, held, width = claims(case, repetitions)
    print(f"\n{case}: {claimed}/{repetitions} false claims, 0.5 in {held} intervals, mean width {width:.4f}")
    record_figure(
        "null tables of scores", case=case, repetitions=repetitions, false_claims=claimed, chance_in_interval=held,
        mean_width=round(width, 5),
    )  # fmt: skip
    assert binomtest(claimed, repetitions, 0.05, alternative="greater").pvalue > 0.05
    assert held >= 0.92 * repetitions
