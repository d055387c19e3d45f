"""What a user hands over in Python for a brought model: parts such as members and nonmembers, made comparable."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter._resolve import describe, one_line, quoted
from dosimeter.data.columns import blocks
from dosimeter.data.dataset import Array, Dataset, content_ids
from dosimeter.data.labels import encode_labels
from dosimeter.data.options import Options, Request, parse_rows, told
from dosimeter.data.reference import read
from dosimeter.data.tables import from_table
from dosimeter.errors import DataError

logger = logging.getLogger(__name__)

MOST_CLASSES = 100_000
WHOLE = re.compile(r"-?\d+", re.ASCII)
MADE = re.compile(r"[0-9a-f]{12}(-\d+)?")
"""What ids look like that are made of content."""
FORMS = "a Dataset, (inputs, labels), a torch Dataset of (x, y), a pandas DataFrame, or a reference such as 'data.csv'"


@dataclass(frozen=True)
class Source:
    """A reference of which only some rows are taken, as an audit file names it.

    Attributes:
        reference: what `load` reads.
        rows: `"a:b"`, or None for all.
    """

    reference: str
    rows: str | None = None

    @property
    def shown(self) -> str:
        """What a report calls it."""
        return self.reference if self.rows is None else f"{self.reference}[{self.rows}]"


@dataclass(frozen=True)
class _Part:
    """One part, read by itself.

    Attributes:
        dataset: it may have one class only; its name is the part's.
        declared: its classes are in an order that means something, rather than those that occur.
    """

    dataset: Dataset
    declared: bool


def given(
    parts: Mapping[str, object], *, seed: int, base: Path | None, options: Options, noun: str | None = None
) -> dict[str, Dataset]:
    """The parts as data sets with the same classes, the same features, and ids that differ.

    Whole, non-negative labels are positions of the model's outputs and stay as they are; other labels are numbered by
    value or as text. Of tables the categories of all parts together are one-hot. An id that occurs in two parts gets
    the part's name before it. Inputs stay what the model takes: integers stay integers, other numbers become float32.

    Args:
        parts: name, as in "members", to a `Dataset`, `(inputs, labels)`, a map-style `torch.utils.data.Dataset` of
            `(x, y)`, a pandas DataFrame, or a reference or path that `load` reads.
        seed: handed to a function that a reference names.
        base: the folder that paths start from; None is the working directory.
        options: how to read tables and references; `classes` also for arrays.
        noun: what one record is called.

    Returns:
        A data set for each part; one may hold one class only.

    Raises:
        DataError: every part that cannot be read, or a difference between parts.

    >>> both = given({"members": ([[0.0], [1.0]], [0, 1]), "nonmembers": ([[2.0]], [1])}, seed=0, base=None,
    ...              options=Options())
    >>> both["nonmembers"].classes, both["nonmembers"].labels.tolist()
    (('0', '1'), [1])
    """
    found: dict[str, _Part] = {}
    problems: list[str] = []
    for name, value in parts.items():
        request = Request(one_line(name, 100), options=options, seed=seed, base=base or Path(), part=True)
        try:
            found[name] = _read(value, request)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    datasets = _same_features({name: part.dataset for name, part in found.items()})
    datasets = _same_classes(datasets, [name for name, part in found.items() if part.declared])
    noun = noun or options.noun
    datasets = {name: replace(one, noun=noun or one.noun, name=name) for name, one in datasets.items()}
    return _own_ids(datasets)


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
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return _Part(from_table(_arrow(value, request.name), request), declared=options.classes is not None)
    inputs, labels = _pair(value, request.name)
    inputs = _inputs(inputs, request.name)
    numbers, classes = encode_labels(labels, request.name, options.classes)
    if len(numbers) != len(inputs):
        raise DataError(
            f"{request.name}: inputs and labels must have equal lengths, got {len(inputs)} and {len(numbers)}: "
            "give each record one label"
        )
    ids = content_ids(inputs, np.array(classes)[numbers]) if len(inputs) else np.array([], str)
    noun = options.noun or "record"
    dataset = Dataset(inputs, numbers, classes, ids, noun=noun, name=request.name, part=True)
    return _Part(dataset, declared=options.classes is not None)


def _arrow(frame: Any, name: str) -> Any:
    """A DataFrame as an Arrow table, without its index."""
    import pyarrow as pa

    strange = [column for column in frame.columns if not isinstance(column, str)]
    if strange:
        raise DataError(f"{name}: column names must be text, got {quoted(strange[0])}: rename the columns")
    with told(name, "give each column one type"):
        return pa.Table.from_pandas(frame, preserve_index=False)


def _pair(value: object, name: str) -> tuple[Array, Array]:
    """Inputs and labels of arrays or of a torch data set."""
    if isinstance(value, tuple | list) and len(value) == 2 and not isinstance(value[0], tuple | str):
        return _array(value[0], f"{name}: inputs"), _array(value[1], f"{name}: labels")
    whole = _whole_tensors(value)
    if whole is not None:
        return _array(whole[0], f"{name}: inputs"), _array(whole[1], f"{name}: labels")
    if isinstance(value, Mapping | np.ndarray) or not hasattr(value, "__getitem__") or not hasattr(value, "__len__"):
        stream = hasattr(value, "__iter__") and not hasattr(value, "__len__")
        remedy = "a stream has no positions, collect it into arrays" if stream else "give one of these"
        remedy = "give its .dataset" if hasattr(value, "dataset") else remedy
        raise DataError(f"{name}: must be {FORMS}, got {type(value).__name__}: {remedy}")
    return _collected(value, name)


def _whole_tensors(value: Any) -> tuple[Any, Any] | None:
    """The tensors of a data set that holds them whole, without calling it for each record; else None."""
    import torch

    if isinstance(value, torch.utils.data.Subset):
        inner = _whole_tensors(value.dataset)
        if inner is None:
            return None
        positions = np.asarray(value.indices, np.int64)
        return _taken(inner[0], positions), _taken(inner[1], positions)
    if isinstance(value, torch.utils.data.TensorDataset):
        return value.tensors if len(value.tensors) == 2 else None
    if hasattr(value, "inputs") and hasattr(value, "labels"):
        return value.inputs, value.labels
    return None


def _taken(values: Any, positions: Array) -> Any:
    """Rows of a tensor, an array or a list."""
    if isinstance(values, Sequence):
        return [values[position] for position in positions]
    return values[positions]


def _collected(value: Any, name: str) -> tuple[Array, Array]:
    """All `(x, y)` of a map-style data set, one after the other."""
    try:
        n = len(value)
    except Exception as caught:  # user's code
        raise DataError(f"{name}: must have a length, got {describe(caught)}: give a map-style data set") from None
    xs: list[Array] = []
    ys: list[object] = []
    for i in range(n):
        place = f"{name}[{i}]"
        try:
            item = value[i]
        except Exception as caught:  # user's code
            raise DataError(f"{place}: must be readable, got {describe(caught)}: correct the data set") from None
        if not isinstance(item, tuple | list) or len(item) != 2:
            got = f"{type(item).__name__} of {len(item)}" if isinstance(item, tuple | list) else type(item).__name__
            raise DataError(f"{place}: must be (x, y), got {got}: return the input and the label")
        if hasattr(item[0], "convert"):
            raise DataError(f"{place}: x must be a tensor, got a picture: give the data set a transform to tensors")
        x, y = _array(item[0], f"{place}: x"), _array(item[1], f"{place}: y")
        if y.size != 1 or (xs and x.shape != xs[0].shape):
            got = f"shape {x.shape} after {xs[0].shape}" if y.size == 1 else f"a label of shape {y.shape}"
            raise DataError(f"{place}: all x must have one shape and each y be one label, got {got}: correct it")
        xs.append(x)
        ys.append(y.reshape(()).item())
    if not xs:
        raise DataError(f"{name}: needs at least one record, got none: check the data set")
    return np.stack(xs), np.array(ys)


def _array(value: Any, place: str) -> Array:
    """A tensor, an array or a list as an array."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if str(value.dtype) == "torch.bfloat16" else value
            return value.numpy()  # type: ignore[no-any-return]
        array = np.asarray(value)
    except Exception as caught:  # array protocols of any library
        raise DataError(f"{place} must be an array, got {describe(caught)}: give numbers of one shape") from None
    if array.dtype.kind == "O" and not place.endswith("labels"):
        raise DataError(f"{place} must be an array of numbers, got Python objects: give numbers of one shape")
    return array


