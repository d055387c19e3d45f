"""Digest of the code of this package that a job runs, for cache keys: a module and all that it imports from here."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from dosimeter.foundation.keys.known_code import KnownCode, Reading
from dosimeter.foundation.package import PACKAGE, ROOT
from dosimeter.foundation.user_code import source_hash

LEFT_OUT = ("dosimeter.foundation.package",)
"""Modules that do not count: a release that changes no code that runs keeps what is stored."""


@cache
def package_code(module: str) -> str:
    """SHA-256 over the code that a module of this package runs, wherever in the package it lies.

    Imports are followed, also those inside functions; those for type checkers are not. Comments, docstrings, positions
    and imports from this package do not count, so that neither words nor a moved file make anything train anew.

    Args:
        module: dotted name, such as `dosimeter.training.packs`.
    """
    digests: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if name in digests or name in LEFT_OUT or file is None:
            continue
        digests[name], imported = _read(file.read_bytes(), name, file.name == "__init__.py")
        waiting += imported
    _known().save()
    return hashlib.sha256("".join(sorted(digests.values())).encode()).hexdigest()[:24]


def class_code(kind: type) -> str:
    """Digest of the code of a plug-in: the code that its module runs if it is ours, else the file that defines it."""
    own = kind.__module__.partition(".")[0] == PACKAGE
    return package_code(kind.__module__) if own else source_hash(kind)


def _file(name: str) -> Path | None:
    """The file of a module of this package; None for other names, such as those of functions."""
    top, *parts = name.split(".")
    if top != PACKAGE:
        return None
    place = ROOT.joinpath(*parts)
    return next((one for one in (place / "__init__.py", place.with_name(f"{place.name}.py")) if one.is_file()), None)


@cache
def _known() -> KnownCode:
    """What this process or another has read."""
    return KnownCode()


@cache
def _reader() -> bytes:
    """What a reading depends on beside what is read: how it is read, by this file, and by which Python."""
    return Path(__file__).read_bytes() + sys.version.encode()


@cache
def _read(source: bytes, name: str, is_package: bool) -> Reading:
    """Digest of the code that a module runs (empty if none), and its imports from this package."""
    place = f"{len(source)} {name} {is_package} ".encode()
    entry = hashlib.sha256(place + source + _reader()).hexdigest()
    known = _known().get(entry)
    if known is None:
        known = _parse(source, name, is_package)
        _known().add(entry, known)
    return known


def _parse(source: bytes, name: str, is_package: bool) -> Reading:
    """Implements `_read`, at 10 ms for a file."""
    tree = ast.parse(source)
    imported: set[str] = set()
    package = name if is_package else name.rpartition(".")[0]
    tree = _Stripped(package, imported).visit(tree)
    text = ast.unparse(ast.fix_missing_locations(tree))
    return hashlib.sha256(text.encode()).hexdigest() if text else "", tuple(sorted(imported))


class _Stripped(ast.NodeTransformer):
    """Removes code that does not run, and imports from this package, whose names it collects."""

    def __init__(self, package: str, imported: set[str]) -> None:
        self.package, self.imported = package, imported

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Removes strings that stand alone, since they are documentation."""
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt] | None:
        """Removes blocks for type checkers, since they do not run."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [one for part in node.orelse for one in _statements(self.visit(part))]
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        """Collects modules of this package."""
        own = [alias.name for alias in node.names if alias.name.partition(".")[0] == PACKAGE]
        self.imported.update(one for name in own for one in _with_parents(name))
        return None if len(own) == len(node.names) else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Collects modules of this package, and names imported from them, which may be modules."""
        module = node.module or ""
        if node.level:
            parts = self.package.split(".")
            module = ".".join([*parts[: len(parts) - node.level + 1], *([module] if module else [])])
        if module.partition(".")[0] != PACKAGE:
            return node
        self.imported.update([*_with_parents(module), *(f"{module}.{alias.name}" for alias in node.names)])
        return None


def _with_parents(name: str) -> Iterator[str]:
    """A dotted name and its parent packages, which run first."""
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


def _statements(found: Any) -> list[ast.stmt]:
    """A visitor's result for a statement, as a list."""
    if found is None:
        return []
    return found if isinstance(found, list) else [found]
