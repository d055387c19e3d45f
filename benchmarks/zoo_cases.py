"""The cases of the leak zoo: audits whose law is known, how they are drawn, and what is true of them.

    score[t, n] = shift_t + base_n + member[t, n] * (gain + extra * vulnerable_n + boost_t) + noise[t, n]

`shift` and `boost` are normal effects of a target, `base` is normal and shared by a person's records and by all
targets, `vulnerable` holds for 5 % of persons. Two attacks have noise of their own and the same law, so whichever
leads, the truth is the same. Truths are those of 10^6 draws of the same law.

The kind "noise heads" is trained: heads on noise of their own, asked about records that none of them saw. So are
the kinds of `SUPPLIED`: models of other records, beside classifiers that never ask them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import CrossFit, halvings
from dosimeter.families.membership.measures.material import Material
from dosimeter.families.membership.table.summary import scores_summary
from dosimeter.families.membership.table.table import Counts, ScoresTable
from dosimeter.pipeline.table import table_material
from dosimeter.statistics.evidence import Truth

TESTS = Path(__file__).parents[1] / "tests"
DRAWS, VULNERABLE, REHEARSALS, FPR = 1_000_000, 0.05, 8, 0.01
STRENGTHS = {"weak": {"gain": 0.3}, "middle": {"gain": 0.8}, "strong": {"gain": 2.0}, "few": {"extra": 6.0}}
SLIGHT = {"slight": {"gain": 0.15}, "fewer": {"extra": 4.0}}
"""Leaks that one model of 700 records shows now and then."""
NOISE = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "t2": lambda rng, shape: rng.standard_t(2, shape),
    "cauchy": lambda rng, shape: rng.standard_cauchy(shape),
    "lognormal": lambda rng, shape: rng.lognormal(0, 1.5, shape),
}


def _pareto(rng):
    """300 persons with Pareto sizes up to 150, half of them in."""
    sizes = np.minimum(rng.pareto(1.0, 300).astype(int) + 1, 150)
    return sizes, rng.permutation(300) < 150


SIZES = {
    "few outside": lambda rng: _fixed([(620, 1)], [(72, 1), (8, 150)]),
    "pareto": _pareto,
    "few inside": lambda rng: _fixed([(5, 120), (400, 1)], [(400, 1)]),
    "five each": lambda rng: (np.full(120, 5), rng.permutation(120) < 60),
    "few on both sides": lambda rng: _fixed([(3, 200), (300, 1)], [(3, 200), (300, 1)]),
}
"""Records of each person, and who is in, of shapes that once broke the intervals."""


SUPPLIED = {
    "noisier labels": ("noisier_outside", {"share": 0.2}),
    "copies in a half": ("with_copies", {}),
    "surely known": ("surely_known", {"share": 0.08}),
}
"""Kinds whose records, labels and models are those of `tests/families/membership/simulations/lone_audits.py`."""


def _fixed(inside, outside):
    """Sizes and membership of persons given as (persons, records of each)."""
    counts, sizes = zip(*inside, *outside, strict=True)
    bits = np.repeat(np.arange(len(counts)) < len(inside), counts)
    return np.repeat(sizes, counts), bits


@dataclass(frozen=True)
class Case:
    """One law of an audit.

    Attributes:
        kind: of difficulty.
        door: "scores" (stated members, halves set thresholds for each other), "recipe" (complementary pairs, 8 models
            rehearse) or "model" (stated members, and a stranger to the model who sees their shift).
        n: records.
        targets: models that are measured.
        share: of members; a recipe has half.
        persons: records of each person, who is in or out as a whole.
        sizes: a key of `SIZES`: persons with unequally many records, the same members under every target.
        copies: whether a person's records have equal noise too.
        noise: a key of `NOISE`.
        decimals: to which scores are rounded; "sign" leaves two values and "none" a single one.
        record_sd, target_sd, boost_sd: of the effects.
        shift: of stated members, seen by the attack and by the stranger.
        groups: whether records are in groups of 85, 10 and 5 %.
        shadows: of trained heads.
        strength: a key of `STRENGTHS` or `SLIGHT`, or "null".
    """

    kind: str
    door: str = "scores"
    n: int = 600
    targets: int = 1
    share: float = 0.5
    persons: int = 1
    sizes: str = ""
    copies: bool = False
    noise: str = "normal"
    decimals: int | str | None = None
    record_sd: float = 0.7
    target_sd: float = 0.0
    boost_sd: float = 0.0
    shift: float = 0.0
    groups: bool = False
    shadows: int = 0
    strength: str = "null"

    @property
    def gain(self):
        """Of every member."""
        return (STRENGTHS | SLIGHT).get(self.strength, {}).get("gain", 0.0)

    @property
    def extra(self):
        """Of vulnerable members."""
        return (STRENGTHS | SLIGHT).get(self.strength, {}).get("extra", 0.0)

    def rounded(self, values):
        """Scores as they are handed over."""
        if self.decimals == "none":
            return np.zeros_like(values)
        if self.decimals == "sign":
            return np.sign(values)
        return values if self.decimals is None else np.round(values, self.decimals)


def designs():
    """All designs without a leak, at least one of each kind and door."""
    both = ("scores", "recipe")
    found = [Case("plain", door, n) for door in both for n in (300, 600, 1200)]
    found += [Case("ties", door, decimals=d, targets=t) for door in both for d in (1, 0, "sign") for t in (1, 4)]
    found += [Case("constant", door, n, decimals="none") for door in both for n in (300, 600)]
    found += [Case("tiny", door, n) for door in both for n in (20, 30, 40, 60, 100, 200)]
    found += [Case("unequal", n=n, share=share) for n in (400, 1000) for share in (0.05, 0.15, 0.8, 0.95)]
    found += [Case("groups", door, n, groups=True) for door in both for n in (600, 1200)]
    found += [Case("targets", door, 300, t) for door in both for t in (2, 4, 8, 16, 32)]
    found += [Case("tails", d, noise=x, targets=t) for d in both for x in ("t2", "cauchy", "lognormal") for t in (1, 4)]
    found += [Case("persons", door, 1200, persons=p) for door in both for p in (2, 5, 10)]
    found += [Case("duplicates", door, 1200, persons=p, copies=True) for door in both for p in (2, 5, 10)]
    found += [Case("correlated", d, 300, t, record_sd=sd) for d in both for t in (4, 8) for sd in (2.0, 4.0)]
    found += [Case("effects", d, 300, t, target_sd=sd, boost_sd=0.3) for d in both for t in (4, 8) for sd in (0.5, 1.0)]
    found += [
        Case("sizes", sizes=sizes, targets=t, record_sd=sd) for sizes in SIZES for t in (1, 4) for sd in (0.0, 2.0)
    ]
    found += [Case("shift", "model", n, shift=shift) for n in (300, 600, 1200) for shift in (0.2, 0.5, 1.0)]
    return found


def nulls():
    """All cases in which nothing leaks."""
    heads = [Case("noise heads", "recipe", n, 4, shadows=shadows) for shadows in (8, 16) for n in (200, 300, 400)]
    supplied = [Case("noisier labels", "model", 600), Case("copies in a half", "model", 300)]
    return [replace(case, boost_sd=0.0) for case in designs()] + heads + supplied


def graded():
    """Two strengths of every design that can leak, in turns."""
    names, found = tuple(STRENGTHS), []
    for i, case in enumerate(case for case in designs() if case.kind != "constant"):
        found += [replace(case, strength=names[(i + step) % 4]) for step in (0, 2 if i // 4 % 2 else 1)]
    return [*found, Case("surely known", "model", 1200, strength="few")]


def by_targets():
    """The same leak per model in audits of more and more models of a recipe, and none."""
    laws = [
        ("all records leak a little", {"strength": "slight"}),
        ("few records leak much", {"strength": "fewer"}),
        ("all leak a little, models differ much", {"strength": "slight", "target_sd": 1.0, "boost_sd": 0.1}),
        ("few leak much, models differ much", {"strength": "fewer", "target_sd": 1.0}),
        ("all leak a little, records differ much", {"strength": "slight", "record_sd": 2.0}),
        ("few persons of five leak much", {"strength": "fewer", "persons": 5}),
        ("nothing leaks", {}),
        ("nothing leaks, models differ much", {"target_sd": 1.0}),
        ("nothing leaks, persons of five that differ much", {"persons": 5, "record_sd": 2.0}),
    ]
    return [Case(law, "recipe", 700, targets, **more) for law, more in laws for targets in (1, 2, 3, 4, 8)]


@dataclass(frozen=True)
class Drawn:
    """One audit: what is measured, and of each attack all that is true at any threshold, where that is known."""

    material: Material
    law: Law | None
    area: float = 0.5

    def auc(self):
        """Expected AUC of these pairs of members and non-members."""
        if self.law is None:
            return self.area
        truth = self.material.truth
        return self.law.auc(truth.is_member, truth.record)


@dataclass(frozen=True)
class Law:
    """Scores of a case in 10^6 draws: sorted, and the chance that a member beats a non-member."""

    members: np.ndarray
    others: np.ndarray
    wins: tuple[float, float, float]

    def rates(self, thresholds):
        """True positive and false positive rates at thresholds."""
        return tuple(1 - np.searchsorted(x, thresholds, side="right") / len(x) for x in (self.members, self.others))

    def auc(self, bits, record):
        """Mean over pairs of the same target, of the same person under different targets, and of neither."""
        clusters = np.unique(record, return_inverse=True)[1]
        inside, outside = (np.bincount(clusters, one.sum(0)) for one in (bits, ~bits))
        pairs = bits.sum() * (~bits).sum()
        target = (bits.sum(1) * (~bits).sum(1)).sum() / pairs
        person = (inside * outside).sum() / pairs
        return float(np.dot([target, person, 1 - target - person], self.wins))


def _beaten(a, b):
    """How often a beats b, ties half."""
    return float((a > b).mean() + (a == b).mean() / 2)


@lru_cache(maxsize=8)
def law(case):
    """The law of a case."""
    rng = np.random.default_rng(1)

    def noise():
        return NOISE[case.noise](rng, DRAWS)

    def normal(sd):
        return sd * rng.normal(size=DRAWS) if sd else 0.0

    leak = case.shift + case.gain + case.extra * (rng.random(DRAWS) < VULNERABLE) + normal(case.boost_sd)
    base, shift = normal(case.record_sd), normal(case.target_sd)
    member = case.rounded(base + shift + leak + noise())
    other_base, other_shift = normal(case.record_sd), normal(case.target_sd)
    free = case.rounded(other_base + other_shift + noise())
    same_target, same_record = case.rounded(other_base + shift + noise()), case.rounded(base + other_shift + noise())
    wins = tuple(_beaten(member, one) for one in (same_target, same_record, free))
    return Law(np.sort(member), np.sort(free), wins)


def draw(case, seed, planted=0.0):
    """One audit of a case.

    Args:
        case: of the zoo.
        seed: of the draw.
        planted: share of persons who, where they are members, score above all others.
    """
    if case.shadows:
        return Drawn(_trained(case, seed), None)
    if case.kind in SUPPLIED:
        return _supplied(case, seed)
    rng = np.random.default_rng([seed, 20])
    rows = case.targets + (REHEARSALS if case.door == "recipe" else 0)
    if case.sizes:
        sizes, inside = SIZES[case.sizes](rng)
        owner = np.repeat(np.arange(len(sizes)), sizes)
        bits = np.tile(inside[owner], (rows, 1))
    else:
        owner = np.arange(case.n) // case.persons
        bits = _membership(case, rows, rng)[:, owner]
    people = owner[-1] + 1
    leak = case.gain + case.extra * (rng.random(people) < VULNERABLE)[owner]
    base = rng.normal(0, case.record_sd, people)[owner]
    base = base + rng.normal(0, case.target_sd, (rows, 1))
    leak = case.shift + leak + rng.normal(0, case.boost_sd, (rows, 1))
    sure = bits & (rng.random(people) < planted)[owner]
    scores = {}
    for attack in ("first", "second"):
        noise = NOISE[case.noise](rng, (rows, people if case.copies else len(owner)))
        values = case.rounded(base + bits * leak + (noise[:, owner] if case.copies else noise))
        scores[attack] = np.where(sure, np.abs(values).max() + 1, values)
    groups = rng.choice(np.array(["large", "middle", "small"], object), len(owner), p=(0.85, 0.1, 0.05))
    stranger = case.shift * bits[0] + rng.normal(0, np.sqrt(case.record_sd**2 + 1), len(owner))
    make = _recipe if case.door == "recipe" else _scores
    return Drawn(make(case, seed, bits, owner, scores, groups if case.groups else None, stranger, rng), law(case))


def _membership(case, rows, rng):
    """Which person is a member of which model."""
    people = -(-case.n // case.persons)
    if case.door != "recipe":
        return np.stack([rng.permutation(people) < max(round(case.share * people), 1) for _ in range(rows)])
    # An odd target has its complement among no others: its pair is not measured, and the rehearsals start a new one.
    pairs = -(-case.targets // 2) + REHEARSALS // 2
    first = np.stack([rng.permutation(people) < people // 2 for _ in range(pairs)])
    matrix = np.stack([first, ~first], axis=1).reshape(2 * pairs, people)
    return np.concatenate([matrix[: case.targets], matrix[2 * pairs - REHEARSALS :]])


def _table(case, bits, record, scores, groups, calibration):
    """A table of scores as read."""
    return ScoresTable(
        name="zoo",
        attacks=tuple(scores),
        targets=tuple(f"target {t}" for t in range(len(bits))),
        truth=Truth(np.arange(bits.shape[1]), bits, np.unique(record, return_inverse=True)[1]),
        scores=scores,
        calibration=calibration,
        groups=groups,
        persons=len(np.unique(record)) if case.persons > 1 or case.sizes else None,
        counts={name: Counts((0, 0), 0, 0, bits.shape) for name in scores},
        fingerprint="0",
        notes=(),
    )


def _scores(case, seed, bits, owner, scores, groups, stranger, rng):
    """Stated members: halves set thresholds for each other. Of a supplied model with what a stranger to it scores."""
    record, halves = np.unique(owner, return_inverse=True)[1], halvings(owner, bits, rng)
    table = _table(case, bits, owner, scores, groups, CrossFit(bits, record, scores, halves))
    made = table_material(table, scores_summary(table, key="0", seed=seed, noun="record", leading_fpr=FPR))
    if case.door == "scores":
        return made
    threat = {**made.summary["threat"], "shadows": 0, "access": "probs"}
    return replace(made, summary={**made.summary, "door": "model", "threat": threat}, blind=stranger)


def _recipe(case, seed, bits, owner, scores, groups, stranger, rng):
    """As a recipe leaves it: the last rows rehearsed for every fold."""
    t, folds = case.targets, -(-case.targets // 2)
    calibration = Calibration(
        "shadow",
        np.arange(t) // 2,
        [bits[t:]] * folds,
        {name: [values[t:]] * folds for name, values in scores.items()},
    )
    table = _table(case, bits[:t], owner, {name: x[:t] for name, x in scores.items()}, groups, calibration)
    summary = scores_summary(table, key="0", seed=seed, noun="record", leading_fpr=FPR) | {"door": "recipe"}
    summary["threat"] |= {"shadows": t + REHEARSALS - 2, "access": "probs"}
    return table_material(table, summary)


def _supplied(case, seed):
    """A model of other records, and what somebody can tell of these who never asks it."""
    _find_tests()
    import lone_audits

    name, settings = SUPPLIED[case.kind]
    drawn = getattr(lone_audits, name)(seed, n=case.n, **settings)
    return Drawn(lone_audits.material(*drawn, seed), None, _area(case))


@lru_cache(maxsize=8)
def _area(case):
    """AUC of such a model over 20 draws of 5,000 records."""
    _find_tests()
    import lone_audits

    name, settings = SUPPLIED[case.kind]
    found = []
    for seed in range(20):
        _, _, bits, scores = getattr(lone_audits, name)(30_000_000 + seed, n=5000, **settings)
        found.append(_beaten(*np.meshgrid(scores[bits], scores[~bits])))
    return float(np.mean(found))


def _find_tests():
    """Make the worlds of the tests importable."""
    worlds = TESTS / "families" / "membership" / "simulations"
    sys.path[:0] = [one for one in (str(TESTS), str(worlds)) if one not in sys.path]


def _trained(case, seed):
    """A fleet of heads that saw nothing of the candidates, with three attacks."""
    _find_tests()
    import audits
    import test_null_pipeline

    rows = tuple(row for row in audits.attacks() if row.id in ("loss", "lira online", "rmia online"))
    return audits.material(*test_null_pipeline.noise_fleet(seed, case.shadows, n=case.n), seed=seed, rows=rows)
