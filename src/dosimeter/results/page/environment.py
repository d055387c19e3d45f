"""Templates of the page: escaping is always on, and a missing name or an absent value is an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dosimeter.results import words


@cache
def environment(*folders: Path) -> Environment:
    """Templates of the page, with those of further folders searched first.

    Args:
        folders: of a family's own templates.
    """
    found = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).with_name("templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(visible=words.visible, percent=words.percent)
    return found


def _printable(value: object) -> object:
    """A value that a template may print: text with hidden characters spelled out, numbers, our own markup."""
    if value is None:
        raise ValueError("the report must not print an absent value, got None")
    if isinstance(value, str) and not isinstance(value, Markup):
        return words.visible(value)
    return value
