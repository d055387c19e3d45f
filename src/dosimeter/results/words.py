"""Numbers and names as text: percentages with sensible digits, plain words, names without hidden characters."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Literal

# JSON writes 1.0 as 1, so a rate may arrive as an int.
Number = float | int
Away = Literal["down", "up"]
SPACE = "\u00a0"
LESS = "fewer than 1 of 1,000"
MOST_DIGITS = 6
SLIP = 1e-6
"""Tolerance, in units of the last printed digit: `result.json` keeps 12 digits, so an end of 41 % may read as less."""
ACCESS: Mapping[str, str] = {
    "labels": "the predicted class of each query, and no score",
    "topk": "the highest few scores of each query",
    "probs": "the probability of every class, for each query",
    "logits": "the raw score (logit) of every class, for each query",
    "features": "the features inside the model, for each query",
    "updates": "the updates that are exchanged in training",
    "weights": "the model itself: all its weights",
}
ALIASES: Mapping[str, str] = {"probabilities": "probs", "top-k": "topk", "top_k": "topk", "label": "labels"}
THRESHOLDS: Mapping[str, str] = {
    "shadow": "set on shadow models, before the target was measured",
    "split": "set on other records than those that it judges",
}
"""Words for the origin of thresholds that do not come from the measured records."""
METHODS: Mapping[str, tuple[str, str]] = {
    "clopper": ("Clopper–Pearson", "exact interval for a rate of one trained model"),
    "wilson": ("Wilson", "interval for a rate of one trained model"),
    "korn": ("Korn–Graubard", "exact interval for a rate, at the sample size that the clusters leave"),
    "delong": ("DeLong", "interval for the AUC, on the logit scale, so that it stays between 0 and 1"),
    "two-way": ("two-way", "both records and targets are drawn anew, as they are the two sources of chance"),
    "bootstrap": ("bootstrap", "the number is recomputed on data drawn again from the data, many times"),
    "clustered": ("clustered records", "records that belong together, such as one person's, count as one draw"),
    "t over": ("Student's t", "one value for each target; few targets make the interval wide"),
    "t-interval": ("Student's t", "one value for each target; few targets make the interval wide"),
    "variance recovery": ("variance recovery", "interval of a difference, made from the intervals of both rates"),
    "bonferroni": ("Bonferroni", "two intervals are each made wider, so that both hold together at the stated level"),
    "taken as given": ("threshold taken as given", "the luck in choosing the threshold is not in the interval"),
}
SPLITS: Mapping[str, str] = {
    "train": "members: records the model was trained on",
    "nonmember": "non-members: candidates it was not trained on",
    "test": "test records",
}


def visible(text: str) -> str:
    r"""Spells out characters that hide or reorder text: controls, bidi marks, zero-width, surrogates, private use.

    >>> visible("cat\u202egpj.exe\x00")
    'cat[U+202E]gpj.exe[U+0000]'
    >>> visible("Grüße 写真 صورة")
    'Grüße 写真 صورة'
    """
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    return "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c) in hidden else c for c in text)


def speak(text: str) -> str:
    r"""Text as `visible`, for a terminal: non-breaking spaces become plain ones.

    >>> speak("97.5\xa0% of a\x00")
    '97.5 % of a[U+0000]'
    """
    return visible(text).replace(SPACE, " ")


def _decimals(spread: Number) -> int:
    """Decimals of a percentage so that a spread in percent keeps two digits, at most five."""
    return 1 if spread <= 0 else min(5, max(0, 1 - math.floor(math.log10(spread))))


def percent(
    share: Number, *, spread: Number | None = None, bare: bool = False, away: Away | None = None,
    above: Number | None = None,
) -> str:  # fmt: skip
    r"""A share as a percentage.

    Args:
        share: in [0, 1].
        spread: width of the interval around it, which decides the digits; without it, two digits of the number itself.
        bare: leave out the percent sign.
        away: of the end of an interval the side to which it is rounded, so that "at least" and "up to" never claim more
            than the interval does; without it, to the nearest.
        above: a smaller share; as many digits are printed as tell it apart.

    >>> [percent(x) for x in (0, 0.0001, 0.00123, 0.0456, 0.1234, 0.99996, 1)]
    ['0\xa0%', '0.01\xa0%', '0.12\xa0%', '4.6\xa0%', '12\xa0%', '99.996\xa0%', '100\xa0%']
    >>> percent(0.1344, spread=0.028, bare=True)
    '13.4'
    >>> percent(0.9367, spread=0.4, away="up"), percent(0.0103, spread=0.3, away="down", above=0.01)
    ('94\xa0%', '1.03\xa0%')
    """
    scaled = 100 * share
    has_spread = spread is not None and spread > 0
    digits = _decimals(100 * spread if spread is not None and spread > 0 else min(scaled, 100 - scaled) or 100)
    text = _rounded(scaled, digits, away)
    while above is not None and above < share and float(text) <= 100 * above and digits < MOST_DIGITS:
        digits += 1
        text = _rounded(scaled, digits, away)
    if not has_spread:
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if bare else f"{text}{SPACE}%"


def _rounded(value: Number, digits: int, away: Away | None) -> str:
    """A number with so many decimals: to the nearest, or down or up if it is more than a slip of floats away."""
    if away is None:
        return f"{value:.{digits}f}"
    scale = 10**digits
    outer = math.floor(value * scale + SLIP) if away == "down" else math.ceil(value * scale - SLIP)
    return f"{outer / scale:.{digits}f}"


def percent_range(low: Number, high: Number, *, above: Number | None = None) -> str:
    r"""The two ends of an interval of shares, rounded outwards.

    Args:
        low: lower end.
        high: upper end.
        above: what guessing gives; where the lower end is more, its digits tell so.

    >>> percent_range(0.1216, 0.1482)
    '12.1 to 14.9\xa0%'
    """
    spread = high - low
    first = percent(low, spread=spread, bare=True, away="down", above=above)
    return f"{first} to {percent(high, spread=spread, away='up')}"


def decimal(value: Number, away: Away | None = None) -> str:
    """An AUC: three decimals; of a lower end above 0.5 as many as tell so.

    >>> decimal(0.71349), decimal(0.50043, "down"), decimal(0.71349, "up")
    ('0.713', '0.5004', '0.714')
    """
    digits = 3
    text = _rounded(value, digits, away)
    while away == "down" and value > 0.5 and float(text) <= 0.5 and digits < MOST_DIGITS:
        digits += 1
        text = _rounded(value, digits, away)
    return text


def decimal_range(low: Number, high: Number) -> str:
    """The two ends of an AUC's interval, rounded outwards.

    >>> decimal_range(0.7126, 0.7351)
    '0.712 to 0.736'
    """
    return f"{decimal(low, 'down')} to {decimal(high, 'up')}"


def points(difference: Number, away: Away | None = None) -> str:
    """A difference of two shares or AUCs in points of a hundred, with its sign.

    >>> points(0.3417, "down"), points(-0.02), points(0.0004, "down")
    ('+34.1', '-2.0', '+0.04')
    """
    digits = 1
    text = _rounded(100 * difference, digits, away)
    while away == "down" and difference > 0 and float(text) <= 0 and digits < MOST_DIGITS:
        digits += 1
        text = _rounded(100 * difference, digits, away)
    return f"{'' if text.startswith('-') else '+'}{text}"


def bits(value: Number, spread: Number | None = None, away: Away | None = None) -> str:
    """A number of bits, with two digits of the width of its interval; a lower end above 0 is not printed as 0.

    Args:
        value: the number, not negative.
        spread: width of the interval around it; without it, three decimals.
        away: of the end of an interval the side to which it is rounded.

    >>> bits(0.16123, 0.05), bits(0.00043, 0.05, "down"), bits(1, 0), bits(0.0612)
    ('0.161', '0.0004', '1.000', '0.061')
    """
    digits = 3 if not spread or spread <= 0 else min(5, max(2, 1 - math.floor(math.log10(spread))))
    text = _rounded(value, digits, away)
    while away == "down" and value > 0 and float(text) <= 0 and digits < MOST_DIGITS:
        digits += 1
        text = _rounded(value, digits, away)
    return text


def of_time(auc: Number) -> str:
    r"""Text: how often a member ranks above a non-member, with the digits of the AUC.

    >>> of_time(1), of_time(0.9462), of_time(0.99996)
    ('always', '94.6\xa0% of the time', '99.996\xa0% of the time')
    """
    if auc == 1:
        return "always"
    text = decimal(auc)
    return f"{percent(auc) if text == '1.000' else f'{100 * float(text):.1f}{SPACE}%'} of the time"


def number(value: Number) -> str:
    """A count or another number, with thousands separators and no trailing digits.

    >>> number(12500), number(0.000123456), number(2.50)
    ('12,500', '0.0001235', '2.5')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def count(n: int, noun: str) -> str:
    r"""A number with its noun.

    >>> count(1, "target"), count(1200, "record")
    ('1\xa0target', '1,200\xa0records')
    """
    return f"{n:,}{SPACE}{noun}{'' if n == 1 else 's'}"


