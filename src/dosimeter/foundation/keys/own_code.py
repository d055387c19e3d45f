"""The user's own code: which code that is, the names that compiled code reads, and the files that a module imports."""

from __future__ import annotations

import ast
import dis
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType

from dosimeter.foundation.package import ROOT

GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
CELLS = ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
MOST_FILES = 2000
"""Most files through which a module's imports are followed; a training script has fewer."""


@cache
def _foreign() -> tuple[str, ...]:
    """Folders of the standard library and of this package."""
    paths = sysconfig.get_paths()
    return (paths["stdlib"], paths["platstdlib"], str(ROOT))


def is_own_file(file: str) -> bool:
    """Returns whether a file is neither the standard library's, nor an installed package's, nor ours."""
    parts = Path(file).parts
    if "site-packages" in parts or "dist-packages" in parts or file.startswith("<frozen"):
        return False
    return not any(Path(file).is_relative_to(folder) for folder in _foreign())


def is_own(name: str | None) -> bool:
    """Returns whether the user wrote a module, judged by its place; code from a prompt counts as the user's.

    >>> is_own("json"), is_own("torch"), is_own("numpy.random"), is_own("builtins"), is_own("dosimeter.audits")
    (False, False, False, False, False)
    """
    if not name:
        return True
    for one in (name, name.partition(".")[0]):
        module = sys.modules.get(one)
        place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
        if place:
            return is_own_file(str(place))
    top = name.partition(".")[0]
    return top not in sys.stdlib_module_names and top not in sys.builtin_module_names


def walk_code(code: CodeType) -> Iterator[CodeType]:
    """Yields compiled code, and the functions, lambdas, comprehensions and classes in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from walk_code(one)


def reads(code: CodeType) -> list[tuple[str, bool, tuple[str, ...]]]:
    """Names that code and the functions in it look up outside themselves.

    Returns:
        Name, whether it is looked up in the closure, and the attributes that follow it, sorted and each once.

    >>> reads((lambda: [config.rate for _ in "ab"]).__code__)
    [('config', False, ('rate',))]
    """
    found: set[tuple[str, bool, tuple[str, ...]]] = set()
    for inner in walk_code(code):
        name, cell = "", False
        chain: tuple[str, ...] = ()
        for step in dis.get_instructions(inner):
            if name and step.opname in ATTRIBUTES:
                chain = (*chain, str(step.argval))
                continue
            if name:
                found.add((name, cell, chain))
            name, cell, chain = "", step.opname in CELLS, ()
            if cell or step.opname in GLOBALS:
                name = str(step.argval)
    return sorted(found)


def imported_modules(code: CodeType, package: str) -> set[str]:
    """Modules that code imports when it runs.

    Args:
        code: code of a function.
        package: package from which relative imports start.
    """
    found: set[str] = set()
    for inner in walk_code(code):
        steps = list(dis.get_instructions(inner))
        for place, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                level, names = steps[place - 2].argval, steps[place - 1].argval
                found |= _dotted_names(str(step.argval), names or (), level or 0, package)
    return found


def _dotted_names(module: str, names: Iterable[str], level: int, package: str) -> set[str]:
    """Dotted names that an import may mean: a name that is imported from a package may be a module of it."""
    if level:
        parts = package.split(".")
        module = ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])
    parts = module.split(".")
    parents = {".".join(parts[: i + 1]) for i in range(len(parts))}
    return parents | {f"{module}.{name}" for name in names if name != "*"}


def own_sources(modules: Iterable[str]) -> list[tuple[str, str]]:
    """The user's own files among modules and all their imports, found without importing anything.

    Returns:
        Dotted name and SHA-256 of the file, sorted.
    """
    found: dict[str, str] = {}
    waiting = sorted(modules)
    while waiting and len(found) < MOST_FILES:
        name = waiting.pop()
        if name in found:
            continue
        file = own_file(name)
        found[name] = ""
        if file is None:
            continue
        source = file.read_bytes()
        found[name] = hashlib.sha256(source).hexdigest()
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        waiting += sorted(_imports(source, package) - found.keys())
    return sorted((name, digest) for name, digest in found.items() if digest)


def _imports(source: bytes, package: str) -> set[str]:
    """Modules that a file imports anywhere in its code."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found |= _dotted_names(alias.name, (), 0, package)
        elif isinstance(node, ast.ImportFrom):
            found |= _dotted_names(node.module or "", [alias.name for alias in node.names], node.level, package)
    return found


def own_file(name: str) -> Path | None:
    """File of a module of the user's own; None for other modules and for names that are no module."""
    if name == "__main__":
        main = getattr(sys.modules.get(name), "__file__", None)
        return Path(main) if main and is_own_file(main) and Path(main).is_file() else None
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or (not rest and not spec.submodule_search_locations):
        places = [Path(spec.origin)] if spec is not None and spec.origin else []
    else:
        # parts below the top are looked up by place, since find_spec would import, and so run, what is above them
        folders = [Path(one, *rest) for one in spec.submodule_search_locations or ()]
        places = [place for one in folders for place in (one / "__init__.py", one.with_name(one.name + ".py"))]
    return next((one for one in places if one.suffix == ".py" and one.is_file() and is_own_file(str(one))), None)
