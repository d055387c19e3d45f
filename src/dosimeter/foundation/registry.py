"""Registries: names of an audit file that stand for classes or functions, imported when they are asked for."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Names to what they stand for. To know the names, or one line about each, imports nothing.

    Args:
        package: package below which the modules are.
        places: each name to `module:object`, the module as it is named below the package.
    """

    def __init__(self, package: str, places: Mapping[str, str]) -> None:
        self._places = {name: f"{package}.{place}" for name, place in places.items()}
        self._names = {place.partition(":")[2]: name for name, place in places.items()}

    def __getitem__(self, name: str) -> T:
        """Imports it."""
        module, _, own = self._places[name].partition(":")
        found: T = getattr(importlib.import_module(module), own)
        return found

    def __contains__(self, name: object) -> bool:
        """Returns whether there is such a name; imports nothing."""
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        """The names, in their order."""
        return iter(self._places)

    def __len__(self) -> int:
        """Number of names."""
        return len(self._places)

    def defined(self, own: str) -> T | None:
        """What code calls `own`, such as a class by its own name; None if no name stands for that."""
        return self[self._names[own]] if own in self._names else None

    def exported(self, own: str) -> T:
        """What code calls `own`, for `__getattr__` of the module that holds the registry.

        Raises:
            AttributeError: no name stands for that.
        """
        if (found := self.defined(own)) is None:
            raise AttributeError(f"no {own!r} here: take one of {sorted(self._names)}")
        return found

    def about(self) -> dict[str, str]:
        """First line of each docstring by name, read from the source."""
        return {name: _first_line(*place.split(":")) for name, place in self._places.items()}


@cache
def _first_line(module: str, own: str) -> str:
    """First line of the docstring of a class or function, from a file that is not run."""
    spec = find_spec(module)  # runs the packages above it, which are small
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module {module}")
    source = Path(spec.origin).read_text(encoding="utf-8")
    # Nearly all are classes; to parse whole files would take a third of the time of `dosimeter list`.
    plain = re.search(rf'^class {own}(?:\([^()]*\))?:\n    """([^\\\n"]*)(?:"""|\n)', source, re.MULTILINE)
    if plain:
        return plain[1]
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == own:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    raise AttributeError(f"{module} defines no {own}")
