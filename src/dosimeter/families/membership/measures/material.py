"""The material of a measurement, and the estimates of one attack, which the checks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.families.membership.design.canaries import CanaryScores
from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import CrossFit, shares
from dosimeter.families.membership.measures.exchanged import affordable, exchanged_p
from dosimeter.families.membership.metrics import DIRECT, function_at
from dosimeter.families.membership.rates import FPRS, PRIORS
from dosimeter.foundation import gate
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.statistics.certify import distinct_nonmembers, nonmembers_needed, worth
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses.stated import stated_p
from dosimeter.statistics.rates import (
    Randomisation,
    RatePair,
    precision_at_prior,
    randomisation_p,
    tpr_at_threshold,
    tpr_oracle,
)

CHOICE = "choice of the other halves"
"""Name of the headline if halves choose different attacks."""


@dataclass(frozen=True)
class Material:
    """Data of a finished run, or of a table of scores, for the measurement.

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
        groups: group of each record, for numbers of their own `[n]`, or None.
        gates: those that were decided before measuring.
        blind: for a supplied model, scores of classifiers that never query it `[n]`, NaN for records that were not
            judged; None if they were not run.
        apart: per attack id, scores of the models that play target, by an adversary without shadows from the other half
            of them `[p n]`; attacks that gave none are left out.
        persons: whose record each is, by name `[n]`, or None; where membership was stated, `truth.record` says so.
        canaries: what the attacks said of planted records, or None if there are none.
        chosen: the headline, if halves of the records chose it; None before, and where rehearsals choose.
        chosen_among: the attacks among which they chose.
    """

    summary: Mapping[str, Any]
    truth: Truth
    scores: Mapping[str, Array]
    calibration: Calibration | CrossFit
    null_scores: Mapping[str, Array]
    null_truth: Truth | None
    correct: Bool[Array, "t r"] | None
    test_correct: Bool[Array, "t e"] | None
    groups: Array | None
    gates: tuple[gate.Gate, ...]
    blind: Float[Array, " n"] | None = None
    apart: Mapping[str, Float[Array, "p n"]] = field(default_factory=dict)
    persons: Array | None = None
    canaries: CanaryScores | None = None
    chosen: str | None = None
    chosen_among: tuple[str, ...] = ()

    @property
    def queried(self) -> bool:
        """Returns whether a model was queried here; a table of scores says nothing of its model's answers."""
        return bool(self.summary["door"] != "scores")

    @property
    def drawn(self) -> bool:
        """Returns whether membership was drawn here, by a fair coin for each record, not stated by the user."""
        return bool(self.summary["door"] == "recipe")

    @cached_property
    def controls(self) -> set[str]:
        """Ids of the attacks that must be at chance."""
        return {str(attack["id"]) for attack in self.summary["attacks"] if attack["control"]}

    @cached_property
    def beside(self) -> set[str]:
        """Ids of the controls that nobody named."""
        return {str(attack["id"]) for attack in self.summary["attacks"] if attack.get("beside")}

    @cached_property
    def choice(self) -> Mapping[str, Mapping[str, int]]:
        """The choice of other halves, if it is an attack of its own: the chosen attacks with their counts."""
        return {str(one["id"]): one["chosen"] for one in self.summary["attacks"] if "chosen" in one}

    @cached_property
    def aside(self) -> set[str]:
        """Ids of attacks that no finding rests on: controls, and references that no real adversary can run."""
        return {str(one["id"]) for one in self.summary["attacks"] if one["control"] or one.get("reference")}

    @cached_property
    def worth(self) -> float:
        """Number of distinct non-members as persons of equal size, by the attack for which it is least."""
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

    def thresholds(self, attack: str, fpr: float) -> Float[Array, " t"] | Float[Array, "t n"]:
        """One threshold for each target, or for each cell if halves judge each other."""
        return self.calibration.thresholds(attack, fpr)

    def thresholds_of_canaries(self, attack: str, fpr: float) -> Float[Array, " t"]:
        """One threshold of planted records for each target; they are in no half of the natural records."""
        given = self.calibration
        if isinstance(given, CrossFit):
            return np.full(len(self.truth.is_member), given.outside(attack, fpr))
        return given.thresholds(attack, fpr)

    def p_values(self, attack: str, fpr: float) -> Randomisation:
        """P-values of the attack's statistics, by exchange of the bits as they could have been drawn."""
        given = self.calibration
        if self.drawn and isinstance(given, CrossFit) and affordable(given):
            among = self.chosen_among if attack == self.chosen else (attack,)
            return exchanged_p(given, among, fpr, rng=self.rng("randomisation"))
        test = randomisation_p if self.drawn else stated_p
        # Where membership was stated the seed draws nothing but halves, so no seed can be sought that moves a p-value.
        rng = self.rng("randomisation") if self.drawn else generator(0, "measure randomisation")
        scores = Scores(self.truth.ids, self.scores[attack])
        return test(scores, self.truth, thresholds=self.thresholds(attack, fpr), rng=rng)


