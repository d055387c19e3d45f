"""From evidence and truth to `result.json`: every number of the report, computed once, without any model."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from dosimeter import validity, verdict
from dosimeter._seeds import generator
from dosimeter.calibration import Calibration
from dosimeter.config import FPRS, PRIORS
from dosimeter.games import Array, Scores, Truth
from dosimeter.metrics.estimate import Estimate
from dosimeter.metrics.membership import (
    Randomisation,
    RatePair,
    auc,
    histogram,
    leak_shown,
    nonmembers_needed,
    precision_at_prior,
    randomisation_p,
    roc,
    tpr_at_threshold,
    tpr_oracle,
)
from dosimeter.metrics.permutation import permutation_p
from dosimeter.metrics.utility import accuracy

logger = logging.getLogger(__name__)

SCHEMA = 2
"""Version of `result.json`."""
MOST_GROUPS = 50
"""Groups that get numbers of their own."""


@dataclass(frozen=True)
class Material:
    """What a finished run, or a table of scores, left for measuring.

    Attributes:
        summary: what `run.json` says of the audit.
        truth: about the targets.
        scores: per attack id, on the targets `[t n]`.
        calibration: scores with known bits, for thresholds and the choice of the headline.
        null_scores: per attack id, under a membership that no model was trained on `[t n]`; empty if no attack was run
            here.
        null_truth: that membership, or None.
        correct: whether each target's answer is right, candidates then population `[t n+z]`; None without a model.
        test_correct: the same on test records, or None.
        groups: of each record, for numbers of their own `[n]`, or None.
        gates: those that were decided before measuring.
    """

    summary: Mapping[str, Any]
    truth: Truth
    scores: Mapping[str, Array]
    calibration: Calibration
    null_scores: Mapping[str, Array]
    null_truth: Truth | None
    correct: Bool[Array, "t r"] | None
    test_correct: Bool[Array, "t e"] | None
    groups: Array | None
    gates: tuple[validity.Gate, ...]

    @property
    def drawn(self) -> bool:
        """Whether membership was drawn by us, by a fair coin for each record, rather than stated by the user."""
        return bool(self.summary["door"] == "recipe")

    @cached_property
    def controls(self) -> set[str]:
        """Ids of the attacks that must be at chance."""
        return {str(attack["id"]) for attack in self.summary["attacks"] if attack["control"]}

    @cached_property
    def leading(self) -> float | None:
        """The false positive rate of the headline: the one asked for, or the next larger that can be certified."""
        distinct = validity.distinct_nonmembers(self.truth)
        wanted = float(self.summary["leading_fpr"])
        usable = [fpr for fpr in FPRS if fpr >= wanted and nonmembers_needed(fpr) <= distinct]
        return min(usable) if usable else None

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator for one estimate."""
        return generator(int(self.summary["seed"]), f"measure {purpose}")

    def thresholds(self, attack: str, fpr: float) -> Float[Array, " t"]:
        """One threshold per target."""
        return self.calibration.thresholds(attack, fpr)

    def p_values(self, attack: str, fpr: float) -> Randomisation:
        """How likely so strong a result is if nothing leaks, by exchanging bits as they could have been."""
        test = randomisation_p if self.drawn else permutation_p
        scores = Scores(self.truth.ids, self.scores[attack])
        return test(scores, self.truth, thresholds=self.thresholds(attack, fpr), rng=self.rng("randomisation"))


@dataclass(frozen=True)
class Measured:
    """The estimates of one attack."""

    auc: Estimate
    pairs: Mapping[float, RatePair]
    oracles: Mapping[float, Estimate]
    precisions: Mapping[float, Estimate]


def measure_attack(material: Material, attack: str) -> Measured:
    """All estimates of one attack on the targets."""
    scores = Scores(material.truth.ids, material.scores[attack])
    truth = material.truth
    pairs = {
        fpr: tpr_at_threshold(
            scores,
            truth,
            thresholds=material.thresholds(attack, fpr),
            fpr=fpr,
            rng=material.rng(f"{attack} tpr {fpr}"),
            level=0.975,
        )
        for fpr in FPRS
    }
    oracles = {fpr: tpr_oracle(scores, truth, fpr=fpr, rng=material.rng(f"{attack} oracle {fpr}")) for fpr in FPRS}
    lead = pairs[material.leading or FPRS[0]]
    return Measured(
        auc(scores, truth, rng=material.rng(f"{attack} auc")),
        pairs,
        oracles,
        {prior: precision_at_prior(lead, prior) for prior in PRIORS},
    )


