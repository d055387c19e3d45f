"""The large numbers of the first card, and the verdict in a few words. Measures nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dosimeter.results import figures, words
from dosimeter.results.figures import CALIBRATED, Bar, Figure
from dosimeter.results.rows import Row
from dosimeter.results.views import View
from dosimeter.results.words import plural

SHOWN, UP_TO = "Shown: at least", "Not excluded: up to"


@dataclass(frozen=True)
class LargeNumber:
    """A number in large print with its label above; main numbers are coloured."""

    label: str
    value: str
    main: bool = False


@dataclass(frozen=True)
class Box:
    """The large numbers, with the texts around them.

    Attributes:
        figures: two or three; none if no number is stated.
        title: what they count.
        text: who recognises, and what guessing gives.
        small: further observations, in small print.
        bar: the strip of a rate, or None.
        basis: what the number rests on.
    """

    figures: tuple[LargeNumber, ...]
    title: str
    text: str
    small: str
    bar: Bar | None
    basis: str


def lead(result: View) -> View | None:
    """The large number; for results of earlier versions it is chosen as `verdict.lead` does."""
    verdict = result["verdict"]
    stored: View | None = verdict.get("lead")
    if stored is not None or verdict["status"] not in ("shown", "not_shown"):
        return stored
    blind, is_shown = result["details"].get("blind"), verdict["status"] == "shown"
    if is_shown and blind and blind["shifted"]:
        ends = {"value": blind["gain"], "low": blind["gain_low"], "high": blind["gain_high"]}
        return {"measure": "gain", "shown": True, **ends, "level": blind["level"], "guess": 0.0}
    row, ranked = rate(result), figures.find(result, verdict["attack"], "auc")
    if row is None or row.status != "ok":
        return None
    low, guess = row.ends[1], figures.guess(row, figures.reached_by(result, row))
    if is_shown and low <= guess and ranked is not None and (ranked.low or 0.0) > 0.5:
        return {"measure": "auc", "shown": True, **_ends(ranked), "guess": 0.5}
    return {"measure": "tpr", "shown": is_shown and low > guess, **_ends(row), "guess": guess}


def _ends(row: Row) -> dict[str, float]:
    """The value with its interval."""
    return {key: getattr(row, key) for key in ("value", "low", "high", "level")}


def rate(result: View) -> Row | None:
    """The headline attack's rate at the leading false positive rate, with the preset threshold."""
    return figures.find(result, result["verdict"]["attack"], "tpr", fpr=figures.leading(result), threshold=CALIBRATED)


def box(result: View, attack: str, by: str) -> Box | None:
    """The large numbers of the first card; None if no number is stated.

    Args:
        result: a threat of a result.
        attack: full name of the headline attack.
        by: how its threshold was set.
    """
    found = lead(result)
    if found is None:
        return None
    kind = {"tpr": _rate_box, "auc": _auc_box}.get(found["measure"], _points_box)
    return kind(result, found, attack, by)


def _two(found: View, low: str, high: str) -> tuple[LargeNumber, ...]:
    """Both ends of what is shown, as large numbers."""
    return LargeNumber(SHOWN, low, main=True), LargeNumber(UP_TO, high)


def _rate_box(result: View, found: View, attack: str, by: str) -> Box:
    """A rate: its two ends if it is shown, else the observed rate and the upper end."""
    row, several = rate(result), plural(result["noun"])
    assert row is not None
    spread = found["high"] - found["low"]
    value = words.percent(found["value"], spread=spread or None)
    high = words.percent(found["high"], spread=spread, away="up")
    if found["shown"]:
        numbers = _two(found, words.percent(found["low"], spread=spread, away="down", above=found["guess"]), high)
        text = f"by the headline attack, {attack}. Best estimate {value}."
    else:
        numbers = LargeNumber("Seen", value), LargeNumber(UP_TO, high, main=True)
        span = words.percent_range(found["low"], found["high"], above=found["guess"])
        text = f"by the headline attack, {attack} ({words.percent(found['level'])} interval {span})."
    text += f" {_guess(result, row)} The threshold was {by}."
    row = replace(row, low=found["low"], high=found["high"])  # those of the recipe may be wider
    strip = figures.bar(row, figures.scale_of([row], least=4 * (row.rate or 0.0)))
    return Box(numbers, f"of the used {several} recognised as training data", text, "", strip, figures.basis(row))


