"""P1: how well classifiers that never query the model do, and how much the model adds to them."""

from __future__ import annotations

from dosimeter.families.membership.measures.baseline import Baseline
from dosimeter.foundation.gate import Gate
from dosimeter.statistics.estimate import Estimate

NAME = "Members and non-members alike"


def alike(found: Baseline | None, *, above_chance: bool) -> Gate:
    """P1 of a supplied model: whether its members and non-members differ without it, and the gain over that.

    Args:
        found: None if it was not run.
        above_chance: whether the headline attack alone would show a leak.
    """
    if found is None:
        return Gate(
            "P1", NAME, "warn", None,
            "The blind baseline was not run on these records, so it is not known whether members and non-members "
            "differ without the model; `dosimeter run` does it.",
        )  # fmt: skip
    assert found.gain.low is not None
    told = (
        f"Classifiers that never ask the model tell members from non-members with an AUC of {_ends(found.auc)}, "
        f"p {found.p:.2g}, on {found.n} records"
    )
    if not found.shifted and above_chance and not found.exceeded:
        return Gate(
            "P1", NAME, "warn", found.auc.value,
            f"{told}; the headline attack is above chance, but not shown to be above them (gain {_ends(found.gain)}"
            f"{_at_one_rate(found)}): it may read a difference of the records. More records of both kinds decide it.",
        )  # fmt: skip
    if not found.shifted:
        return Gate(
            "P1", NAME, "pass", found.auc.value,
            f"{told}, which chance explains; a difference that such classifiers do not see is not excluded.",
        )  # fmt: skip
    reached = f"the headline attack reaches {found.attack_auc:.3f}, a gain of {_ends(found.gain)}{_at_one_rate(found)}"
    if found.exceeded:
        speaks = {"auc": "the gain of the AUC", "rate": "the gain at one rate of false accusations"}
        shown = " and ".join(speaks[one] for one in found.exceeded_by)
        return Gate(
            "P1", NAME, "warn", found.auc.value,
            f"{told}: they differ by themselves. With the model {reached}. Only {shown} speaks of the model.",
        )  # fmt: skip
    return Gate(
        "P1", NAME, "fail", found.auc.value,
        f"{told}: they differ by themselves. With the model {reached}, which is no more than a stranger to the model "
        f"tells; take members and non-members from one source.",
    )  # fmt: skip


def alike_by_design() -> Gate:
    """P1 of a recipe, whose membership is drawn, so both kinds of record are alike by design."""
    return Gate(
        "P1", NAME, "pass", None,
        "Which records a target was trained on was drawn by us, by a fair coin for each, so members and non-members "
        "differ by chance only; nothing had to be computed.",
    )  # fmt: skip


def _at_one_rate(found: Baseline) -> str:
    """Text: the gain of the attack at one false positive rate."""
    if found.rates is None:
        return ""
    value, low, high = (
        100 * float(end or 0.0) for end in (found.rates.gain.value, found.rates.gain.low, found.rates.gain.high)
    )
    return (
        f"; at equally many false accusations it recognises {value:+.1f} points of the members more than they do "
        f"({low:+.1f} to {high:+.1f})"
    )


def _ends(one: Estimate) -> str:
    """Text: a number with its interval."""
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
