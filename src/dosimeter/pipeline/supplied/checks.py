"""Checks of a supplied model's records and its `fit`, before any query."""

from __future__ import annotations

import inspect

from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.user_code import resolve
from dosimeter.foundation.wording import one_line
from dosimeter.pipeline.supplied.prepared import Supplied, name_of


def check_sizes(supplied: Supplied) -> None:
    """Refuses numbers of records that are too small for an audit."""
    for name in ("members", "nonmembers"):
        part = supplied.parts.get(name)
        if part is not None and len(part) < 2:
            raise DataError(f"{name}: must have at least 2 records, got {len(part)}: give more")


def check_records(supplied: Supplied) -> None:
    """Refuses texts of a language model, which this door cannot read.

    Raises:
        ConfigError: with what to do.
    """
    texts = [name for name, one in supplied.tried.items() if one.vocabulary is not None]
    if texts:
        raise ConfigError(
            f"{texts[0]}: a supplied language model cannot be audited yet, got texts with a vocabulary: write its "
            "finetuning as [[stage]] tables with task = 'language'"
        )


def check_fit(supplied: Supplied) -> None:
    """Checks that the user's `fit` takes its arguments."""
    if supplied.fit is None:
        return
    function = resolve(supplied.fit) if isinstance(supplied.fit, str) else supplied.fit
    if not callable(function):
        raise ConfigError(f"fit: must be a function, got {type(function).__name__}: pass fit(dataset, seed)")
    try:
        inspect.signature(function).bind(None, 0)
    except TypeError as error:
        raise ConfigError(
            f"fit: {name_of(function)} must take (dataset, seed), got {one_line(error)}: change it"
        ) from error
    except ValueError:  # no signature to read
        return
