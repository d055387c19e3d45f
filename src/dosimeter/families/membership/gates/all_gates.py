"""Selects the checks of a finished measurement and collects their decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from dosimeter.families.membership.attacks import ATTACKS
from dosimeter.families.membership.gates import asked, blind, claims, null, numbers, persons, runs
from dosimeter.families.membership.gates.null import NullResult
from dosimeter.families.membership.measures.baseline import Baseline, measure_baseline
from dosimeter.families.membership.measures.cross_fitting import CrossFit
from dosimeter.families.membership.measures.material import Material, Measured
from dosimeter.families.membership.rates import FPRS, PRIORS
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.results.rows import Row
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores
from dosimeter.statistics.hypotheses.shown import Scope, Shown, leak_shown, of_these_models
from dosimeter.statistics.intervals.cells import exceeds
from dosimeter.statistics.rates import Randomisation, RatePair, auc

NOT_ASKED_BECAUSE = {
    "P1": "the records are not known, or no attack was run",
    "P3": "no attack was run, or no rate can be certified",
    "P4": "canaries are planted in a recipe only",
    "P5": "no shadow rehearsed as the target, so records have no level of their own, or no rate can be certified",
    "P6": "one target, or no rate can be certified",
    "P7": "the attacks were not run here",
    "P8": "no attack was run",
    "P9": "the records are not known",
    "P10": "no accuracy is known",
    "P11": "the shadows come from the recipe that made the targets, or there are none",
    "P13": "no attack was run",
    "P14": "no rate can be certified, or members and non-members differ by themselves",
    "P15": "no model was asked",
    "P16": "no attack was run",
    "P17": "no attack was run",
    "P18": "no attack was run",
}
"""Reason why a check had nothing to look at, by id; P2 and P12 always have something."""


@dataclass(frozen=True)
class Found:
    """Results of all attacks and of the blind baseline at the leading rate.

    Attributes:
        headline: the attack that was chosen in calibration, or None.
        baseline: the blind baseline of a supplied model; None if it was not run.
        p_values: of each attack that is no control; empty if nothing is resolvable, or if members and non-members
            differ by themselves, so that the hypothesis that is tested is known to be wrong.
        shown: whether the headline shows a leak.
        unclear: whether it is above chance, but not shown to be above the baseline, which is not above chance.
        evidence: which of the headline's statistics are above chance, and whose leak that shows; None if not asked.
        given: the headline's AUC and rates with intervals that take several targets as given, if no more than these
            are shown to leak.
    """

    headline: str | None
    baseline: Baseline | None
    p_values: Mapping[str, Randomisation]
    shown: bool
    unclear: bool = False
    evidence: Shown | None = None
    given: tuple[Estimate, RatePair] | None = None

    @property
    def scope(self) -> Scope | None:
        """Scope of the leak that is shown: "models", "recipe", or None."""
        if not self.shown:
            return None
        return "models" if self.evidence is None else self.evidence.scope

    @property
    def shifted(self) -> Baseline | None:
        """The baseline if members and non-members differ without the model, else None."""
        return self.baseline if self.baseline is not None and self.baseline.shifted else None


def find(material: Material, measured: Mapping[str, Measured], headline: str | None) -> Found:
    """Compares the headline attack with chance and, if there is one, with the blind baseline.

    If records differ a little without the model, an attack may detect this before the blind classifiers do. So an
    attack above chance, beside classifiers at chance, is no leak yet: the gain must be shown in any case.
    """
    if headline is None:
        return Found(None, None, {}, False)
    baseline, lead = _baseline(material, headline), material.leading
    if lead is None:
        return Found(headline, baseline, {}, False)
    if baseline is not None and baseline.shifted:
        return Found(headline, baseline, {}, baseline.exceeded)
    p_values = {one: material.p_values(one, lead) for one in measured if one not in material.aside}
    own = measured[headline]
    evidence = leak_shown(own.auc, own.pairs[lead], p_values[headline], drawn=material.drawn)
    unclear = evidence.leak and baseline is not None and not baseline.exceeded
    given = None
    if material.drawn and len(material.truth.is_member) > 1 and evidence.scope == "models":
        own_scores = Scores(material.truth.ids, material.scores[headline])
        cuts = material.thresholds(headline, lead)
        given = of_these_models(own.auc, own.pairs[lead], own_scores, material.truth, thresholds=cuts)
    return Found(headline, baseline, p_values, evidence.leak and not unclear, unclear, evidence, given)


def _baseline(material: Material, headline: str) -> Baseline | None:
    """The headline attack beside the blind classifiers, if there are any.

    Attacks that are averaged read a difference of the records better than each of them, and better than the blind
    classifiers, which is no leak. So a choice of other halves, and the attack most often chosen, must both gain: the
    one that gains less counts.
    """
    if material.blind is None:
        return None
    among, lead = material.choice.get(headline, {}), material.leading
    found = []
    for attack in (headline, *sorted(among, key=lambda one: -among[one])[:1]):
        scores = material.scores[attack]
        calls = None if lead is None else exceeds(scores, material.thresholds(attack, lead))
        found.append(
            measure_baseline(material.blind, scores, material.truth, rng=material.rng("blind"), calls=calls, fpr=lead)
        )
    known = [one for one in found if one is not None]
    return min(known, key=lambda one: (one.exceeded, one.gain.low or 0.0), default=None)


def all_gates(
    material: Material, measured: Mapping[str, Measured], found: Found, utility: Sequence[Row]
) -> tuple[list[Gate], list[NullResult]]:
    """All gates, and the null audit that one of them rests on."""
    gates = [
        *_on_the_split(material, found),
        numbers.too_few_nonmembers(material.truth, float(material.summary["leading_fpr"]), material.worth),
        *_on_persons(material),
        *_on_the_headline(material, measured, found),
        *_on_all_attacks(material, measured, found),
    ]
    gates += _on_claims(material, measured, found)
    data = material.summary["data"]
    if utility and "most_frequent_token" in data:
        gates.append(runs.learning(utility, data["most_frequent_token"], of="token"))
    elif utility and data.get("classes"):  # runs of earlier versions do not say how frequent the classes are
        gates.append(runs.learning(utility, data.get("most_frequent_class") or 1 / data["classes"]))
    if material.queried:
        rows = material.summary["attacks"]
        kinds = {name: kind for name in (str(row["name"]) for row in rows) if (kind := ATTACKS.defined(name))}
        gates.append(runs.chosen_settings(rows, kinds))
    gates += material.gates
    if material.null_truth is None:
        return gates, []
    nulls = null.null_audit(
        material.null_scores,
        material.null_truth,
        rngs={attack: material.rng(f"{attack} null") for attack in material.null_scores},
        # controls score all records alike unless the design is broken, so those that nobody named take no room
        tests=len(material.null_scores.keys() - material.beside),
    )
    gates.append(null.null_gate(nulls))
    gates.append(null.control_gate({name: measured[name].auc for name in measured if name in material.controls}))
    return gates, nulls


def unasked_checks(gates: Sequence[Gate]) -> list[dict[str, str]]:
    """Checks of the list of pitfalls that had nothing to look at, with the reasons."""
    ids = {gate.id for gate in gates}
    return [{"id": one, "reason": reason} for one, reason in NOT_ASKED_BECAUSE.items() if one not in ids]


def _on_the_split(material: Material, found: Found) -> list[Gate]:
    """P1; for a table of scores the records are not known, so it is not asked."""
    if material.drawn:
        return [blind.alike_by_design()]
    return [blind.alike(found.baseline, above_chance=found.unclear)] if material.queried and found.headline else []


def _on_persons(material: Material) -> list[Gate]:
    """I9, if membership was stated and persons are named or records have copies."""
    named = material.summary["data"].get("persons") is not None
    gate = None if material.drawn else persons.few_persons(material.truth, named=named)
    return [] if gate is None else [gate]


def _on_the_headline(material: Material, measured: Mapping[str, Measured], found: Found) -> list[Gate]:
    """P3, P5, P6, P14: checks of what the verdict rests on."""
    headline, lead = found.headline, material.leading
    if headline is None or lead is None:
        return []
    gates = [runs.reached_threshold(measured[headline].pairs[lead], lead)]
    scores, levels = material.scores[headline], _levels(material, headline)
    if levels is not None:
        gates.append(runs.pooling(*levels, material.truth))
    if material.drawn or len(scores) > 1:
        hits = exceeds(scores, material.thresholds(headline, lead))
        gates.append(runs.between_targets(hits, material.truth))
    if found.p_values:
        cross = isinstance(material.calibration, CrossFit)
        chosen = "for each record by others" if cross else "before the targets were measured"
        shown = found.shown or found.unclear
        gates.append(runs.many_attacks(found.p_values, headline, shown=shown, rates=len(FPRS), chosen=chosen))
    return gates


def _on_claims(material: Material, measured: Mapping[str, Measured], found: Found) -> list[Gate]:
    """P12, P13, P17, P18: checks of the claims that the numbers allow."""
    headline, lead = found.headline, material.leading
    gates = [claims.kind_of_audit(len(material.truth.is_member), drawn=material.drawn)]
    if headline is None:
        return gates
    own = measured[headline]
    pair = None if lead is None else own.pairs[lead]
    gates.append(claims.no_proof(own.precisions[PRIORS[-1]], PRIORS[-1], drawn=material.drawn))
    area, pair = found.given or (own.auc, pair)
    gates.append(claims.beyond_the_average(area, pair, lead, ranks_only=_by_ranks_only(found, pair)))
    listed = claims.discoveries(material.calibration.tails(headline, material.scores[headline]))
    return [*gates, claims.list_of_members(listed, material.truth, rng=material.rng("list of members"))]


def _by_ranks_only(found: Found, pair: RatePair | None) -> bool:
    """Returns whether a leak is shown by the ranks of records and not by the rate."""
    if not found.shown or pair is None:
        return False
    if found.evidence is not None:
        return not found.evidence.by_tpr
    return pair.difference.low is None or pair.difference.low <= 0


def _levels(material: Material, attack: str) -> tuple[Array, Array] | None:
    """Scores, and each record's mean score over rehearsing shadows that did not train on it, both `[t n]`.

    Both are normal scores (normal quantiles of ranks), so that no long tail or infinite score decides a mean. None
    without rehearsal.
    """
    calibration, own = material.calibration, material.scores[attack]
    if isinstance(calibration, CrossFit) or calibration.source != "shadow":
        return None
    blocks = list(zip(calibration.scores[attack], calibration.is_member, strict=True))
    if any(bits.shape[1:] != own.shape[1:] or bits.all(0).any() for _, bits in blocks):
        return None
    every = np.concatenate([own.ravel(), *(values.ravel() for values, _ in blocks)])
    normal = ndtri(rankdata(every) / (len(every) + 1))
    scores, *rest = np.split(normal, np.cumsum([own.size, *(values.size for values, _ in blocks)])[:-1])
    levels = [
        np.where(bits, 0.0, flat.reshape(bits.shape)).sum(0) / (~bits).sum(0)
        for flat, (_, bits) in zip(rest, blocks, strict=True)
    ]
    return scores.reshape(own.shape), np.stack(levels)[calibration.block]


def _on_all_attacks(material: Material, measured: Mapping[str, Measured], found: Found) -> list[Gate]:
    """P8 and P16, over all attacks that are no control; P16 looks at right answers too."""
    real = [attack for attack in measured if attack not in material.aside]
    if not real:
        return []
    lead, single = material.leading or FPRS[0], [attack for attack in real if attack not in material.choice]
    count = len(single) + (material.correct is not None)
    right = _right(material, count)
    return [
        numbers.ties(
            {attack: material.scores[attack] for attack in real},
            {attack: material.thresholds(attack, lead) for attack in real},
            found.headline,
        ),
        asked.sign(
            {attack: measured[attack].auc for attack in single} | right,
            {attack: _strict(material, attack, count) for attack in single} | right,
            found.headline,
            shown=found.shown,
            door=str(material.summary["door"]),
        ),
    ]


def _right(material: Material, count: int) -> dict[str, Estimate]:
    """The AUC of right answers, with an interval like those of `_strict`; members have no fewer of them."""
    if material.correct is None:
        return {}
    scores = Scores(material.truth.ids, material.correct[:, : len(material.truth.ids)].astype(float))
    level = 1 - 2 * asked.RARE / count
    return {"right answers": auc(scores, material.truth, rng=material.rng("right answers"), level=level)}


def _strict(material: Material, attack: str, count: int) -> Estimate:
    """The AUC of an attack with an interval that leaves room for one false alarm over all attacks (Bonferroni)."""
    scores = Scores(material.truth.ids, material.scores[attack])
    level = 1 - 2 * asked.RARE / count
    return auc(scores, material.truth, rng=material.rng(f"{attack} auc"), level=level)
