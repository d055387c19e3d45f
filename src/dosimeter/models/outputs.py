"""Log-values `[n c]` from any model output: which part is the answer, its meaning (logits, probabilities), its form.

The part is chosen by one rule, `pick`; the meaning by another, `meaning`; `log_values` applies both and checks numbers.
Nothing is guessed beyond these rules: an output that fits two readings is refused with the names of both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation.errors import TrainingError

Output = Literal["auto", "logits", "probs"]
Meaning = Literal["logits", "probs"]
NAMES: tuple[tuple[str, ...], ...] = (
    ("logits",),
    ("log_probs", "log_probabilities"),
    ("probs", "probabilities", "prob", "proba", "probability"),
    ("scores", "pred", "preds", "predictions", "out", "output", "outputs"),
)
"""Names of the answer in a dict or an object, the most specific first; names in one row are alternatives."""
BOXES = frozenset({"boxes", "pred_boxes", "bboxes"})
SUM_TOLERANCE = 0.01
"""Largest deviation from 1 of a sum of probabilities: allows float16, bfloat16, and three decimals in 10 classes."""


def pick(answer: object, *, rows: int, columns: int | None, place: str) -> Tensor:
    """Finds the tensor that is the answer, among everything that a model returned.

    A tensor, an array or a list of numbers is the answer. In a dict, a dataclass or another object with named parts it
    is the first of `NAMES` that is there, else the only part of the right shape. In a tuple or list it is the first
    part if that alone has the right shape, else the only part that has it.

    Args:
        answer: what the model returned for `rows` records.
        rows: number of records.
        columns: expected columns, which tell parts apart; None if any will do.
        place: start of messages.

    Returns:
        The answer, of any shape and where the model put it.

    Raises:
        TrainingError: no part or several parts could be the answer, or the model is no classifier.

    >>> pick({"loss": 0.3, "logits": [[1.0, 2.0]]}, rows=1, columns=2, place="model").tolist()
    [[1.0, 2.0]]
    """
    whole = as_tensor(answer)
    if whole is not None:
        return whole
    parts = named_parts(answer)
    if parts is not None:
        return _by_name(parts, type(answer).__name__, rows, columns, place)
    if isinstance(answer, Sequence) and not isinstance(answer, str | bytes):
        return _by_position(answer, rows, columns, place)
    raise TrainingError(
        f"{place}: must return numbers, one row for each record, got {type(answer).__name__}: return the logits"
    )


def as_tensor(value: object) -> Tensor | None:
    """A purely numeric value as a tensor; None for any other."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, tuple | Mapping | str | bytes | type(None)):
        return None
    if isinstance(value, list) and any(isinstance(one, Tensor | np.ndarray) for one in value):
        tensors = [as_tensor(one) for one in value]
        alike = [one for one in tensors if one is not None and one.ndim < 2 and one.shape == tensors[0].shape]  # type: ignore[union-attr]
        return torch.stack(alike) if len(alike) == len(value) else None
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        return None
    if array.dtype.kind not in "fiub":
        return None
    return torch.from_numpy(np.ascontiguousarray(array) if array.ndim else array.reshape(()).copy())


def named_parts(answer: object) -> dict[str, Any] | None:
    """The parts of a dict, dataclass, named tuple or plain object by name; None for anything else."""
    if isinstance(answer, Mapping):
        return {str(name): value for name, value in answer.items()}
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return {field.name: getattr(answer, field.name) for field in dataclasses.fields(answer)}
    fields = getattr(answer, "_fields", None)
    if isinstance(answer, tuple) and fields:
        return dict(zip(fields, answer, strict=True))
    if isinstance(answer, list | tuple | str | bytes | type(None)):
        return None
    return {name: value for name, value in getattr(answer, "__dict__", {}).items() if not name.startswith("_")} or None


def _by_name(parts: Mapping[str, Any], kind: str, rows: int, columns: int | None, place: str) -> Tensor:
    """The answer among named parts."""
    if BOXES & parts.keys():
        raise _detection(place)
    tensors = {name: tensor for name, value in parts.items() if (tensor := as_tensor(value)) is not None}
    numbers = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    tensors = numbers or tensors  # labels beside scores are not the answer
    for group in NAMES:
        there = [name for name in group if name in tensors]
        fitting = [name for name in there if _fits(tensors[name], rows, columns)]
        if len(fitting) == 1 or len(there) == 1:
            return tensors[(fitting or there)[0]]
        if there:
            raise _ambiguous(place, kind, there)
    fitting = [name for name, tensor in tensors.items() if _fits(tensor, rows, columns)]
    if len(fitting) == 1:
        return tensors[fitting[0]]
    if fitting:
        raise _ambiguous(place, kind, fitting)
    raise TrainingError(
        f"{place}: its answer must have a part named {NAMES[0][0]!r} or {NAMES[2][0]!r}, or one part of shape "
        f"({rows}, {columns or 'classes'}), got {kind} with {', '.join(map(repr, parts)) or 'no parts'}: return the "
        "logits alone"
    )


