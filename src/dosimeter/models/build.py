"""Builds a network from its reference: one of ours by name, or a function of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from dosimeter.foundation.errors import AuditError, ConfigError, TrainingError
from dosimeter.foundation.user_code import call_user
from dosimeter.foundation.wording import one_line, quote
from dosimeter.models.names import ARCHITECTURES
from dosimeter.models.size import check_size


def build(reference: str, shape: tuple[int, ...], classes: int, options: Mapping[str, Any], *, place: str) -> nn.Module:
    """Builds a network with fresh weights, which are drawn from PyTorch's default generator.

    Args:
        reference: name in `ARCHITECTURES`, or `package.module:function`.
        shape: shape of one record.
        classes: number of outputs.
        options: further arguments of the builder.
        place: what errors begin with, such as "stage 'head'".

    Raises:
        ConfigError: the options give no model.
        TrainingError: the user's function raised or gave no module.
    """
    if ":" in reference:
        try:
            model = call_user(reference, shape, classes, **options)
        except AuditError as error:
            raise type(error)(*[f"{place}, model: {problem}" for problem in error.problems]) from error
        if not isinstance(model, nn.Module):
            raise TrainingError(
                f"{place}, model: {reference} must return a torch.nn.Module, got {type(model).__name__}: end it with "
                "`return` and the module"
            )
        return model
    builder = ARCHITECTURES[reference]
    try:
        if reference != "causal-lm" and "weights" not in options:  # a folder's size is checked where it is read
            key = repr((reference, shape, classes, sorted(options.items())))
            check_size(lambda: builder(shape, classes, **options), key, f"options: model {reference!r}")
        return builder(shape, classes, **options)
    except AuditError as error:
        raise type(error)(*[f"{place}: {problem}" for problem in error.problems]) from error
    except (TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise ConfigError(
            f"{place}, options: model {reference!r} with {quote(options)} cannot be built, got "
            f"{one_line(str(error).splitlines()[0] if str(error) else error)}: correct `options`"
        ) from error
