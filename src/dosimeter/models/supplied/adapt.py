"""Adapts any kind of supplied model to one interface: a query from inputs to log-values `[n c]`, and its properties.

How a model is called and read is settled once, on a few of the user's records, and kept for every later query.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.data.cells import Held, as_held
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AuditError, ConfigError, TrainingError
from dosimeter.foundation.wording import describe, quote
from dosimeter.models.outputs import Meaning, Output, as_table, finish, pick
from dosimeter.models.supplied.classes import Classes, by_columns, class_names, columns_of, numbered_classes
from dosimeter.models.supplied.estimators import bearer, estimator, is_estimator
from dosimeter.models.supplied.fingerprint import of_callable, of_estimator, of_module
from dosimeter.models.supplied.forms import Form, forms_of_functions, forms_of_networks, settle
from dosimeter.models.supplied.networks import is_exported, looks_up, network

EXAMPLES = 64
"""Number of records that settle how a model is called and read, and that `repeatability` queries again."""
TRIED = 2
"""Number of records that test whether a model accepts them."""
SINGLES = 8
"""Number of records that `repeatability` also queries one by one."""


PROBED = 64
"""Number of records that are queried first, and settle how a model's answers are read."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Records that settle how a model is called and read.

    Attributes:
        records: some of the user's.
        labels: their class numbers `[n]`; they decide where bytes could be read two ways.
        features: names of the features of `records.inputs`, if they have any.
        form: how records are given where the model takes that, such as that of the target for a shadow.
    """

    records: Held
    labels: Int[Tensor, " n"] | None = None
    features: tuple[str, ...] | None = None
    form: Form | None = None


@dataclass(frozen=True)
class Way:
    """The way in which one kind of model is queried.

    Attributes:
        ask: function from a batch of records to the model's return value.
        kind: kind of the model, in words.
        form: form in which records are passed to it.
        open: context around a query (evaluation mode, device).
        module: the network, if it is one.
        output: meaning of its answers, if the kind determines it.
        batch: number of records in a query, if it is fixed.
        columns: class number of each of its columns.
        tokens: it looks its inputs up.
        names: names of the classes, to read a table of answers with named columns.
        notes: remarks for the report.
    """

    ask: Callable[[Held], object]
    kind: str
    form: Form
    columns: tuple[int, ...]
    open: Callable[[], AbstractContextManager[object]] = nullcontext
    module: nn.Module | None = None
    output: Meaning | None = None
    batch: int | None = None
    tokens: bool = False
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Adapted:
    """A supplied model that can be queried.

    Attributes:
        output: what its answers are.
        kind: kind of the model, in words for the report.
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

    @property
    def form(self) -> Form:
        """Form in which records are passed to the model."""
        return self._way.form

    @property
    def tokens(self) -> bool:
        """Returns whether the model looks its inputs up in an embedding, so that they are tokens."""
        return self._way.tokens

    @property
    def estimator(self) -> bool:
        """Returns whether the model is queried as a classifier with scikit-learn's methods."""
        return self.kind.startswith("scikit-learn ")

    @property
    def names_classes(self) -> bool:
        """Returns whether the model itself names its classes."""
        return self.module is not None and class_names(self.module) is not None

    @property
    def known_classes(self) -> tuple[int, ...]:
        """Numbers of the classes that the model answers for."""
        return self._way.columns

    def query(self, inputs: Array | Tensor | Held) -> Float[Tensor, "n c"]:
        """Log-values of records: logits, or the logarithms of float32 probabilities (0 becomes −∞).

        A class that the model does not know has −∞.

        Args:
            inputs: `[n ...]`; bytes become fractions in [0, 1] for networks and functions, unless they take bytes.

        Raises:
            TrainingError: the model raised, or its answers cannot be read as before.
        """
        records = as_held(inputs)
        if not len(records):
            return torch.empty(0, self.classes, dtype=torch.float64)
        table = _ask(self._way, records, self._batch_size, self._name)
        return _place_columns(finish(table, self.output, self._name)[0], self._way.columns, self.classes)


