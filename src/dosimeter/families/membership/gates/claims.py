"""Checks of claims that may be made from an audit: P12, P13, P17, P18. Nothing is retrained."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import false_discovery_control

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.intervals.crossed import rate_interval
from dosimeter.statistics.rates import RatePair

DISCOVERY = 0.1
"""False discovery rate of the list of members that P18 tests."""


def kind_of_audit(targets: int, *, drawn: bool) -> Gate:
    """P12: whether membership was drawn as an experiment, and in how many training runs.

    Args:
        targets: models that are measured.
        drawn: whether membership was drawn here.
    """
    name = "Kind of audit"
    if not drawn:
        return Gate(
            "P12", name, "warn", 0.0,
            "Zero-run: membership was stated, and no run drew it, so what is shown is of these records under "
            f"{'this model' if targets == 1 else f'these {targets} models'}, and not of the recipe.",
        )  # fmt: skip
    if targets == 1:
        return Gate(
            "P12", name, "warn", 1.0,
            "One-run: membership of all candidates was drawn together and one model was trained on it, so records "
            "can stand in each other's way, and nothing is known of another training run.",
        )  # fmt: skip
    told = f"Multi-run: membership was drawn for each of {targets} targets, by pairs, and every one was trained on it."
    return Gate("P12", name, "pass", float(targets), told)


def no_proof(rare: Estimate, prior: float, *, drawn: bool) -> Gate:
    """P13: whether chance could be sampled, as a claim about one record requires (arXiv:2409.19798).

    Args:
        rare: precision of the headline attack where few of the candidates were used.
        prior: that share.
        drawn: whether membership was drawn here rather than stated.
    """
    name, wrong = "No proof against one record", None if rare.value is None else 1 - rare.value
    share = "" if wrong is None else f"; where {prior:.0%} of candidates were used, {wrong:.0%} of the accused were not"
    if drawn:
        return Gate(
            "P13", name, "pass", wrong,
            f"Membership was drawn by a coin, so chance is what was sampled; that holds for rates of many records, and "
            f"no score is proof of one{share}.",
        )  # fmt: skip
    return Gate(
        "P13", name, "warn", wrong,
        f"Membership was stated: what the model would say of a record had it not been used cannot be sampled, so no "
        f"number here is evidence about one record{share}.",
    )  # fmt: skip


def beyond_the_average(auc: Estimate, pair: RatePair | None, fpr: float | None, *, ranks_only: bool) -> Gate:
    """P17: whether more is shown than an average over all records.

    Args:
        auc: AUC of the headline attack.
        pair: its rates at the leading rate.
        fpr: that rate, or None if none can be certified.
        ranks_only: whether the verdict shows a leak, and its rate does not.
    """
    name = "Not only an average"
    if pair is None or fpr is None:
        return Gate(
            "P17", name, "warn", auc.value,
            f"No false positive rate can be certified, so only the AUC ({_number(auc)}) is left: an average, under "
            f"which a few records can be recognised with certainty.",
        )  # fmt: skip
    gap = pair.difference
    told = f"At a false positive rate of {fpr:.2%} the TPR exceeds the FPR by {_number(gap)}; the AUC is {_number(auc)}"
    if ranks_only:
        return Gate(
            "P17", name, "warn", gap.value,
            f"{told}: the leak is shown by ranks only, so quote the AUC as an average and no rate of the few.",
        )  # fmt: skip
    return Gate("P17", name, "pass", gap.value, f"{told}, and the rate stands first.")


def _number(found: Estimate) -> str:
    """Text: a value with its interval."""
    if found.value is None:
        return "not resolvable"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def discoveries(p_values: Float[Array, "t n"]) -> Bool[Array, "t n"]:
    """Records on a list of members with false discovery rate `DISCOVERY`, for each target.

    The list is that of Benjamini and Hochberg (Journal of the Royal Statistical Society B, 1995).

    Args:
        p_values: of each record among calibration scores of non-members, from `tails`.
    """
    return np.stack([false_discovery_control(row) <= DISCOVERY for row in p_values])


def list_of_members(listed: Bool[Array, "t n"], truth: Truth, *, rng: np.random.Generator) -> Gate:
    """P18: whether a list of "members" holds as few non-members as it promises.

    Args:
        listed: who would stand on it.
        truth: truth about the same records.
        rng: generator for the interval.
    """
    name, size = "A list of members", int(listed.sum())
    promised = f"of which at most {DISCOVERY:.0%} should be non-members (Benjamini-Hochberg)"
    if not size:
        return Gate(
            "P18", name, "pass", None,
            f"No list of members can be made, {promised}: the scores single nobody out. None is made.",
        )  # fmt: skip
    found = rate_interval(~truth.is_member, listed, record=truth.record, rng=rng)
    told = (
        f"A list of members, {promised}, would hold {size / len(listed):.1f} records a target, {found.value:.1%} of "
        f"them non-members ({found.low:.1%} to {found.high:.1%})"
    )
    if found.low > DISCOVERY:
        return Gate("P18", name, "warn", found.value, f"{told}, which is more: make no such list from these scores.")
    return Gate("P18", name, "pass", found.value, f"{told}. None is made.")
