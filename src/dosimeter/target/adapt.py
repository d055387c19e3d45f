"""One thing from any kind of brought model: a query from inputs to log-values `[n c]`, and what is known about it.

How a model is called and read is settled once, on a few of the user's records, and kept for every later query.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter._resolve import describe
from dosimeter.errors import AuditError, ConfigError, TrainingError
from dosimeter.models import as_float
from dosimeter.target.estimators import estimator, is_estimator
from dosimeter.target.fingerprint import of_callable, of_estimator, of_module
from dosimeter.target.networks import is_exported, network
from dosimeter.target.outputs import Meaning, Output, as_table, finish, pick

Array = np.ndarray[Any, np.dtype[Any]]
EXAMPLES = 64
"""Records that settle how a model is called and read, and that `repeatability` asks again."""
SINGLES = 8
"""Records that `repeatability` also asks one by one."""


@dataclass(frozen=True)
class Way:
    """How one kind of model is asked.

    Attributes:
        ask: a batch of inputs to what the model returns.
        kind: of the model, in words.
        open: what surrounds a query (evaluation mode, device).
        module: the network, if it is one.
        output: what its answers are, where the kind says so.
        batch: records it must be asked at once, where that is fixed.
        notes: for the report.
    """

    ask: Callable[[Array | Tensor], object]
    kind: str
    open: Callable[[], AbstractContextManager[object]] = nullcontext
    module: nn.Module | None = None
    output: Meaning | None = None
    batch: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Adapted:
    """A brought model that can be queried.

    Attributes:
        output: what its answers are.
        kind: of the model, in words for the report.
        module: the network, or None if it is no network.
        fingerprint: SHA-256 that changes with the model.
        notes: what the report should say about how it was called and read.
        classes: number of classes.
    """

    output: Meaning
    kind: str
    module: nn.Module | None
    fingerprint: str
    notes: tuple[str, ...]
    classes: int
    _way: Way = field(repr=False)
    _batch_size: int = field(repr=False)
    _name: str = field(repr=False)

    def query(self, inputs: Array | Tensor) -> Float[Tensor, "n c"]:
        """Log-values of records: logits, or the logarithms of float32 probabilities (0 becomes −∞).

        Args:
            inputs: `[n ...]`; bytes become fractions in [0, 1] for networks and functions.

        Raises:
            TrainingError: the model raised, or its answers cannot be read as before.
        """
        if not len(inputs):
            return torch.empty(0, self.classes, dtype=torch.float64)
        table = _ask(self._way, inputs, self.classes, self._batch_size, self._name)
        return finish(table, self.output, self._name)[0]


def adapt(
    model: object,
    *,
    classes: int,
    example: Array | Tensor,
    output: Output = "auto",
    device: str = "cpu",
    batch_size: int = 64,
    name: str = "model",
) -> Adapted:
    """Make a brought model one thing that can be queried.

    Networks (PyTorch modules, TorchScript, exported programs) are asked in evaluation mode without gradients and get
    back the mode and device they had. Classifiers with scikit-learn's methods are asked for `predict_proba`, else
    `decision_function`. Any other function is given a tensor, and an array if it raises on that.

    Args:
        model: network, exported program, fitted classifier, or function from inputs to answers.
        classes: number of classes.
        example: some of the user's records `[n ...]`, at most 64 are used: they settle how the model is called, and
            whether its answers are logits or probabilities.
        output: "auto", or what the answers are (rules: `outputs.meaning`).
        device: where networks are asked; exported programs stay where they were exported for.
        batch_size: records asked at once.
        name: how messages call the model.

    Raises:
        ConfigError: not a thing that can be asked, or no example.
        TrainingError: the model raised, or its answers cannot be read.

    >>> twice = adapt(lambda x: x @ torch.ones(3, 2), classes=2, example=torch.rand(4, 3))
    >>> twice.query(np.ones((1, 3), dtype="float32")).tolist(), twice.output, twice.kind
    ([[3.0, 3.0]], 'logits', 'function <lambda>')
    """
    if not len(example):
        raise ConfigError(f"{name}: needs at least one record to be tried on, got none: give records")
    example = example[:EXAMPLES]
    way = _way_of(model, classes, example, device, name)
    table = _ask(way, example, classes, batch_size, name)
    said = way.output if output == "auto" and way.output else output
    values, found = finish(table, said, name)
    if way.module is not None:
        fingerprint = of_module(way.module)
    elif is_estimator(model):
        fingerprint = of_estimator(model, values)
    else:
        fingerprint = of_callable(model, values)  # type: ignore[arg-type]  # what is left is callable
    notes = list(way.notes)
    if table.shape[1] == 1:
        read = "the probability" if found == "probs" else "the logit"
        notes.append(f"answers with one number for each record, read as {read} of class 1")
    return Adapted(found, way.kind, way.module, fingerprint, tuple(notes), classes, way, batch_size, name)


def _way_of(model: object, classes: int, example: Array | Tensor, device: str, name: str) -> Way:
    """How a model is asked, by its kind."""
    if isinstance(model, type):
        raise ConfigError(f"{name}: must be a trained model, got the class {model.__name__}: give an instance of it")
    if isinstance(model, nn.Module) or is_exported(model):
        net = network(model, example, device=device, place=name)
        return Way(net.ask, net.kind, net.open, net.module, batch=net.batch, notes=net.notes)
    if is_estimator(model):
        found = estimator(model, classes=classes, place=name)
        inner = getattr(model, "best_estimator_", None)
        kind = f"scikit-learn {type(model).__name__}" + (f" of {type(inner).__name__}" if inner is not None else "")
        return Way(
            lambda batch: found(batch.numpy() if isinstance(batch, Tensor) else batch),
            kind, output=found.output, notes=found.notes,
        )  # fmt: skip
    if callable(model):
        ask, note = _function(model, example[:2], name)
        return Way(ask, f"function {getattr(model, '__name__', type(model).__name__)}", notes=note)
    remedy = "build the network and load it into that" if isinstance(model, dict) else "load it with load_target first"
    raise ConfigError(
        f"{name}: must be a torch.nn.Module, an exported program, a fitted classifier or a function, got "
        f"{type(model).__name__}: {remedy if isinstance(model, dict | str) or hasattr(model, 'suffix') else 'give one'}"
    )


def _function(
    function: Callable[..., object], example: Array | Tensor, name: str
) -> tuple[Callable[[Array | Tensor], object], tuple[str, ...]]:
    """A function's way of being called: with a tensor, and if that raises with an array of the same numbers."""

    def with_tensor(batch: Array | Tensor) -> object:
        with torch.no_grad():
            return function(as_float(torch.as_tensor(batch)))

    def with_array(batch: Array | Tensor) -> object:
        numbers = isinstance(batch, Tensor) or batch.dtype.kind in "fiub"
        return function(as_float(torch.as_tensor(batch)).numpy() if numbers else batch)

    try:
        with_tensor(example)
        return with_tensor, ()
    except AuditError:
        raise
    except (Exception, SystemExit) as first:
        try:
            with_array(example)
        except (Exception, SystemExit):
            raise TrainingError(
                f"{name}: must take a tensor or an array of shape {tuple(example.shape)}, got {describe(first)}: "
                "correct it"
            ) from first
        return with_array, ("is called with arrays",)