def setting(value: object) -> str:
    """A value of a settings table in words.

    >>> setting(True), setting(None), setting([0.1, 2]), setting({"b": 1, "a": "x"})
    ('yes', 'not set', '0.1, 2', 'a = x, b = 1')
    """
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value) if math.isfinite(value) else "not finite"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {setting(value[key])}" for key in sorted(value, key=str)) or "empty"
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value) or "empty"
    return str(value)


def one_in(prior: Number) -> str:
    """A prior as "1 in n".

    >>> one_in(0.01), one_in(0.3)
    ('1 in 100', '30 in 100')
    """
    times = 1 / prior if prior > 0 else math.inf
    return f"1 in {round(times):,}" if times < 1e9 and abs(times - round(times)) < 1e-6 else f"{100 * prior:.3g} in 100"


def wrong_of(precision: Number) -> str:
    """Text: how many accusations would be wrong, in whole accusations.

    >>> [wrong_of(p) for p in (0.61, 0.985, 0.01, 0.9999)]
    ['about 4 of 10', 'about 2 of 100', 'about 99 of 100', 'fewer than 1 of 1,000']
    """
    wrong = 1 - precision
    for base in (10, 100, 1000):
        if 0.5 <= base * wrong <= base - 0.5:
            return f"about {round(base * wrong):,} of {base:,}"
    return LESS if wrong < 0.5 else "nearly all"