def _inputs(values: Array, name: str) -> Array:
    """Inputs as the user's model takes them: bytes and integers stay, all else becomes float32."""
    if values.ndim < 2 or 0 in values.shape[1:]:
        raise DataError(f"{name}: inputs must have shape (n, features...), got {values.shape}: give one row per record")
    if values.dtype.kind not in "fiub":
        raise DataError(f"{name}: inputs must be numbers, got {values.dtype}: encode them as numbers")
    if values.ndim == 4 and values.shape[1] not in (1, 3, 4) and values.shape[3] in (1, 3, 4) and values.shape[2] > 4:
        raise DataError(
            f"{name}: images must have shape (n, channels, height, width), got {values.shape}: "
            "move the channels with .transpose(0, 3, 1, 2)"
        )
    if values.dtype == np.uint8 and values.ndim > 2:
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


def _same_features(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """The same shape and type of inputs, and the same columns, in every part."""
    (first, pattern), *others = datasets.items()
    tables = [name for name, one in datasets.items() if one.columns is not None]
    if tables and len(tables) == len(datasets):
        return _same_columns(datasets)
    for name, one in others:
        if (one.inputs.shape[1:], one.inputs.dtype) != (pattern.inputs.shape[1:], pattern.inputs.dtype):
            raise DataError(
                f"{name}: inputs must have the shape and type of {first}, {pattern.inputs.shape[1:]} "
                f"{pattern.inputs.dtype}, got {one.inputs.shape[1:]} {one.inputs.dtype}: prepare both alike"
            )
    return dict(datasets)


def _same_columns(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Tables with the columns in the order of the first, and the categories of all."""
    listed = {name: {b.title: b for b in blocks(one.columns or (), one.categories)} for name, one in datasets.items()}
    first = next(iter(listed))
    union: dict[str, tuple[str, ...] | None] = {}
    for title, block in listed[first].items():
        union[title] = block.categories
    for name, own in listed.items():
        odd = sorted(set(own) ^ set(union))
        if odd:
            state = "no" if odd[0] in union else "also"
            raise DataError(
                f"{name}: must have the columns of {first}, got {state} {quoted(odd[0])}: give both the same columns"
            )
        for title, block in own.items():
            known = union[title]
            if (known is None) != (block.categories is None):
                raise DataError(
                    f"{name}: column {quoted(title)} must be of one kind, got numbers in one part and text in another: "
                    "name it in the option categorical"
                )
            if known is not None:
                union[title] = (*known, *(c for c in block.categories or () if c not in known))
    return {name: _encoded(one, listed[name], union) for name, one in datasets.items()}


def _encoded(dataset: Dataset, own: Mapping[str, Any], union: Mapping[str, tuple[str, ...] | None]) -> Dataset:
    """The features of a table moved to the columns that all parts share."""
    columns = [f"{t}={c}" if cats is not None else t for t, cats in union.items() for c in (cats or (t,))]
    if tuple(columns) == dataset.columns:
        return dataset
    inputs = np.zeros((len(dataset), len(columns)), np.float32)
    start = 0
    for title, categories in union.items():
        block = own[title]
        places = [0] if categories is None else [categories.index(category) for category in block.categories]
        inputs[:, start + np.array(places)] = dataset.inputs[:, block.start : block.stop]
        start += len(categories or (title,))
    shared = {title: categories for title, categories in union.items() if categories is not None}
    return replace(dataset, inputs=inputs, columns=tuple(columns), categories=shared)


def _same_classes(datasets: Mapping[str, Dataset], declared: Sequence[str]) -> dict[str, Dataset]:
    """The classes of all parts together, and labels numbered by them."""
    if declared:
        longest = max(declared, key=lambda name: len(datasets[name].classes))
        classes = datasets[longest].classes
        for name in declared:
            if datasets[name].classes != classes and not set(datasets[name].classes) < set(classes):
                raise DataError(
                    f"{name}: classes must be among those of {longest}, got {one_line(datasets[name].classes, 200)} "
                    f"instead of {one_line(classes, 200)}: name the same classes"
                )
    else:
        classes = _union(datasets)
    if len(classes) < 2:
        raise DataError(
            f"{' and '.join(datasets)}: labels must have at least two classes, got only {quoted(classes[0])}: use data "
            "with two classes or more, or name them in the option classes"
        )
    return {name: _renumbered(one, classes, name) for name, one in datasets.items()}


def _union(datasets: Mapping[str, Dataset]) -> tuple[str, ...]:
    """The classes of parts that only know those that occur."""
    all_classes = {one.classes for one in datasets.values()}
    names = {name for classes in all_classes for name in classes}
    holder = next((classes for classes in all_classes if set(classes) == names), None)
    whole = {name: all(WHOLE.fullmatch(c) for c in one.classes) for name, one in datasets.items()}
    if not any(whole.values()):
        return holder or tuple(sorted(names))
    if not all(whole.values()):
        numbers, texts = (next(name for name, is_whole in whole.items() if is_whole == kind) for kind in (True, False))
        raise DataError(f"{texts}: labels must be of one kind, got text here and numbers in {numbers}: use one of them")
    values = sorted(int(name) for name in names)
    if values[0] < 0:
        return tuple(str(value) for value in values)
    if values[-1] >= MOST_CLASSES:
        raise DataError(
            f"{' and '.join(datasets)}: labels must be class numbers below {MOST_CLASSES}, got {values[-1]}: number "
            "the classes from 0, as the model does"
        )
    return tuple(str(value) for value in range(values[-1] + 1))


def _renumbered(dataset: Dataset, classes: tuple[str, ...], name: str) -> Dataset:
    """Labels as positions in the common classes: by name, or whole numbers as they are."""
    if dataset.classes == classes:
        return dataset
    position = {known: i for i, known in enumerate(classes)}
    places = []
    for own in dataset.classes:
        place = position.get(own, int(own) if WHOLE.fullmatch(own) else -1)
        if not 0 <= place < len(classes):
            raise DataError(
                f"{name}: labels must be among the classes {one_line(', '.join(classes), 200)}, got {quoted(own)}: "
                "correct the label or name the class"
            )
        places.append(place)
    return replace(dataset, labels=np.array(places, np.int64)[dataset.labels], classes=classes)


def _own_ids(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Ids that occur once over all parts.

    Ids made of content collide where two parts hold the same record: only those of the later part are prefixed. Other
    ids that collide are numbers of rows, and all are prefixed.
    """
    ids = {name: one.ids.astype(str) for name, one in datasets.items()}
    values, counts = np.unique(np.concatenate(list(ids.values())), return_counts=True)
    twice = values[counts > 1]
    if not len(twice):
        return dict(datasets)
    made = all(MADE.fullmatch(one) for one in twice)
    logger.warning("%s: %s ids occur in two parts and get the part's name", " and ".join(datasets), len(twice))
    seen: set[str] = set()
    found = {}
    for name, own in ids.items():
        changed = [f"{name}/{one}" if not made or one in seen else one for one in own.tolist()]
        seen |= set(changed)
        found[name] = replace(datasets[name], ids=np.array(changed))
    return found
