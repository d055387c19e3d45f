"""Notations of a table: texts that are whole numbers, texts that are numbers in other notations, the separator."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

WHOLE = re.compile(r"0|-?[1-9][0-9]*")
"""Pattern of a whole number in its one spelling: `7` and not `007`, which may name something else."""
PLAIN = r"^\s*-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?\s*$"
"""Pattern of a number without the leading zeros or plus sign that a name may have."""


def whole(column: Any) -> Any | None:
    """A column of text as int64, or None unless each cell spells a whole number in its one way.

    >>> import pyarrow as pa
    >>> whole(pa.array(["7", "-12"])).to_pylist(), whole(pa.array(["7", "007"]))
    ([7, -12], None)
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        numbers = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    return numbers if pc.all(pc.equal(numbers.cast(pa.string()), column)).as_py() in (True, None) else None


def is_name(column: Any) -> bool:
    """Returns whether a cell of a column that was read as numbers is written like a name, such as `01` or 2^64.

    Args:
        column: the cells as text, empty ones null.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(column.cast(pa.string())).unique().drop_null()
    if not pc.all(pc.match_substring_regex(texts, PLAIN)).as_py():
        return True
    digits = pc.match_substring_regex(texts, "^-?[0-9]+$")
    return bool(pc.all(digits).as_py()) and whole(texts) is None


USUAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
"""Pattern of a number as a CSV file may write it."""
_DIGITS = re.compile(r"-?[0-9]+")
_MONEY = (
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HUF INR JPY KRW MXN NOK NZD PLN RUB SEK TRY USD ZAR "
    "Kč kr kr. Kr Ft zł Rs Rs. Rp Fr. TL DM Euro Euros euro euros ct руб руб."
)
_CURRENCY = rf"(?:[A-Za-z]{{0,3}}\$|{'|'.join(re.escape(one) for one in _MONEY.split())})"
_AMOUNT = (  # digits, or groups of digits between equal marks, or those of India; then decimals behind another mark
    r"(?:(?:[0-9]{1,3}(?:(?P<mark>[,.'_ ])[0-9]{3})(?:(?P=mark)[0-9]{3})*|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}|[0-9]+)"
    r"(?:(?!(?P=mark))[.,][0-9]*)?|[.,][0-9]+)(?: ?[eEdD][+-]?[0-9]+| ?[x×*·] ?10 ?(?:\^ ?-?|[+-])[0-9]+)?"
)
_SCALE = r"(?:[kKMBGTm]|bn|mn|Mio\.?|Mrd\.?)"
_SPELT = (
    rf"{_CURRENCY}? ?[+-]? ?AMOUNT",
    rf"{_CURRENCY} ?[+-]? ?AMOUNT ?{_SCALE}",
    rf"AMOUNT ?(?:%|‰|pct|percent|per cent|Prozent|{_SCALE}? ?{_CURRENCY})",
)
_ODD = [re.compile(rf"[+-]? ?{one.replace('AMOUNT', _AMOUNT)} ?-?") for one in _SPELT]
_UNIT = re.compile(rf"[+-]? ?{_AMOUNT}(?P<unit> ?(?:[^\W\d_]|°)[^\W\d_]{{0,5}}(?:/?[a-z²³]{{1,3}})?)\.?")
_ORDINALS = ("st", "nd", "rd", "th")
FEW = 12
"""Largest number of distinct values with one unit that may be names: 36 months and 60 months."""
LOOKED_AT = 10_000
"""Most distinct texts of a column that are examined."""
LONGEST = 40
"""Most characters of a text that can be a number."""


_MINUS, _QUOTE = "\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "\u2019\u02bc\u00b4\u0060\u066c"
_SAME = {
    **dict.fromkeys(_MINUS, "-"),
    **dict.fromkeys(_QUOTE, "'"),
    **{"\u066b": ",", "\uff0c": ",", "\uff0e": ".", "\uff05": "%", "\u066a": "%", "\uff0b": "+"},
}


class _Folded(dict[int, str]):
    """Translation of characters: digits of any script, spaces, minus signs, marks and currencies become one each."""

    def __missing__(self, code: int) -> str:
        one = chr(code)
        kind, digit = unicodedata.category(one), unicodedata.decimal(one, None)
        by_kind = {"Zs": " ", "Cf": "", "Sc": "$"}
        self[code] = str(digit) if digit is not None else by_kind.get(kind, _SAME.get(one, one))
        return self[code]


_FOLDED = _Folded()


def number_like(text: str) -> bool:
    """Returns whether a text is surely a number, in our spelling or in another.

    >>> [number_like(text) for text in ("1234.5", "1.234,50 €", "(1,234)", "12 %", "\u22125", "A-12", "10-19", "1.2.3")]
    [True, True, True, True, True, False, False, False]
    """
    if len(text) > LONGEST:
        return False
    folded = _bare(text)
    within = re.fullmatch(r"(\$?) ?\((.*)\)", folded)  # accountants write minus as parentheses
    inner = folded if within is None else f"{within[1]}{within[2].strip()}"
    return USUAL.fullmatch(text) is not None or any(one.fullmatch(inner) for one in _ODD)


def _bare(text: str) -> str:
    """A folded text, without the quotes by which some programs keep numbers as text."""
    return text.translate(_FOLDED).strip().removeprefix("=").strip("'\"").strip()


def odd_number(texts: Sequence[str]) -> str | None:
    """The first text in a foreign number notation, if most of these distinct texts are numbers; else None.

    Whole numbers in our spelling are not odd: as text they may be codes.
    """
    some = texts[:LOOKED_AT]
    numbers = [text for text in some if number_like(text)]
    if 2 * len(numbers) > len(some):
        return next((text for text in numbers if USUAL.fullmatch(text) is None), None)
    return _with_unit(some)


def decimal_text(texts: Sequence[str]) -> str | None:
    """The first text that is no whole number, if all texts are numbers in our notation; else None."""
    some = texts[:LOOKED_AT]
    if not all(USUAL.fullmatch(text) for text in some):
        return None
    return next((text for text in some if _DIGITS.fullmatch(text) is None), None)


def _with_unit(texts: Sequence[str]) -> str | None:
    """The first number with a unit, if most texts are numbers with that unit, and decimals or many; else None."""
    found: dict[str, list[str]] = {}
    decimals: set[str] = set()
    for text in texts:
        match = _UNIT.fullmatch(_bare(text)) if len(text) <= LONGEST else None
        if match is None:
            continue
        unit = match["unit"]
        if re.fullmatch(_SCALE, unit.strip()):
            unit = "k"
        elif unit in _ORDINALS or (len(unit) == 1 and unit.isupper()):  # 4th; seat 12A
            continue
        found.setdefault(unit.strip(), []).append(text)
        if re.search("[.,]", text[: match.start("unit")]):
            decimals.add(unit.strip())
    for unit, own in found.items():
        if 2 * len(own) > len(texts) and (len(own) > FEW or (unit in decimals and len(own) > 2)):
            return own[0]
    return None


def separator(line: str, needed: Sequence[str]) -> str | None:
    """The mark that separates the columns of a header, in words, if it is surely not a comma; else None.

    >>> separator("score;is_member", ["score"]), separator("score,is_member", ["score"])
    ("';'", None)
    """
    cells = next(csv.reader([line]), [])
    if set(needed) <= set(cells):
        return None
    for mark, told in ((";", "';'"), ("\t", "tabs"), ("|", "'|'"), (" ", "spaces")):
        own = [cell.strip() for cell in next(csv.reader([line], delimiter=mark), [])]
        lone = len(cells) == 1 and mark != " "
        if len(own) > 1 and (lone or set(needed) <= set(own)):
            return told
    return None
