"""Check that a supplied model was queried correctly: I7, its answers on its own training records."""

from __future__ import annotations

from math import sqrt

import numpy as np
from jaxtyping import Int
from scipy.special import ndtri

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate

RARE = 0.001
"""One-sided probability that a check withdraws a sound audit."""
RARE_Z = float(-ndtri(RARE))
"""The normal quantile of `RARE`, in standard errors."""
ROUNDING = 1e-9
"""Shares that differ by less differ by rounding alone."""
LEARNED_Z = float(ndtri(0.95))
"""Standard errors by which a model must be better than guessing to count as trained."""
LEAST_DIFFERENCE = 0.05
"""Smallest difference of accuracies at which two ways of querying a model count as different."""
CAUSES = "labels or columns in another order than the model's, inputs at another scale, members and non-members swapped"


def own_predictions_agree(
    predicted: Int[Array, " n"], labels: Int[Array, " n"], own: Int[Array, " n"] | None, classes: int, *,
    assumed: bool = False, known: bool = True,
) -> Gate:  # fmt: skip
    """I7: whether a model beats guessing on its own training records and agrees with its own `predict`.

    Guessing is the accuracy of its predictions under permuted labels. A model that is no better learned nothing or is
    queried incorrectly. The audit is withdrawn if the model is worse, or if an order had to be assumed.

    Args:
        predicted: class numbers of members, by what the audit reads.
        labels: their class numbers.
        own: answers of the model's own `predict`, -1 for a class that the audit does not know; None without one.
        classes: number of classes.
        assumed: the order of its columns or classes was assumed, because neither it nor the records name them.
        known: whether the records are training records; otherwise they are other records of its classes.
    """
    name, n, noun = "Asked as its user asks it", len(labels), "members" if known else "records"
    whose = "its own training records" if known else "the records that you named"
    right = predicted == labels
    share = float(right.mean())
    if own is not None:
        by_itself = own == labels
        gained, lost = int((by_itself & ~right).sum()), int((right & ~by_itself).sum())
        if abs(gained - lost) > max(RARE_Z * sqrt(gained + lost), LEAST_DIFFERENCE * n):
            return Gate(
                "I7", name, "fail", share,
                f"Of {n} {noun} the model names the class of {share:.1%} by the numbers that are read, and of "
                f"{by_itself.mean():.1%} by its own `predict`: it is not asked as you ask it. Bring a function from "
                f"records to one number for each class.",
            )  # fmt: skip
    guessed, error = guessing(predicted, labels, classes)
    # constant predictions are always as good as guessing: their standard error is 0, so ends belong to "no more"
    below, more = share < guessed - RARE_Z * error - ROUNDING, share > guessed + LEARNED_Z * error + ROUNDING
    if below or (assumed and not more):
        less = "less than" if below else "no more than"
        return Gate(
            "I7", name, "fail", share,
            f"The model names the class of {share:.1%} of {n} of {whose}, which is {less} guessing "
            f"would ({guessed:.1%}): it is asked in the wrong way. Look for {CAUSES}.",
        )  # fmt: skip
    if not more:
        return Gate(
            "I7", name, "warn", share,
            f"The model names the class of {share:.1%} of {n} of {whose}, which is not shown to be "
            f"more than guessing would ({guessed:.1%}): either it learned nothing, or it is asked in the wrong way "
            f"({CAUSES}). Compare its accuracy with the one you know.",
        )  # fmt: skip
    told = f"The model names the class of {share:.1%} of {n} of {whose} (guessing: {guessed:.1%})"
    return Gate("I7", name, "pass", share, f"{told}{'' if own is None else ', as its own `predict` does'}.")


def guessing(predicted: Int[Array, " n"], labels: Int[Array, " n"], classes: int) -> tuple[float, float]:
    """Returns the mean accuracy of predictions under permuted labels, and its standard error.

    The variance of a sum of a[i, π(i)] over random permutations π is that of a after both margins are taken out
    (Hoeffding, "A Combinatorial Central Limit Theorem", 1951, theorem 2); a is 1 where prediction and label agree.
    """
    n = len(labels)
    said, there = (np.bincount(one, minlength=classes) / n for one in (predicted, labels))
    mean = float(said @ there)
    # a prediction p agrees with a permuted label in the share there[p], a label l with a prediction in said[l]
    table = np.eye(classes) - there[:, None] - said[None] + mean
    return mean, sqrt(float(said @ table**2 @ there) / max(n - 1, 1))
