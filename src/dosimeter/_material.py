"""What is measured, and the estimates of one attack: the part of `results` that its checks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from dosimeter import validity
from dosimeter._seeds import generator
from dosimeter.calibration import Calibration
from dosimeter.canaries import CanaryScores
from dosimeter.config import FPRS, PRIORS
from dosimeter.games import Array, Scores, Truth
from dosimeter.metrics.certify import distinct_nonmembers, worth
from dosimeter.metrics.estimate import Estimate
from dosimeter.metrics.membership import (
    Randomisation,
    RatePair,
    auc,
    nonmembers_needed,
    precision_at_prior,
    randomisation_p,
    tpr_at_threshold,
    tpr_oracle,
)
from dosimeter.metrics.stated import stated_p


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
        blind: of a brought model what somebody would score who never asks it `[n]`, NaN where a record was not judged;
            None if nobody did.
        apart: per attack id, scores of the models that play target, by an adversary without shadows from the other half
            of them `[p n]`; attacks that gave none are left out.
        persons: whose record each is, by name `[n]`, or None; where membership was stated, `truth.record` says so.
        canaries: what the attacks said of planted records, or None if there are none.
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
    blind: Float[Array, " n"] | None = None
    apart: Mapping[str, Float[Array, "p n"]] = field(default_factory=dict)
    persons: Array | None = None
    canaries: CanaryScores | None = None

    @property
    def drawn(self) -> bool:
        """Whether membership was drawn by us, by a fair coin for each record, rather than stated by the user."""
        return bool(self.summary["door"] == "recipe")

    @cached_property
    def controls(self) -> set[str]:
        """Ids of the attacks that must be at chance."""
        return {str(attack["id"]) for attack in self.summary["attacks"] if attack["control"]}

    @cached_property
    def aside(self) -> set[str]:
        """Ids of the attacks of which no finding is made: controls, and references that nobody could run."""
        return {str(one["id"]) for one in self.summary["attacks"] if one["control"] or one.get("reference")}

    @cached_property
    def worth(self) -> float:
        """Distinct non-members as persons of equal size, by the attack whose scores make the fewest of them."""
        each = [
            worth(Scores(self.truth.ids, own), self.truth)[1]
            for one, own in self.scores.items()
            if one not in self.aside
        ]
        known = [one for one in each if one is not None]
        return min(known, default=float(distinct_nonmembers(self.truth)))

    @cached_property
    def leading(self) -> float | None:
        """The false positive rate of the headline: the one asked for, or the next larger that can be certified."""
        distinct = self.worth
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
        test = randomisation_p if self.drawn else stated_p
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