@dataclass(frozen=True)
class Measured:
    """The estimates of one attack.

    Attributes:
        direct: those of `metrics.DIRECT`, by metric.
        pairs: true and false positive rate at each nominal rate.
        oracles: true positive rates at thresholds that no adversary has.
        precisions: by prior.
    """

    direct: Mapping[str, Estimate]
    pairs: Mapping[float, RatePair]
    oracles: Mapping[float, Estimate]
    precisions: Mapping[float, Estimate]

    @property
    def auc(self) -> Estimate:
        """The area under the ROC."""
        return self.direct["auc"]


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
        {
            name: function_at(place)(scores, truth, rng=material.rng(f"{attack} {name}"))
            for name, place in DIRECT.items()
        },
        pairs,
        oracles,
        {prior: precision_at_prior(lead, prior) for prior in PRIORS},
    )


def measure_attacks(material: Material) -> dict[str, Measured]:
    """Estimates of all attacks.

    The upper ends of the choice of other halves are raised to those of the attacks it is made of. The choice cannot do
    better than the strongest of them. If nothing leaks, an attack that chance favours in one half is weaker in the
    other, so without this the choice would look worse than guessing too often.
    """
    measured = {attack: measure_attack(material, attack) for attack in material.scores}
    for name, among in material.choice.items():
        own, parts = measured[name], [measured[attack] for attack in among]
        pairs = {
            fpr: replace(pair, tpr=_raise_upper_end(pair.tpr, [one.pairs[fpr].tpr for one in parts]))
            for fpr, pair in own.pairs.items()
        }
        lead = pairs[material.leading or FPRS[0]]
        measured[name] = Measured(
            {
                metric: _raise_upper_end(one, [part.direct[metric] for part in parts])
                for metric, one in own.direct.items()
            },
            pairs,
            own.oracles,
            {prior: precision_at_prior(lead, prior) for prior in PRIORS},
        )
    return measured


def _raise_upper_end(own: Estimate, parts: Sequence[Estimate]) -> Estimate:
    """The estimate, with an upper end that is no lower than those of the others."""
    if own.high is None:
        return own
    return replace(own, high=max([own.high, *(one.high for one in parts if one.high is not None)]))


def choose_headline(material: Material) -> tuple[Material, str | None]:
    """Chooses the strongest attack in calibration, without measured records, controls and references.

    If shadows rehearsed, or records were set apart, it has the highest TPR at the leading rate there, then the highest
    AUC. If halves judge each other, see `cross_fitting`: if they differ, the choice becomes
    an attack of its own.

    Returns:
        The material, with the choice as an attack if it became one; and the id of the headline, None without attacks.
    """
    candidates = [attack for attack in material.scores if attack not in material.aside]
    if not candidates:
        return material, None
    given, fpr = material.calibration, material.leading or FPRS[0]
    if not isinstance(given, CrossFit):
        return material, given.strongest(candidates, fpr)
    choices = given.choices(candidates, fpr)
    counted = shares(choices)
    if len(counted) == 1:
        name = next(iter(counted))
        return replace(material, chosen=name, chosen_among=tuple(candidates)), name
    name, values = _unused_name(CHOICE, material.scores), given.choice_scores(choices)
    canaries = material.canaries
    if canaries is not None and counted.keys() <= canaries.scores.keys():
        planted = given.choice_scores_outside(choices, canaries.scores)
        canaries = replace(canaries, scores={**canaries.scores, name: planted})
    listed = {
        "id": name, "name": CHOICE, "mode": None, "paper": "", "control": False, "settings": {}, "status": "ok",
        "reason": "", "chosen": counted,
    }  # fmt: skip
    return replace(
        material,
        summary={**material.summary, "attacks": [*material.summary["attacks"], listed]},
        scores={**material.scores, name: values},
        calibration=given.with_scores(name, values),
        canaries=canaries,
        chosen=name,
        chosen_among=tuple(candidates),
    ), name


def _unused_name(name: str, taken: Mapping[str, Any]) -> str:
    """A name that no attack has yet."""
    return name if name not in taken else _unused_name(f"{name} again", taken)
