"""The first sentences of a report: what was shown, in counts that a layman cannot misread."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from dosimeter.metrics.estimate import Estimate
from dosimeter.metrics.membership import RatePair

CANARIES = ", and records that were chosen to be easy to find (canaries)"
PERSONS = "Membership of a person as a whole: each record is judged on its own."
NOT_TESTED = (
    "Attributes of training records, properties of the training set, model inversion, gradients: only membership was.",
    "Attackers with access beyond the one above, with more shadow models, or with other attacks than those listed.",
    f"Records that are not among the candidates{CANARIES}.",
    PERSONS,
    "Model extraction and data poisoning.",
)
STATED = (
    "Whether members and non-members differ for other reasons, such as their time or source: membership was stated, "
    "not drawn, so a part of what is shown here may be that difference."
)


def not_tested(door: str, *, blind: bool = False, planted: bool = False, persons: bool = False) -> list[str]:
    """What an audit through this door leaves open.

    Args:
        door: "recipe", "model" or "scores".
        blind: whether classifiers that never ask the model were tried on the same records.
        planted: whether canaries were judged.
        persons: whether persons were drawn and judged as a whole.

    >>> [len(not_tested(door)) for door in ("recipe", "model", "scores")]
    [5, 6, 7]
    """
    if door == "recipe":
        left = [one for one in NOT_TESTED if not (persons and one == PERSONS)]
        return [one.replace(CANARIES, "") if planted else one for one in left]
    if door == "model":
        return list(NOT_TESTED) if blind else [STATED, *NOT_TESTED]
    return [STATED, "How the scores were made: whether their attacks read the truth cannot be seen here.", *NOT_TESTED]


@dataclass(frozen=True)
class Headline:
    """What the sentences are made of.

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


def plural(noun: str, count: float | int = 2) -> str:
    """A noun after a count.

    >>> plural("photo"), plural("entry"), plural("photo", 1), plural("address")
    ('photos', 'entries', 'photo', 'addresses')
    """
    if count == 1:
        return noun
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def about(count: float) -> str:
    """A count as it is spoken of: whole, and small ones not as zero.

    >>> about(74.3), about(0.4), about(0.0)
    ('about 74', 'fewer than 1', 'none')
    """
    if count == 0:
        return "none"
    return "fewer than 1" if count < 0.5 else f"about {count:.0f}"


def _attacker(h: Headline) -> str:
    """Who names, with what he holds; of a table of scores only the scores are known."""
    if h.door == "scores":
        return "the strongest attack of the table"
    recipe = ", their labels and the training recipe" if h.shadows else " and their labels"
    return f"our strongest attacker, who holds all {h.candidates} candidate {plural(h.noun)}{recipe},"


def _pronoun(h: Headline) -> str:
    return "it" if h.door == "scores" else "he"


def _counts(h: Headline) -> tuple[float, int, int]:
    """Members named, and its two ends, rounded outwards: neither "at least" nor "up to" may claim too much."""
    tpr = h.pair.tpr
    assert tpr.value is not None
    assert tpr.low is not None
    assert tpr.high is not None
    return tpr.value * h.members, floor(tpr.low * h.members + 1e-9), ceil(tpr.high * h.members - 1e-9)


def _wrong(h: Headline) -> str:
    """How many unused records were named."""
    unused = h.candidates - h.members
    return f"{about((h.pair.fpr.value or 0.0) * unused)} of the {unused} unused ones"


def _averaged(h: Headline) -> str:
    """Over what the counts are averages."""
    if h.targets == 1:
        return "These counts are of this trained model only."
    return f"Counts are averages over {h.targets} models that took turns as the target."


def shown(h: Headline) -> list[str]:
    """The sentences where a leak is shown: by the accusations themselves, or only by how records are ranked."""
    named, low, high = _counts(h)
    first = (
        f"Of {h.members} {plural(h.noun)} used, {_attacker(h)} named {about(named)}; {_pronoun(h)} also wrongly named "
        f"{_wrong(h)}."
    )
    ends = f"{low} to {high} of {h.members} ({h.pair.tpr.level:.1%} interval)"
    if h.pair.difference.low is None or h.pair.difference.low <= 0:
        return [
            first,
            f"So few accusations could be chance ({ends}); the leak shows in how {_pronoun(h)} ranks: a used {h.noun} "
            f"stands above an unused one {h.auc.value:.0%} of the time, shown at least {h.auc.low:.0%}, not excluded "
            f"up to {h.auc.high:.0%}; guessing gives 50%.",
            _averaged(h),
        ]
    sentences = [first]
    if h.rare.value is not None:
        wrong = 10 * (1 - h.rare.value)
        share = "nearly all" if wrong >= 9.5 else f"{'fewer than 1' if wrong < 0.5 else about(wrong)} of 10"
        whose = "the" if h.door == "scores" else "his"
        sentences.append(f"If 1 in 100 of {whose} candidates had been used, {share} accusations would be wrong.")
    sentences.append(
        f"Shown: at least {low} of {h.members}; not excluded: up to {high} of {h.members} "
        f"({h.pair.tpr.level:.1%} interval). {_averaged(h)}"
    )
    return sentences


