"""Fitted scikit-learn classifiers, and what has their methods: probabilities, else decision values, by class number."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dosimeter._resolve import quoted
from dosimeter.errors import TrainingError
from dosimeter.target.outputs import Meaning

Array = np.ndarray[Any, np.dtype[Any]]


def is_estimator(model: object) -> bool:
    """Whether a thing has the methods of a scikit-learn estimator."""
    return hasattr(model, "fit") and hasattr(model, "predict") and not isinstance(model, type)


@dataclass(frozen=True)
class Estimator:
    """A fitted classifier as a function from records to one column per class number.

    Attributes:
        answers: `[n d]` to what the estimator's method gives.
        columns: class number of each of its columns.
        classes: number of classes.
        output: "probs", or "logits" for decision values.
        notes: for the report.
    """

    answers: Callable[[Array], Any]
    columns: tuple[int, ...]
    classes: int
    output: Meaning
    notes: tuple[str, ...]

    def __call__(self, batch: Array) -> Tensor:
        """Answers `[n c]`, or `[n]` where two classes have one decision value."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
            found = self.answers(batch.reshape(len(batch), -1) if batch.ndim > 2 else batch)
        if isinstance(found, list):
            raise TrainingError("must give one label for each record, got a list of answers (several labels): use one")
        table = torch.from_numpy(np.asarray(found, dtype=np.float64))
        if table.ndim == 1:
            return table if self.columns == (0, 1) else -table
        if table.shape[1] != len(self.columns):
            raise TrainingError(
                f"must give one column for each of its {len(self.columns)} classes, got {table.shape[1]} (one for each "
                'pair of classes?): set decision_function_shape="ovr"'
            )
        whole = table.new_zeros(len(table), self.classes)
        whole[:, list(self.columns)] = table
        return whole


def estimator(model: Any, *, classes: int, place: str) -> Estimator:
    """Read a fitted classifier.

    `predict_proba` is used if it is there, else `decision_function`, whose values are taken as logits. Columns go to
    the class numbers in `classes_`; other labels (words, numbers from 1) are numbered in sorted order, as
    `classes_` has them.

    Args:
        model: a fitted classifier, pipeline or search.
        classes: number of classes of the data.
        place: how messages begin.

    Raises:
        TrainingError: a regressor, not fitted, other classes, or neither method.
    """
    kind = type(model).__name__
    try:
        labels = model.classes_
    except Exception:  # a search or a pipeline asks its parts, which raise errors of many kinds
        labels = None
    if labels is None:
        what = "a regressor" if _is_regressor(model) else f"{kind} without `classes_` (not fitted?)"
        raise TrainingError(f"{place}: must be a fitted classifier, got {what}: fit a classifier first")
    method = next((name for name in ("predict_proba", "decision_function") if hasattr(model, name)), None)
    if method is None:
        raise TrainingError(
            f"{place}: must have predict_proba or decision_function, got {kind} with labels only: wrap it in "
            "sklearn.calibration.CalibratedClassifierCV or use another classifier"
        )
    if isinstance(labels, list) or np.ndim(labels) != 1:
        raise TrainingError(f"{place}: must give one label for each record, got several outputs: bring one of them")
    columns, notes = _columns(np.asarray(labels), classes, place)
    if method == "predict_proba":
        return Estimator(model.predict_proba, columns, classes, "probs", notes)
    if len(columns) < classes:
        raise TrainingError(
            f"{place}: decision values must be there for each of {classes} classes, got {len(columns)}: fit on all "
            "classes or use a classifier with predict_proba"
        )
    note = f"{kind} has no probabilities; its decision values are read as logits"
    return Estimator(model.decision_function, columns, classes, "logits", (*notes, note))


def _is_regressor(model: object) -> bool:
    """Whether scikit-learn calls it a regressor."""
    from sklearn.base import is_regressor  # noqa: PLC0415

    try:
        return bool(is_regressor(model))
    except Exception:  # not an estimator of scikit-learn
        return False


def _columns(labels: Array, classes: int, place: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The class number of each column, and what to say about it."""
    if labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < classes:
        missing = sorted(set(range(classes)) - {int(one) for one in labels})
        note = (f"was fitted without class {', '.join(map(str, missing))}, whose probability is 0",) if missing else ()
        return tuple(int(one) for one in labels), note
    if labels.dtype.kind == "f" and np.array_equal(labels, labels.astype(int)):
        return _columns(labels.astype(int), classes, place)
    if len(labels) == classes:
        shown = ", ".join(quoted(one) for one in labels.tolist()[:3])
        return tuple(range(classes)), (f"its classes {shown} ... are numbered from 0 in this order",)
    raise TrainingError(
        f"{place}: its classes must be numbers from 0 to {classes - 1}, or {classes} of another kind, got "
        f"{len(labels)}, such as {quoted(labels.tolist()[0])}: number the labels it is fitted on as those of the data"
    )
