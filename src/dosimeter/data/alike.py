"""Makes parts that were read separately comparable: the same features, classes and categories, distinct ids."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dosimeter.data.cells import Cells
from dosimeter.data.dataset import Dataset
from dosimeter.data.files.columns import blocks
from dosimeter.data.files.spelling import WHOLE
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote

logger = logging.getLogger(__name__)

MOST_CLASSES = 100_000
MADE = re.compile(r"[0-9a-f]{12}(-\d+)?")
"""Pattern of ids that were made from content."""


def same_features(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Parts with the same shape and type of inputs, and the same columns."""
    (first, pattern), *others = datasets.items()
    datasets = _same_cells(datasets)
    tables = [name for name, one in datasets.items() if one.columns is not None]
    if tables and len(tables) == len(datasets):
        return _without_gaps(_same_columns(datasets))
    for name, one in others:
        if (one.inputs.shape[1:], one.inputs.dtype) != (pattern.inputs.shape[1:], pattern.inputs.dtype):
            raise DataError(
                f"{name}: inputs must have the shape and type of {first}, {pattern.inputs.shape[1:]} "
                f"{pattern.inputs.dtype}, got {one.inputs.shape[1:]} {one.inputs.dtype}: prepare both alike"
            )
    return _without_gaps(datasets)


def _same_cells(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Parts whose cells have one form; inputs that are float32 already serve as cells."""
    kinds = {name: None if one.cells is None else one.cells.kind for name, one in datasets.items()}
    if len(set(kinds.values())) == 1:
        return dict(datasets)
    if set(kinds.values()) == {None, "array"}:
        return {
            name: replace(one, cells=Cells("array", one.inputs)) if one.cells is None else one
            for name, one in datasets.items()
        }
    if "texts" not in kinds.values():  # some parts name their columns and some do not, so none does
        plain = {
            name: one if one.columns is None else replace(one, cells=None, columns=None, categories=None)
            for name, one in datasets.items()
        }
        return _same_cells({name: plain[name] for name in datasets})
    words = {None: "numbers", "array": "numbers", "frame": "a table with named columns", "texts": "texts"}
    (first, kind), *others = kinds.items()
    name, other = next(pair for pair in others if words[pair[1]] != words[kind])
    raise DataError(
        f"{name}: must be of the kind of {first}, which is {words[kind]}, got {words[other]}: give all in one form"
    )


def _without_gaps(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Parts with missing numbers replaced by the column mean over all parts, and a further column that marks them."""
    gaps = {name: one.inputs.dtype.kind == "f" and bool(np.isnan(one.inputs).any()) for name, one in datasets.items()}
    if not any(gaps.values()):
        return dict(datasets)
    name = next(name for name, found in gaps.items() if found)
    if datasets[name].inputs.ndim != 2:
        row = int(np.argmax(np.isnan(datasets[name].inputs).reshape(len(datasets[name]), -1).any(1)))
        raise DataError(f"{name}: inputs must be finite, got NaN in row {row}: remove or impute such records")
    every = np.concatenate([one.inputs for one in datasets.values()])
    missing = np.isnan(every)
    places = np.flatnonzero(missing.any(0))
    means = np.where(missing, 0, every).sum(0, dtype=np.float64) / np.maximum(1, (~missing).sum(0))
    found = {}
    for part, one in datasets.items():
        lacks = np.isnan(one.inputs)
        filled = np.where(lacks, means, one.inputs)
        columns = None if one.columns is None else (*one.columns, *(f"{one.columns[i]} is missing" for i in places))
        inputs = np.concatenate([filled, lacks[:, places]], 1).astype(np.float32)
        found[part] = replace(one, inputs=inputs, columns=columns)
    return found


def _same_columns(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Tables with columns in the order of the first part, and the categories of all parts."""
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
                f"{name}: must have the columns of {first}, got {state} {quote(odd[0])}: give both the same columns"
            )
        for title, block in own.items():
            known = union[title]
            if (known is None) != (block.categories is None):
                raise DataError(
                    f"{name}: column {quote(title)} must be of one kind, got numbers in one part and text in another: "
                    "name it in the option categorical"
                )
            if known is not None:
                union[title] = (*known, *(c for c in block.categories or () if c not in known))
    return {name: _encode(one, listed[name], union) for name, one in datasets.items()}


def _encode(dataset: Dataset, own: Mapping[str, Any], union: Mapping[str, tuple[str, ...] | None]) -> Dataset:
    """The features of a table, moved to the columns that all parts share."""
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


def same_texts(datasets: Mapping[str, Dataset]) -> bool:
    """Returns whether all parts are texts of a language model, which have no classes.

    Raises:
        DataError: only some are, or they have other tokens.
    """
    known = {name: one.vocabulary for name, one in datasets.items()}
    if set(known.values()) == {None}:
        return False
    (first, size), *others = known.items()
    for name, own in others:
        if own != size:
            words = [f"{one} tokens" if one else "records with classes" for one in (size, own)]
            raise DataError(
                f"{name}: must be texts with the tokens of {first}, {words[0]}, got {words[1]}: read both with one "
                "level, vocabulary and tokenizer"
            )
    return True


def same_classes(datasets: Mapping[str, Dataset], declared: Sequence[str]) -> dict[str, Dataset]:
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
            f"{' and '.join(datasets)}: labels must have at least two classes, got only {quote(classes[0])}: use data "
            "with two classes or more, or name them in the option classes"
        )
    return {name: _renumber(one, classes, name) for name, one in datasets.items()}


def _union(datasets: Mapping[str, Dataset]) -> tuple[str, ...]:
    """The classes that occur in any of the parts."""
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


def _renumber(dataset: Dataset, classes: tuple[str, ...], name: str) -> Dataset:
    """Labels as positions in the common classes: by name, or whole numbers as they are."""
    if dataset.classes == classes:
        return dataset
    position = {known: i for i, known in enumerate(classes)}
    places = []
    for own in dataset.classes:
        place = position.get(own, int(own) if WHOLE.fullmatch(own) else -1)
        if not 0 <= place < len(classes):
            raise DataError(
                f"{name}: labels must be among the classes {one_line(', '.join(classes), 200)}, got {quote(own)}: "
                "correct the label or name the class"
            )
        places.append(place)
    return replace(dataset, labels=np.array(places, np.int64)[dataset.labels], classes=classes)


def own_ids(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Parts whose ids occur once over all parts.

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
