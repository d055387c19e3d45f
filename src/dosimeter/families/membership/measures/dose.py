"""What each attack tells about whether a record was used, in bits, at equal chances beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dosimeter.families.membership.measures.baseline import Baseline
from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import CrossFit
from dosimeter.families.membership.measures.material import Material, Measured
from dosimeter.families.membership.measures.rows import row_of
from dosimeter.results.findings import FoundDose, found_dose
from dosimeter.results.rows import DOSE, Row
from dosimeter.statistics.dose.dose import Dose
from dosimeter.statistics.dose.measure import REHEARSED, Known, dose_of_bits, dose_of_choice
from dosimeter.statistics.estimate import Estimate

CEILING = 1.0
"""Bits of a secret with two equally probable values."""
APART = "read by records that are set apart"
"""Name of the reader's fit where calibration records are no rehearsals."""
NO_CLASS = "the scores that a reader is fitted on lack members or non-members"


def doses_of(material: Material) -> dict[str, Dose]:
    """The dose of each attack.

    A choice of other halves has an upper end that is no lower than those of the attacks it is made of, as its other
    numbers have.

    Args:
        material: material of the audit.
    """
    found = {attack: _dose(material, attack) for attack in material.scores}
    for name, among in material.choice.items():
        highs = [one.high for one in (found[name], *(found[part] for part in among)) if one.high is not None]
        if found[name].high is not None:
            found[name] = replace(found[name], high=max(highs))
    return found


def dose_rows(material: Material, measured: Mapping[str, Measured], doses: Mapping[str, Dose]) -> list[Row]:
    """Doses as rows."""
    return [row_of(material, attack, DOSE, _estimate(dose, measured[attack].auc)) for attack, dose in doses.items()]


def of_headline(
    material: Material, headline: str | None, doses: Mapping[str, Dose], baseline: Baseline | None
) -> FoundDose | None:
    """The dose of the threat: that of the headline attack; None without an attack or a number.

    Args:
        material: material of the audit.
        headline: id of the headline attack, or None.
        doses: of all attacks.
        baseline: of a supplied model, the classifiers that never ask it; what they tell is the floor.
    """
    found = doses.get(str(headline))
    if headline is None or found is None:
        return None
    return found_dose(headline, found, _floor(material, baseline))


def _dose(material: Material, attack: str) -> Dose:
    """The dose of one attack on the targets."""
    truth, rng, given = material.truth, material.rng(f"{attack} dose"), material.calibration
    if truth.is_member.all() or not truth.is_member.any():
        return _nothing(material, "the records have members only, or non-members only")
    if isinstance(given, CrossFit) and attack in material.choice:
        scores = np.stack([own for name, own in material.scores.items() if _may_be_chosen(material, name)])
        return dose_of_choice(scores, truth.is_member, truth.record, rng=rng)
    scores = material.scores[attack]
    if isinstance(given, CrossFit):
        return dose_of_bits(scores, truth.is_member, truth.record, rng=rng)
    if any(bits.all() or not bits.any() for bits in given.is_member):
        return _nothing(material, NO_CLASS)
    found = dose_of_bits(scores, truth.is_member, truth.record, rng=rng, known=_known(given, attack))
    return found if given.source == "shadow" else replace(found, method=found.method.replace(REHEARSED, APART))


def _may_be_chosen(material: Material, attack: str) -> bool:
    """Returns whether halves can choose an attack: no control, no reference, and no choice itself."""
    return attack not in material.aside and attack not in material.choice


def _known(given: Calibration, attack: str) -> Known:
    """Scores with known bits, on which readers are fitted."""
    return Known(given.scores[attack], given.is_member, given.block)


def _nothing(material: Material, reason: str) -> Dose:
    """No number, and why."""
    n, targets = len(np.unique(material.truth.record)), len(material.truth.is_member)
    return Dose(None, None, None, CEILING, 0.95, "", n, targets, None, reason=reason)


def _estimate(dose: Dose, like: Estimate) -> Estimate:
    """A dose as an estimate, with the counts of another one of the same attack; a negative dose is 0."""
    ok = dose.value is not None
    return replace(
        like,
        value=dose.printed,
        low=dose.low,
        high=dose.high,
        level=dose.level,
        method=dose.method,
        n_targets=dose.n_targets,
        status="ok" if ok else "not_resolvable",
        reason=dose.reason,
    )


def _floor(material: Material, baseline: Baseline | None) -> float:
    """Bits that classifiers tell that never ask the model, on the records that they judged; 0 without any.

    Cross-fitted classifiers that find nothing rank members a little too low. A reader would take that for evidence, so
    classifiers with an AUC of at most 0.5 tell nothing.
    """
    if material.blind is None or baseline is None or (baseline.auc.value or 0.0) <= 0.5:
        return 0.0
    kept, truth = np.isfinite(material.blind), material.truth
    values = np.tile(material.blind[kept], (len(truth.is_member), 1))
    found = dose_of_bits(values, truth.is_member[:, kept], truth.record[kept], rng=material.rng("blind dose"))
    return found.printed or 0.0
