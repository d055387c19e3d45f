"""Checks of a supplied model's records and its `fit`, before any query."""

from __future__ import annotations

import inspect

from dosimeter.config.combinations import NO_BASE
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


def check_texts(supplied: Supplied) -> None:
    """Refuses what a supplied language model has no use for, and what only it has.

    Raises:
        ConfigError: one line for each.
    """
    if all(one.vocabulary is None for one in supplied.tried.values()):
        if supplied.parent is not None or supplied.tokenizer is not None:
            raise ConfigError(
                "base: only texts of a language model have a base and a tokenizer, got records with classes: remove "
                "both, or give texts"
            )
        if supplied.finetuning is not None:
            raise ConfigError(
                "fit: must be a function fit(dataset, seed), got settings of a language model's beside "
                "records with classes: pass the function itself"
            )
        return
    problems = [
        f"{row.place}.family: asks of records with classes, got {row.family.name!r} beside texts of a language model: "
        "use family 'membership'"
        for row in supplied.threats
        if row.family.name != "membership"
    ]
    if supplied.finetuning is not None and supplied.parent is None:
        problems.append(NO_BASE.format(place="fit"))
    if supplied.output != "auto":
        problems.append(f"output: a language model returns logits, got {supplied.output!r}: remove it")
    if problems:
        raise ConfigError(*problems)


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
