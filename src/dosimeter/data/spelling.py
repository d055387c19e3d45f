"""How numbers are spelt: which texts are whole numbers, and which are numbers in a spelling that is not ours."""

from __future__ import annotations

import re
from typing import Any

WHOLE = re.compile(r"0|-?[1-9][0-9]*")
"""A whole number in its one spelling: `7` and not `007`, which may be somebody else."""
PLAIN = r"^\s*-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?\s*$"
"""A number without zeros or a sign that a name might have."""


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
    """Whether some cell of a column that was read as numbers is spelt as a name is, such as `01` or 2^64.

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
