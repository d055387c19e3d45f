"""Fitted scikit-learn classifiers, and objects with their methods: probabilities, else decision values, by class."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dosimeter.data.cells import Cells, Held
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.wording import one_line, quote
from dosimeter.models.outputs import Meaning
from dosimeter.models.supplied.classes import Classes, columns_of, name_of
from dosimeter.models.supplied.forms import Form


def is_estimator(model: object) -> bool:
    """Returns whether an object has the methods of a scikit-learn estimator."""
    return hasattr(model, "fit") and hasattr(model, "predict") and not isinstance(model, type)


@dataclass(frozen=True)
class Estimator:
    """A fitted classifier as a function from records to one column for each of its classes.

    Attributes:
        answers: the estimator's method.
        form: how it is given records.
        columns: class number of each of its columns.
        output: "probs", or "logits" for decision values.
        notes: for the report.
    """

    answers: Callable[[Any], Any]
    form: Form
    columns: tuple[int, ...]
    output: Meaning
    notes: tuple[str, ...]

    def __call__(self, records: Held) -> Tensor:
        """Answers `[n k]`, or `[n]` if two classes share one decision value."""
        with warnings.catch_warnings():
            # told by a note, and what a fit on arrays says of a frame is what we mend
            warnings.filterwarnings("ignore", message="X (does not have|has) .*feature names", category=UserWarning)
            found = self.answers(_flat(self.form.give(records)))
        if isinstance(found, list):
            raise TrainingError("must give one label for each record, got a list of answers (several labels): use one")
        table = torch.from_numpy(np.ascontiguousarray(found, dtype=np.float64))
        if table.ndim == 2 and table.shape[1] != len(self.columns):
            raise TrainingError(
                f"must give one column for each of its {len(self.columns)} classes, got {table.shape[1]} (one for each "
                'pair of classes?): set decision_function_shape="ovr"'
            )
        return table


def _flat(records: Any) -> Any:
    """Images as flat rows; frames and texts unchanged."""
    flat = isinstance(records, np.ndarray) and records.ndim > 2
    return records.reshape(len(records), -1) if flat else records


def estimator(model: Any, records: Held, *, classes: Classes, place: str, names: Sequence[str] | None) -> Estimator:
    """Reads a fitted classifier.

    `predict_proba` is used if it is there, else `decision_function`, whose values are taken as logits. Columns are
    matched to the data's classes by the names in `classes_`, and a frame's columns by those in `feature_names_in_`.

    Args:
        model: a fitted classifier, pipeline or search.
        records: some of the user's.
        classes: classes of the data.
        place: start of messages.
        names: names of the features of `records.inputs`, if they have any.

    Raises:
        TrainingError: a regressor, not fitted, other classes or columns, or neither method.
    """
    kind = type(model).__name__
    try:
        labels = model.classes_
    except Exception:  # a search or a pipeline asks its parts, which raise errors of many kinds
        labels = None
    if labels is None:
        what = "a regressor" if _is_regressor(model) else f"{kind} without `classes_` (not fitted?)"
        remedy = "regression is not measured, fit a classifier" if _is_regressor(model) else "fit a classifier first"
        raise TrainingError(f"{place}: must be a fitted classifier, got {what}: {remedy}")
    method = next((name for name in ("predict_proba", "decision_function") if hasattr(model, name)), None)
    if method is None:
        raise TrainingError(
            f"{place}: must have predict_proba or decision_function, got {kind} with labels only: wrap it in "
            "sklearn.calibration.CalibratedClassifierCV or use another classifier"
        )
    if isinstance(labels, list) or np.ndim(labels) != 1:
        raise TrainingError(f"{place}: must give one label for each record, got several outputs: bring one of them")
    own = tuple(map(name_of, np.asarray(labels).tolist()))
    columns = columns_of(own, classes, place)
    form, said = _form(model, records, place, names)
    notes = (*_renaming_note(own, columns, classes), *said)
    if method == "predict_proba":
        return Estimator(model.predict_proba, form, columns, "probs", notes)
    note = f"{kind} has no probabilities; its decision values are read as logits"
    return Estimator(model.decision_function, form, columns, "logits", (*notes, note))


def _renaming_note(own: Sequence[str], columns: Sequence[int], classes: Classes) -> tuple[str, ...]:
    """The note for numbers of the model that stand for names of the data."""
    told = [(name, classes.names[column]) for name, column in zip(own, columns, strict=True)]
    odd = [f"{quote(name)} is {quote(known)}" for name, known in told if name != known]
    return (
        (f"its classes are numbers of the data's: {', '.join(odd[:3])}{' ...' if len(odd) > 3 else ''}",) if odd else ()
    )


def _form(model: Any, records: Held, place: str, names: Sequence[str] | None) -> tuple[Form, tuple[str, ...]]:
    """The form in which a classifier takes records, and remarks about it."""
    cells, x = records.cells, records.inputs
    wanted = _fitted_names(model, cells)
    count = _attribute(model, "n_features_in_")
    exact = Form("exact", array=True, of_bytes=x.dtype == torch.uint8)
    if wanted is not None:
        return _by_name(tuple(map(str, np.asarray(wanted).tolist())), records, place, names, exact)
    width = int(np.prod(x.shape[1:]))
    if cells is None or cells.kind == "array":
        return exact, ()
    if count is not None and int(count) == width and (cells.kind == "texts" or width != len(cells.features)):
        return Form("plain", array=True), () if records.tokens else ("is given its columns of text one-hot",)
    if cells.kind == "texts":
        return Form("texts"), ()
    features = cells.features
    if count is not None and int(count) != len(features):
        raise TrainingError(
            f"{place}: must be given the {int(count)} columns that it was fitted on, got {len(features)} of features "
            f"({width} with text one-hot): give the same columns"
        )
    return Form("frame", names=features), ()


def _fitted_names(model: Any, cells: Cells | None) -> Any:
    """Names of the columns that a classifier was fitted on, or None.

    CatBoost and LightGBM keep them elsewhere, and make some up where there were none; these are no columns of a frame.
    """
    wanted = _attribute(model, "feature_names_in_")
    held = set() if cells is None else set(cells.names)
    for name in ("feature_names_", "feature_name_"):
        other = _attribute(model, name)
        if wanted is None and other is not None and not callable(other) and set(map(str, other)) <= held:
            wanted = other
    return wanted


def _by_name(
    wanted: tuple[str, ...], records: Held, place: str, names: Sequence[str] | None, exact: Form
) -> tuple[Form, tuple[str, ...]]:
    """The form for a classifier that was fitted on named columns."""
    cells = records.cells
    held = () if cells is None else cells.names
    if set(wanted) <= set(held):
        return Form("frame", names=wanted), ()
    if names is not None and set(wanted) <= set(names):
        return Form("plain", names=wanted, features=tuple(names)), ()
    if held or names is not None:
        known = held or tuple(names or ())
        absent = [name for name in wanted if name not in known]
        raise TrainingError(
            f"{place}: must be given the columns that it was fitted on, got none named {quote(absent[0])} among "
            f"{one_line(', '.join(map(repr, known)), 200)} ({len(absent)} such columns): give the same columns"
        )
    width = int(np.prod(records.inputs.shape[1:]))
    if width != len(wanted):
        raise TrainingError(
            f"{place}: must be given the {len(wanted)} columns that it was fitted on, got {width}: give a data frame "
            "with these columns"
        )
    listed = one_line(", ".join(wanted), 120)
    return exact, (f"was fitted on named columns; the records have no names and are read in its order: {listed}",)


def bearer(model: Any) -> Any:
    """The estimator behind one of its bound methods of probabilities or decisions, which names classes and columns."""
    owner = getattr(model, "__self__", None)
    asks = getattr(model, "__name__", "") in ("predict_proba", "decision_function")
    return owner if asks and owner is not None and is_estimator(owner) else model


def own_predictions(model: Any, form: Form, records: Held, columns: Sequence[int]) -> Array | None:
    """Class numbers by a classifier's own `predict`, -1 for an unknown class; None if it names no class.

    Args:
        model: a fitted classifier.
        form: how it is given records.
        records: what it is asked about.
        columns: class number of each of its classes.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = np.asarray(model.predict(_flat(form.give(records))))
    except Exception:  # some have it for its name alone; what the audit reads was asked before
        return None
    said = said[:, 0] if said.ndim == 2 and said.shape[1] == 1 else said
    if said.shape != (len(records),):
        return None
    numbers = dict(zip(map(name_of, np.asarray(model.classes_).tolist()), columns, strict=True))
    found = np.array([numbers.get(name_of(one), -1) for one in said.tolist()], np.int64)
    return found if (found >= 0).mean() > 0.5 else None


def _attribute(model: Any, name: str) -> Any:
    """An attribute of a fitted estimator, or None."""
    try:
        return getattr(model, name, None)
    except Exception:  # a pipeline asks its first step, which may not be fitted in this sense
        return None


def _is_regressor(model: object) -> bool:
    """Returns whether scikit-learn calls it a regressor."""
    from sklearn.base import is_regressor  # noqa: PLC0415

    try:
        return bool(is_regressor(model))
    except Exception:  # not an estimator of scikit-learn
        return False
