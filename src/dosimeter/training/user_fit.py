"""The user's own training: arguments of `fit(model, dataset, seed)`, and checks of its result."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import AuditError, TrainingError
from dosimeter.foundation.user_code import call_user, relay, resolve
from dosimeter.foundation.wording import describe
from dosimeter.training.chain import Link
from dosimeter.training.loop import seed_torch


class Records(torch.utils.data.Dataset[tuple[Any, Tensor]]):
    """Training records as a user's `fit` gets them: a PyTorch data set, and its parts as attributes.

    Attributes:
        inputs: `[n ...]`, a tensor; of a model that is asked with a data frame or with texts, such a frame or list.
        labels: `[n]`, int64.
    """

    def __init__(self, inputs: Any, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Any) -> tuple[Any, Tensor]:
        rows = getattr(self.inputs, "iloc", self.inputs)  # a data frame is indexed by names otherwise
        return rows[index], self.labels[index]


FLOAT_WANTED = re.compile(
    r"result type \w+ can't be cast to the desired output type Long"
    r"|[Ff]ound (dtype )?Long but expected (Float|Double|Half|BFloat16)"
    r"|[Ee]xpected (scalar type|dtype) (Float|Double|Half|BFloat16) but (found|got) (dtype )?Long"
)
"""Patterns of PyTorch's message that a loss needs floats but got whole numbers."""


def advice(error: BaseException, labels: Tensor) -> str:
    """Remedy for an exception that a user's `fit` raised, in words.

    Args:
        error: what it raised.
        labels: that it was given.

    >>> advice(RuntimeError("Found dtype Long but expected Float"), torch.tensor([1]))
    'give the loss dataset.labels.float(), since labels are whole numbers (int64) and this loss wants floats'
    """
    if labels.dtype == torch.int64 and FLOAT_WANTED.search(str(error)):
        return "give the loss dataset.labels.float(), since labels are whole numbers (int64) and this loss wants floats"
    return "correct it"


def user_fit(link: Link, model: nn.Module, records: Records, seed: int) -> nn.Module:
    """Calls the user's `fit` and checks its result."""
    with seed_torch(seed):
        trained = call_user(str(link.fit), model, records, seed)
    if not isinstance(trained, nn.Module):
        raise TrainingError(
            f"fit {link.fit!r}: must return the trained torch.nn.Module, got {type(trained).__name__}: end it with "
            f"`return model`"
        )
    bad = [name for name, tensor in trained.state_dict().items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise TrainingError(
            f"fit {link.fit!r}: weights must be finite, got NaN or infinity in {bad[0]!r} with seed {seed}: lower the "
            f"learning rate"
        )
    return trained


Fit = Callable[[Records, int], object]
"""The user's training: takes records and a seed, returns a fresh trained model of any kind that `adapt` accepts."""


def call_fit(fit: Fit | str, records: Records, seed: int, place: str, *, advise: bool = True) -> object:
    """Calls the user's `fit(dataset, seed)`, by itself or by its reference.

    Args:
        fit: the function.
        records: that it trains on.
        seed: of its training.
        place: where it stands, in words.
        advise: whether what it raised is looked at for a remedy.

    Returns:
        What it trained, of any kind.

    Raises:
        AuditError: it raised.
        TrainingError: it returned nothing.
    """
    function = resolve(fit) if isinstance(fit, str) else fit
    try:
        with seed_torch(seed):
            trained: object = function(records, seed % 2**31)
    except AuditError as error:
        raise relay(error, place) from error
    except (Exception, SystemExit) as error:
        remedy = advice(error, records.labels) if advise else "correct it"
        raise TrainingError(f"{place}: raised {describe(error)}: {remedy}") from error
    if trained is None:
        raise TrainingError(f"{place}: must return the trained model, got None: end it with `return model`")
    return trained
