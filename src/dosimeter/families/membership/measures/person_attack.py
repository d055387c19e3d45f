"""The attack on whole persons: were any of a person's records used?"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import CrossFit
from dosimeter.families.membership.measures.material import Material
from dosimeter.foundation.arrays import Array
from dosimeter.statistics import exposure as metric
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import auc, shadow_threshold, tpr_at_threshold

POOLED = "mean over a person's records of the normal scores of their ranks within one model"


def measure_persons(material: Material, attack: str, persons: Int[Array, " n"]) -> dict[str, Any]:
    """The attack on persons: was any record of this person used? Thresholds come from scores that are pooled alike."""
    first = np.unique(persons, return_index=True)[1]
    fpr = material.leading or 0.1
    pooled = metric.pool_persons(material.scores[attack], persons)
    truth = Truth(np.arange(len(first)), material.truth.is_member[:, first], np.arange(len(first)))
    scores, cuts = Scores(truth.ids, pooled), _thresholds_of_persons(material.calibration, attack, persons, pooled, fpr)
    ranked = auc(scores, truth, rng=material.rng("exposure person auc"))
    pair = tpr_at_threshold(
        scores, truth, thresholds=cuts, fpr=fpr, rng=material.rng("exposure person tpr"), level=0.975
    )
    return {"rule": POOLED, "fpr": fpr, "auc": _short(ranked), "tpr": _short(pair.tpr), "reached": _short(pair.fpr)}


def _thresholds_of_persons(
    given: Calibration | CrossFit, attack: str, persons: Int[Array, " n"], pooled: Float[Array, "t u"], fpr: float
) -> Float[Array, " t"] | Float[Array, "t u"]:
    """Thresholds of pooled scores, from rehearsals, or from halves of the persons for each other."""
    first = np.unique(persons, return_index=True)[1]
    if isinstance(given, CrossFit):
        whole = CrossFit(given.is_member[:, first], np.arange(len(first)), {attack: pooled}, given.halves[:, first])
        return whole.thresholds(attack, fpr)
    blocks = [
        shadow_threshold(metric.pool_persons(values, persons), bits[:, first], fpr)
        for values, bits in zip(given.scores[attack], given.is_member, strict=True)
    ]
    return np.array(blocks)[given.block]


def _short(estimate: Estimate) -> dict[str, Any]:
    """An estimate without its counts."""
    return {key: getattr(estimate, key) for key in ("value", "low", "high", "level", "method", "status", "reason")}
