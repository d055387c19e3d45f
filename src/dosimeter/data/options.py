"""Requests to a data source: options, range of rows, and one object that carries both to a loader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np

from dosimeter.data.dataset import Dataset
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line

Level = Literal["bytes", "words", "tokenizer"]
"""What a token of a language model is."""


@dataclass(frozen=True)
class Options:
    """Options for reading a data source. Each has its natural default; a source refuses options it does not read.

    Attributes:
        classes: names of all classes in order, if the file need not contain each of them.
        label: column of the labels (tables, Hugging Face).
        id: column of the record ids; by default `id` if there is such a column.
        person: column that says whose record it is; by default `person` if there is one.
        group: column with a group for separate reporting; by default `group` if there is one.
        inputs: column of the images (Hugging Face); by default the only one.
        split: which part of a Hugging Face data set.
        size: height and width to which images of class folders are resized; by default all must have one size.
        noun: noun for one record in the report, in the singular.
        categorical: columns of numbers that are categories (tables, Hugging Face); columns of text always are.
        categories: for each column of categories, its categories in order, as another table has them; by default those
            that occur in the whole source.
        text: column of text that becomes the inputs (tables, Hugging Face).
        length: of text: how many words, or tokens, of each record are kept.
        vocabulary: of text: words are hashed to the numbers 1 to this.
        tokenizer: of text: folder of a Hugging Face tokenizer that is used instead of hashing.
        attributes: columns that are no inputs but private attributes of a record (tables, Hugging Face, census).
        level: of text for a language model: what a token is: "bytes", "words" (hashed to 0 to `vocabulary` - 1), or
            "tokenizer" for those of `tokenizer`. None is text to be classified.
    """

    classes: tuple[str, ...] | None = None
    label: str = "label"
    id: str | None = None
    person: str | None = None
    group: str | None = None
    inputs: str | None = None
    split: str | None = None
    size: tuple[int, int] | None = None
    noun: str | None = None
    categorical: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] | None = None
    text: str | None = None
    length: int = 128
    vocabulary: int = 20_000
    tokenizer: str | None = None
    attributes: tuple[str, ...] = ()
    level: Level | None = None

    def like(self, dataset: Dataset) -> Options:
        """These options for a further source with the encoding of `dataset`: the same classes and categories."""
        return replace(self, classes=self.classes or dataset.classes, categories=self.categories or dataset.categories)


@dataclass(frozen=True)
class Rows:
    """A range of records, counted from 0, the end excluded; `stop` None means to the end."""

    start: int = 0
    stop: int | None = None

    def within(self, n: int, name: str) -> range:
        """The row numbers, given that there are n.

        Raises:
            DataError: the range starts or ends beyond the last record.
        """
        stop = n if self.stop is None else self.stop
        if stop > n or self.start >= n:
            raise DataError(
                f"{name}: rows must lie in 0:{n}, got {self.start}:{'' if self.stop is None else self.stop}: "
                f"there are {n} records"
            )
        return range(self.start, stop)


def parse_rows(text: str | None, name: str) -> Rows:
    """The range that `"a:b"` means; either end may be left out.

    Raises:
        DataError: another form, a negative number, or an empty range.

    >>> parse_rows("100:", "data")
    Rows(start=100, stop=None)
    """
    if text is None:
        return Rows()
    found = re.fullmatch(r"\s*(\d{0,18})\s*:\s*(\d{0,18})\s*", text, re.ASCII)
    rows = Rows(int(found[1] or 0), int(found[2]) if found[2] else None) if found else None
    if rows is None or (rows.stop is not None and rows.stop <= rows.start):
        raise DataError(
            f"{name}: rows must be a range 'a:b' with 0 <= a < b, got {text!r}: write for example '0:1000' or '1000:'"
        )
    return rows


@dataclass(frozen=True)
class Request:
    """Request to a loader.

    Attributes:
        name: what messages and the report call the source.
        rows: which records.
        options: options for reading it.
        seed: for the user's functions.
        base: folder that paths in options start from.
        part: the records may all be of one class, because other sources bring the rest.
    """

    name: str
    rows: Rows = field(default_factory=Rows)
    options: Options = field(default_factory=Options)
    seed: int = 0
    base: Path = Path()
    part: bool = False

    def only(self, *names: str) -> None:
        """Refuses options that are set but not read by this source.

        Raises:
            DataError: an option other than `names` is set.
        """
        for option in fields(self.options):
            if option.name not in names and getattr(self.options, option.name) != option.default:
                if option.name == "level":
                    raise DataError(
                        f"{self.name}: must hold texts, which task = 'language' and the option level ask for, got a "
                        "source without: name one of texts, or remove both"
                    )
                remedy = suggest(option.name, names) if names else "remove it"
                raise DataError(f"{self.name}: this source has no option {option.name!r}: {remedy}")

    def select(self, whole: Dataset) -> Dataset:
        """The requested rows of a data set that is in memory.

        Raises:
            DataError: the range ends beyond the last record, or has one class only.
        """
        rows = self.rows.within(len(whole), self.name)
        return whole if len(rows) == len(whole) else whole.take(np.array(rows))


@contextmanager
def as_data_error(place: str, remedy: str, kinds: tuple[type[Exception], ...] = (Exception,)) -> Iterator[None]:
    """Turns exceptions of a reader into one DataError that names the place; a DataError passes."""
    try:
        yield
    except DataError:
        raise
    except kinds as caught:
        message = one_line(caught) or "no message"
        raise DataError(f"{place}: must be readable, got {type(caught).__name__}: {message}: {remedy}") from None


def show_path(path: Path) -> str:
    """A path as one printable line."""
    return one_line(path, limit=500)
