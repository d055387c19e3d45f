"""Checks that decide whether a number may be believed. Nothing is retrained.

Gates carry the numbers of the list of pitfalls in `docs/pitfalls.md`: P2 too few non-members, P8 ties, P15 numerics,
and N1, N2 the null audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from dosimeter.families.membership.observe.saturation import SATURATED
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.models.access import Access
from dosimeter.statistics.certify import certifiable_fpr, distinct_nonmembers, nonmembers_needed
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.intervals.cells import by_cell

CONFIDENCES = ("logit_confidence", "logit_confidence_t2", "scaled_confidences", "scaled_top")
"""Signals that show how close a confidence is to 1."""
OF_ALL_CLASSES = ("scaled_confidences", "scaled_top")
"""Signals among `CONFIDENCES` that have one value for each class, on the last axis."""


def too_few_nonmembers(truth: Truth, fpr: float, have: float) -> Gate:
    """P2: whether so many distinct non-members can certify the leading false positive rate.

    Args:
        truth: about the records.
        fpr: the rate asked for.
        have: distinct non-members, counted as persons of equal size.
    """
    distinct, need = distinct_nonmembers(truth), nonmembers_needed(fpr)
    pooled, wanted = int((~truth.is_member).sum()), 10 / fpr
    name = "Enough non-members"
    told = f"{distinct} distinct non-members" + ("" if have == distinct else f", worth {have:.3g} of equal size,")
    if have < need:
        return Gate(
            "P2", name, "warn", have,
            f"{told} cannot certify a false positive rate of {fpr:.2%}, which takes {need}; they certify at best "
            f"{certifiable_fpr(have):.2%}.",
        )  # fmt: skip
    if pooled < wanted:
        return Gate(
            "P2", name, "warn", float(pooled),
            f"{pooled} decisions about non-members are fewer than 10 / {fpr:g} = {wanted:.0f}: low n, wide intervals.",
        )  # fmt: skip
    return Gate(
        "P2", name, "pass", have,
        f"{told} are at least the {need} that a false positive rate of {fpr:.2%} takes.",
    )  # fmt: skip


def ties(scores: Mapping[str, Array], thresholds: Mapping[str, Array], headline: str | None) -> Gate:
    """P8: how many scores lie exactly on the threshold, where the strict comparison does not call them members.

    Args:
        scores: per attack `[t n]`.
        thresholds: per attack, at the leading rate, per target `[t]` or per cell `[t n]`.
        headline: the attack that the verdict rests on.
    """
    if headline is not None and scores[headline].min() == scores[headline].max():
        return Gate(
            "P8", "Ties at the threshold", "fail", 1.0,
            f"All {scores[headline].size:,} scores of {headline} are the same, so it can tell nothing from anything: "
            f"this is no evidence that nothing leaks. Mend the scores, or add an attack that looks at more.",
        )  # fmt: skip
    shares = {name: float((values == by_cell(thresholds[name])).mean()) for name, values in scores.items()}
    worst = max(shares, key=lambda name: shares[name])
    status: Literal["pass", "warn"] = "warn" if shares[worst] > 0.01 else "pass"
    return Gate(
        "P8", "Ties at the threshold", status, shares[worst],
        f"At most {shares[worst]:.2%} of the scores of an attack lie exactly on its threshold ({worst}); ties are "
        f"never called members, so they count against the attack.{_at_the_top(scores)}",
    )  # fmt: skip


def _at_the_top(scores: Mapping[str, Array]) -> str:
    """Sentence that counts the scores that share an attack's highest, where these are more than 1 in 100; or nothing.

    Among them are forced ones: a text of which the target errs nowhere under `ez_mia`, or gains everywhere under `wbc`.
    """
    tied = {name: int((values == values.max()).sum()) for name, values in scores.items()}
    told = [
        f"{n:,} of {scores[name].size:,} of {name}" for name, n in tied.items() if n > max(1, scores[name].size / 100)
    ]
    return f" The highest score is shared by {', '.join(told)}." if told else ""


def saturation(signals: Mapping[str, Array], access: Access) -> Gate:
    """P15: how many confidences are so close to 1 that float32 probabilities cannot show them."""
    read = [one for one in CONFIDENCES if one in signals]
    if not read:
        return Gate("P15", "Numerics", "pass", 0.0, "No attack reads a confidence, so none is rounded.")
    values = signals[read[0]]
    if read[0] in OF_ALL_CLASSES:
        values = values.max(-1)
    hidden = Access.LOGITS not in access.includes
    share = float((values >= SATURATED - 1e-9).mean())
    if hidden:
        status: Literal["pass", "warn"] = "warn" if share > 0.01 else "pass"
        text = (
            f"{share:.2%} of the confidences round to 1 in float32 probabilities; there the attacker sees no "
            f"difference, and one with logits would see more."
        )
        return Gate("P15", "Numerics", status, share, text)
    return Gate(
        "P15", "Numerics", "pass", share,
        f"Signals come from logits in float64; {share:.2%} of the confidences would round to 1 in float32.",
    )  # fmt: skip
