"""Forms in which records can be passed to a model, and which of them a user's model takes.

A form is settled once, on a few records, and kept for every later query and for the records that `fit` gets. Bytes can
mean two things, 0 to 255 or fractions of 1: where a model takes both, the labels of the records decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from dosimeter.data.cells import Held, loses
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AuditError, TrainingError
from dosimeter.foundation.wording import describe
from dosimeter.models.architectures import as_float

Kind = Literal["plain", "fractions", "whole", "bytes", "levels", "exact", "frame", "texts"]
WORDS: dict[Kind, str] = {
    "plain": "numbers",
    "fractions": "fractions",
    "whole": "whole numbers (int64)",
    "bytes": "bytes as they are",
    "levels": "numbers from 0 to 255",
    "exact": "numbers in their own type",
    "frame": "a data frame",
    "texts": "a list of texts",
}
SURE = 2.0
"""Standard errors by which one form must be more accurate than another."""


@dataclass(frozen=True)
class Form:
    """Form in which a model takes its records.

    Attributes:
        kind: one of `WORDS`. "plain" and "fractions" divide bytes by 255; "exact" is the type that the user holds.
        array: NumPy arrays in place of tensors.
        dtype: type of a network's weights, which its numbers get; None for a function or an estimator.
        names: columns of a frame, in the model's order; None for all.
        features: the frame is of the inputs, whose features have these names.
        of_bytes: the records are bytes, so that fractions must be multiplied where bytes are wanted.
    """

    kind: Kind
    array: bool = False
    dtype: torch.dtype | None = None
    names: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    of_bytes: bool = False

    def give(self, records: Held) -> Any:
        """Records in the form that the model takes; records that exist as tensors only come as close as possible."""
        x, cells = records.inputs, records.cells
        if self.features is not None:
            return _frame(x, self.features, self.names)
        if self.kind in ("frame", "texts") and cells is not None:
            return (cells if self.names is None else cells.only(self.names)).as_input()
        if self.kind == "exact" and cells is not None and cells.kind == "array":
            found = torch.from_numpy(np.ascontiguousarray(cells.values))
            found = found if self.dtype is None else found.to(self.dtype)
        else:
            found = self._numbers(x)
        return found.numpy() if self.array else found

    def _numbers(self, x: Tensor) -> Tensor:
        """Inputs as numbers of this form."""
        if self.kind == "whole":
            return x.long()
        if self.kind in ("levels", "bytes", "exact") and self.of_bytes:
            levels = as_float(x) * 255 if x.is_floating_point() else x
            if self.kind == "levels":
                return levels.to(self.dtype or torch.float32)
            return levels.round().clamp(0, 255).to(torch.uint8)
        if self.kind == "fractions":
            return as_float(x).to(self.dtype)
        return x if self.kind == "exact" else as_float(x)

    def records(self, records: Held) -> Any:
        """Records for `fit`: in the model's form, with tensors instead of arrays."""
        return replace(self, array=False).give(records)

    @property
    def words(self) -> str:
        """The form in words, for notes."""
        if self.kind == "fractions" and not self.of_bytes:
            return "floating-point numbers"
        return "arrays" if self.array and self.kind == "plain" else WORDS[self.kind]


def _frame(x: Tensor, features: tuple[str, ...], names: tuple[str, ...] | None) -> Any:
    """A data frame of inputs."""
    import pandas as pd

    frame = pd.DataFrame(x.numpy(), columns=list(features))
    return frame if names is None else frame[list(names)]


def forms_of_networks(records: Held, dtype: torch.dtype) -> list[Form]:
    """Forms that a network may take, the most likely first.

    Args:
        records: some of the user's.
        dtype: type of the network's weights.
    """
    x, cells = records.inputs, records.cells
    fractions, whole = Form("fractions", dtype=dtype, of_bytes=x.dtype == torch.uint8), Form("whole")
    if cells is not None and cells.kind == "array" and (dtype == torch.float64 or np.isnan(cells.values).any()):
        return [Form("exact", dtype=dtype)]  # nothing is lost in it, and what is missing must be seen
    if x.dtype == torch.uint8:
        own, levels = Form("bytes", of_bytes=True), Form("levels", dtype=dtype, of_bytes=True)
        # bytes of a table are mostly small numbers, those of a picture are mostly divided
        return [levels, own, fractions, whole] if x.ndim == 2 else [fractions, own, levels, whole]
    if x.is_floating_point():
        return [fractions, whole] if bool((x == x.round()).all()) else [fractions]
    return [fractions, whole] if x.dtype == torch.bool else [whole, fractions]


