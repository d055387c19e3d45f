"""Checks of a supplied model's records and its `fit`, before any query."""

from __future__ import annotations

import inspect

import numpy as np

from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.measures.cross_fitting import HALVES, halvings
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.seeds import generator
from dosimeter.foundation.user_code import resolve
from dosimeter.foundation.wording import one_line
from dosimeter.pipeline.supplied.prepared import Supplied, name_of


def check_sizes(supplied: Supplied) -> None:
    """Refuses numbers of records and shadows that are too small for an audit."""
    for name, part in (("members", supplied.members), ("nonmembers", supplied.nonmembers)):
        if len(part) < 2:
            raise DataError(f"{name}: must have at least 2 records, got {len(part)}: give more")
    if supplied.fit is not None and (supplied.threat.shadows % 2 or supplied.threat.shadows < 2):
        raise ConfigError(
            f"shadows: must be even and at least 2, since they come in complementary pairs, got "
            f"{supplied.threat.shadows}: use {supplied.threat.shadows + 1}"
        )


def check_halves(design: Design, seed: int) -> None:
    """Refuses records whose halves cannot set thresholds for each other, if no shadow rehearses."""
    if len(design.rehearsal_rows):
        return
    member = design.member[:1]
    if len(halvings(design.record, member, generator(seed, HALVES))):
        return
    persons = [len(np.unique(design.record[bits])) for bits in (member[0], ~member[0])]
    raise DataError(
        f"members and nonmembers: halves of the records set thresholds for each other, whole persons together, and "
        f"both need both kinds, got {persons[0]} persons among members and {persons[1]} among non-members: give "
        "records of more persons, or a fit, whose shadows set thresholds"
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