def choose_headline(material: Material, candidates: Sequence[str]) -> str:
    """The attack with the highest TPR at the leading rate in calibration, then the highest AUC, without the targets."""
    fpr = material.leading or FPRS[0]
    return max(candidates, key=lambda attack: material.calibration.strength(attack, fpr))


def result(material: Material) -> dict[str, Any]:
    """The content of `result.json`.

    Args:
        material: of a finished run.
    """
    measured = {attack: measure_attack(material, attack) for attack in material.scores}
    real = [attack for attack in measured if attack not in material.controls]
    headline = choose_headline(material, real) if real else None
    gates, nulls = _gates(material, measured)
    summary = material.summary
    return {
        "schema": SCHEMA,
        **{key: summary[key] for key in ("audit_key", "door", "name", "noun", "data", "chain", "threat")},
        "attacks": [{**attack, "headline": attack["id"] == headline} for attack in summary["attacks"]],
        "verdict": _verdict(material, measured, headline, gates),
        "estimates": [
            *(row for attack in measured for row in _rows(material, attack, measured[attack])),
            *(_group_rows(material, headline) if headline else ()),
        ],
        "utility": _utility(material),
        "gates": [dataclasses.asdict(gate) for gate in gates],
        "null_audit": [
            {
                "attack": null.attack,
                "auc": null.auc.value,
                "low": null.auc.low,
                "high": null.auc.high,
                "status": "pass" if null.at_chance else "fail",
            }
            for null in nulls
        ],
        "curves": {attack: _curve(material, attack) for attack in real},
        "histograms": {attack: _histogram(material, attack) for attack in real},
        "not_tested": verdict.not_tested(str(summary["door"])),
    }


def _row(material: Material, attack: str, metric: str, estimate: Estimate, **more: Any) -> dict[str, Any]:
    """One estimate as a row."""
    keys = ("fpr", "prior", "group", "threshold", "fpr_reached", "fpr_low", "fpr_high")
    base = {"family": "membership", "stage": material.summary["threat"]["at_risk"], "variant": "none", "attack": attack}
    return {**base, "metric": metric, **dict.fromkeys(keys), **dataclasses.asdict(estimate), **more}


def _reached(pair: RatePair) -> dict[str, float | None]:
    """The false positive rate of a pair."""
    return {"fpr_reached": pair.fpr.value, "fpr_low": pair.fpr.low, "fpr_high": pair.fpr.high}


def _rows(material: Material, attack: str, measured: Measured) -> list[dict[str, Any]]:
    """The estimates of one attack as rows."""
    row, source = functools.partial(_row, material, attack), material.calibration.source
    rows = [row("auc", measured.auc)]
    for fpr, pair in measured.pairs.items():
        rows.append(row("tpr", pair.tpr, fpr=fpr, threshold=source, **_reached(pair)))
        rows.append(row("tpr", measured.oracles[fpr], fpr=fpr, threshold="oracle"))
    lead = material.leading or FPRS[0]
    rows += [
        row("precision", estimate, fpr=lead, prior=prior, threshold=source)
        for prior, estimate in measured.precisions.items()
    ]
    return rows


def _group_rows(material: Material, attack: str) -> list[dict[str, Any]]:
    """The headline attack on each group's records, at the thresholds of all; intervals hold for all groups together.

    Groups of one class, and all groups if there are more than `MOST_GROUPS`, have no rows.
    """
    names = [] if material.groups is None else sorted(set(material.groups.tolist()))
    if not 1 < len(names) <= MOST_GROUPS:
        return []
    lead, rows = material.leading or FPRS[0], []
    thresholds, truth = material.thresholds(attack, lead), material.truth
    for name in names:
        mask = material.groups == name
        part = Truth(truth.ids[mask], truth.is_member[:, mask], truth.record[mask])
        if part.is_member.all() or not part.is_member.any():
            continue
        scores = Scores(part.ids, material.scores[attack][:, mask])
        share = 0.05 / len(names)  # Bonferroni over the groups
        found = auc(scores, part, rng=material.rng(f"{attack} auc group {name}"), level=1 - share)
        pair = tpr_at_threshold(
            scores, part, thresholds=thresholds, fpr=lead, rng=material.rng(f"{attack} tpr group {name}"),
            level=1 - share / 2,
        )  # fmt: skip
        rows.append(_row(material, attack, "auc", found, group=str(name)))
        more = {"fpr": lead, "threshold": material.calibration.source, "group": str(name)}
        rows.append(_row(material, attack, "tpr", pair.tpr, **more, **_reached(pair)))
    return rows


