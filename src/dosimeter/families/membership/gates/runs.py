"""Checks of a run's choices, rates and models: P3 to P7, P10, P14. Nothing is retrained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.results.rows import Row
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.paired import auc_difference
from dosimeter.statistics.rates import Randomisation, RatePair

FEW_TARGETS = 5
"""Number of targets below which the spread between trainings is hardly known."""
GAP = 0.3
"""Accuracy on members minus that on non-members, from which a model is said to memorise."""
UNKNOWN = 0.5
"""Upper end of a false positive rate from which nothing is known about the rate."""
HIDDEN = 0.01
"""Smallest gain of AUC by centring each record that is reported."""


def reached_threshold(pair: RatePair, fpr: float) -> Gate:
    """P3: whether the headline's threshold kept the false positive rate it aims at; it read no audited bit.

    Args:
        pair: the headline attack's rates at the leading rate.
        fpr: the leading rate.
    """
    name, reached = "Threshold set beforehand", pair.fpr
    assert reached.low is not None
    assert reached.high is not None
    told = (
        f"No audited record set the threshold; it aims at a false positive rate of {fpr:.2%} and reached "
        f"{reached.value:.2%} ({reached.low:.2%} to {reached.high:.2%})"
    )
    if reached.low > fpr:
        return Gate(
            "P3", name, "warn", reached.value,
            f"{told}, which is more: read the TPR as that of the rate reached, and compare it with no other.",
        )  # fmt: skip
    if reached.high > UNKNOWN:
        return Gate(
            "P3", name, "warn", reached.value,
            f"{told}, so these records do not tell which rate it keeps; more non-members do.",
        )  # fmt: skip
    return Gate("P3", name, "pass", reached.value, f"{told}.")


def worst_case(rows: Sequence[Mapping[str, Any]], rates: Float[Array, " c"], natural: Estimate | None) -> Gate:
    """P4: whether the average over natural records hides records that are recognised far more often.

    Canaries are unlike natural records, so some are called members whether a model used them or not. So only the
    difference that use makes is compared with the TPR - FPR of natural records.

    Args:
        rows: rows of `canaries`; none if none were planted.
        rates: for each canary the share of calls under models that used it, minus that under the others.
        natural: the headline attack's TPR - FPR at the leading rate, or None.
    """
    name = "Worst case beside the average"
    if not rows:
        return Gate(
            "P4", name, "warn", 0.0,
            "No canaries were planted: the numbers are averages over records as they came, which can hide single "
            "records that are always found; `[spike]` plants some.",
        )  # fmt: skip
    told = [row for row in rows if row["status"] == "ok"]
    if not told or natural is None or natural.value is None or natural.low is None or natural.high is None:
        return Gate("P4", name, "warn", 0.0, f"Canaries were planted, but not measured: {rows[0]['reason']}.")
    found = [row for row in told if is_found_by_use(row, len(rows))]
    worst = max(found or told, key=lambda row: (row["excess"], row["auc"]))
    said = (
        f"Canaries ({_grade(worst)}) are found at {worst['tpr']:.1%} where a model used them and at "
        f"{worst['fpr_reached']:.1%} where it did not, which is {_points(worst['excess'])} "
        f"({100 * worst['excess_low']:.1f} to {100 * worst['excess_high']:.1f}); natural records at "
        f"{_points(natural.value)}{_singles(rates)}{_either_way(told, len(rows))}"
    )
    if not found:
        return Gate(
            "P4", name, "warn", worst["excess"],
            f"{said}. No planted record is shown to be found more often where it was used, so this audit has not shown "
            f"that it finds what is there; more copies, canaries or epochs would.",
        )  # fmt: skip
    if worst["excess_low"] <= natural.high:
        return Gate("P4", name, "pass", worst["excess"], f"{said}.")
    beyond = "far above the average, of which no leak is shown"
    if natural.low > 0:
        times = worst["excess"] / natural.value
        beyond = f"{times:,.{int(times < 10)}f} times the average"
    return Gate(
        "P4", name, "warn", worst["excess"],
        f"{said}. The first is {beyond}: the average says little of the worst case.",
    )  # fmt: skip


def is_found_by_use(row: Mapping[str, Any], grades: int) -> bool:
    """Returns whether a grade is called more often where it was used, at 5 % over all grades (Bonferroni).

    Args:
        row: row of `canaries`, measured.
        grades: how many there are.
    """
    return bool(row["p"] <= 0.05 / grades)


def _either_way(rows: Sequence[Mapping[str, Any]], grades: int) -> str:
    """Grades that are called more often than unused natural records may be, and not shown to be called more by use."""
    odd = [row for row in rows if row["fpr_low"] > row["fpr"] and not is_found_by_use(row, grades)]
    if not odd:
        return ""
    listed = ", ".join(f"{_grade(row)}: {row['tpr']:.0%} and {row['fpr_reached']:.0%}" for row in odd)
    return f". Found whether used or not ({listed}), which says nothing about leakage"


def _singles(rates: Float[Array, " c"]) -> str:
    """Text about single canaries, if there are some that one model used and another did not."""
    if not len(rates):
        return ""
    median, high = 100 * np.quantile(rates, [0.5, 0.9])
    return (
        f"; of single canaries, over all models, the most exposed is found {_points(float(rates.max()), 0)} more often "
        f"where it was used, one in ten at least {high:.0f}, half at least {median:.0f}"
    )


def _grade(row: Mapping[str, Any]) -> str:
    """A grade in words: its kind and number of copies."""
    return f"{row['kind']}, {row['copies']} {'copy' if row['copies'] == 1 else 'copies'}"


def _points(share: float, digits: int = 1) -> str:
    """A difference of rates in percentage points."""
    return f"{100 * share:.{digits}f} points"


def pooling(scores: Float[Array, "t n"], level: Float[Array, "t n"], truth: Truth) -> Gate:
    """P5: whether one common scale for all records hides what each record's own scale would show.

    Args:
        scores: scores of the headline attack.
        level: mean score of each record where shadows had not trained on it.
        truth: truth about the same records.
    """
    name = "Records on one scale"
    found = auc_difference(scores - level, scores, truth.is_member, record=truth.record)
    told = (
        f"With each record's level among shadows taken off, the headline's AUC changes by {found.value:+.3f} "
        f"({found.low:+.3f} to {found.high:+.3f})"
    )
    if found.low > 0 and found.value > HIDDEN:
        return Gate(
            "P5", name, "warn", found.value,
            f"{told}: records are not on one scale, and the pooled number understates the leak; add an attack that "
            f"sets each record against its own shadows, such as `lira`.",
        )  # fmt: skip
    return Gate("P5", name, "pass", found.value, f"{told}, so ranking all together hides no leak that this would show.")


def between_targets(hits: Bool[Array, "t n"], truth: Truth) -> Gate:
    """P6: how much the rate, and the records that are called, depend on the training run.

    Args:
        hits: the headline attack's calls at the leading rate.
        truth: truth about the same records.
    """
    name, targets = "Spread between targets", len(hits)
    if targets == 1:
        return Gate(
            "P6", name, "warn", 1.0,
            f"One target says nothing of another training run by the same recipe; {FEW_TARGETS} or more targets do.",
        )  # fmt: skip
    member = truth.is_member
    called = hits & member
    counts = member.sum(1)
    rates = called.sum(1) / np.maximum(counts, 1)
    mean, spread = float(rates.mean()), float(rates.std(ddof=1))
    told = (
        f"Over {targets} targets the TPR goes from {rates.min():.1%} to {rates.max():.1%} (standard deviation "
        f"{spread:.1%}){_agreement(called, member)}"
    )
    if targets < FEW_TARGETS:
        return Gate(
            "P6", name, "warn", float(targets),
            f"{told}. Fewer than {FEW_TARGETS} targets hardly show how much another training run would differ.",
        )  # fmt: skip
    by_records = float(np.sqrt((mean * (1 - mean) / np.maximum(counts, 1)).mean()))
    if spread > mean / 2 + by_records:
        return Gate(
            "P6", name, "warn", spread,
            f"{told}. Training runs differ by more than half of the mean rate: one model of this recipe may leak far "
            f"more than the mean.",
        )  # fmt: skip
    return Gate("P6", name, "pass", spread, f"{told}.")


def _agreement(called: Array, member: Array) -> str:
    """Text: of two targets' members called under either, the share called under both (Jaccard), over all pairs."""
    named, inside = called.astype(np.float64), member.astype(np.float64)
    upper = np.triu_indices(len(named), 1)
    both = float((named @ named.T)[upper].sum())
    crossed = named @ inside.T
    either = float((crossed + crossed.T)[upper].sum()) - both
    if either <= 0:
        return ""
    return f"; of the members of two targets that are called under one, {both / either:.0%} are called under both"


