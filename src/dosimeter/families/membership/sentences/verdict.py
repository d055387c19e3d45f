"""The first sentences of a report: what was shown, in counts that a layman cannot misread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any, Literal

from dosimeter.results import words
from dosimeter.results.words import about, plural
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.hypotheses.shown import MOST_P
from dosimeter.statistics.intervals.crossed import BOOTSTRAP_TARGETS
from dosimeter.statistics.rates import RatePair

CHANCE_P = 0.1
"""p-value above which chance counts as an explanation."""


@dataclass(frozen=True)
class Headline:
    """Numbers and words that the sentences are made of.

    Attributes:
        door: "recipe", "model" or "scores".
        noun: what one record is, in the singular.
        candidates: records that are judged.
        members: of them, used by each target.
        shadows: models that the adversary trained.
        targets: models measured.
        fpr: the leading false positive rate.
        pair: the headline attack's rates at the threshold from shadows.
        rare: its precision where 1 in 100 candidates was used.
        auc: its AUC.
        p_auc: p-value of the AUC; None where it tests nothing.
        p_tpr: that of TPR - FPR.
        scope: of whom a leak is shown: "models", the measured ones, or "recipe"; None if nobody asked. Where it is
            "models", `pair` and `auc` have intervals that take these models as given.
    """

    door: str
    noun: str
    candidates: int
    members: int
    shadows: int
    targets: int
    fpr: float
    pair: RatePair
    rare: Estimate
    auc: Estimate
    p_auc: float | None = None
    p_tpr: float | None = None
    scope: str | None = None

    @property
    def shown_by(self) -> Literal["rate", "ranks", "test"]:
        """Evidence that shows the leak: "rate" (accusations), "ranks" of records, or a "test" without interval."""
        small = self.p_tpr is None or self.p_tpr <= MOST_P
        if small and self.pair.difference.low is not None and self.pair.difference.low > 0:
            return "rate"
        small = self.p_auc is None or self.p_auc <= MOST_P
        return "ranks" if small and self.auc.low is not None and self.auc.low > 0.5 else "test"

    @property
    def least_p(self) -> float:
        """The smaller p-value; 1 if there is none."""
        return min((p for p in (self.p_auc, self.p_tpr) if p is not None), default=1.0)


@dataclass(frozen=True)
class Lead:
    """The large number of the first page.

    Attributes:
        measure: "tpr"; "difference", TPR - FPR; "auc"; "gain" of AUC, or "rate_gain", over the blind baseline.
        shown: whether its lower end is shown to be beyond what guessing, or the baseline, gives.
        value: the estimate.
        low: lower end.
        high: upper end.
        level: level of the interval.
        guess: what guessing gives at most: of a TPR the upper end of the FPR that was reached.
    """

    measure: Literal["tpr", "difference", "auc", "gain", "rate_gain"]
    shown: bool
    value: float
    low: float
    high: float
    level: float
    guess: float


def lead(h: Headline, *, is_shown: bool) -> Lead:
    """The large number: the statistic that shows the leak, or else the rate that was observed.

    A rate that is shown by its difference to the false accusations, but whose own lower end is no more than they may
    be, is told by the difference: "at least" never stands beside a guess that is as good.
    """
    rate, gap, guess = h.pair.tpr, h.pair.difference, max(h.fpr, h.pair.fpr.high or 0.0)
    if not is_shown or h.shown_by == "test":
        return _lead("tpr", rate, guess, shown=False)
    if h.shown_by == "ranks":
        return _lead("auc", h.auc, 0.5, shown=True)
    assert rate.low is not None
    return _lead("tpr", rate, guess, shown=True) if rate.low > guess else _lead("difference", gap, 0.0, shown=True)


def _lead(
    measure: Literal["tpr", "difference", "auc", "gain", "rate_gain"], found: Estimate, guess: float, *, shown: bool
) -> Lead:
    """An estimate as the large number."""
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    return Lead(measure, shown, found.value, found.low, found.high, found.level, guess)


def ends(share: Estimate, of: int) -> tuple[int, int]:
    """The ends of a share as counts, rounded outwards: neither "at least" nor "up to" may claim too much.

    Args:
        share: with its interval.
        of: how many there are.
    """
    assert share.low is not None
    assert share.high is not None
    return floor(share.low * of + 1e-9), ceil(share.high * of - 1e-9)


def wrong(precision: Estimate) -> str:
    """Text: how many accusations would be wrong at a precision, with its interval."""
    assert precision.value is not None
    assert precision.low is not None
    assert precision.high is not None
    span = words.percent_range(1 - precision.high, 1 - precision.low)
    return f"{words.wrong_of(precision.value)} accusations would be wrong ({span})"


def _attacker(h: Headline) -> str:
    """Text: the attacker that recognises; for a table of scores nobody is known."""
    return "the strongest attack of the table" if h.door == "scores" else "our strongest attacker"


def _counts(h: Headline, joint: str = "; they also wrongly accused") -> str:
    """Text: how many used records were recognised, and how many unused ones were accused."""
    unused = h.candidates - h.members
    seen = about((h.pair.tpr.value or 0.0) * h.members)
    joint = joint.replace("they", "it") if h.door == "scores" else joint
    return (
        f"{_attacker(h)} recognised {seen} as training data{joint} {about((h.pair.fpr.value or 0.0) * unused)} of the "
        f"{unused:,} unused ones"
    )


def _averages(h: Headline) -> str:
    """Text: what the counts are averages over."""
    if h.targets == 1:
        return "These counts are of this trained model only."
    turns = "were measured" if h.door == "scores" else "took turns as the target"
    return f"Counts are averages over {h.targets} models that {turns}."


def _whose(h: Headline) -> list[str]:
    """Text: whether training again would leak too, if membership was drawn."""
    if h.door != "recipe" or h.scope is None:
        return []
    if h.scope == "recipe":
        return ["Shown for the recipe too: on average, models that are trained again in this way would leak as well."]
    if h.targets == 1:
        told = "Shown for this trained model; whether training again would leak too was not tested"
        return [f"{told}: that takes more than one target."]
    few = "are too few" if h.targets < BOOTSTRAP_TARGETS else "differ too much"
    return [
        f"Shown for these {h.targets} trained models; whether training again would leak too is not shown: "
        f"{h.targets} trainings {few}."
    ]


def _interval(h: Headline, level: float) -> str:
    """Text: the level of an interval, and what it takes as given."""
    given = f", of these {h.targets} models" if h.door == "recipe" and h.scope == "models" and h.targets > 1 else ""
    return f"({words.percent(level)} interval{given})"


def _least(count: float) -> str:
    """A lower end, rounded down; a positive one never becomes 0.

    >>> _least(66.9), _least(0.0734), _least(0.0)
    ('66', '0.07', '0')
    """
    if count <= 0 or count >= 1:
        return f"{floor(count + 1e-9):,}"
    digits = ceil(-log10(count))
    return f"{floor(count * 10**digits + 1e-9) / 10**digits:.{digits}f}"


def leak_sentences(h: Headline) -> list[str]:
    """The sentences for a leak that is shown, by the accusations or only by the ranks of records."""
    low, high = ends(h.pair.tpr, h.members)
    counts = f"Of {h.members:,} {plural(h.noun)} used, {_counts(h)}."
    if h.shown_by == "ranks":
        assert h.auc.value is not None
        assert h.auc.low is not None
        assert h.auc.high is not None
        return [
            f"The leak shows in ranks: {_attacker(h)} ranks a used {h.noun} above an unused one "
            f"{words.of_time(h.auc.value)} (AUC {words.decimal(h.auc.value)}); guessing gives 50{words.SPACE}%.",
            f"Shown: an AUC of at least {words.decimal(h.auc.low, 'down')}; not excluded: up to "
            f"{words.decimal(h.auc.high, 'up')} {_interval(h, h.auc.level)}.",
            f"{counts} Such accusations do not show the leak: {low:,} to {high:,} of {h.members:,} "
            f"{_interval(h, h.pair.tpr.level)} may be as many as guessing gives.",
            _averages(h),
            *_whose(h),
        ]
    told = [counts]
    if h.rare.value is not None:
        whose = "the" if h.door == "scores" else "their"
        told.append(f"If 1 in 100 of {whose} candidates had been used, {wrong(h.rare)}.")
    large = lead(h, is_shown=True)
    if large.measure == "difference":
        told.append(
            f"Shown: the share of used {plural(h.noun)} that are recognised is at least "
            f"{words.points(large.low, 'down')} points above the share of unused ones that are accused; not excluded: "
            f"up to {words.points(large.high, 'up')} points {_interval(h, large.level)}. {_averages(h)}"
        )
    elif large.shown:
        told.append(
            f"Shown: at least {_least(large.low * h.members)} of {h.members:,}; not excluded: up to {high:,} of "
            f"{h.members:,} {_interval(h, h.pair.tpr.level)}. {_averages(h)}"
        )
    else:
        told.append(
            f"An exact test shows that the measured {plural('model', h.targets)} leak (p at most {h.least_p:.2g}), but "
            f"not how much: {low:,} to {high:,} of {h.members:,} {_interval(h, h.pair.tpr.level)} may be as many as "
            f"guessing gives. {_averages(h)}"
        )
    return [*told, *_whose(h)]


def gain_lead(blind: Mapping[str, Any]) -> Lead:
    """The large number if members and non-members differ without the model.

    Args:
        blind: the key `blind` of `result.json`; its `exceeded_by` names the gains that are shown, if it is there.
    """
    if "auc" not in (blind.get("exceeded_by") or ["auc"]):
        low, value, high = (float(blind[f"rate_gain{end}"]) for end in ("_low", "", "_high"))
        return Lead("rate_gain", low > 0, value, low, high, float(blind["level"]), 0.0)
    low, value, high = (float(blind[f"gain{end}"]) for end in ("_low", "", "_high"))
    return Lead("gain", low > 0, value, low, high, float(blind["level"]), 0.0)


def gain_sentences(h: Headline, blind: Mapping[str, Any]) -> list[str]:
    """The sentences if members and non-members differ without the model, and the model is shown to add to that.

    The attack's result comes first, then that of the blind classifiers, then the gain: a leak that exposes all
    records must not look small because the records differ by themselves too.

    Args:
        h: what they are made of.
        blind: the key `blind` of `result.json`.
    """
    large, attack, stranger = gain_lead(blind), float(blind["attack_auc"]), float(blind["auc"])
    least, most = words.points(large.low, "down").lstrip("+"), words.points(large.high, "up").lstrip("+")
    what = "AUC" if large.measure == "gain" else f"used {plural(h.noun)} recognised at equally many false accusations"
    return [
        f"With the model {_attacker(h)} ranks a used {h.noun} above an unused one {words.of_time(attack)} (AUC "
        f"{words.decimal(attack)}); somebody who never asks the model does so {words.of_time(stranger)} "
        f"(AUC {words.decimal(stranger)}), because the {plural(h.noun)} differ from the unused ones by themselves.",
        f"Shown: the model adds at least {least} points of {what}; not excluded: up to {most} points "
        f"{_interval(h, large.level)}. Only this gain speaks of the model: all rates below hold the difference of the "
        f"{plural(h.noun)} too.",
        _averages(h).replace("counts", "numbers").replace("Counts", "Numbers"),
    ]


def limit_sentence(h: Headline, tpr: float | None, auc: float | None, power: float, *, planted: bool = False) -> str:
    """The sentence about the detection limit: the least leak that fresh audits of this size would show.

    Args:
        h: what it is made of.
        tpr: of the least leak by which some records are recognised; None if no such leak is shown.
        auc: AUC of the least leak that lifts all members' scores alike; None if none is shown.
        power: chance that they are shown.
        planted: whether leaking records were taken to be found as canaries are.
    """
    alike = "" if auc is None else f"one that lifts the scores of all used {plural(h.noun)} alike, from an AUC of "
    alike += "" if auc is None else f"{words.decimal(auc, 'up')} on"
    often = f"with a probability of {words.percent(power)}"
    if tpr is None:
        told = f"A new audit of this size would not show a leak of any size by which single {plural(h.noun)} are "
        because = (
            "even planted canaries are not shown to be recognised more often where they were used"
            if planted
            else "it is too small for that"
        )
        told += f"recognised {often}: {because}."
        return told + (f" It would show {alike}." if alike else "")
    told = (
        f"A new audit of this size would show {often} a leak by which {ceil(tpr * h.members):,} of {h.members:,} or "
        f"more are recognised (TPR {words.percent(tpr, away='up')} at {words.percent(h.fpr)} FPR)"
    )
    told += f"; or {alike}." if alike else "."
    return f"{told} That tells how sensitive such audits are; the interval tells what this one found."


def why_not_shown(h: Headline, *, alike: bool = False) -> str:
    """Text: why the observed difference shows no leak, as the end of a sentence.

    Args:
        h: what it is made of.
        alike: the attack is above chance, but not above what somebody finds who never asks the model.
    """
    if alike:
        return f"this audit cannot tell from differences that the {plural(h.noun)} have without the model"
    return "chance explains" if h.least_p > CHANCE_P else "so small an audit cannot tell from chance"


def no_leak_sentences(h: Headline, *, alike: bool = False, limit: str = "") -> list[str]:
    """The sentences if no leak is shown; they always say what could have been missed.

    Args:
        h: what they are made of.
        alike: the attack is above chance, but not above what somebody finds who never asks the model.
        limit: the sentence about the detection limit.
    """
    _, high = ends(h.pair.tpr, h.members)
    shadows = (
        "" if h.door == "scores" else f"{words.count(h.shadows, 'shadow model') if h.shadows else 'no shadow model'}, "
    )
    return [
        f"No leak was shown: of {h.members:,} {plural(h.noun)} used, {_counts(h, ' and wrongly accused')}, which "
        f"{why_not_shown(h, alike=alike)}.",
        f"This is not proof that nothing leaks: with {shadows}{h.targets} {plural('target model', h.targets)} and "
        f"{h.candidates:,} candidates, up to {high:,} of {h.members:,} recognised is not excluded "
        f"{_interval(h, h.pair.tpr.level)}, at about {words.percent(h.fpr)} false accusations. Nor is a stronger "
        "attacker.",
        *([limit] if limit else []),
    ]


def too_small_sentences(
    distinct: int, needed: int, noun: str, *, worth: float | None = None, named: bool = True
) -> list[str]:
    """The sentences if even the largest false positive rate cannot be certified.

    Args:
        distinct: unused records, each person once.
        needed: the fewest.
        noun: what one record is, in the singular.
        worth: persons of equal size that they are worth, where few hold most records.
        named: whether they are persons; else they are different records with their copies.
    """
    if worth is not None and worth < needed <= distinct:
        several = plural(noun)
        who = f"{distinct} persons with unused {several}" if named else f"{distinct} different unused {several}"
        hold = "hold most of them" if named else "stand there most often"
        return [
            f"This audit is too small to say anything about leakage: few of its {who} {hold}, so that they are worth "
            f"{worth:.1f} of equal size, and {needed} are the least that can certify 1 false accusation in 10.",
            f"Give it more {'persons' if named else f'different {several}'}; nothing below may be read as the absence "
            "of a leak.",
        ]
    return [
        f"This audit is too small to say anything about leakage: it has {distinct} distinct unused {plural(noun)}, and "
        f"{needed} are the least that can certify 1 false accusation in 10.",
        "Give it more candidates; nothing below may be read as the absence of a leak.",
    ]


def withdrawal_sentences(messages: Sequence[str]) -> list[str]:
    """The sentences after a gate failed."""
    return ["No number of this audit may be believed, because a check on the audit itself failed.", *messages]
