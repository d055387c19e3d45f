"""Columns of a table of scores as arrays: their names, and the values that their cells may hold.

Rows are counted from 0, without the header. Text is never evaluated. Names become integer codes, by pyarrow and not by
a loop over rows.
"""

from __future__ import annotations

import csv as text
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.data.files.spelling import number_like, whole
from dosimeter.data.files.tables import find_ragged_row, refuse_separator
from dosimeter.data.options import as_data_error, show_path
from dosimeter.families.membership.table.values import DIGITS, as_floats
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote

REQUIRED = ("score", "is_member")
NAMES = {"attack": 1_000, "target": 100_000, "model": 100_000, "group": 100_000}
"""Columns whose cells are names, with the largest number of different names in each."""
KEYS = ("id", "person")
"""Columns that say which rows belong together: whole numbers if all cells are written so, else text."""
OPTIONAL = (*NAMES, *KEYS, "split")
LONGEST = 80
"""Longest name in characters."""
MISSING = ("", "nan", "NaN", "NAN", "-nan", "-NaN", "null", "Null", "NULL", "None", "NA", "N/A", "n/a")
"""Cells of a CSV file that mean a missing score."""
BITS = {"true": True, "yes": True, "member": True, "false": False, "no": False, "nonmember": False, "non-member": False}
AS_CSV = "write it as comma-separated UTF-8 text with one header line"


@dataclass(frozen=True)
class Coded:
    """A column of names or keys.

    Attributes:
        codes: what stands for each cell `[r]`; numbered by appearance, unless `names` is None.
        names: the text of each code, a pyarrow array; None if the cells are whole numbers, which stand for themselves.
    """

    codes: Int[Array, " r"]
    names: Any

    def by_appearance(self) -> Int[Array, " r"]:
        """The column with codes by first appearance, so that draws do not depend on how a file writes its keys."""
        if self.names is not None:
            return self.codes
        _, first, place = np.unique(self.codes, return_index=True, return_inverse=True)
        return np.asarray(np.argsort(np.argsort(first))[place.reshape(-1)])

    def show(self, code: SupportsIndex) -> str:
        """The text of a code, as one printable line in quotes."""
        return str(code) if self.names is None else quote(self.names[int(code)].as_py())

    def text(self) -> tuple[str, ...]:
        """The text of all codes."""
        return tuple(self.names.to_pylist())