def _guess(result: View, row: Row) -> str:
    """Text: what guessing gives, as many of the used records as of the unused ones."""
    reached, aim = figures.reached(row, figures.reached_by(result, row)), words.percent(row.rate or 0.0)
    if not reached.ok:
        return f"Guessing would recognise {aim}."
    ends = f" ({reached.ends})" if reached.ends else ""
    return (
        f"The attack aims at {aim} false accusations and reached {reached.value}{ends} of the "
        "unused; guessing recognises as many of the used."
    )


def _auc_box(result: View, found: View, attack: str, by: str) -> Box:
    """An AUC, if only the ranks show the leak; the rate is in small print."""
    noun, row = result["noun"], rate(result)
    fpr = figures.reached_by(result, row)
    seen, reached = figures.rate(row, fpr), figures.reached(row, fpr)
    small = ""
    if seen.ok:
        wrongly = f", and {reached.value} ({reached.ends}) of the unused ones are accused" if reached.ok else ""
        small = (
            f"As accusations of single {plural(noun)}: {seen.value} ({seen.ends}) of the used ones are recognised"
            f"{wrongly}. That alone shows no leak. The threshold was {by}."
        )
    ranked = figures.find(result, result["verdict"]["attack"], "auc")
    low, high = words.decimal(found["low"], "down"), words.decimal(found["high"], "up")
    return Box(
        _two(found, low, high),
        f"AUC: how often a used {noun} stands above an unused one",
        f"when the headline attack, {attack}, ranks them. Best estimate {words.decimal(found['value'])}; guessing "
        "gives 0.500. Only the ranks show the leak.",
        small,
        None,
        "" if ranked is None else figures.basis(ranked),
    )


def _points_box(result: View, found: View, attack: str, by: str) -> Box:
    """A difference to the false accusations, or to what blind classifiers reach."""
    low, high = words.points(found["low"], "down"), words.points(found["high"], "up")
    best, several = words.points(found["value"]), plural(result["noun"])
    row, blind = rate(result), result["details"].get("blind")
    if found["measure"] == "difference":
        assert row is not None
        title = f"points: the share of used {several} recognised, less the share of unused ones accused"
        text = (
            f"by the headline attack, {attack}. Best estimate {best} points; guessing gives 0. The threshold was {by}."
        )
        return Box(_two(found, low, high), title, text, "", None, figures.basis(row))
    assert blind is not None
    stranger, own = words.decimal(blind["auc"]), words.decimal(blind["attack_auc"])
    numbers = (
        LargeNumber("With the model: AUC", own), LargeNumber("Without it: AUC", stranger),
        LargeNumber("Shown: it adds at least", low, main=True),
    )  # fmt: skip
    what = (
        "points of AUC" if found["measure"] == "gain" else f"points more used {several} recognised at equal accusations"
    )
    text = (
        f"Best estimate {best}, not excluded up to {high}. The headline attack, {attack}, "
        f"reaches AUC {own}; classifiers that never ask the model reach {stranger} "
        f"({words.decimal_range(blind['low'], blind['high'])}); 1.000 is always right, 0.500 is guessing. The "
        f"{several} differ by themselves, so no rate of the attack stands here."
    )
    level = f"{words.percent(blind['level'])} intervals, paired · {words.count(blind['n'], 'record')}"
    return Box(numbers, f"{what} that the model adds.", text, "", None, level)


def no_number(result: View) -> Figure:
    """The figure for a card without a number: the headline's rate as a remark."""
    row = rate(result)
    measure = figures.rate(row, figures.reached_by(result, row))
    if result["verdict"]["status"] == "withdrawn":
        return Figure("withdrawn", note=measure.note, ok=False)
    return measure


def badge(result: View) -> str:
    """The verdict in a few words; "not shown" always comes with what was tried and what could have been missed."""
    verdict, found = result["verdict"], lead(result)
    tried = words.tried(result["door"], result["adversary"]["shadows"])
    if verdict["status"] == "not_shown":
        row = rate(result)
        n = f" and {words.count(row.n['nonmembers'], 'unused record')}" if row is not None else ""
        fpr = words.percent(figures.leading(result))
        if found is None:
            return f"Not shown with {tried}{n}; rate at {fpr} {no_number(result).value}"
        high = words.percent(found["high"], spread=found["high"] - found["low"], away="up")
        return f"Not shown with {tried}{n}; up to {high} recognised is not excluded"
    more = {"gain": " beyond what a stranger to the model could tell", "auc": " by ranks"}
    measure = "" if found is None else found["measure"].removeprefix("rate_")
    return {
        "shown": f"Leak shown{more.get(measure, '')} with {tried}",
        "not_resolvable": "Not resolvable with this much data",
        "withdrawn": "Withdrawn: a validity check failed",
    }[verdict["status"]]