def chosen_settings(attacks: Sequence[Mapping[str, Any]], kinds: Mapping[str, type]) -> Gate:
    """P7: hyperparameters that are neither defaults nor tuned on shadows, so somebody chose them.

    Args:
        attacks: rows of `result.json`.
        kinds: classes of our attacks by name; every setting of another class counts as chosen.
    """
    name = "Settings of the attacks"
    chosen = {str(row["id"]): _changed_settings(row["settings"], kinds.get(str(row["name"]))) for row in attacks}
    told = [f"{key} ({', '.join(names)})" for key, names in chosen.items() if names]
    if told:
        return Gate(
            "P7", name, "warn", float(sum(map(len, chosen.values()))),
            f"Set by you: {'; '.join(told)}. If they were chosen by what an audit of these records gave, the numbers "
            f"are too high; all other settings are defaults or tuned on shadows.",
        )  # fmt: skip
    return Gate(
        "P7", name, "pass", 0.0,
        "Every setting of an attack is the default or tuned on shadows, never on the records that are judged.",
    )  # fmt: skip


def _changed_settings(settings: Mapping[str, Any], kind: type | None) -> list[str]:
    """Settings that differ from their default; the mode does not count as tuning."""
    if kind is None or not dataclasses.is_dataclass(kind):
        return sorted(settings)
    defaults = {field.name: field.default for field in dataclasses.fields(kind) if field.init and field.name != "mode"}
    return sorted(key for key in settings if key in defaults and not _usual(settings[key], defaults[key]))