@dataclass(frozen=True)
class Columns:
    """A table of scores, column by column, `r` rows.

    Attributes:
        place: the file as messages name it.
        score: NaN where it is missing.
        is_member: the bits.
        calibrates: which rows set thresholds; None without the column `split`.
        coded: the columns that are there among attack, target, model, group, id, person.
        ignored: names of further columns.
        notes: remarks about scores that belong beside the numbers.
    """

    place: str
    score: Float[Array, " r"]
    is_member: Bool[Array, " r"]
    calibrates: Bool[Array, " r"] | None
    coded: Mapping[str, Coded]
    ignored: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 over the content that was read; file format and order of columns do not count."""
        digest = hashlib.sha256()
        parts: list[tuple[str, Array]] = [("score", self.score), ("is_member", self.is_member)]
        if self.calibrates is not None:
            parts.append(("split", self.calibrates))
        for name, column in sorted(self.coded.items()):
            parts.append((name, column.codes.astype(np.int64)))
            if column.names is not None:
                joined = "".join(f"{len(one)}:{one}" for one in column.names.to_pylist())
                parts.append((f"{name} names", np.frombuffer(joined.encode(), np.uint8)))
        for name, values in parts:
            digest.update(f"{name} {len(values)}\n".encode())
            digest.update(np.ascontiguousarray(values).view(np.uint8).data)
        return digest.hexdigest()


def read_columns(path: Path) -> Columns:
    """Reads and checks the columns of a table of scores.

    Args:
        path: `.csv` (commas, UTF-8, one header line) or `.parquet`.

    Raises:
        DataError: no such table; a column is missing, repeated or misspelt; a cell holds something else.
    """
    place, kind = show_path(path), path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise DataError(f"{place}: a table of scores must end in .csv or .parquet, got {quote(kind)}: convert it")
    with as_data_error(place, "check the path"):  # a name may be too long for the system
        there, folder = path.is_file(), path.is_dir()
    if not there:
        state = "a folder" if folder else "none"
        raise DataError(f"{place}: must be a file, got {state}: check the path")
    header = _csv_header(path, place) if kind == ".csv" else _parquet_header(path, place)
    known = _known_columns(header, place)
    table = _read_csv(path, place, known) if kind == ".csv" else _read_parquet(path, place, known)
    if not table["score"]:
        raise DataError(f"{place}: needs rows, got a header and none: check the file")
    texts = partial(_score_texts, path, place) if kind == ".csv" else None
    long = kind == ".csv" and _long_scores(path, place, header.index("score"))
    score, notes = as_floats(table.pop("score"), place, texts, long=long)
    is_member = _bits(table.pop("is_member"), place)
    calibrates = _calibrates(table.pop("split"), place) if "split" in known else None
    coded = {name: _code(table.pop(name), name, place) for name in list(table)}
    return Columns(
        place, score, is_member, calibrates, coded, tuple(name for name in header if name not in known), notes
    )


def _csv_header(path: Path, place: str) -> list[str]:
    """Names of a CSV file's columns."""
    with as_data_error(place, AS_CSV):
        refuse_separator(path, REQUIRED, place)
    with as_data_error(place, AS_CSV), path.open(encoding="utf-8-sig", newline="") as file:
        header = next((row for row in text.reader(file) if row), None)
    if header is None:
        raise DataError(f"{place}: needs a header line and rows, got an empty file: check the file")
    return header


def _parquet_header(path: Path, place: str) -> list[str]:
    """Names of a Parquet file's columns."""
    import pyarrow.parquet as pq

    with as_data_error(place, "write it again as Parquet"):
        names: list[str] = pq.ParquetFile(path).schema_arrow.names
    return names


def _known_columns(header: Sequence[str], place: str) -> list[str]:
    """Columns that are read; refuses a header with a repeated, a missing or a misspelt one."""
    allowed = (*REQUIRED, *OPTIONAL)
    for i, name in enumerate(header):
        if name in header[:i]:
            raise DataError(
                f"{place}: column names must be distinct, got {quote(name)} twice: rename or remove one of them"
            )
    known = [name for name in header if name in allowed]
    for name in REQUIRED:
        if name not in known:
            remedy = suggest(name, [one for one in header if one not in allowed] or header)
            raise DataError(f"{place}: needs a column {name!r}, got none: {one_line(remedy)}")
    for name in header:
        near = get_close_matches(name.strip().lower(), [one for one in OPTIONAL if one not in known], 1, cutoff=0.8)
        if name not in known and near:
            raise DataError(
                f"{place}: unknown column {quote(name)}, did you mean {near[0]!r}? Rename it, or give it a name that "
                "cannot be taken for one that is read"
            )
    return known


def _read_csv(path: Path, place: str, known: Sequence[str]) -> dict[str, Any]:
    """The columns of a CSV file, keys as text."""
    import pyarrow as pa

    types = {name: pa.string() if name in KEYS else pa.dictionary(pa.int32(), pa.string()) for name in known}
    types["score"] = pa.float64()
    with as_data_error(place, AS_CSV):
        try:
            return _parse_csv(path, known, types)
        except pa.ArrowInvalid as caught:
            raise _csv_mistake(str(caught), place) or caught from None


def _csv_mistake(message: str, place: str) -> DataError | None:
    """The error of pyarrow in our words; its own message quotes whole rows, which may be private."""
    broken: DataError | None = find_ragged_row(message, place)
    if broken is not None:
        return broken
    number = re.search(r"Row #(\d+): CSV conversion error to double: invalid value '(.*)'$", message, re.S)
    if number:
        spelt = number_like(number[2])
        remedy = "write scores as in 1234.5, without marks and units" if spelt else "leave missing scores empty"
        return _bad_cell(place, "score", "a number", number[2], int(number[1]) - 2, remedy)
    if "CSV parse error" in message:
        return DataError(f"{place}: must be comma-separated text, got rows that are not: {AS_CSV}")
    return None


