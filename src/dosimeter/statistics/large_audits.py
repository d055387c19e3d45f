"""The detection limit of large audits in closed form, from the audit's intervals or from the membership coins."""

from __future__ import annotations

from dataclasses import replace
from math import inf, sqrt

from jaxtyping import Bool, Float
from scipy.special import expit, logit, ndtri

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.detection_limit import DetectionLimit
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.hypotheses.shown import MOST_P
from dosimeter.statistics.intervals.cells import by_cluster, by_halves, clusters, exchange


def by_coins(cells: Float[Array, "t n"] | Bool[Array, "t n"], truth: Truth, found: Estimate) -> Estimate:
    """A difference of two means with the interval that inverts the test of the membership coins.

    Args:
        cells: hits for TPR - FPR; for an AUC ranks minus their target's mean, divided by the number of all cells.
        truth: truth about the same cells.
        found: the difference, whose other keys are kept.
    """
    assert found.value is not None
    index, k = clusters(truth.record)
    inside, outside = (by_cluster(side, index, k).sum(0) for side in (truth.is_member, ~truth.is_member))
    if len(cells) == 1:  # no mean of clusters is taken off
        inside, outside = inside.sum(keepdims=True), outside.sum(keepdims=True)
    squares = float((exchange(cells, truth.is_member, truth.record) ** 2).sum())
    squares *= 1.0 if cells.dtype == bool else by_halves(k)
    reach = float(ndtri(1 - MOST_P)) * sqrt(squares) / 2 / float((inside * outside / (inside + outside)).sum())
    return replace(found, low=found.value - reach, high=found.value + reach, level=1 - 2 * MOST_P)


def tpr_in_closed_form(difference: Estimate, fpr: float, truth: Truth, *, power: float = 0.9) -> DetectionLimit:
    """The limit of a large audit, from its interval. It is accurate if there are many calls.

    TPR - FPR is shown if it lies `q` standard errors above zero, so with the power asked for if it is `s = q +
    ndtri(power)` of them. The error is that without a leak and the leak's own: a share w of record clusters leaks, so
    `w = s sqrt(e^2 + w c / m)`, for m decisions about members, c of which a leaking cluster brings at a time.

    Args:
        difference: TPR - FPR at the thresholds, resolvable.
        fpr: the false positive rate reached.
        truth: about the records.
        power: chance that such a leak is shown.
    """
    assert difference.value is not None
    assert difference.low is not None
    index, k = clusters(truth.record)
    cells = by_cluster(truth.is_member, index, k).sum(0)
    quantile = float(ndtri((1 + difference.level) / 2))
    error, wanted = (difference.value - difference.low) / quantile, quantile + float(ndtri(power))
    # The solution of w = s sqrt(e^2 + w c / m), a quadratic equation in w.
    own = wanted**2 * float((cells**2).sum() / cells.sum() ** 2) / 2
    share = own + sqrt(own**2 + (wanted * error) ** 2)
    return DetectionLimit(share, fpr + share, fpr, 0)


def auc_in_closed_form(auc: Estimate, *, power: float = 0.9) -> float:
    """AUC of a leak that shifts all members' scores equally and is shown with the given power.

    The interval of `auc` is symmetric in logits; at a value of 0.5 its reach there is nearly the same.

    Args:
        auc: AUC of the audit, resolvable.
        power: chance that such a leak is shown.
    """
    assert auc.value is not None
    assert auc.low is not None
    reach = logit(auc.value) - logit(auc.low) if 0 < auc.low < auc.value < 1 else inf
    return float(expit(reach * (1 + float(ndtri(power)) / float(ndtri((1 + auc.level) / 2)))))
