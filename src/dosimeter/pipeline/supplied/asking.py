"""How a supplied model is asked: its classes beside those of the records, its form, and whether it answers well."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dosimeter.data import Dataset
from dosimeter.data.files.spelling import WHOLE
from dosimeter.data.supplied import held_of, join_parts
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError, TrainingError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.wording import one_line
from dosimeter.jobs.runners import one_thread
from dosimeter.models.supplied.adapt import PROBED, Adapted, Examples, adapt, repeatability
from dosimeter.models.supplied.asked import own_predictions_agree
from dosimeter.models.supplied.classes import Classes, class_names
from dosimeter.models.supplied.classes import join_classes as joined_classes
from dosimeter.models.supplied.estimators import bearer, own_predictions
from dosimeter.models.supplied.gates import outputs_as_taken, repeated_answers
from dosimeter.pipeline.supplied.prepared import Asked, Supplied

LABELLED = 256
"""Number of records of a part that settle how the model is queried, and its accuracy on training records."""


def _called(supplied: Supplied) -> str:
    """Name of the model in messages; an object that is no model at all has no useful name."""
    kind = type(supplied.model)
    plain = not callable(supplied.model) and kind.__module__.partition(".")[0] in ("builtins", "pathlib")
    return "model" if plain else f"model {supplied.model_name}"


def asked(supplied: Supplied, device: str) -> tuple[Supplied, Asked]:
    """Matches the classes of the model and of the records, determines how the model is queried, and queries it.

    Raises:
        AuditError: it cannot be asked, or its classes are others.
    """
    name, parts = _called(supplied), supplied.classified
    first, tried_on = supplied.first, list(supplied.tried)
    known = Classes(first.classes, numbered=all(one.ordered for one in parts.values()))
    names = joined_classes(bearer(supplied.model), known, name)
    if not known.numbered and class_names(bearer(supplied.model)) is None:
        _check_order(names, tried_on[0])
    parts = {part: dataclasses.replace(one, classes=names) for part, one in parts.items()}
    known = dataclasses.replace(known, names=names)
    probe = join_parts({part: parts[part].take(np.arange(len(parts[part]))[: PROBED // 2]) for part in tried_on})
    labelled = join_parts({part: parts[part].take(_spread(len(parts[part]))) for part in tried_on})
    with one_thread(), _missing_told(parts):
        adapted = adapt(
            supplied.model,
            classes=known,
            example=Examples(held_of(labelled), torch.from_numpy(labelled.labels), first.columns),
            output=supplied.output,
            device=device,
            name=name,
        )
        _check_classes(adapted, parts, names)
        noise = repeatability(adapted, held_of(probe))
        start = time.perf_counter()
        answers = adapted.query(held_of(probe))
        seconds = (time.perf_counter() - start) / len(probe)
        gates = [repeated_answers(noise), _own_records(supplied, adapted, parts)]
    notes = [*adapted.notes, *_read_as(adapted, first, names)]
    if adapted.tokens:
        parts = {part: dataclasses.replace(one, tokens=True) for part, one in parts.items()}
    found = Asked(adapted, (*gates, *outputs_as_taken(notes)), held_of(probe), answers, noise, seconds)
    return supplied.matched(parts), found


@contextlib.contextmanager
def _missing_told(parts: Mapping[str, Dataset]) -> Iterator[None]:
    """Explains an error inside the block by missing numbers, if the records have some.

    Raises:
        DataError: it does not, and there are some.
    """
    try:
        yield
    except TrainingError as error:
        for part, one in parts.items():
            rows = one.incomplete
            if len(rows):
                raise DataError(
                    f"{part}: inputs must be finite, got NaN or infinity in {len(rows)} records, the first is row "
                    f"{rows[0]}: remove or impute them, since the model does not take them ({error.problems[0]})"
                ) from error
        raise


def _spread(n: int) -> Array:
    """Positions of at most `LABELLED` of n records, evenly spread."""
    found: Array = np.unique(np.linspace(0, n - 1, min(n, LABELLED)).astype(np.int64))
    return found


def _check_order(names: Sequence[str], part: str) -> None:
    """Refuses numeric texts as labels for a model without class names, since texts sort differently from numbers.

    Args:
        names: of the classes.
        part: whose labels they are.

    Raises:
        DataError: with what to do.
    """
    if all(WHOLE.fullmatch(name) for name in names) and sorted(names) != list(names):
        raise DataError(
            f"{part}: labels must be whole numbers, or texts with an order, got texts of whole numbers such as "
            f"{sorted(names)[1]!r}, whose order could be that of texts or of numbers: give numbers, or name the "
            "classes in the order of the model's columns (the option classes)"
        )


def _check_classes(adapted: Adapted, parts: Mapping[str, Dataset], names: Sequence[str]) -> None:
    """Refuses records of classes that the model does not answer for.

    Raises:
        DataError: with the part and the class.
    """
    known = np.array(adapted.known_classes)
    for part, one in parts.items():
        odd = np.flatnonzero(~np.isin(one.labels, known))
        if len(odd):
            raise DataError(
                f"{part}: labels must be among the classes that the model answers for, "
                f"{one_line(', '.join(names[i] for i in adapted.known_classes), 200)}, "
                f"got {names[one.labels[odd[0]]]!r} in row {odd[0]} ({len(odd)} such records): "
                "remove these records or correct their labels"
            )


def _own_records(supplied: Supplied, adapted: Adapted, parts: Mapping[str, Dataset]) -> Gate:
    """I7: answers of the model on its own training records, or on other records of its classes where none are named.

    Args:
        supplied: the model and its records.
        adapted: the model as one query.
        parts: the records, with the classes of the model.
    """
    known = supplied.members is not None
    members = parts["members"] if known else join_parts({name: parts[name] for name in supplied.tried})
    some = members.take(_spread(len(members)))
    answers = adapted.query(held_of(some))
    own = None
    if adapted.estimator:
        own = own_predictions(bearer(supplied.model), adapted.form, held_of(some), adapted.known_classes)
    if own is not None and _by_threshold(
        answers[:, list(adapted.known_classes)], np.isin(own, adapted.known_classes[1:])
    ):
        own = None
    assumed = _assumed(adapted, supplied, parts[next(iter(supplied.tried))])
    return own_predictions_agree(
        answers.argmax(1).numpy(), some.labels, own, len(members.classes), assumed=assumed, known=known
    )


def _by_threshold(answers: Tensor, second: Array) -> bool:
    """Returns whether a classifier of two classes decides by another threshold than 1/2; its queries are right then."""
    if answers.shape[1] != 2 or second.all() or not second.any():
        return False
    margin = torch.nan_to_num(answers[:, 1] - answers[:, 0], posinf=1e9, neginf=-1e9).numpy()
    return bool(margin[second].min() >= margin[~second].max())


def _assumed(adapted: Adapted, supplied: Supplied, members: Dataset) -> bool:
    """Returns whether an order of columns or classes, or the scale of bytes or whole numbers, was assumed."""
    columns = getattr(bearer(supplied.model), "feature_names_in_", None) is not None and members.columns is None
    classes = not members.ordered and not adapted.estimator and class_names(supplied.model) is None
    scale = members.inputs.dtype == np.uint8 or (members.inputs.dtype.kind == "i" and adapted.form.kind == "fractions")
    return bool(columns or classes or scale)


def _read_as(adapted: Adapted, members: Dataset, names: Sequence[str]) -> list[str]:
    """Remarks on how records and classes were read, if another reading is possible."""
    notes = []
    inputs = members.inputs
    if inputs.ndim == 2 and inputs.dtype.kind in "iu" and not members.tokens:
        said = "tokens, since the model looks them up in an embedding" if adapted.tokens else "numbers, not as tokens"
        notes.append(f"records of whole numbers are read as {said}")
    if not adapted.estimator and not adapted.names_classes and not all(WHOLE.fullmatch(name) for name in names):
        listed = one_line(", ".join(map(repr, names)), 120)
        order = "that you gave" if members.ordered else "of their names"
        notes.append(f"its outputs are read as the classes in the order {order}: {listed}")
    return notes
