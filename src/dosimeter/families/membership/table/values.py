"""Scores as floats that keep their order: if float64 would merge two scores, ranks replace all."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.data.options import as_data_error
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line

EXACT = 2.0**53
"""Largest number up to which float64 represents every whole number."""
DIGITS = 17
"""Number of decimal digits that distinguish every float64 from all others."""
RANKED = (
    "Scores stand for their ranks: they have more digits than float64 holds (about 16), so some that differ would have "
    "been equal. Rates and AUC depend on the order alone.",
)


def as_floats(
    column: Any, place: str, texts: Callable[[], Any] | None, *, long: bool = False
) -> tuple[Float[Array, " r"], tuple[str, ...]]:
    """Scores in the order of the file, NaN if missing, with remarks about the reading.

    Args:
        column: numbers, a pyarrow array.
        place: the file as messages name it.
        texts: reads the column as it is spelt in a CSV file, dictionary-encoded; asked only for large numbers, or long.
        long: the CSV file has scores of more than `DIGITS` digits.

    Raises:
        DataError: a column that is not numbers.
    """
    import pyarrow as pa

    kind, kinds = column.type, pa.types
    numeric = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal, kinds.is_null)
    if not any(is_kind(kind) for is_kind in numeric):
        raise DataError(f"{place}: column 'score' must be numbers, got {one_line(kind, 60)}: convert it")
    if kinds.is_boolean(kind):
        column = column.cast(pa.uint8())
    with as_data_error(f"{place}: column 'score'", "write it as numbers"):
        floats = np.array(column.cast(pa.float64(), safe=False).to_numpy())
    finite = floats[np.isfinite(floats)]
    large = bool(finite.size) and max(-float(finite.min()), float(finite.max())) >= EXACT
    if kinds.is_decimal(kind) or (kinds.is_integer(kind) and large):
        return _order(floats, column)
    if texts is not None and (large or long):
        return _order(floats, _exact(texts(), np.isfinite(floats)))
    return floats, ()


def _exact(texts: Any, known: Bool[Array, " r"]) -> Any:
    """Numbers of a CSV file without rounding: whole numbers, or else text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.if_else(pa.array(known), texts.cast(pa.string()), pa.scalar(None, pa.string()))
    try:
        return text.cast(pa.int64())
    except pa.ArrowInvalid:
        return text


def _order(floats: Float[Array, " r"], exact: Any) -> tuple[Float[Array, " r"], tuple[str, ...]]:
    """The floats, or ranks if there are fewer distinct floats than distinct numbers."""
    import pyarrow as pa

    known = np.isfinite(floats)
    if pa.types.is_integer(exact.type):
        values = exact.fill_null(0).to_numpy()
        names, rank = np.unique(values[known], return_inverse=True)
        count = len(names)
    else:
        encoded = exact.dictionary_encode().unify_dictionaries()
        codes = pa.chunked_array([chunk.indices for chunk in encoded.chunks]).fill_null(0).to_numpy()[known]
        numbers = [_decimal(one) for one in encoded.chunk(0).dictionary.to_pylist()]
        place = {one: i for i, one in enumerate(sorted({numbers[i] for i in np.unique(codes).tolist()}))}
        rank, count = np.array([place.get(one, -1) for one in numbers])[codes], len(place)
    if count == len(np.unique(floats[known])):
        return floats, ()
    floats[known] = rank
    return floats, RANKED


def _decimal(value: object) -> Decimal:
    """A number without rounding; 0 for text that is no number, which no finite score is."""
    try:
        return Decimal(str(value).strip())
    except InvalidOperation:
        return Decimal(0)