def _gates(
    material: Material, measured: Mapping[str, Measured]
) -> tuple[list[validity.Gate], list[validity.NullResult]]:
    """All gates, and the null audit behind one of them."""
    lead = material.leading or FPRS[0]
    real = [attack for attack in measured if attack not in material.controls]
    gates = [validity.too_few_nonmembers(material.truth, float(material.summary["leading_fpr"]))]
    if real:
        gates.append(
            validity.ties(
                {attack: material.scores[attack] for attack in real},
                {attack: material.thresholds(attack, lead) for attack in real},
            )
        )
        gates.append(validity.sign({attack: measured[attack].auc for attack in real}))
    gates += material.gates
    if material.null_truth is None:
        return gates, []
    nulls = validity.null_audit(
        material.null_scores,
        material.null_truth,
        rngs={attack: material.rng(f"{attack} null") for attack in material.null_scores},
    )
    gates.append(validity.null_gate(nulls))
    gates.append(validity.control_gate({name: measured[name].auc for name in measured if name in material.controls}))
    return gates, nulls


def _verdict(
    material: Material, measured: Mapping[str, Measured], headline: str | None, gates: Sequence[validity.Gate]
) -> dict[str, Any]:
    """Status and first sentences."""
    base = {"attack": headline, "fpr": material.leading, "p_auc": None, "p_tpr": None}
    noun = str(material.summary["noun"])
    failed = [gate.message for gate in gates if gate.status == "fail"]
    if failed:
        return {**base, "status": "withdrawn", "sentences": verdict.withdrawn(failed)}
    if headline is None or material.leading is None:
        distinct = validity.distinct_nonmembers(material.truth)
        sentences = verdict.not_resolvable(distinct, nonmembers_needed(FPRS[0]), noun)
        if headline is None:
            sentences = ["No attack could be run under this threat model; the table below says why."]
        return {**base, "status": "not_resolvable", "sentences": sentences}
    one, lead = measured[headline], material.leading
    p = material.p_values(headline, lead)
    is_shown = leak_shown(one.auc, one.pairs[lead], p)
    told = verdict.Headline(
        door=str(material.summary["door"]),
        noun=noun,
        candidates=len(material.truth.ids),
        members=round(float(material.truth.is_member.sum(1).mean())),
        shadows=int(material.summary["threat"]["shadows"] or 0),
        targets=len(material.truth.is_member),
        fpr=lead,
        pair=one.pairs[lead],
        rare=one.precisions[PRIORS[-1]],
        auc=one.auc,
    )
    sentences = verdict.shown(told) if is_shown else verdict.not_shown(told)
    status = "shown" if is_shown else "not_shown"
    return {**base, "p_auc": p.p_auc, "p_tpr": p.p_tpr, "status": status, "sentences": sentences}


def _utility(material: Material) -> list[dict[str, Any]]:
    """Accuracy of the targets on members, non-members, and records outside every model."""
    if material.correct is None:
        return []
    member = material.truth.is_member
    n = member.shape[1]
    inside, outside = material.correct[:, :n], material.correct[:, n:]
    splits = [("train", inside, member), ("nonmember", inside, ~member)]
    if material.test_correct is not None:
        splits.append(("test", material.test_correct, np.ones_like(material.test_correct)))
    elif outside.shape[1]:
        splits.append(("test", outside, np.ones_like(outside)))
    rows = []
    for split, correct, counted in splits:
        estimate = accuracy(correct, counted, record=np.arange(correct.shape[1]), rng=material.rng(f"accuracy {split}"))
        kept = {key: getattr(estimate, key) for key in ("value", "low", "high", "level", "method", "n_targets")}
        rows.append({"variant": "none", "metric": "accuracy", "split": split, "n": estimate.n_nonmembers, **kept})
    return rows


def _curve(material: Material, attack: str) -> dict[str, list[float]]:
    """The pooled oracle ROC of an attack."""
    curve = roc(Scores(material.truth.ids, material.scores[attack]), material.truth)
    return {name: [float(x) for x in getattr(curve, name)] for name in ("fpr", "tpr", "low", "high")}


def _histogram(material: Material, attack: str) -> dict[str, list[float]]:
    """Score counts of members and non-members."""
    found = histogram(material.scores[attack], material.truth.is_member)
    return {name: [float(x) for x in getattr(found, name)] for name in ("edges", "members", "nonmembers")}


def rounded(value: Any) -> Any:
    """Floats to 12 significant digits, so that files compare byte by byte; anything not finite becomes a string."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    if isinstance(value, (np.floating, float)):
        number = float(value)
        return float(f"{number:.12g}") if np.isfinite(number) else str(number)
    return value.item() if isinstance(value, np.generic) else value
