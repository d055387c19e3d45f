"""The audit's class for each column of a model's answer, by name and never by the number of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.wording import one_line

UNNAMED = re.compile(r"LABEL_\d+")
"""Pattern of the class names that transformers makes up for a model without names."""


@dataclass(frozen=True)
class Classes:
    """The classes of an audit, to be matched with the names that models give.

    Attributes:
        names: in order of their numbers.
        numbered: a model may have been fitted on these numbers: the labels are numbers, or the classes were named in
            order.
        ours: the model was fitted on numbers that we gave it, so these come first.
    """

    names: tuple[str, ...]
    numbered: bool = True
    ours: bool = False

    def __len__(self) -> int:
        return len(self.names)


def numbered_classes(count: int) -> Classes:
    """Classes that are known by number alone."""
    return Classes(tuple(map(str, range(count))))


def class_names(model: Any) -> tuple[str, ...] | None:
    """The names that a model gives its classes, in the order of its columns; None if it names none.

    These are `classes_` of a fitted classifier and `config.id2label` of a transformers model, but for the names that
    transformers makes up.
    """
    labels = labels_of(model)
    return None if labels is None else tuple(map(name_of, labels))


def labels_of(model: Any) -> tuple[object, ...] | None:
    """A fitted classifier's labels; None for several outputs, or if reading them raises."""
    try:
        labels = getattr(model, "classes_", None)
    except Exception:  # a search or a pipeline asks its parts, which raise errors of many kinds
        return None
    if labels is not None:
        return tuple(np.asarray(labels).tolist()) if np.ndim(labels) == 1 and not isinstance(labels, list) else None
    for one in (model, getattr(model, "net", None)):
        names = getattr(getattr(one, "config", None), "id2label", None)
        if isinstance(names, Mapping) and sorted(names) == list(range(len(names))):
            listed = tuple(str(names[number]) for number in range(len(names)))
            return None if all(UNNAMED.fullmatch(name) for name in listed) else listed
    return None


def name_of(label: object) -> str:
    """A label, named as the data's classes are: whole floats as integers."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    if isinstance(label, bytes):
        return label.decode("utf-8", "backslashreplace")
    return str(label)


def columns_of(own: Sequence[str], classes: Classes, place: str) -> tuple[int, ...]:
    """The class number of each of a model's columns.

    Args:
        own: names of the model's classes, as `class_names` gives them.
        classes: classes of the audit.
        place: start of messages.

    Raises:
        TrainingError: a name that the audit does not have, or names that could be two things.

    >>> columns_of(("0", "1", "10", "2"), Classes(("0", "1", "2", "10")), "model")
    (0, 1, 3, 2)
    """
    position = {name: number for number, name in enumerate(classes.names)}
    by_name = tuple(position[name] for name in own) if all(name in position for name in own) else None
    by_number = None
    if classes.numbered and all(re.fullmatch(r"\d{1,9}", name) for name in own):
        numbers = tuple(map(int, own))
        by_number = numbers if max(numbers) < len(classes) else None
    if classes.ours and by_number is not None:
        return by_number
    if by_name is None and by_number is None:
        raise _unlike(own, classes, place)
    if by_name is not None and by_number is not None and by_name != by_number:
        raise TrainingError(
            f"{place}: its classes {_one_line(own)} could be names or numbers of the data's classes "
            f"{_one_line(classes.names)}: rename the classes of one of them"
        )
    found = by_name if by_name is not None else by_number
    assert found is not None
    return found


def _unlike(own: Sequence[str], classes: Classes, place: str) -> TrainingError:
    """The error about classes that differ, with both lists and the remedy."""
    remedy = "give the labels as the model was fitted on them"
    if all(re.fullmatch(r"\d{1,9}", name) for name in own):
        remedy += ", or name the classes in the order of its numbers (the option classes)"
    return TrainingError(
        f"{place}: its classes must be those of the data, {_one_line(classes.names)}, got {_one_line(own)}: {remedy}"
    )


def _one_line(names: Sequence[str], most: int = 12) -> str:
    """Names as one line; only the first if there are many."""
    shown = ", ".join(repr(name) for name in names[:most])
    return one_line(shown + (f" ... ({len(names)} in all)" if len(names) > most else ""), 300)


def by_columns(answer: Any, names: Sequence[str], place: str) -> Any:
    """A data frame of answers as an array, with columns matched to classes by name.

    Args:
        answer: what a model returned; anything but a frame stays as it is.
        names: names of the classes.
        place: start of messages.

    Raises:
        TrainingError: columns of other names.
    """
    if not names or not hasattr(answer, "columns") or not hasattr(answer, "to_numpy"):
        return answer
    own = [name_of(column) for column in answer.columns]
    table = answer.to_numpy()
    if len(own) == 1 or own == list(map(str, range(len(names)))):  # columns without names are counted
        return table
    if sorted(own) != sorted(names):
        raise _unlike(own, Classes(tuple(names)), place)
    return table[:, [own.index(name) for name in names]]


def join_classes(model: Any, classes: Classes, place: str) -> tuple[str, ...]:
    """The classes of the data, followed by those that only the model knows.

    A model that answers for more classes than occur in the records is asked for all of them. What only numbers say is
    kept as it is.

    Raises:
        TrainingError: the model's classes are others.
    """
    own = class_names(model)
    if own is None:
        return classes.names
    extra = [name for name in own if name not in classes.names]
    whole = all(re.fullmatch(r"\d{1,9}", name) for name in (*own, *classes.names))
    if whole and extra and classes.names == tuple(map(str, range(len(classes)))):
        return tuple(map(str, range(max(map(int, own)) + 1)))
    if extra and set(own) > set(classes.names):
        return (*classes.names, *extra)
    columns_of(own, classes, place)
    return classes.names
