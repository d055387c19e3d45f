"""A data set in memory, with permanent record ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int

from dosimeter.data.cells import Cells
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote

TEXT_CLASS = "text"
"""Name of the only class of texts of a language model, which have no labels."""


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
        attributes: private attributes of each record that are no inputs, such as sex: for each name text or numbers
            `[n]`.
        vocabulary: the records are texts of a language model: tokens from 0 to `vocabulary` - 1, then -1 to the end of
            the row. They have no labels: all are 0, of the one class `TEXT_CLASS`. None for all other records.
        compressed: of texts: size of each after zlib, bytes `[n]`; without it an attack takes that of the tokens.

    Raises:
        DataError: empty, NaN, one class only, label outside the range, lengths that differ, repeated ids, an attribute
            that is missing somewhere or is neither text nor numbers.
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
    attributes: Mapping[str, Array] = field(default_factory=dict)
    vocabulary: int | None = None
    compressed: Int[Array, " n"] | None = None

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
        elif not self.part and self.vocabulary is None and len(np.unique(self.labels)) < 2:
            problems.append(
                f"{self.name}: labels must have at least two classes, got only "
                f"{self.classes[int(self.labels[0])]!r} in all {n} records: use data with two classes or more"
            )
        if self.vocabulary is not None:
            problems += _problems_of_texts(self.inputs, self.vocabulary, self.name)
        return problems + self._problems_of_ids()

    def _problems_of_ids(self) -> list[str]:
        """A line about an id that two records have; none if each has its own."""
        values, counts = np.unique(self.ids, return_counts=True)
        if len(values) == len(self.ids):
            return []
        return [
            f"{self.name}: ids must be distinct, got {str(values[np.argmax(counts)])!r} {int(counts.max())} times: "
            f"give each record its own id"
        ]

    def _allowed(self, values: Array) -> Array:
        """Mask of the allowed numbers; a part that keeps its cells may lack numbers until all parts are read."""
        finite: Array = np.isfinite(values)
        return finite | np.isnan(values) if self.part and self.cells is not None else finite

    def _problems_of_form(self) -> list[str]:
        """Problems with the type or length of arrays, one line each."""
        columns = ("inputs", "labels", "ids", "persons", "groups", "compressed")
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
        problems += _problems_of_attributes(self.attributes, n, self.name)
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
    def lengths(self) -> Int[Array, " n"]:
        """Tokens of each text of a language model."""
        return np.asarray((self.inputs >= 0).sum(1), dtype=np.int64)

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
            attributes={name: values[rows] for name, values in self.attributes.items()},
            compressed=None if self.compressed is None else self.compressed[rows],
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
        for name, values in sorted(self.attributes.items()):
            digest.update(json.dumps(["attribute", name, values.dtype.kind, *values.tolist()]).encode())
        if self.vocabulary is not None:
            sizes = None if self.compressed is None else self.compressed.tolist()
            digest.update(json.dumps(["texts", self.vocabulary, sizes]).encode())
        return digest.hexdigest()

    @cached_property
    def inputs_fingerprint(self) -> str:
        """SHA-256 over the inputs alone: equal for two tasks on the same records."""
        return _hash_of(self.inputs)


def _problems_of_attributes(attributes: Any, n: int, name: str) -> list[str]:
    """Attributes that are not one text or finite number for each of n records, one line each."""
    if not isinstance(attributes, Mapping):
        return [
            f"{name}: attributes must be a table of arrays by name, got {type(attributes).__name__}: write "
            "{'sex': array}"
        ]
    problems = []
    for title, values in attributes.items():
        place = f"{name}: attribute {quote(title)}"
        if not isinstance(title, str) or not title.strip():
            problems.append(f"{place}: must have a name of text, got {type(title).__name__}: name it, as in 'sex'")
        elif not isinstance(values, np.ndarray):
            problems.append(f"{place} must be a NumPy array, got {type(values).__name__}: use numpy.asarray")
        elif values.shape != (n,):
            problems.append(
                f"{place} must have one entry for each of {n} inputs, got shape {values.shape}: give each record one"
            )
        elif values.dtype.kind not in "Uiuf":
            problems.append(f"{place} must be text or numbers, got {values.dtype}: use .astype(str) or .astype(int)")
        else:
            missing = ~np.isfinite(values) if values.dtype.kind != "U" else np.char.strip(values) == ""
            if missing.any():
                problems.append(
                    f"{place} must not be missing, got {quote(values[np.argmax(missing)].item())} in row "
                    f"{int(np.argmax(missing))} ({int(missing.sum())} such records): fill them in or remove the records"
                )
    return problems


def _problems_of_texts(tokens: Array, vocabulary: int, name: str) -> list[str]:
    """Texts of a language model that are no texts: a token that is none, a gap, or nothing to predict; a line each."""
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu":
        return [
            f"{name}: texts must be tokens [n, length], whole numbers, got shape {tokens.shape} and type "
            f"{tokens.dtype}: use .astype(int), or leave out vocabulary"
        ]
    problems = []
    wrong = (tokens < -1) | (tokens >= vocabulary)
    if wrong.any():
        row = int(np.argmax(wrong.any(1)))
        problems.append(
            f"{name}: tokens must be in 0..{vocabulary - 1}, or -1 after the end, got {int(tokens[wrong][0])} in row "
            f"{row} ({int(wrong.any(1).sum())} such texts): use the tokenizer that the vocabulary belongs to"
        )
    gaps = ((tokens[:, :-1] < 0) & (tokens[:, 1:] >= 0)).any(1)
    if gaps.any():
        problems.append(
            f"{name}: -1 must stand after the last token of a text, got one before it in row {int(np.argmax(gaps))} "
            f"({int(gaps.sum())} such texts): move the tokens to the front"
        )
    short = (tokens >= 0).sum(1) < 2
    if short.any():
        problems.append(
            f"{name}: a text must have at least one token after the first, got none in row {int(np.argmax(short))} "
            f"({int(short.sum())} such texts): remove empty texts"
        )
    return problems


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