def _by_position(parts: Sequence[Any], rows: int, columns: int | None, place: str) -> Tensor:
    """The answer among the parts of a tuple or list."""
    if any(isinstance(part, Mapping) and BOXES & part.keys() for part in parts):
        raise _detection(place)
    tensors = [as_tensor(part) for part in parts]
    fitting = [i for i, tensor in enumerate(tensors) if tensor is not None and _fits(tensor, rows, columns)]
    if len(fitting) == 1:
        return tensors[fitting[0]]  # type: ignore[return-value]  # those that fit are tensors
    if fitting:
        raise _ambiguous(place, type(parts).__name__, [f"[{i}]" for i in fitting])
    if tensors and tensors[0] is not None and tensors[0].ndim:
        return tensors[0]
    inner = named_parts(parts[0]) if len(parts) == 1 else None
    if inner is not None:
        return _by_name(inner, type(parts[0]).__name__, rows, columns, place)
    raise TrainingError(
        f"{place}: its answer must have one part of shape ({rows}, {columns or 'classes'}), got "
        f"{type(parts).__name__} of {len(parts)} parts without one: return the logits alone"
    )


def _fits(tensor: Tensor, rows: int, columns: int | None) -> bool:
    """Returns whether a tensor has the shape and type of an answer."""
    if not tensor.is_floating_point() or tensor.ndim != 2 or len(tensor) != rows:
        return False
    return columns is None or tensor.shape[1] == columns or (columns == 2 and tensor.shape[1] == 1)


def _ambiguous(place: str, kind: str, candidates: Sequence[str]) -> TrainingError:
    example = candidates[0] if candidates[0].startswith("[") else f"[{candidates[0]!r}]"
    return TrainingError(
        f"{place}: its answer must be one tensor, got {kind} in which {', '.join(candidates)} could each be it: give a "
        f"function that returns one of them, such as lambda inputs: model(inputs){example}"
    )


def _detection(place: str) -> TrainingError:
    return TrainingError(
        f"{place}: must classify records, got boxes (object detection): membership is measured for classifiers only"
    )


def as_table(tensor: Tensor, *, rows: int, classes: int, place: str) -> Float[Tensor, "n k"]:
    """An answer as `[n k]` float64, k = classes, or k = 1 with two classes; refuses any other form by its name.

    Args:
        tensor: the answer.
        rows: number of records.
        classes: number of classes.
        place: start of messages.

    Raises:
        TrainingError: not one row per record and one column per class.
    """
    shape, tensor = tuple(tensor.shape), tensor.detach().cpu()
    while tensor.ndim > 2 and tensor.shape[-1] == 1:
        tensor = tensor.squeeze(-1)
    if rows == 1 and (tensor.ndim == 0 or (tensor.ndim == 1 and len(tensor) == classes > 1)):
        tensor = tensor.reshape(1, -1)  # a model that squeezes the axis of a single record away
    if tensor.ndim == 1 and len(tensor) == rows:
        tensor = tensor[:, None]
    if tensor.ndim != 2 or len(tensor) != rows:
        words = {3: "one answer per token or position", 4: "one answer per pixel (segmentation)"}
        what = words.get(tensor.ndim, "another number of answers")
        raise TrainingError(
            f"{place}: must answer with shape ({rows}, {classes}) for {rows} records of {classes} classes, got shape "
            f"{shape}, {what}: return one row for each record"
        )
    if not tensor.is_floating_point():
        raise TrainingError(
            f"{place}: must return logits or probabilities, got {str(tensor.dtype).removeprefix('torch.')} values "
            "(labels?): return the numbers that the label is chosen by"
        )
    if tensor.shape[1] == 1 and classes > 2:
        raise TrainingError(
            f"{place}: must return {classes} columns, one for each class, got one (regression?): return all logits"
        )
    if tensor.shape[1] not in (classes, 1):
        raise TrainingError(
            f"{place}: must return {classes} columns, one for each class of the data, got {tensor.shape[1]}: select "
            "the columns of your classes in a function, or give the data the model's classes; labels that count from 1 "
            "leave class 0 empty: subtract 1 where the model counts from 0"
        )
    return tensor.double()


