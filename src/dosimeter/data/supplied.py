"""Data that a user gives in Python with a supplied model: parts such as members and nonmembers, made comparable."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.data.alike import own_ids, same_classes, same_features, same_texts
from dosimeter.data.cells import Cells, Held, from_pandas, loses
from dosimeter.data.cells import together as joined_cells
from dosimeter.data.dataset import TEXT_CLASS, Dataset, content_ids
from dosimeter.data.duplicates import contents
from dosimeter.data.files.columns import arrow_columns, whole_characters
from dosimeter.data.files.huggingface import from_huggingface, is_huggingface
from dosimeter.data.files.tables import from_table, texts_table
from dosimeter.data.files.texts import as_texts
from dosimeter.data.files.tokens import tokens
from dosimeter.data.items import frame_pair, pair, texts_of
from dosimeter.data.labels import encode_labels
from dosimeter.data.options import Options, Request, as_data_error, parse_rows
from dosimeter.data.reference import read
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote

FORMS_OF_TEXTS = "a list of texts, a data frame or columns with one named text, or a reference such as 'data.csv'"


@dataclass(frozen=True)
class Source:
    """A reference with a range of rows, as an audit file names it.

    Attributes:
        reference: what `load` reads.
        rows: `"a:b"`, or None for all.
    """

    reference: str
    rows: str | None = None

    @property
    def title(self) -> str:
        """The name of the source in a report."""
        return self.reference if self.rows is None else f"{self.reference}[{self.rows}]"


@dataclass(frozen=True)
class _Part:
    """One part, read by itself.

    Attributes:
        dataset: it may have one class only; its name is the part's.
        declared: its classes were named in order, rather than those that occur.
    """

    dataset: Dataset
    declared: bool


def read_parts(
    parts: Mapping[str, object], *, seed: int, base: Path | None, options: Options, noun: str | None = None
) -> dict[str, Dataset]:
    """The parts as data sets with the same classes, the same features, and distinct ids.

    Whole, non-negative labels are positions of the model's outputs and stay as they are; other labels are numbered by
    value or as text. Of tables the categories of all parts together are one-hot. An id that occurs in two parts gets
    the part's name before it. Integers stay integers and other numbers become float32; what the user held instead is
    kept in `Dataset.cells`. A missing number becomes the mean of its column and a column that says so.

    Args:
        parts: name, as in "members", to a `Dataset`, `(inputs, labels)`, a map-style `torch.utils.data.Dataset` of
            `(x, y)`, a pandas DataFrame, a data set of `datasets`, or a reference that `load` reads. Inputs may be
            a DataFrame without labels, or a list of texts. With the option `level` a part may be a list or a column of
            texts alone, or columns by name.
        seed: handed to a function that a reference names.
        base: the folder that paths start from; None is the working directory.
        options: options for reading tables and references; `classes` also for arrays.
        noun: noun for one record.

    Returns:
        A data set for each part; one may hold one class only.

    Raises:
        DataError: every part that cannot be read, or a difference between parts.

    >>> both = read_parts({"members": ([[0.0], [1.0]], [0, 1]), "nonmembers": ([[2.0]], [1])}, seed=0, base=None,
    ...              options=Options())
    >>> both["nonmembers"].classes, both["nonmembers"].labels.tolist()
    (('0', '1'), [1])
    """
    found: dict[str, _Part] = {}
    errors: list[DataError] = []
    for name, value in parts.items():
        request = Request(one_line(name, 100), options=options, seed=seed, base=base or Path(), part=True)
        try:
            found[name] = _read(value, request)
        except DataError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise DataError(*[problem for error in errors for problem in error.problems]) from errors[0]
    datasets = same_features({name: part.dataset for name, part in found.items()})
    if not same_texts(datasets):
        datasets = same_classes(datasets, [name for name, part in found.items() if part.declared])
    noun = noun or options.noun
    datasets = {name: replace(one, noun=noun or one.noun, name=name) for name, one in datasets.items()}
    return own_ids(datasets)


def read_apart(
    parts: Mapping[str, object], *, apart: Sequence[str], seed: int, base: Path | None, options: Options,
    noun: str | None = None,
) -> dict[str, Dataset]:  # fmt: skip
    """The parts as `read_parts` reads them, but some with classes of their own.

    Args:
        parts: as in `read_parts`.
        apart: names of those whose classes are others than those of the rest.
        seed: handed to a function that a reference names.
        base: the folder that paths start from; None is the working directory.
        options: options for reading tables and references.
        noun: noun for one record.

    Raises:
        DataError: every part that cannot be read, or a difference between parts.
    """
    groups = [{name: one for name, one in parts.items() if name not in apart}]
    groups += [{name: one} for name, one in parts.items() if name in apart]
    found: dict[str, Dataset] = {}
    for group in groups:
        found |= read_parts(group, seed=seed, base=base, options=options, noun=noun)
    return found


def _read(value: object, request: Request) -> _Part:
    """One part by its kind."""
    options = request.options
    if isinstance(value, Dataset):
        return _Part(replace(value, name=request.name, part=True), declared=True)
    if isinstance(value, Source):
        rows = parse_rows(value.rows, request.name)
        return _read(value.reference, replace(request, rows=rows))
    if isinstance(value, str | Path):
        named = replace(request, name=f"{request.name}: {one_line(value, 500)}")
        return _Part(replace(read(str(value), named), name=request.name), declared=options.classes is not None)
    if is_huggingface(value):
        return _Part(from_huggingface(value, request), declared=options.classes is not None)
    pandas = sys.modules.get("pandas")
    if options.level is not None and not (pandas is not None and isinstance(value, pandas.DataFrame)):
        return _Part(_texts_of_any(value, request), declared=True)
    if pandas is not None and isinstance(value, pandas.DataFrame):
        table = _arrow(value, request.name)
        return _Part(from_table(table, request, primary=True), declared=options.classes is not None)
    beside = frame_pair(value)
    if beside is not None:
        return _frame_beside_labels(*beside, request)
    inputs, labels = pair(value, request.name)
    return _arrays(inputs, labels, request)


def _texts_of_any(value: Any, request: Request) -> Dataset:
    """Texts for a language model in a list, in one column, or in columns by name.

    Raises:
        DataError: they are in nothing of the kind.
    """
    if isinstance(value, Mapping):
        return from_table(arrow_columns(value, request.name, "give lists of one length, of texts or numbers"), request)
    if hasattr(value, "to_pandas") and hasattr(value, "columns"):
        return from_table(_arrow(value.to_pandas(), request.name), request, primary=True)
    if isinstance(value, list | tuple | np.ndarray) or (hasattr(value, "__iter__") and hasattr(value, "__len__")):
        return _listed_texts(list(value), request)
    raise DataError(f"{request.name}: must be {FORMS_OF_TEXTS}, got {type(value).__name__}: put its texts in a list")


def _listed_texts(value: Any, request: Request) -> Dataset:
    """A list of texts for a language model; no text of it stands in a message.

    Raises:
        DataError: something in the list is no text.
    """
    odd = [row for row, one in enumerate(value) if not isinstance(one, str)]
    if odd or not len(value):
        got = f"{type(value[odd[0]]).__name__} in row {odd[0]}" if odd else "none"
        raise DataError(
            f"{request.name}: must be texts, which the option level asks for, got {got}: give a list of texts alone, "
            "without labels"
        )
    texts = [str(one) for one in value]
    blank = np.zeros(len(texts), np.int64)
    whole = Dataset(blank[:, None], blank, (TEXT_CLASS,), content_ids(texts, blank), name=request.name, part=True)
    return as_texts(whole, texts, request)


def _arrays(inputs: Array, labels: Array, request: Request) -> _Part:
    """A part of arrays, or of texts."""
    options, name = request.options, request.name
    texts, cells = texts_of(inputs), None
    if texts is not None:
        cells = Cells("texts", texts_table(texts))
        keys: Any = texts
        inputs = tokens(texts, request)
    else:
        cells = _cells_of(inputs)
        keys = inputs if cells is not None and loses(cells.values) else _inputs(inputs, name)
        inputs = _inputs(inputs, name)
    numbers, classes = encode_labels(labels, name, options.classes)
    if len(numbers) != len(inputs):
        raise DataError(
            f"{name}: inputs and labels must have equal lengths, got {len(inputs)} and {len(numbers)}: "
            "give each record one label"
        )
    dataset = Dataset(
        inputs=inputs,
        labels=numbers,
        classes=classes,
        ids=content_ids(keys, np.array(classes)[numbers]) if len(inputs) else np.array([], str),
        noun=options.noun or "record",
        name=name,
        part=True,
        cells=cells,
        tokens=texts is not None,
        ordered=options.classes is not None or labels.dtype.kind in "iufb",
    )
    return _Part(dataset, declared=options.classes is not None)


def _frame_beside_labels(frame: Any, labels: Any, request: Request) -> _Part:
    """A part from a data frame and its labels, given side by side."""
    name = "label"
    while name in frame.columns:
        name = f"_{name}"
    if len(frame) != len(labels):
        raise DataError(
            f"{request.name}: inputs and labels must have equal lengths, got {len(frame)} and {len(labels)}: give each "
            "record one label"
        )
    values = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1:
        raise DataError(f"{request.name}: labels must have shape (n,), got {values.shape}: give one class per record")
    named = replace(request, options=replace(request.options, label=name))
    table = _arrow(frame.assign(**{name: values}), request.name)
    return _Part(from_table(table, named, primary=True), declared=request.options.classes is not None)


def _arrow(frame: Any, name: str) -> Any:
    """A DataFrame as an Arrow table, without its index."""
    strange = [column for column in frame.columns if not isinstance(column, str)]
    if strange:
        raise DataError(f"{name}: column names must be text, got {quote(strange[0])}: rename the columns")
    if len(set(frame.columns)) < len(frame.columns):
        twice = next(column for column in frame.columns if (frame.columns == column).sum() > 1)
        raise DataError(f"{name}: column names must be distinct, got {quote(twice)} twice: rename one of them")
    sparse = [column for column in frame.columns if hasattr(frame[column], "sparse")]
    if sparse:
        raise DataError(f"{name}: columns must be dense, got sparse {quote(sparse[0])}: use .sparse.to_dense()")
    with as_data_error(name, "give each column one type"), whole_characters(frame, name):
        return from_pandas(frame)


def _cells_of(values: Array) -> Cells | None:
    """The numbers in their own type, if the inputs get another type or lose missing ones."""
    if values.dtype.kind not in "fb" or (values.dtype == np.float32 and not np.isnan(values).any()):
        return None
    return Cells("array", values.astype(np.float64) if values.dtype.itemsize > 8 else values)


def _inputs(values: Array, name: str) -> Array:
    """Inputs in the form that a network takes: bytes and integers stay, all else becomes float32."""
    if values.ndim < 2 or 0 in values.shape[1:]:
        raise DataError(f"{name}: inputs must have shape (n, features...), got {values.shape}: give one row per record")
    if values.dtype.kind not in "fiub":
        raise DataError(f"{name}: inputs must be numbers, got {values.dtype}: encode them as numbers")
    if values.ndim == 4 and values.shape[1] not in (1, 3, 4) and values.shape[3] in (1, 3, 4) and values.shape[2] > 4:
        raise DataError(
            f"{name}: images must have shape (n, channels, height, width), got {values.shape}: "
            "move the channels with .transpose(0, 3, 1, 2)"
        )
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    if values.ndim == 4 and values.shape[1] in (1, 3, 4) and small.size and small.min() >= 0 and small.max() > 16:
        raise DataError(
            f"{name}: images are float in [0, 1] or uint8, got up to {float(small.max())}: divide by 255, and if your "
            "model takes 0 to 255, multiply inside it"
        )
    return small


def join_parts(parts: Mapping[str, Dataset]) -> Dataset:
    """All records of a supplied model as one data set, in the order of the parts."""
    sets = list(parts.values())
    first = sets[0]
    return Dataset(
        inputs=np.concatenate([one.inputs for one in sets]),
        labels=np.concatenate([one.labels for one in sets]),
        classes=first.classes,
        ids=np.concatenate([one.ids.astype(str) for one in sets]),
        noun=first.noun,
        name=" and ".join(parts),
        columns=first.columns,
        categories=first.categories,
        cells=joined_cells([one.cells for one in sets]),
        tokens=first.tokens,
        vocabulary=first.vocabulary,
        compressed=_sizes(sets) if first.vocabulary is not None else None,
        ordered=all(one.ordered for one in sets),
    )


def _sizes(sets: Sequence[Dataset]) -> Array | None:
    """Sizes of all texts after zlib, bytes; None if some part gives none."""
    found = [one.compressed for one in sets if one.compressed is not None]
    return np.concatenate(found) if len(found) == len(sets) else None


def held_of(dataset: Dataset) -> Held:
    """Records of a data set in the form in which a model is queried about them."""
    import torch  # tables of scores are measured without it

    return Held(torch.from_numpy(dataset.inputs), dataset.cells, dataset.tokens)


def join_column(members: Array | None, nonmembers: Array | None) -> Array | None:
    """A column of members, then of non-members, if both parts have it."""
    if members is None or nonmembers is None:
        return None
    return np.concatenate([members.astype(str), nonmembers.astype(str)])


def clusters_of(members: Dataset, nonmembers: Dataset) -> Array:
    """Persons if both parts name them, else distinct records: copies are one piece of evidence."""
    persons = join_column(members.persons, nonmembers.persons)
    if persons is None:
        return contents(members.inputs, nonmembers.inputs)
    return np.unique(persons, return_inverse=True)[1]
