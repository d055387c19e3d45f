"""Tables of scores that know nothing of membership."""

from __future__ import annotations

import numpy as np
from dosimeter.pipeline.summary import scores_summary

from dosimeter.families.membership.measures.calibration import Calibration, halve
from dosimeter.families.membership.table.table import Counts, ScoresTable
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


def material_of(case, number):
    """What there is to measure in one table of a case."""
    rng = np.random.default_rng([number, len(case)])
    drawn = table(rng, **CASES[case])
    seed = int(rng.integers(1 << 30))
    return table_material(drawn, scores_summary(drawn, key="0", seed=seed, noun="record", leading_fpr=0.1))
