"""Checks that a supplied model and its shadows were queried correctly: I8, P11, and the sign of the AUC, P16.

A model that is queried incorrectly (classes or columns in another order, inputs at another scale, halves swapped)
seems to remember nothing. See `models.supplied.asked` for its answers on its own training records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri, stdtrit

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.models.supplied.asked import CAUSES
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import auc

FRESH = "Fresh shadows"
"""Name of check I8."""
RARE = 0.001
"""One-sided probability that a check withdraws a sound audit."""
RARE_Z = float(-ndtri(RARE))
"""The normal quantile of `RARE`, in standard errors."""
SPREAD = 0.01
"""Two-sided probability that P11 warns although shadows are like the target."""
ACCURACY_GAP = 0.1
"""Smallest difference of accuracies on own training records at which shadows are no models of the target."""
AUC_SPREAD = 0.58
"""Standard deviation of the AUC at chance, with n records in two equal classes, times sqrt(n): 1 / sqrt(3)."""
FEW_VALUES = 10
"""Smallest number of distinct values for which two models with equal values count as one model."""


def fresh_shadows(
    signal: Float[Array, "m n"], member: Bool[Array, "m n"], seen: Bool[Array, "s n"], record: Int[Array, " n"], *,
    shifted: bool, rng: np.random.Generator,
) -> Gate:  # fmt: skip
    """I8: whether shadows know of the target's members only what they were trained on.

    For each record the mean signal is taken over shadows that did not train on it. This mean separates the target's
    members if `fit` starts from weights that saw them, or returns the target. Fresh shadows are at chance, unless
    members are easier records.

    Args:
        signal: of target and shadows, higher for a record that is known.
        member: membership matrix.
        seen: of each shadow, the records that it was trained on, and copies of these.
        record: cluster of each record.
        shifted: members and non-members are known to differ without any model.
        rng: generator for the interval.
    """
    name, shadows = FRESH, signal[1:]
    copies = _copies(signal)
    if copies is not None:
        return copies
    outside = ~seen
    less = _remember_less(signal, member, outside, record, rng)
    if less:
        return Gate("I8", name, "fail", less[1], _other_records(*less))
    kept = outside.any(0)
    bits = member[:1, kept]
    if bits.all() or not bits.any():
        return Gate("I8", name, "pass", None, "Every record was seen by every shadow, or none, so nothing is compared.")
    level = np.where(outside, shadows, 0.0).sum(0)[kept] / outside.sum(0)[kept]
    ids = np.arange(int(kept.sum()))
    found = auc(Scores(ids, level[None]), Truth(ids, bits, record[kept]), rng=rng, level=1 - 2 * RARE)
    assert found.value is not None
    told = (
        f"Shadows tell the target's members from non-members with an AUC of {found.value:.3f} ({found.low:.3f} to "
        f"{found.high:.3f}, {1 - 2 * RARE:.1%}) on records that they were not trained on"
    )
    if found.low is None or found.low <= 0.5:
        return Gate("I8", name, "pass", found.value, f"{told}, which chance explains.")
    if shifted:
        return Gate(
            "I8", name, "warn", found.value,
            f"{told}. Members and non-members differ without any model (P1), which may explain it; or `fit` starts "
            f"from weights that saw the members.",
        )  # fmt: skip
    return Gate(
        "I8", name, "fail", found.value,
        f"{told}: they have seen members that they should not know, or members are easier than non-members. See that "
        f"`fit` builds a fresh model each time, from weights that saw no member, and take members and non-members from "
        f"one source.",
    )  # fmt: skip


def _copies(signal: Float[Array, "m n"]) -> Gate | None:
    """I8 if all shadows are one model, or the target itself; else None."""
    shadows = signal[1:]
    telling = np.array([len(np.unique(row)) > FEW_VALUES for row in shadows])  # others may well agree on every record
    same = int((shadows == signal[:1]).all(1)[telling].sum())
    alike = int(telling.sum()) - len(np.unique(shadows[telling], axis=0))
    if alike and not same:
        return Gate(
            "I8", FRESH, "fail", float(alike),
            f"{alike} of {len(shadows)} shadows answer as another one does on every record, though each has other "
            f"training records: they are one model. See that `fit` trains on its `dataset`.",
        )  # fmt: skip
    if same:
        return Gate(
            "I8", FRESH, "fail", float(same),
            f"{same} of {len(shadows)} shadows answer as the audited model does on every record: `fit` must train a "
            f"model of its own, and not return that one.",
        )  # fmt: skip
    return None


def _remember_less(
    signal: Float[Array, "m n"], member: Bool[Array, "m n"], outside: Bool[Array, "s n"], record: Int[Array, " n"],
    rng: np.random.Generator,
) -> tuple[float, float] | None:  # fmt: skip
    """AUCs of target and shadows on their own members, if shadows are shown to know less than half as much; else None.

    Such shadows were trained on something else than their `dataset`, for example on all candidates. Then they know
    members and non-members of the target equally well, and this hides what the target knows. The target's AUC is the
    smaller of two: that of its signal, and that of its signal minus the record's mean over shadows, so that harder
    non-members do not count as memory.
    """
    level = np.where(outside, signal[1:], 0.0).sum(0) / np.maximum(outside.sum(0), 1)
    ids = np.arange(signal.shape[1])

    def auc_of(values: Array, bits: Array) -> Estimate:
        return auc(Scores(ids, values[None]), Truth(ids, bits[None], record), rng=rng, level=1 - 2 * RARE)

    own = [auc_of(values, member[0]) for values in (signal[0] - level, signal[0])]
    if any(one.low is None or one.low <= 0.5 for one in own):
        return None
    target = min(one.value or 0.5 for one in own)
    each = [auc_of(one, bits).value for one, bits in zip(signal[1:], member[1:], strict=True)]
    found = np.array([one for one in each if one is not None])
    spread = float(found.std(ddof=1)) if len(found) > 1 else 0.0
    error = max(spread, AUC_SPREAD / sqrt(signal.shape[1])) / sqrt(max(len(found), 1))
    mean = float(found.mean())
    return (target, mean) if mean + RARE_Z * error < 0.5 + (target - 0.5) / 2 else None


def _other_records(target: float, shadows: float) -> str:
    """The sentence of I8 about shadows that were trained on something else."""
    return (
        f"The target tells its members from other records with an AUC of {target:.3f} beside its shadows, and these "
        f"tell their own with {shadows:.3f}: they know far less of what they were given than the target does, and hide "
        f"what it knows. See that `fit` trains on its `dataset` and on nothing else, as the target was trained."
    )


def unlike_target(members: int, shadow_size: int, correct: Sequence[float]) -> Gate:
    """P11: whether the target's accuracy on its training records lies in the range of its shadows' accuracies.

    Args:
        members: records that the target was trained on.
        shadow_size: records that each shadow was trained on.
        correct: accuracy on own training records of the target, then of each shadow.
    """
    name, target, shadows = "Shadows like the target", float(correct[0]), np.array(correct[1:])
    mean, count, ratio = float(shadows.mean()), len(shadows), shadow_size / members
    told = (
        f"Accuracy on own training records: target {target:.1%}, shadows {mean:.1%} ({shadows.min():.1%} to "
        f"{shadows.max():.1%}); training records: target {members}, shadows {shadow_size}."
    )
    spread = float(shadows.std(ddof=1)) * sqrt(1 + 1 / count) if count > 1 else 0.0
    every = members + count * shadow_size
    pooled = (target * members + mean * count * shadow_size + 0.5) / (every + 1)
    chance = sqrt(pooled * (1 - pooled) * (1 / members + 1 / (count * shadow_size)))
    apart = abs(target - mean)

    def beyond(level: float) -> bool:
        by_spread = float(stdtrit(count - 1, 1 - level / 2)) * spread if spread else 0.0
        return apart > float(ndtri(1 - level / 2)) * chance + by_spread

    if apart > ACCURACY_GAP and (beyond(SPREAD) or count == 1):
        return Gate(
            "P11", name, "fail", apart,
            f"{told} Shadows that differ by more than 10 points, and by more than they differ among themselves, are no "
            f"models of this target: what is learned from them, thresholds above all, does not hold for it. Mend "
            f"`fit`, or leave it out.",
        )  # fmt: skip
    if apart > ACCURACY_GAP or beyond(SPREAD):
        return Gate(
            "P11", name, "warn", apart,
            f"{told} The target is unlike them by more than they differ among themselves: see that `fit` is the "
            f"training of the target."
            if beyond(SPREAD)
            else f"{told} They differ by more than 10 points, which so few may do by chance: see that `fit` is the "
            f"training of the target.",
        )  # fmt: skip
    if not 0.9 <= ratio <= 1.1:
        return Gate(
            "P11", name, "warn", apart,
            f"{told} Training sets that differ by more than 10 % make attacks weaker and thresholds less sure; as many "
            f"non-members as members mend it.",
        )  # fmt: skip
    return Gate("P11", name, "pass", apart, told)


def sign(
    aucs: Mapping[str, Estimate], strict: Mapping[str, Estimate], headline: str | None, *, shown: bool, door: str
) -> Gate:
    """P16: attacks, or right answers, whose AUC lies below 1/2 beyond chance; the sign is never turned.

    If another attack is shown to find members, this is a warning. If none is, the scores separate members from
    non-members in the wrong direction, so the audit must not say "no leak".

    Args:
        aucs: with their usual intervals.
        strict: with intervals that `RARE` leaves below, over all attacks together.
        headline: the attack that the verdict rests on.
        shown: whether it shows a leak.
        door: "recipe", "model" or "scores".
    """
    name = "Sign of the scores"
    sure = [attack for attack, one in strict.items() if one.high is not None and one.high < 0.5]
    if sure and (headline in sure or not shown):
        causes = {
            "recipe": "an attack with the wrong sign, or a defense that turns the signal round",
            "model": CAUSES,
            "scores": "a wrong sign (losses, where a higher score must mean a member), members and non-members swapped",
        }[door]
        worst = min(sure, key=lambda attack: aucs[attack].value or 0.0)
        return Gate(
            "P16", name, "fail", float(len(sure)),
            f"The AUC of {', '.join(sure)} lies below 0.5 beyond chance (1 in {1 / RARE:,.0f}; {worst} "
            f"{aucs[worst].value:.3f}): members are told from non-members, and the wrong way round. The sign is not "
            f"turned; look for {causes}.",
        )  # fmt: skip
    turned = [attack for attack, one in aucs.items() if one.high is not None and one.high < 0.5]
    if turned:
        return Gate(
            "P16", name, "warn", float(len(turned)),
            f"The AUC of {', '.join(turned)} lies below 0.5 beyond chance: members score lower than non-members. "
            f"The sign is not turned; look for an error in the data or the attack.",
        )  # fmt: skip
    return Gate("P16", name, "pass", 0.0, "No attack's AUC lies below 0.5 beyond chance.")
