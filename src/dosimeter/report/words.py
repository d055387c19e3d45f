"""Numbers and names as text: percentages with sensible digits, plain words, names that cannot disguise themselves."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping

# JSON writes 1.0 as 1, so a rate may arrive as an int.
Number = float | int

SPACE = "\u00a0"
LESS = "fewer than 1 of 1,000"

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
"""How thresholds were set that do not come from the measured records."""

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
    r"""Spell out characters that hide or reorder text: controls, bidi marks, zero-width, surrogates, private use.

    >>> visible("cat\u202egpj.exe\x00")
    'cat[U+202E]gpj.exe[U+0000]'
    >>> visible("Grüße 写真 صورة")
    'Grüße 写真 صورة'
    """
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    return "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c) in hidden else c for c in text)


def _decimals(spread: Number) -> int:
    """Decimals of a percentage so that a spread in percent keeps two digits, at most five."""
    return 1 if spread <= 0 else min(5, max(0, 1 - math.floor(math.log10(spread))))


def percent(share: Number, *, spread: Number | None = None, bare: bool = False) -> str:
    r"""A share as a percentage.

    Args:
        share: in [0, 1].
        spread: width of the interval around it, which decides the digits; without it, two digits of the number itself.
        bare: leave out the percent sign.

    >>> [percent(x) for x in (0, 0.0001, 0.00123, 0.0456, 0.1234, 0.99996, 1)]
    ['0\xa0%', '0.01\xa0%', '0.12\xa0%', '4.6\xa0%', '12\xa0%', '99.996\xa0%', '100\xa0%']
    >>> percent(0.1344, spread=0.028, bare=True)
    '13.4'
    """
    scaled = 100 * share
    if spread is not None and spread > 0:
        text = f"{scaled:.{_decimals(100 * spread)}f}"
    else:
        text = f"{scaled:.{_decimals(min(scaled, 100 - scaled) or 100)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if bare else f"{text}{SPACE}%"


def percent_range(low: Number, high: Number) -> str:
    r"""The two ends of an interval of shares.

    >>> percent_range(0.121, 0.149)
    '12.1 to 14.9\xa0%'
    """
    spread = high - low
    return f"{percent(low, spread=spread, bare=True)} to {percent(high, spread=spread)}"


def decimal(value: Number) -> str:
    """An AUC: three decimals.

    >>> decimal(0.71349)
    '0.713'
    """
    return f"{value:.3f}"


def number(value: Number) -> str:
    """A count or a free number, with thousands apart and no trailing digits.

    >>> number(12500), number(0.000123456), number(2.50)
    ('12,500', '0.0001235', '2.5')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def count(n: int, noun: str) -> str:
    r"""A number of things.

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
    """A prior as "1 in so many".

    >>> one_in(0.01), one_in(0.3)
    ('1 in 100', '30 in 100')
    """
    times = 1 / prior if prior > 0 else math.inf
    return f"1 in {round(times):,}" if times < 1e9 and abs(times - round(times)) < 1e-6 else f"{100 * prior:.3g} in 100"


def wrong_of(precision: Number) -> str:
    """How many accusations would be wrong, in whole accusations.

    >>> [wrong_of(p) for p in (0.61, 0.985, 0.01, 0.9999)]
    ['about 4 of 10', 'about 2 of 100', 'about 99 of 100', 'fewer than 1 of 1,000']
    """
    wrong = 1 - precision
    for base in (10, 100, 1000):
        if 0.5 <= base * wrong <= base - 0.5:
            return f"about {round(base * wrong):,} of {base:,}"
    return LESS if wrong < 0.5 else "nearly all"


def access(granted: str) -> list[str]:
    """What a granted access lets the adversary see, one phrase for each part.

    >>> access("LOGITS")
    ['the raw score (logit) of every class, for each query']
    >>> access("smell")
    ['smell']
    """
    parts = [part.strip() for part in granted.replace("|", ",").replace("+", ",").split(",") if part.strip()]
    keys = [part.lower().removeprefix("access.") for part in parts]
    return [ACCESS.get(ALIASES.get(key, key), part) for key, part in zip(keys, parts, strict=True)]


def methods(names: Iterable[str]) -> list[tuple[str, str]]:
    """The parts of interval methods that occur, each explained; a name with no known part is listed as it is.

    >>> [part for part, _ in methods(["clopper-pearson", "two-way bootstrap, korn-graubard", "mine"])]
    ['Clopper–Pearson', 'Korn–Graubard', 'two-way', 'bootstrap', 'mine']
    """
    texts = {name: name.lower().replace("_", " ") for name in names if name}
    known = {entry: None for word, entry in METHODS.items() if any(word in text for text in texts.values())}
    others = [name for name, text in sorted(texts.items()) if not any(word in text for word in METHODS)]
    return [*known, *((name, "method of this audit") for name in others)]


def citation(paper: str) -> str:
    """A paper without its link: the report fetches nothing and points nowhere.

    >>> citation("Yeom et al., 2018, https://arxiv.org/abs/1709.01604")
    'Yeom et al., 2018, arXiv:1709.01604'
    """
    return paper.replace("https://arxiv.org/abs/", "arXiv:").replace("https://doi.org/", "doi:")


def certifiable(n_nonmembers: int) -> float:
    """The smallest false positive rate that n distinct non-members can certify: none accused, one-sided 95 %.

    >>> [certifiable(n) < fpr <= certifiable(n - 1) for n, fpr in ((299, 0.01), (2995, 0.001), (29956, 0.0001))]
    [True, True, True]
    """
    return 1 - 0.05 ** (1 / n_nonmembers) if n_nonmembers > 0 else 1.0


def tried(door: str, shadows: int | None) -> str:
    """What the adversary worked with, for the badge.

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