def adapt(
    model: object,
    *,
    classes: Classes | int,
    example: Array | Tensor | Examples,
    output: Output = "auto",
    device: str = "cpu",
    batch_size: int = 64,
    name: str = "model",
) -> Adapted:
    """Adapts a supplied model, so that it can be queried.

    Networks (PyTorch modules, TorchScript, exported programs) are asked in evaluation mode without gradients and get
    back the mode and device they had. Classifiers with scikit-learn's methods are asked for `predict_proba`, else
    `decision_function`, by the columns and classes that they name. Any other function is given a tensor, and an array
    if it raises on that.

    Args:
        model: network, exported program, fitted classifier, or function from inputs to answers.
        classes: classes of the data; a number for classes without names.
        example: some of the user's records `[n ...]`: they settle how the model is called, and whether its answers are
            logits or probabilities.
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
    model = bearer(model)
    examples = example if isinstance(example, Examples) else Examples(as_held(example))
    if not len(examples.records):
        raise ConfigError(f"{name}: needs at least one record to be tried on, got none: give records")
    known = classes if isinstance(classes, Classes) else numbered_classes(classes)
    asking = _Asking(known, examples, output, batch_size, name)
    way = _way_of(model, asking, device)
    table = _ask(way, examples.records[:EXAMPLES], batch_size, name)
    said = way.output if output == "auto" and way.output else output
    values, found = finish(table, said, name)
    if way.module is not None:
        fingerprint = of_module(way.module)
    elif is_estimator(model):
        fingerprint = of_estimator(model, values)
    else:
        fingerprint = of_callable(model, values)  # type: ignore[arg-type]  # what is left is callable
    notes = list(way.notes)
    if table.shape[1] == 1 and len(way.columns) == 2:
        read = "the probability" if found == "probs" else "the logit"
        notes.append(f"answers with one number for each record, read as {read} of class {known.names[way.columns[1]]}")
    return Adapted(found, way.kind, way.module, fingerprint, tuple(notes), len(known), way, batch_size, name)


@dataclass(frozen=True, eq=False)
class _Asking:
    """Knowledge about a model while the way to query it is determined."""

    classes: Classes
    examples: Examples
    output: Output
    batch_size: int
    name: str

    def settle(self, way: Way, forms: Sequence[Form], ask: Callable[[Form], Callable[[Held], object]]) -> Way:
        """A way to query in the form that the model takes, and remarks about it."""
        wanted = self.examples.form
        if wanted is not None and wanted in forms:
            forms = [wanted, *(form for form in forms if form != wanted)]
        records, labels = self.examples.records, self.examples.labels
        several = labels is not None and forms[0] != wanted

        def attempt(form: Form) -> Any:
            part = records if several and records.inputs.dtype == torch.uint8 else records[:EXAMPLES]
            own = replace(way, ask=ask(form), form=form)
            with way.open():  # what it raises here says that it does not take this form
                own.ask(records[np.minimum(np.arange(way.batch or TRIED), len(records) - 1)])
            table = _ask(own, part, self.batch_size, self.name)
            values = _place_columns(finish(table, self.output, self.name)[0], way.columns, len(self.classes))
            return None if labels is None or not several else (values.argmax(1) == labels[: len(part)]).numpy()

        form, said = settle(forms, attempt, self.name, (way.batch or TRIED, *records.inputs.shape[1:]))
        return replace(way, ask=ask(form), form=form, notes=(*way.notes, *said))


def _way_of(model: object, asking: _Asking, device: str) -> Way:
    """The way to query a model, by its kind."""
    name = asking.name
    if isinstance(model, type):
        raise ConfigError(f"{name}: must be a trained model, got the class {model.__name__}: give an instance of it")
    if isinstance(model, nn.Module) or is_exported(model):
        return _network(model, asking, device)
    if is_estimator(model):
        found = estimator(
            model, asking.examples.records, classes=asking.classes, place=name, names=asking.examples.features
        )
        inner = getattr(model, "best_estimator_", None)
        kind = f"scikit-learn {type(model).__name__}" + (f" of {type(inner).__name__}" if inner is not None else "")
        way = Way(found, kind, found.form, found.columns, output=found.output, notes=found.notes)
        if not found.form.of_bytes or found.form.kind != "exact":
            return way
        forms = [found.form, Form("fractions", array=True, dtype=torch.float32, of_bytes=True)]
        return asking.settle(way, forms, lambda form: replace(found, form=form))
    if callable(model):
        return _function(model, asking)
    remedy = (
        "build the network and load it into that" if isinstance(model, dict) else "give the model itself, not its file"
    )
    raise ConfigError(
        f"{name}: must be a torch.nn.Module, an exported program, a fitted classifier or a function, got "
        f"{type(model).__name__}: {remedy if isinstance(model, dict | str) or hasattr(model, 'suffix') else 'give one'}"
    )


def _network(model: Any, asking: _Asking, device: str) -> Way:
    """The way to query a network."""
    records, net = asking.examples.records, network(model, device=device)
    if records.cells is not None and records.cells.kind == "texts" and records.cells.primary:
        raise TrainingError(
            f"{asking.name}: a network must be given numbers, got texts: give token numbers, or bring a function that "
            "takes a list of texts"
        )
    columns, said = _columns(model, asking.classes, asking.name)
    form = Form("fractions", dtype=net.dtype)
    way = Way(lambda _: None, net.kind, form, columns, net.open, net.module, batch=net.batch, notes=(*net.notes, *said))
    forms = forms_of_networks(records, net.dtype)
    way = asking.settle(way, forms, lambda form: lambda batch: net.call(form.give(batch).to(net.device)))
    with net.open():
        batch = way.form.give(records[: net.batch or 2])
        tokens = len(batch) == (net.batch or len(batch)) and looks_up(net.module, net.call, batch.to(net.device))
    return replace(way, tokens=tokens)


def _columns(model: Any, classes: Classes, name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The class number of each of a network's columns, and remarks about them."""
    own = class_names(model)
    if own is None:
        return tuple(range(len(classes))), ()
    if not classes.ours and classes.numbered and not set(own) & set(classes.names):
        if len(own) != len(classes):
            columns_of(own, classes, name)
        shown = ", ".join(map(quote, own[:3])) + (" ..." if len(own) > 3 else "")
        return tuple(range(len(classes))), (f"its classes {shown} are those of the data in this order",)
    if classes.ours and len(own) == len(classes) and set(own) != set(classes.names):
        return tuple(range(len(classes))), ()
    return columns_of(own, classes, name), ()