def _usual(value: object, default: object) -> bool:
    """Returns whether a setting is the default; a switch that the audit turned off gives its reason in words."""
    return _plain(value) == _plain(default) or (isinstance(default, bool) and isinstance(value, str))


def _plain(value: object) -> str:
    """A setting in the form in which it is read back from JSON."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        return f"{value:.12g}"
    return str([_plain(one) for one in value]) if isinstance(value, list | tuple) else str(value)


def learning(utility: Sequence[Row], frequent: float, *, of: str = "class") -> Gate:
    """P10: whether the audited model is worth auditing: it learned something, and more than its training records.

    Args:
        utility: rows of accuracies.
        frequent: share of the most frequent class, which is what guessing reaches.
        of: what is predicted: "class", or "token" of a text.
    """
    name = "A model that learned"
    rows = {str(row.conditions["split"]): row.ends for row in utility}
    inside, (outside, low, high) = rows["train"][0], rows["nonmember"]
    gap = inside - outside
    told = f"Accuracy is {inside:.1%} on members and {outside:.1%} on non-members ({low:.1%} to {high:.1%})"
    if low <= frequent:
        return Gate(
            "P10", name, "warn", gap,
            f"{told}, which is not shown to be better than always naming the most frequent {of} ({frequent:.1%}): "
            f"these numbers say nothing of a model that works.",
        )  # fmt: skip
    if gap > GAP:
        return Gate(
            "P10", name, "warn", gap,
            f"{told}: the model remembers far more than it learned, and leaks more than one that is fit for use.",
        )  # fmt: skip
    return Gate("P10", name, "pass", gap, f"{told}.")


def many_attacks(p_values: Mapping[str, Randomisation], headline: str, *, shown: bool, rates: int, chosen: str) -> Gate:
    """P14: whether some attack finds members although the attack that was chosen beforehand does not.

    Each attack's p-value is twice the smaller of its two (Bonferroni). The first step of Holm's method over the attacks
    then controls the error of all together.

    Args:
        p_values: of each attack that is no control.
        headline: the attack chosen in calibration.
        shown: whether the verdict shows a leak.
        rates: false positive rates that each attack is reported at.
        chosen: how, in words.
    """
    name, count = "Many attacks", len(p_values)
    own = {attack: min(1.0, 2 * min(p.p_auc, p.p_tpr)) for attack, p in p_values.items()}
    best = min(own, key=lambda attack: own[attack])
    p = min(1.0, count * own[best])
    told = (
        f"Computed were {count} {'attack' if count == 1 else 'attacks'} at {rates} rates; the verdict rests on "
        f"{headline} alone, chosen {chosen}, all others are exploratory; over all attacks the "
        f"smallest p is {p:.2g} (Holm)"
    )
    if p <= 0.05 and not shown:
        return Gate(
            "P14", name, "warn", p,
            f"{told}: {best} tells members apart though {headline} does not, so do not read the verdict as the absence "
            f"of a leak.",
        )  # fmt: skip
    return Gate("P14", name, "pass", p, f"{told}.")