def meaning(table: Float[Tensor, "n k"], output: Output, place: str) -> Meaning:
    """Decides whether answers are logits or probabilities.

    With "auto", rows without a negative number that sum to 1 (`SUM_TOLERANCE`) are probabilities, one column within
    [0, 1] is the probability of class 1, and all else is logits, log-probabilities among them. Two kinds of numbers
    are refused: percentages, and numbers within [0, 1] whose rows do not sum to 1 (several labels per record).

    Args:
        table: answers of one column for each class, or one column for two classes.
        output: what the user says of them.
        place: start of messages.

    Raises:
        TrainingError: neither, or not what the user says.

    >>> meaning(torch.tensor([[0.2, 0.8]]), "auto", "model"), meaning(torch.tensor([[-0.2, 0.8]]), "auto", "model")
    ('probs', 'logits')
    """
    if output == "logits" or not len(table):
        return "probs" if output == "probs" else "logits"
    single, sums = table.shape[1] == 1, table.sum(1)
    within = bool(((table >= 0) & (table <= 1)).all())
    if within and (single or bool(((sums - 1).abs() <= SUM_TOLERANCE).all())):
        return "probs"
    if bool((table >= 0).all()) and not single and bool(((sums - 100).abs() <= 100 * SUM_TOLERANCE).all()):
        raise TrainingError(
            f"{place}: probabilities must sum to 1 in each row, got rows that sum to 100, percent instead of a "
            "fraction: divide by 100"
        )
    odd = f"rows that sum to {float(sums.min()):.4g} up to {float(sums.max()):.4g}" if within else (
        f"values from {float(table.min()):.4g} to {float(table.max()):.4g}"
    )  # fmt: skip
    if output == "probs":
        raise TrainingError(
            f'{place}: probabilities must be in [0, 1] and sum to 1 in each row, got {odd}: say output="logits" or '
            "correct the model"
        )
    if within:
        raise TrainingError(
            f"{place}: numbers in [0, 1] must sum to 1 in each row, got {odd} (several labels per record, a sigmoid "
            'for each?): only one label per record is measured; if these are logits, say output="logits"'
        )
    return "logits"


def log_values(answer: object, *, rows: int, classes: int, output: Output, place: str) -> tuple[Tensor, Meaning]:
    """An answer as log-values, and its meaning: `pick`, `as_table`, then `finish`.

    Returns:
        `[n c]` float64 on the CPU, and "logits" or "probs".

    >>> log_values([[0.25, 0.75]], rows=1, classes=2, output="auto", place="model")[0].exp().tolist()
    [[0.25, 0.75]]
    """
    picked = pick(answer, rows=rows, columns=classes, place=place)
    return finish(as_table(picked, rows=rows, classes=classes, place=place), output, place)


def finish(table: Float[Tensor, "n k"], output: Output, place: str) -> tuple[Tensor, Meaning]:
    """Answers as log-values, and their meaning.

    Logits stay as they are. Probabilities are rounded to float32, the precision of a release, and their logarithm is
    taken: a probability of exactly 0 becomes −∞ and one of exactly 1 hides how sure the model is. One column becomes
    two: logit z is (0, z), probability p is (1 − p, p). −∞ is taken from logarithms of probabilities only.

    Args:
        table: answers, float64.
        output: "auto", or what the numbers are.
        place: start of messages.

    Returns:
        `[n c]` float64, and "logits" or "probs".

    Raises:
        TrainingError: NaN or infinity, or numbers that are neither logits nor probabilities.
    """
    if (output == "probs" or bool(torch.isneginf(table).any())) and _are_logs(table):
        return table, "logits" if output == "logits" else "probs"
    bad = ~torch.isfinite(table)
    if bool(bad.any()):
        raise TrainingError(
            f"{place}: answers must be finite, got {int(table.isnan().sum())} NaN and {int(table.isinf().sum())} "
            f"infinite values in {int(bad.any(1).sum())} of {len(table)} records: correct the model or its inputs"
        )
    found = meaning(table, output, place)
    if found == "probs":
        table = table.float()
        table = torch.cat([1 - table, table], 1) if table.shape[1] == 1 else table
        return table.double().log(), found
    return (torch.cat([torch.zeros_like(table), table], 1) if table.shape[1] == 1 else table), found


def _are_logs(table: Tensor) -> bool:
    """Returns whether rows are logarithms of probabilities."""
    sums = table.exp().sum(1)
    return table.shape[1] > 1 and bool((table < 1e-6).all()) and bool(((sums - 1).abs() <= SUM_TOLERANCE).all())
