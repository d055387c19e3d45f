"""Checks that say whether a number may be believed. Nothing is retrained.

Gates carry the numbers of the list of pitfalls in `docs/pitfalls.md`: P2 too few non-members, P8 ties, P15 numerics,
and N1, N2 the null audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int
from scipy.stats import fisher_exact

from dosimeter.games import Access, Array, Scores, Truth
from dosimeter.metrics._cells import by_cell
from dosimeter.metrics.certify import certifiable_fpr, distinct_nonmembers, nonmembers_needed
from dosimeter.metrics.estimate import Estimate
from dosimeter.metrics.membership import auc
from dosimeter.signals import SATURATED

FALSE_ALARM = 0.01
"""Chance that N1, or I3, fails although nothing is wrong, over all attacks together (Bonferroni)."""


COPIES = 0.01
"""Share of judged records that may be there more than once."""
CONFIDENCES = ("logit_confidence", "logit_confidence_t2", "scaled_confidences", "scaled_top")
"""Signals that say how near a confidence is to 1."""
OF_ALL_CLASSES = ("scaled_confidences", "scaled_top")
"""Those of them with one for each class, on the last axis."""


@dataclass(frozen=True)
class Gate:
    """One check.

    Attributes:
        id: its number.
        name: in words.
        status: "pass", "warn" (the number stands, but read this) or "fail" (withdrawn).
        value: the number it was decided on.
        message: one sentence.
    """

    id: str
    name: str
    status: Literal["pass", "warn", "fail"]
    value: float | None
    message: str


def too_few_nonmembers(truth: Truth, fpr: float, have: float) -> Gate:
    """P2: whether the leading false positive rate can be certified by this many distinct non-members.

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
    """P8: how many scores lie exactly on the threshold, where a strict comparison does not call them.

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
        f"never called members, so they count against the attack.",
    )  # fmt: skip


def saturation(signals: Mapping[str, Array], access: Access) -> Gate:
    """P15: how many confidences are so close to 1 that float32 probabilities hide them."""
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


@dataclass(frozen=True)
class NullResult:
    """The null audit of one attack: its AUC where no model was trained on what the matrix says."""

    attack: str
    auc: Estimate
    at_chance: bool


def null_audit(
    null_scores: Mapping[str, Array], truth: Truth, *, rngs: Mapping[str, np.random.Generator]
) -> list[NullResult]:
    """N1: every attack on the stored outputs under a fresh matrix of complementary pairs must be at chance.

    An attack that reads the design instead of the models (for instance how often a record occurs among the shadows)
    is not at chance here.

    Args:
        null_scores: per attack `[t n]`.
        truth: under the null matrix.
        rngs: per attack, for the bootstrap.

    Returns:
        One result per attack; none if the matrix has one class among so few records.
    """
    if truth.is_member.all() or not truth.is_member.any():
        return []
    level = 1 - FALSE_ALARM / max(len(null_scores), 1)
    results = []
    for name, values in null_scores.items():
        estimate = auc(Scores(truth.ids, values), truth, rng=rngs[name], level=level)
        low, high = estimate.low, estimate.high
        results.append(NullResult(name, estimate, low is None or high is None or low <= 0.5 <= high))
    return results


def null_gate(results: Sequence[NullResult]) -> Gate:
    """The gate over the null audit."""
    if not results:
        told = (
            "No attack was tried where nothing leaks: none was run, or there are too few records to draw two classes."
        )
        return Gate("N1", "Null audit", "warn", None, told)
    wrong = [result.attack for result in results if not result.at_chance]
    if wrong:
        return Gate(
            "N1", "Null audit", "fail", float(len(wrong)),
            f"{', '.join(wrong)} found members where no model was trained on them: the audit is broken, and its "
            f"numbers are withdrawn.",
        )  # fmt: skip
    return Gate(
        "N1", "Null audit", "pass", 0.0,
        f"All {len(results)} attacks are at chance under a membership that no model was trained on.",
    )  # fmt: skip


def control_gate(aucs: Mapping[str, Estimate]) -> Gate:
    """N2: the control attacks, which look at no output, are at chance on the true membership."""
    ends = {name: (one.low, one.high) for name, one in aucs.items()}
    wrong = [n for n, (low, high) in ends.items() if low is not None and high is not None and not low <= 0.5 <= high]
    if wrong:
        return Gate(
            "N2", "Controls", "fail", float(len(wrong)),
            f"{', '.join(wrong)} must be at chance and is not: the membership design gives bits away.",
        )  # fmt: skip
    text = "All controls are at chance." if aucs else "No control attack was run."
    return Gate("N2", "Controls", "pass" if aucs else "warn", 0.0, text)


def near_duplicates(pairs: int, told: str, *, remarkable: bool, content: Int[Array, " n"] | None = None) -> Gate:
    """P9: members and non-members that are nearly the same record.

    Args:
        pairs: how many.
        told: which, in words.
        remarkable: whether there are more than the non-members have among themselves.
        content: a number for what each record is, where copies within a part count as one; else None.
    """
    name, more = "Near duplicates across the split", ""
    if content is not None and (count := repeated(content)):
        more = (
            f" Within its part {count:,} of the {len(content):,} records are there more than once "
            f"({content.max() + 1:,} are different); copies count as one in every interval."
        )
    if not pairs:
        return Gate("P9", name, "pass", 0.0, f"No member is nearly the same as a non-member.{more}")
    if not remarkable:
        said = f"No more than such records have among themselves: {told}."
        return Gate("P9", name, "pass", float(pairs), said + more)
    return Gate(
        "P9", name, "warn", float(pairs),
        f"{told}. A model that remembers the one knows the other, so leakage is understated.{more}",
    )  # fmt: skip


def repeated(content: Int[Array, " n"]) -> int:
    """How many records are there more than once.

    Args:
        content: a number for what each record is, 0 to k - 1.
    """
    times = np.bincount(content)
    return int(times[times > 1].sum())


def copies(content: Int[Array, " n"], elsewhere: Mapping[str, int]) -> Gate:
    """P9 of a recipe: judged records that are there more than once, or also where other stages learn.

    Args:
        content: a number for what each judged record is.
        elsewhere: by name of another stage how many of the judged records are among its own.
    """
    count, n = repeated(content), len(content)
    name, most = "Near duplicates across the split", max(elsewhere.values(), default=0)
    if most > COPIES * n:
        listed = ", ".join(f"{found:,} in {place}" for place, found in elsewhere.items() if found)
        return Gate(
            "P9", name, "fail" if 2 * most > n else "warn", float(most),
            f"Of the {n:,} judged records there are also {listed}: one that counts as unused was used there, so the "
            f"numbers are not about this stage alone. Give each stage other records.",
        )  # fmt: skip
    if not count:
        return Gate("P9", name, "pass", 0.0, f"None of the {n:,} judged records is a copy of another.")
    told = f"{count:,} of the {n:,} judged records are there more than once ({content.max() + 1:,} are different)"
    if count <= COPIES * n:
        return Gate("P9", name, "pass", float(count), f"{told}; copies count as one in every interval.")
    return Gate(
        "P9", name, "warn", float(count),
        f"{told}. A model that did not use one copy may have used the other, so leakage is understated; copies count "
        f"as one in every interval.",
    )  # fmt: skip


def repeated_answers(change: float) -> Gate:
    """I1: whether the same query gives the same answer.

    Args:
        change: largest change of a log-confidence between two queries, nats.
    """
    if change > 1e-3:
        return Gate(
            "I1", "Repeated answers", "warn", change,
            f"The same query was answered differently: log-confidences changed by up to {change:.2g} nats. The numbers "
            f"are of one query for each record; an adversary who averages many queries can do better.",
        )  # fmt: skip
    return Gate("I1", "Repeated answers", "pass", change, "The same query gets the same answer.")


def trusted_pickle(path: str) -> Gate:
    """I2: a file that can run code was loaded because the user said that it is trusted."""
    return Gate(
        "I2", "Trusted pickle", "warn", None,
        f"{path} is a pickle, which runs code when it is loaded; it was loaded because it was said to be trusted.",
    )  # fmt: skip


def missing_scores(missing: Int[Array, "a 2"], lowest: int, highest: int, rows: Int[Array, "a 2"]) -> Gate:
    """I3: scores that are missing or infinite, with the rank they got.

    Args:
        missing: no number, per attack among non-members and members.
        lowest: minus infinity.
        highest: plus infinity.
        rows: all, per attack among non-members and members.
    """
    name, count = "Missing and infinite scores", int(missing.sum()) + lowest + highest
    if not count:
        return Gate("I3", name, "pass", 0.0, "All scores are finite numbers.")
    told = (
        f"Of the table's scores {int(missing.sum())} are missing and {lowest} are minus infinity (all ranked lowest), "
        f"{highest} are plus infinity (ranked highest, tied)."
    )
    p_values = [fisher_exact(np.stack([own, of - own])).pvalue for own, of in zip(missing, rows, strict=True)]
    worst = int(np.argmin(p_values))
    if p_values[worst] <= FALSE_ALARM / len(p_values):
        others, members = missing[worst] / np.maximum(rows[worst], 1)
        return Gate(
            "I3", name, "fail", float(count),
            f"{told} They are missing for {members:.1%} of the rows of members and {others:.1%} of those of "
            f"non-members, which alone tells the two apart: mend what gives the scores, or leave those records out.",
        )  # fmt: skip
    return Gate("I3", name, "warn", float(count), told)


def outputs_as_taken(notes: Sequence[str]) -> list[Gate]:
    """I4: what was assumed about how the model takes records and what it answers, where its kind does not say it."""
    return [Gate("I4", "Model as asked", "pass", None, _sentence(note)) for note in notes]


def table_as_read(notes: Sequence[str]) -> list[Gate]:
    """I5: remarks on how a table of scores was read."""
    return [Gate("I5", "Table as read", "pass", None, _sentence(note)) for note in notes]


def keys_of_shadows(opaque: Sequence[str]) -> list[Gate]:
    """I6: what `fit` reads whose content is not part of the key under which shadows are kept.

    Args:
        opaque: each as `name (type)`.
    """
    if not opaque:
        return []
    shown = 5
    parts = [one.partition(" (") for one in opaque[:shown]]
    listed = ", ".join(f"`{name}`{space}{kind}" for name, space, kind in parts)
    more = f" and {len(opaque) - shown} more" if len(opaque) > shown else ""
    return [
        Gate(
            "I6", "Keys of shadows", "warn", float(len(opaque)),
            f"`fit` reads {listed}{more}, whose content is not part of the key under which shadows are kept: name the "
            f"module that makes it in `depends`, or delete the cache when it changes.",
        )
    ]  # fmt: skip


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:] + ("" if note.endswith(".") else ".")
