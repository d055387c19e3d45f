"""Reads the named parts of an audit file, and checks what they promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from dosimeter import data as doors
from dosimeter.config.named_parts import DataPart
from dosimeter.data import Dataset
from dosimeter.data.options import parse_rows
from dosimeter.data.parts.apart import shared, with_classes_of
from dosimeter.data.parts.choose import choose
from dosimeter.families.topology import Topology
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.wording import quote
from dosimeter.training.preflight import Together, about


def read_parts(
    parts: Mapping[str, DataPart], topology: Topology | None, *, seed: int, base: Path, together: Together
) -> dict[str, Dataset]:
    """The parts that can be read, each under its name.

    A source with a filter is read as a whole, once for all parts that read it alike.

    Args:
        parts: the `[data.NAME]` tables.
        topology: names attributes that some parts must have, or None.
        seed: handed to the user's functions.
        base: folder that paths start from.
        together: collects the problems of all parts: unreadable sources, filters, promises that are not kept.
    """
    whole: dict[tuple[str, str], Dataset] = {}
    found: dict[str, Dataset] = {}
    for name, part in parts.items():
        with together, about(f"data.{name}"):
            found[name] = replace(_part(part, f"data.{name}", seed, base, whole), name=name)
    for name, part in parts.items():
        for other in part.disjoint:
            if name in found and other in found:
                groups = part.filter.reads("group") or parts[other].filter.reads("group")
                with together, about(f"data.{name}.disjoint"):
                    problem = shared(found[name], found[other], groups=groups)
                    if problem is not None:
                        raise DataError(problem)
    with together:
        _check_holdings(topology, found)
    return found


def _part(part: DataPart, place: str, seed: int, base: Path, whole: dict[tuple[str, str], Dataset]) -> Dataset:
    """One part; `whole` keeps sources that were read as a whole."""
    options = part.data_options.options
    try:
        if not part.filter:
            return doors.load(part.data, rows=part.rows, seed=seed, base=base, options=options)
        key = (part.data, repr(options))
        if key not in whole:
            whole[key] = doors.load(part.data, seed=seed, base=base, options=options)
    except MemoryError:
        remedy = "remove the filter and choose fewer `rows`" if part.filter else "choose fewer `rows`"
        raise DataError(f"{quote(part.data)} does not fit into memory: {remedy}") from None
    return choose(whole[key], part.filter, parse_rows(part.rows, place), place)


def _check_holdings(topology: Topology | None, parts: Mapping[str, Dataset]) -> None:
    """Checks that data have the private attributes that a topology names.

    Raises:
        ConfigError: an attribute that the records do not have.
    """
    problems = []
    for index, holding in enumerate(() if topology is None else topology.holds):
        known = parts[holding.data].attributes if holding.data in parts else dict.fromkeys(holding.attributes)
        remedy = f"name it in the data_options.attributes of [data.{holding.data}]"
        problems += [
            f"topology.holds[{index}].attributes: the records of {holding.data!r} have no such attribute, got "
            f"{quote(name)}, {suggest(name, known) if known else remedy}"
            for name in holding.attributes
            if name not in known
        ]
    if problems:
        raise ConfigError(*problems)


def of_stage(part: Dataset, rows: str | None) -> Dataset:
    """A part as training data of a stage.

    Args:
        part: the part.
        rows: `"a:b"`, counted within the part; None for all.

    Raises:
        DataError: rows beyond the part's end, or one class only.
    """
    return replace(rows_of(part, rows), part=False)


def rows_of(part: Dataset, rows: str | None) -> Dataset:
    """A range of a part's records; arguments and errors as of `of_stage`, except that one class may be all."""
    if rows is None:
        return part
    return part.take(np.array(parse_rows(rows, part.name).within(len(part), part.name)))


def tested_like(test: Dataset, own: Dataset) -> Dataset:
    """Test records with the classes of the stage's data, of which they need not have all.

    Raises:
        DataError: other columns than those of the stage's data, in whatever order.
    """
    test = with_classes_of(test, own)
    if test.columns is not None and own.columns is not None and test.columns != own.columns:
        odd = next((a for a, b in zip(test.columns, own.columns, strict=False) if a != b), "another number of them")
        raise DataError(
            f"must have the columns of the stage's data in their order, got {quote(odd)} elsewhere: arrange the "
            "columns alike, and name the same `categories` in data_options"
        )
    return test