def gained(h: Headline, blind: Estimate, gain: Estimate) -> list[str]:
    """The sentences where members and non-members differ without the model, and the model is shown to add to it.

    Args:
        h: what they are made of.
        blind: AUC of classifiers that never ask the model.
        gain: what the headline attack's AUC adds to it, on the same records.
    """
    assert blind.value is not None
    assert blind.low is not None
    assert gain.value is not None
    assert gain.low is not None
    assert gain.high is not None
    return [
        f"The {plural(h.noun)} used differ from the unused ones by themselves: without asking the model, a used "
        f"{h.noun} is ranked above an unused one {blind.value:.0%} of the time (shown at least {blind.low:.0%}; "
        f"guessing gives 50%). The model adds {100 * gain.value:.1f} points to that.",
        f"Shown: at least {100 * gain.low:.1f} points; not excluded: up to {100 * gain.high:.1f} points "
        f"({gain.level:.0%} interval, both on the same {plural(h.noun)}). Only this gain speaks of the model: all "
        f"other numbers below hold the difference of the {plural(h.noun)} too.",
        _averaged(h).replace("counts", "numbers").replace("Counts", "Numbers"),
    ]


def caught(h: Headline, tpr: float | None, auc: float | None, power: float, *, planted: bool = False) -> str:
    """The sentence about the detection limit: the least leak that would have been shown.

    Args:
        h: what it is made of.
        tpr: of the least leak that names some records; None if no such leak is shown.
        auc: of the least leak that lifts all members' scores alike; None if none is shown.
        power: chance that they are shown.
        planted: whether leaking records were taken to be found as canaries are.
    """
    alike = "" if auc is None else f"one that lifts the scores of all used {plural(h.noun)} alike, from an AUC of "
    alike += "" if auc is None else f"{ceil(1000 * auc) / 1000:.3f} on"
    if tpr is None:
        told = f"No leak of any size that names single {plural(h.noun)} would have been shown with {power:.0%} power"
        because = (
            "even planted canaries are not shown to be named more often where they were used"
            if planted
            else "this audit is too small for that"
        )
        return f"{told}: {because}." + (f" It would have caught {alike}." if alike else "")
    told = (
        f"This audit would have caught a leak of TPR >= {ceil(1000 * tpr) / 10:.1f}% at {100 * h.fpr:g}% FPR with "
        f"{power:.0%} power: one under which the attack names {ceil(tpr * h.members)} of {h.members} or more"
    )
    return f"{told}; or {alike}." if alike else f"{told}."


def not_shown(h: Headline, *, unlikely: bool = False, alike: bool = False, limit: str = "") -> list[str]:
    """The sentences where no leak is shown: always with what could have been seen.

    Args:
        h: what they are made of.
        unlikely: the test of chance alone found the result unlikely, but the interval holds chance.
        alike: the attack is above chance, but not above what somebody finds who never asks the model.
        limit: the sentence about the detection limit.
    """
    named, _, high = _counts(h)
    shadows = "" if h.door == "scores" else f"{h.shadows} shadow models, "
    explained = "so small an audit cannot tell from chance" if unlikely else "chance explains"
    if alike:
        explained = f"this audit cannot tell from differences that the {plural(h.noun)} have without the model"
    return [
        f"No leak was shown: of {h.members} {plural(h.noun)} used, {_attacker(h)} named {about(named)}, and "
        f"wrongly named {_wrong(h)}, which {explained}.",
        f"This is not proof that nothing leaks: with {shadows}{h.targets} {plural('target model', h.targets)} and "
        f"{h.candidates} candidates, up to {high} of {h.members} named at about {h.fpr:.2g} false accusations per "
        f"unused {h.noun} is not excluded ({h.pair.tpr.level:.1%} interval), nor is a stronger attacker.",
        *([limit] if limit else []),
    ]


def not_resolvable(distinct: int, needed: int, noun: str, *, worth: float | None = None) -> list[str]:
    """The sentences where even the largest false positive rate cannot be certified.

    Args:
        distinct: unused records, each person once.
        needed: the fewest.
        noun: what one record is, in the singular.
        worth: persons of equal size that they are worth, where few hold most records.
    """
    if worth is not None and worth < needed <= distinct:
        return [
            f"This audit is too small to say anything about leakage: few of its {distinct} persons with unused "
            f"{plural(noun)} hold most of them, so that they are worth {worth:.1f} of equal size, and {needed} are the "
            f"least that can certify 1 false accusation in 10.",
            "Give it more persons; nothing below may be read as the absence of a leak.",
        ]
    return [
        f"This audit is too small to say anything about leakage: it has {distinct} distinct unused {plural(noun)}, and "
        f"{needed} are the least that can certify 1 false accusation in 10.",
        "Give it more candidates; nothing below may be read as the absence of a leak.",
    ]


def withdrawn(messages: list[str]) -> list[str]:
    """The sentences where a validity gate failed."""
    return ["No number of this audit may be believed, because a check on the audit itself failed.", *messages]
