"""Records in the user's own form: cells of a data frame, texts, numbers of another type than `Dataset.inputs`.

`Dataset.inputs` serve networks and comparisons of records: float32, one-hot, tokens. A pipeline of scikit-learn was
fitted on another form, with named columns and their own types, and is queried in that form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["array", "frame", "texts"]
TEXT = "text"
"""Name of the one column of texts."""
NO_CELL = ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
           "NA", "NULL", "NaN", "None", "n/a", "nan", "null")  # fmt: skip
"""Texts that `pandas.read_csv` reads as a missing cell, as its documentation lists them."""
ROUNDED = 1e-4
"""Change by float32 rounding, as a share of a column's spread, above which it can matter."""
_NONE = b"dosimeter.none"
"""Key of a table's metadata: columns whose missing cells are None and not NaN."""
_ASIDE = b"dosimeter.aside"
"""Key of a table's metadata: columns that are no features."""
_STORED = "cells."


@dataclass(frozen=True, eq=False)
class Cells:
    """Records in the user's own form.

    Attributes:
        kind: "array" of numbers, "frame" of columns with names, or "texts".
        values: NumPy array `[n ...]`, or a pyarrow table with n rows; of texts its one column is `TEXT`.
        primary: whether the user handed over just this, so that a function is asked with it first.
    """

    kind: Kind
    values: Any
    primary: bool = True

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | Array) -> Cells:
        """The records in `rows`: a slice, positions or a mask."""
        if self.kind == "array":
            return Cells(self.kind, self.values[rows], self.primary)
        chosen = np.arange(len(self))[rows]
        return Cells(self.kind, self.values.take(chosen), self.primary)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of a frame's columns."""
        return tuple(self.values.column_names) if self.kind == "frame" else ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns that are no id, person or group."""
        aside = self._columns_under(_ASIDE)
        return tuple(name for name in self.names if name not in aside)

    def _columns_under(self, key: bytes) -> list[str]:
        """Column names that the table's metadata lists under a key."""
        found: list[str] = json.loads((self.values.schema.metadata or {}).get(key, b"[]"))
        return found

    def only(self, names: tuple[str, ...]) -> Cells:
        """A frame with these columns, in this order."""
        return Cells(self.kind, self.values.select(list(names)), self.primary)

    def as_input(self) -> Any:
        """The records in the form that a model takes: an array, a pandas DataFrame, or a list of texts.

        Raises:
            ConfigError: a frame, and pandas is not installed.
        """
        if self.kind == "array":
            return self.values
        if self.kind == "texts":
            return [text or "" for text in self.values.column(TEXT).to_pylist()]
        try:
            frame = self.values.to_pandas()
        except ImportError as error:
            raise ConfigError(
                "records: a model that was fitted on a data frame is asked with one, got no pandas: run pip install "
                "pandas"
            ) from error
        none = self._columns_under(_NONE)
        for name in frame.columns:
            if frame[name].dtype == object and name not in none:
                frame[name] = frame[name].where(frame[name].notna(), np.nan)
        return frame

    def content(self) -> Array:
        """Bytes `[n k]` that differ if records differ in more than `Dataset.inputs` shows."""
        if self.kind == "array":
            rows = np.ascontiguousarray(self.values)
            return rows.reshape(len(rows), -1).view(np.uint8)
        if self.kind == "texts":
            texts = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16) for text in self.as_input()]
            return np.frombuffer(b"".join(one.digest() for one in texts), np.uint8).reshape(-1, 16)
        columns = [column.to_numpy(zero_copy_only=False) for column in self._numbers()]
        if not columns:
            return np.zeros((len(self), 0), np.uint8)
        return np.ascontiguousarray(np.stack(columns, 1)).view(np.uint8)

    def incomplete(self) -> Array:
        """Rows in which a number is missing."""
        if self.kind == "array":
            return np.flatnonzero(np.isnan(self.values).reshape(len(self), -1).any(1))
        import pyarrow.compute as pc

        missing = [pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False) for column in self._numbers()]
        return np.flatnonzero(np.any(missing, axis=0)) if missing else np.zeros(0, np.int64)

    def _numbers(self) -> list[Any]:
        """The numeric columns of a frame, as float64."""
        import pyarrow as pa

        kinds = (pa.types.is_integer, pa.types.is_floating)
        return [
            self.values.column(field.name).cast(pa.float64(), safe=False).combine_chunks()
            for field in self.values.schema
            if any(kind(field.type) for kind in kinds)
        ]

    def fingerprint(self) -> str:
        """SHA-256 over kind and values."""
        digest = hashlib.sha256(self.kind.encode())
        for name, tensor in self.tensors().items():
            digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def tensors(self) -> dict[str, Tensor]:
        """The cells as the store keeps them: an array unchanged, a table as the bytes of an Arrow file."""
        import torch  # takes seconds, and reading a table needs none of it

        if self.kind == "array":
            return {_STORED + self.kind: torch.from_numpy(np.ascontiguousarray(self.values))}
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, self.values.schema) as writer:
            writer.write_table(self.values.combine_chunks())
        return {_STORED + self.kind: torch.from_numpy(np.frombuffer(sink.getvalue(), np.uint8).copy())}


