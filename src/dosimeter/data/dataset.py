"""A data set in memory, with permanent record ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int

from dosimeter.data.cells import Cells
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """Records with labels.

    Attributes:
        inputs: `[n ...]`. Images are float32 NCHW in [0, 1] or uint8 NCHW (0 to 255, scaled when used); tables float32
            or whole numbers; text `[n length]` int64, one token a place, 0 where the text has ended.
        labels: class numbers from 0 `[n]`, int64.
        classes: names of the classes; `len(classes)` is the number of classes.
        ids: record ids `[n]`, distinct strings that do not change when rows are reordered.
        persons: whose record it is `[n]`, or None.
        groups: a group for separate reporting `[n]`, or None.
        noun: noun for one record in the report, in the singular.
        columns: of a table: the name of each feature, `column` or `column=category`; otherwise None.
        categories: of a table: its columns of categories, each with the categories in order; otherwise None.
        part: the records are a part of something larger, and may all be of one class.
        cells: the records as their user holds them, where that is something else than `inputs`; a missing number is NaN
            there.
        tokens: the inputs are tokens, and not numbers that happen to be whole.
        ordered: the numbers of the classes mean something to whoever trained on them: labels were numbers, or the
            classes were named in order. Otherwise they are those of sorted texts.

    Raises:
        DataError: empty, NaN, one class only, label outside the range, lengths that differ, repeated ids.
    """

    inputs: Array
    labels: Int[Array, " n"]
    classes: tuple[str, ...]
    ids: Array
    persons: Array | None = None
    groups: Array | None = None
    noun: str = "record"
    name: str = field(default="data", compare=False)
    columns: tuple[str, ...] | None = None
    categories: Mapping[str, tuple[str, ...]] | None = None
    part: bool = False
    cells: Cells | None = field(default=None, compare=False, repr=False)
    tokens: bool = False
    ordered: bool = True

    def __post_init__(self) -> None:
        problems = self._problems()
        if problems:
            raise DataError(*problems)

    def _problems(self) -> list[str]:
        """Every rule that this data set breaks, one line each."""
        problems = self._problems_of_form()
        if problems:
            return problems
        n = len(self.inputs)
        if self.inputs.dtype.kind == "f" and not self._allowed(self.inputs).all():
            rows = np.flatnonzero(~self._allowed(self.inputs).reshape(n, -1).all(1))
            problems.append(
                f"{self.name}: inputs must be finite, got NaN or infinity in {len(rows)} records, the first is row "
                f"{rows[0]} (id {str(self.ids[rows[0]])!r}): remove or impute them"
            )
        outside = (self.labels < 0) | (self.labels >= len(self.classes))
        if outside.any():
            row = int(np.argmax(outside))
            problems.append(
                f"{self.name}: labels must be in 0..{len(self.classes) - 1}, got {int(self.labels[row])} in row {row}"
                f" ({int(outside.sum())} such records): correct the label or name the class"
            )
        elif not self.part and len(np.unique(self.labels)) < 2:
            problems.append(
                f"{self.name}: labels must have at least two classes, got only "
                f"{self.classes[int(self.labels[0])]!r} in all {n} records: use data with two classes or more"
            )
        if len(np.unique(self.ids)) < n:
            values, counts = np.unique(self.ids, return_counts=True)
            problems.append(
                f"{self.name}: ids must be distinct, got {str(values[np.argmax(counts)])!r} {int(counts.max())} times: "
                f"give each record its own id"
            )
        return problems

    def _allowed(self, values: Array) -> Array:
        """Mask of the allowed numbers; a part that keeps its cells may lack numbers until all parts are read."""
        finite: Array = np.isfinite(values)
        return finite | np.isnan(values) if self.part and self.cells is not None else finite

    def _problems_of_form(self) -> list[str]:
        """Problems with the type or length of arrays, one line each."""
        columns = ("inputs", "labels", "ids", "persons", "groups")
        arrays = {c: getattr(self, c) for c in columns if c in columns[:3] or getattr(self, c) is not None}
        problems = [
            f"{self.name}: {column} must be a NumPy array, got {type(values).__name__}: use numpy.asarray"
            for column, values in arrays.items()
            if not isinstance(values, np.ndarray) or values.ndim == 0
        ]
        if problems:
            return problems
        n = len(self.inputs)
        if n == 0:
            return [f"{self.name}: needs at least one record, got none: check the file or the `rows` range"]
        for column, values in arrays.items():
            if column != "inputs" and values.shape != (n,):
                problems.append(
                    f"{self.name}: {column} must have one entry for each of {n} inputs, got shape {values.shape}: "
                    "give each record one"
                )
        if self.labels.dtype.kind not in "iu":
            problems.append(f"{self.name}: labels must be class numbers, got {self.labels.dtype}: use .astype(int)")
        if self.tokens and (self.inputs.ndim != 2 or self.inputs.dtype.kind not in "iu"):
            problems.append(
                f"{self.name}: tokens must be whole numbers [n, length], got shape {self.inputs.shape} and type "
                f"{self.inputs.dtype}: use .astype(int), or leave out tokens"
            )
        if self.cells is not None and len(self.cells) != n:
            problems.append(
                f"{self.name}: cells must be there for each of {n} inputs, got {len(self.cells)}: give each record its "
                "own"
            )
        if self.inputs.dtype.kind not in "fiub":
            problems.append(f"{self.name}: inputs must be numbers, got {self.inputs.dtype}: encode them as numbers")
        if self.columns is not None and self.inputs.shape[1:] != (len(self.columns),):
            problems.append(
                f"{self.name}: columns must name each feature, got {len(self.columns)} names for inputs of shape "
                f"{self.inputs.shape}: give one name per feature"
            )
        return problems

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def incomplete(self) -> Int[Array, " k"]:
        """Rows with a missing number, which only `cells` show."""
        return np.zeros(0, np.int64) if self.cells is None else self.cells.incomplete()

    def take(self, rows: Array) -> Dataset:
        """The records in `rows` (indices or mask), in that order."""
        return replace(
            self,
            inputs=self.inputs[rows],
            labels=self.labels[rows],
            ids=self.ids[rows],
            persons=None if self.persons is None else self.persons[rows],
            groups=None if self.groups is None else self.groups[rows],
            cells=None if self.cells is None else self.cells[rows],
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all records and the class names; it represents the data in cache keys.

        Names of features are left out: they change no model.
        """
        digest = hashlib.sha256(f"{self.inputs_fingerprint}{_hash_of(self.labels)}".encode())
        for texts in (self.ids, self.classes, self.persons, self.groups):
            listed = None if texts is None else [str(text) for text in texts]
            digest.update(json.dumps(listed).encode())
        if self.cells is not None:
            digest.update(self.cells.fingerprint().encode())
        return digest.hexdigest()

    @cached_property
    def inputs_fingerprint(self) -> str:
        """SHA-256 over the inputs alone: equal for two tasks on the same records."""
        return _hash_of(self.inputs)


def _hash_of(array: Array) -> str:
    """SHA-256 over type, shape and values of an array."""
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def content_ids(inputs: Array | Sequence[str | bytes], labels: Array) -> Array:
    """Ids from each record's content, with a counter for exact duplicates, so that they survive reordering.

    Args:
        inputs: `[n ...]`, or a text or bytes for each record.
        labels: `[n]`, any type.

    Returns:
        Strings `[n]` of 12 hexadecimal digits, `-1`, `-2` ... added to the second, third ... copy of a record.
    """
    seen: dict[str, int] = {}
    ids = []
    rows = np.ascontiguousarray(inputs) if isinstance(inputs, np.ndarray) else inputs
    for row, label in zip(rows, labels, strict=True):
        raw = row.encode("utf-8", "surrogatepass") if isinstance(row, str) else bytes(row)
        key = hashlib.sha256(raw + str(label).encode()).hexdigest()[:12]
        count = seen.get(key, 0)
        seen[key] = count + 1
        ids.append(f"{key}-{count}" if count else key)
    return np.array(ids)