def _function(function: Callable[..., object], asking: _Asking) -> Way:
    """The way to call a function."""
    cells = asking.examples.records.cells
    named_columns = cells is not None and cells.kind == "frame"

    def ask(form: Form) -> Callable[[Held], object]:
        def call(batch: Held) -> object:
            with torch.no_grad(), warnings.catch_warnings():
                if named_columns:  # a classifier inside misses its columns' names, so the frame is tried next
                    warnings.filterwarnings("error", message="X does not have valid feature names")
                return function(form.give(batch))

        return call

    kind = f"function {getattr(function, '__name__', type(function).__name__)}"
    classes = asking.classes
    way = Way(lambda _: None, kind, Form("plain"), tuple(range(len(classes))), names=classes.names)
    return asking.settle(way, forms_of_functions(asking.examples.records), ask)


def _place_columns(values: Tensor, columns: tuple[int, ...], classes: int) -> Float[Tensor, "n c"]:
    """A model's own columns at their class numbers; classes that it does not know have −∞."""
    if columns == tuple(range(classes)):
        return values
    found = values.new_full((len(values), classes), -torch.inf)
    found[:, list(columns)] = values if values.shape[1] == len(columns) else values[:, 1:]
    return found


def _ask(way: Way, records: Held, batch_size: int, name: str) -> Float[Tensor, "n k"]:
    """Answers to records as a table, by batches."""
    size, tables, columns = way.batch or batch_size, [], len(way.columns)
    with way.open():
        for start in range(0, len(records), size):
            batch = records[start : start + size]
            real = len(batch)
            if way.batch and real < size:  # the last record again, as often as the program needs
                batch = batch[np.minimum(np.arange(size), real - 1)]
            try:
                # a copy, since a model may change its inputs in place
                answer = by_columns(way.ask(replace(batch, inputs=batch.inputs.clone())), way.names, name)
                picked = pick(answer, rows=len(batch), columns=columns, place=name)
                tables.append(as_table(picked, rows=len(batch), classes=columns, place=name)[:real])
            except AuditError as error:
                problems = [one if one.startswith(name) else f"{name}: {one}" for one in error.problems]
                raise type(error)(*problems) from error
            except (Exception, SystemExit) as error:
                raise TrainingError(
                    f"{name}: must answer inputs of shape {tuple(batch.inputs.shape)} and type {_type(batch)}, got "
                    f"{describe(error)}: correct it or its inputs"
                ) from error
    widths = sorted({table.shape[1] for table in tables})
    if len(widths) > 1:
        raise TrainingError(f"{name}: must always answer with the same columns, got {widths}: correct it")
    return torch.cat(tables)


def _type(batch: Held) -> str:
    """The type of records, in words."""
    kind = None if batch.cells is None else batch.cells.kind
    return str(batch.inputs.dtype) if kind in (None, "array") else {"frame": "data frame"}.get(str(kind), "text")


def repeatability(adapted: Adapted, inputs: Array | Tensor | Held) -> float:
    """Change of answers when the same records are queried again, together and one by one.

    Args:
        adapted: the model.
        inputs: records; at most 64 are asked, and the first 8 of them also alone.

    Returns:
        The largest absolute change of a record's log-confidence (in the class it was first given), nats. Networks in
        float32 reach 1e-5 by rounding; 1e-3 and more says that something is drawn at random or depends on the batch.
    """
    inputs = as_held(inputs)[:EXAMPLES]
    first, again = adapted.query(inputs), adapted.query(inputs)
    alone = torch.cat([adapted.query(inputs[i : i + 1]) for i in range(min(SINGLES, len(inputs)))])
    return max(difference(again, first), difference(alone, first))


def difference(answers: Float[Tensor, "k c"], before: Float[Tensor, "n c"]) -> float:
    """The largest absolute change of a record's log-confidence, in the class that it was given first, nats.

    Args:
        answers: log-values of the first k records.
        before: log-values of all of them, as they were.
    """
    before = before[: len(answers)]
    top = before.argmax(1, keepdim=True)
    known = torch.log_softmax(before, 1).gather(1, top)
    return float((torch.log_softmax(answers, 1).gather(1, top) - known).abs().max())