def _ask(way: Way, inputs: Array | Tensor, classes: int, batch_size: int, name: str) -> Float[Tensor, "n k"]:
    """The answers to records as a table, by batches."""
    size, tables = way.batch or batch_size, []
    with way.open():
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            real = len(batch)
            if way.batch and real < size:  # the last record again, as often as the program needs
                rows = np.minimum(np.arange(size), real - 1)
                batch = batch[torch.from_numpy(rows)] if isinstance(batch, Tensor) else batch[rows]
            try:
                # a copy, since a model may change its inputs in place
                answer = way.ask(batch.clone() if isinstance(batch, Tensor) else batch.copy())
                picked = pick(answer, rows=len(batch), columns=classes, place=name)
                tables.append(as_table(picked, rows=len(batch), classes=classes, place=name)[:real])
            except AuditError as error:
                problems = [one if one.startswith(name) else f"{name}: {one}" for one in error.problems]
                raise type(error)(*problems) from error
            except (Exception, SystemExit) as error:
                raise TrainingError(
                    f"{name}: must answer inputs of shape {tuple(batch.shape)} and type {batch.dtype}, got "
                    f"{describe(error)}: correct it or its inputs"
                ) from error
    widths = sorted({table.shape[1] for table in tables})
    if len(widths) > 1:
        raise TrainingError(f"{name}: must always answer with the same columns, got {widths}: correct it")
    return torch.cat(tables)


def repeatability(adapted: Adapted, inputs: Array | Tensor) -> float:
    """How much answers change when the same records are asked again, together and one by one.

    Args:
        adapted: the model.
        inputs: records; at most 64 are asked, and the first 8 of them also alone.

    Returns:
        The largest absolute change of a record's log-confidence (in the class it was first given), nats. Networks in
        float32 reach 1e-5 by rounding; 1e-3 and more says that something is drawn at random or depends on the batch.
    """
    inputs = inputs[:EXAMPLES]
    first, again = adapted.query(inputs), adapted.query(inputs)
    alone = torch.cat([adapted.query(inputs[i : i + 1]) for i in range(min(SINGLES, len(inputs)))])
    top = first.argmax(1, keepdim=True)
    known = torch.log_softmax(first, 1).gather(1, top)
    changes = [
        (torch.log_softmax(other, 1).gather(1, top[: len(other)]) - known[: len(other)]).abs().max()
        for other in (again, alone)
    ]
    return float(max(changes))