def cells_from(tensors: Mapping[str, Tensor]) -> Cells | None:
    """The cells that an entry of the store holds, or None."""
    found = next((name for name in tensors if name.startswith(_STORED)), None)
    if found is None:
        return None
    kind: Any = found.removeprefix(_STORED)
    if kind == "array":
        return Cells(kind, tensors[found].numpy())
    import pyarrow as pa

    return Cells(kind, pa.ipc.open_file(pa.py_buffer(tensors[found].numpy())).read_all())


def loses(values: Array) -> bool:
    """Returns whether float32 rounding changes numbers by an amount that matters, or hides that some are missing.

    >>> loses(np.array([[1.7e9], [1.7e9 + 30.0], [1.7e9 + 60.0]])), loses(np.array([[0.1], [0.2]]))
    (True, False)
    """
    if values.dtype.kind == "f" and bool(np.isnan(values).any()):
        return True
    flat = values.reshape(len(values), -1).astype(np.float64)
    with np.errstate(over="ignore"):
        change = np.abs(flat - flat.astype(np.float32)).max(0)
    return bool((change > ROUNDED * flat.std(0)).any())


def frame_cells(table: Any, aside: Collection[str], *, primary: bool, text: bool = False) -> Cells:
    """The cells of an Arrow table.

    Args:
        table: without the column of labels.
        aside: its columns that are no features.
        primary: the user handed over a data frame.
        text: of a text file, where some words stand for a missing cell (`NO_CELL`).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _mark(table, _ASIDE, sorted(aside))
    if not text:
        return Cells("frame", table, primary)
    missing = pa.array(NO_CELL)
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = table.column(place)
            empty = pc.is_in(column, missing.cast(field.type))
            if pc.any(empty).as_py():
                kept = pc.if_else(empty, pa.scalar(None, field.type), column)
                table = table.set_column(place, field, kept)
    return Cells("frame", table, primary)


def from_pandas(frame: Any) -> Any:
    """A DataFrame as an Arrow table without its index; the table records where None marks a missing cell."""
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    none = [name for name in frame.columns if frame[name].dtype == object and any(v is None for v in frame[name])]
    return _mark(table, _NONE, none)


def _mark(table: Any, key: bytes, columns: list[str]) -> Any:
    """A table whose metadata holds a list of columns."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), key: json.dumps(columns).encode()})


def together(cells: Sequence[Cells | None]) -> Cells | None:
    """The cells of several parts as one, in their order; None if there are none."""
    own = [one for one in cells if one is not None]
    if not own:
        return None
    if own[0].kind == "array":
        return Cells("array", np.concatenate([one.values for one in own]), own[0].primary)
    import pyarrow as pa

    marks = own[0].values.schema.metadata
    shared = [name for name in own[0].values.column_names if all(name in one.values.column_names for one in own)]
    tables = [one.values.select(shared) for one in own]
    joined = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    return Cells(own[0].kind, joined.replace_schema_metadata(marks), own[0].primary)


@dataclass(frozen=True, eq=False)
class Held:
    """Records for queries, in both forms.

    Attributes:
        inputs: `[n ...]`, as in `Dataset`.
        cells: as their user holds them, where that is something else.
        tokens: the inputs are tokens.
    """

    inputs: Tensor
    cells: Cells | None = None
    tokens: bool = False

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: slice | Array) -> Held:
        """The records in `rows`: a slice, or positions."""
        import torch

        at = rows if isinstance(rows, slice) else torch.from_numpy(np.asarray(rows))
        return Held(self.inputs[at], None if self.cells is None else self.cells[rows], self.tokens)


def as_held(records: Array | Tensor | Held) -> Held:
    """Records of any form as `Held`."""
    if isinstance(records, Held):
        return records
    import torch

    if isinstance(records, torch.Tensor):
        return Held(records)
    return Held(torch.from_numpy(np.ascontiguousarray(records)))