def forms_of_functions(records: Held) -> list[Form]:
    """Forms that a function may take, the most likely first: the user's own, with tensors before arrays."""
    x, cells = records.inputs, records.cells
    if x.dtype == torch.uint8:
        kinds: tuple[Kind, ...] = ("bytes", "levels", "plain") if x.ndim == 2 else ("plain", "bytes", "levels")
        return [Form(kind, array=array, of_bytes=True) for kind in kinds for array in (False, True)]
    plain = [Form("plain"), Form("plain", array=True)]
    if cells is None:
        return plain
    if cells.kind == "array":
        exact = [Form("exact"), Form("exact", array=True)]
        return exact + plain if loses(cells.values) else plain + exact
    own = [Form(cells.kind)]
    if cells.kind == "texts" and cells.primary:
        return own
    return own + plain if cells.primary else plain + own


@dataclass(frozen=True)
class Trial:
    """A form that a model takes.

    Attributes:
        form: how records are given.
        right: for each labelled record whether the answer is its class, or None where that is not known.
    """

    form: Form
    right: Bool[Array, " n"] | None


def settle(
    forms: Sequence[Form], attempt: Callable[[Form], Bool[Array, " n"] | None], place: str, shape: tuple[int, ...]
) -> tuple[Form, tuple[str, ...]]:
    """Finds the form that a model takes.

    The first that it takes is chosen, unless the records are bytes: then each that it takes is tried, and one under
    which it is right more often, beyond two standard errors, is preferred.

    Args:
        forms: the likeliest first.
        attempt: asks the model in a form; raises if it does not take it.
        place: start of messages.
        shape: shape of the records.

    Returns:
        The form, and what the report should say of it.

    Raises:
        TrainingError: the model takes none.
    """
    taken: list[Trial] = []
    first: BaseException | None = None
    for form in forms:
        choice = form.of_bytes and not any(one.form.kind in ("whole", form.kind) for one in taken)
        if taken and not choice:
            continue
        try:
            taken.append(Trial(form, attempt(form)))
        except (Exception, SystemExit) as error:
            if isinstance(error, AuditError) and not any(one.of_bytes for one in forms):
                raise
            first = first or error
    if not taken:
        if isinstance(first, AuditError):
            raise first
        raise TrainingError(
            f"{place}: must take inputs of shape {shape}, got {describe(first or ValueError())}: correct it, or give a "
            "function that prepares its inputs"
        ) from first
    best = taken[0]
    for other in taken[1:]:
        if _surer(other, best):
            best = other
    return best.form, _notes(best, taken, forms)


def _surer(one: Trial, other: Trial) -> bool:
    """Returns whether one form is more accurate, on the records where two forms differ."""
    if one.right is None or other.right is None:
        return False
    gained, lost = int((one.right & ~other.right).sum()), int((other.right & ~one.right).sum())
    return bool(gained - lost > SURE * max(1, gained + lost) ** 0.5)


def _notes(best: Trial, taken: Sequence[Trial], forms: Sequence[Form]) -> tuple[str, ...]:
    """Remarks about a form, if it was not the most likely one or if there was a choice."""
    if len(taken) > 1 and best.right is not None:
        others = ", ".join(f"{one.form.words} ({_share(one)})" for one in taken if one is not best)
        return (f"is given {best.form.words}, under which it is right in {_share(best)}, rather than {others}",)
    if best.form == forms[0]:
        return ()
    if best.form.array and best.form.kind == "plain":
        return ("is called with arrays",)
    return (f"takes its inputs as {best.form.words}",)


def _share(one: Trial) -> str:
    """Accuracy of the answers, in words."""
    return "not known" if one.right is None else f"{one.right.mean():.0%} of {len(one.right)} records"