def access(granted: str, *, texts: bool = False) -> list[str]:
    """Phrases for what an access lets the adversary see, one for each part.

    Args:
        granted: names of accesses, separated by commas.
        texts: whether the model answers about tokens, not about classes.

    >>> access("LOGITS")
    ['the raw score (logit) of every class, for each query']
    >>> access("logits", texts=True)
    ['the raw score (logit) of every token, for each query']
    >>> access("smell")
    ['smell']
    """
    parts = [part.strip() for part in granted.replace("|", ",").replace("+", ",").split(",") if part.strip()]
    keys = [part.lower().removeprefix("access.") for part in parts]
    found = [ACCESS.get(ALIASES.get(key, key), part) for key, part in zip(keys, parts, strict=True)]
    return [phrase.replace("class", "token") for phrase in found] if texts else found


def methods(names: Iterable[str]) -> list[tuple[str, str]]:
    """Parts of interval methods that occur, each with its explanation; an unknown name is listed as it is.

    >>> [part for part, _ in methods(["clopper-pearson", "two-way bootstrap, korn-graubard", "mine"])]
    ['Clopper–Pearson', 'Korn–Graubard', 'two-way', 'bootstrap', 'mine']
    """
    texts = {name: name.lower().replace("_", " ") for name in names if name}
    known = {entry: None for word, entry in METHODS.items() if any(word in text for text in texts.values())}
    others = [name for name, text in sorted(texts.items()) if not any(word in text for word in METHODS)]
    return [*known, *((name, "method of this audit") for name in others)]


def citation(paper: str) -> str:
    """A paper without its link, since the report points nowhere.

    >>> citation("Yeom et al., 2018, https://arxiv.org/abs/1709.01604")
    'Yeom et al., 2018, arXiv:1709.01604'
    """
    return paper.replace("https://arxiv.org/abs/", "arXiv:").replace("https://doi.org/", "doi:")


def capital(text: str) -> str:
    """A text as a sentence begins.

    >>> capital("the party “bank”")
    'The party “bank”'
    """
    return f"{text[0].upper()}{text[1:]}"


def certifiable(n_nonmembers: int) -> float:
    """The smallest false positive rate that n distinct non-members can certify: none accused, one-sided 95 %.

    >>> [certifiable(n) < fpr <= certifiable(n - 1) for n, fpr in ((299, 0.01), (2995, 0.001), (29956, 0.0001))]
    [True, True, True]
    """
    return 1 - 0.05 ** (1 / n_nonmembers) if n_nonmembers > 0 else 1.0


def tried(door: str, shadows: int | None) -> str:
    """Text for the badge: what the adversary worked with.

    >>> tried("scores", None), tried("model", 0)
    ('the scores of this table', 'no shadow model')
    """
    if door == "scores":
        return "the scores of this table"
    return count(shadows, "shadow model") if shadows else "no shadow model"


def letters(text: str) -> str:
    """Letters and digits alone, in lower case, so that names in different spellings compare.

    >>> letters("LiRA online") == letters("lira-online")
    True
    """
    return "".join(one for one in text.casefold() if one.isalnum())


def plural(noun: str, count: float | int = 2) -> str:
    """A noun in the form that follows a count.

    >>> plural("photo"), plural("entry"), plural("photo", 1), plural("address")
    ('photos', 'entries', 'photo', 'addresses')
    """
    if count == 1:
        return noun
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def about(count: float) -> str:
    """A count in words: whole, and never 0 for a small positive one.

    >>> about(74.3), about(0.4), about(0.0)
    ('about 74', 'fewer than 1', 'none')
    """
    if count == 0:
        return "none"
    return "fewer than 1" if count < 0.5 else f"about {count:,.0f}"