def _parse_csv(path: Path, known: Sequence[str], types: Mapping[str, Any]) -> dict[str, Any]:
    """The columns with these types, read in blocks by one thread, which knows the number of each row."""
    from pyarrow import csv

    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False, block_size=1 << 22),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(include_columns=known, column_types=types, null_values=MISSING),
    )
    return {name: table[name] for name in known}


def _long_scores(path: Path, place: str, column: int) -> bool:
    """Returns whether some of the first scores of a CSV file have more digits than float64 writes."""
    with as_data_error(place, AS_CSV), path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        cells = [row[column] for row in islice(text.reader(file), 1000) if len(row) > column]
    return any(len(re.sub(r"[eE].*|[^0-9]", "", cell).lstrip("0")) > DIGITS for cell in cells)


def _score_texts(path: Path, place: str) -> Any:
    """The scores of a CSV file as they are written, read a second time."""
    import pyarrow as pa

    with as_data_error(place, AS_CSV):
        return _parse_csv(path, ["score"], {"score": pa.dictionary(pa.int32(), pa.string())})["score"]


def _read_parquet(path: Path, place: str, known: Sequence[str]) -> dict[str, Any]:
    """The columns of a Parquet file; names and keys are text or whole numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds, table, found = pa.types, {}, None
    with as_data_error(place, "write it again as Parquet"):
        for name in known:
            found = pq.ParquetFile(path).read(columns=[name])[name]
            found.validate(full=True)  # damaged text would be told only when it is decoded
            if kinds.is_dictionary(found.type):
                found = found.cast(found.type.value_type)
            table[name] = found if name == "score" else _plain(found, name, place)
    rows = [len(column) for column in table.values()]
    if min(rows) != max(rows):  # as the footer of a damaged file may say
        raise DataError(
            f"{place}: all columns must have as many rows, got {min(rows)} to {max(rows)}: write it again as Parquet"
        )
    return table


def _plain(column: Any, name: str, place: str) -> Any:
    """A column of a Parquet file in the form that a CSV file would give."""
    import pyarrow as pa

    kinds = pa.types
    kind = column.type
    if name == "is_member" and (kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind)):
        return column
    if kinds.is_floating(kind) or kinds.is_integer(kind):
        text = _whole_text(column, f"{place}: column {name!r}")
        return text if name in KEYS else text.dictionary_encode()
    words = (kinds.is_string, kinds.is_large_string, kinds.is_binary, kinds.is_large_binary, kinds.is_boolean)
    if not any(is_kind(kind) for is_kind in (*words, kinds.is_null)) and "string_view" not in str(kind):
        raise DataError(f"{place}: column {name!r} must be text or whole numbers, got {one_line(kind, 60)}: convert it")
    with as_data_error(f"{place}: column {name!r}", "write it as UTF-8 text"):
        text = column.cast(pa.string())
        return text if name in KEYS else text.dictionary_encode()


def _whole_text(column: Any, place: str) -> Any:
    """Whole numbers of any type, written as in a CSV file."""
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        values: Array = column.drop_null().to_numpy()
        exact = 2.0 ** (np.finfo(values.dtype).nmant + 1)  # beyond it two ids may have become one before we saw them
        wrong = values[~(np.isfinite(values) & (values == np.floor(values)) & (abs(values) <= exact))]
        if len(wrong):
            raise DataError(
                f"{place} must be whole numbers of at most {exact:.0f}, or text, got {wrong[0]}: write whole numbers "
                "as integers, others as text"
            )
        column = column.cast(pa.int64())
    return column.cast(pa.string())


def _bad_cell(place: str, name: str, rule: str, value: object, row: int, remedy: str) -> DataError:
    """The error about one cell."""
    state = "an empty cell" if value is None or value == "" else quote(value, 60)
    return DataError(f"{place}: column {name!r} must be {rule}, got {state} in row {row}: {remedy}")


def _bits(column: Any, place: str) -> Bool[Array, " r"]:
    """Membership bits."""
    import pyarrow as pa

    rule, remedy = "0 or 1", "write 0/1, true/false, yes/no or member/nonmember"
    if pa.types.is_dictionary(column.type):
        coded = _code_dictionary(column, "is_member", place)
        words = [one.strip().lower() for one in coded.text()]
        known = [BITS.get(one, one[:1] == "1" if re.fullmatch(r"[01](\.0*)?", one) else None) for one in words]
        if None in known:
            row = int(np.argmax(coded.codes == known.index(None)))
            raise _bad_cell(place, "is_member", rule, coded.names[known.index(None)].as_py(), row, remedy)
        return np.array(known, bool)[coded.codes]
    if column.null_count:
        raise _bad_cell(place, "is_member", rule, None, int(np.argmax(column.is_null().to_numpy())), remedy)
    values: Array = column.to_numpy()
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise _bad_cell(place, "is_member", rule, values[row].item(), row, remedy)
    return values.astype(bool)


def _calibrates(column: Any, place: str) -> Bool[Array, " r"]:
    """Mask of the rows that set thresholds."""
    coded = _code_dictionary(column, "split", place)
    words = [one.strip().lower() for one in coded.text()]
    for code, word in enumerate(words):
        if word not in ("calibration", "test"):
            row, remedy = int(np.argmax(coded.codes == code)), "or remove the column"
            raise _bad_cell(place, "split", "calibration or test", coded.names[code].as_py(), row, remedy)
    return np.array([word == "calibration" for word in words], bool)[coded.codes]


def _code_dictionary(column: Any, name: str, place: str, *, empty: bool = False) -> Coded:
    """A dictionary-encoded column; a cell may be empty only if `empty` allows it."""
    import pyarrow as pa

    column = column.unify_dictionaries()
    if column.null_count:
        if not empty:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise _bad_cell(place, name, "filled in", None, row, "fill it in everywhere or remove the column")
        column = column.cast(pa.string()).fill_null("").dictionary_encode()
    codes = pa.chunked_array([chunk.indices for chunk in column.chunks], pa.int32()).to_numpy()
    return Coded(codes, column.chunk(0).dictionary)


def _code(column: Any, name: str, place: str) -> Coded:
    """A column of names or keys, checked."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = whole(column) if name in KEYS and not column.null_count else None
    if numbers is not None:
        return Coded(numbers.to_numpy(), None)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    coded = _code_dictionary(column, name, place, empty=name == "model")
    blank = pc.index(coded.names, "").as_py()
    if blank >= 0 and name != "model":
        row = int(np.argmax(coded.codes == blank))
        raise _bad_cell(place, name, "filled in", "", row, "fill it in everywhere or remove the column")
    if name in NAMES:
        _check_names(coded, name, place)
    return coded


def _check_names(coded: Coded, name: str, place: str) -> None:
    """Refuses too many names, long names, and names that do not fit on one line of text."""
    if len(coded.names) > NAMES[name]:
        raise DataError(
            f"{place}: column {name!r} must have at most {NAMES[name]} different names, got {len(coded.names)}: "
            "check that it names what it should, or write several tables"
        )
    for code, one in enumerate(coded.text()):
        state = None
        if len(one) > LONGEST:
            state = f"at most {LONGEST} characters long, got {len(one)}"
        elif not re.sub("[\u200c\u200d]", "", one).isprintable():  # joiners are part of how some languages are spelt
            state = "printable text"
        if state:
            row = int(np.argmax(coded.codes == code))
            raise DataError(
                f"{place}: column {name!r} must be {state}, got {quote(one, 60)} in row {row}: shorten or correct it"
            )
