"""Transport of the user's functions to another process, which may be unable to import their module."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def carry_functions(function: Any) -> Iterator[None]:
    """Sends a function of a module that cannot be imported again by its code, inside the block, as for a script.

    Such are modules of `runpy`, of a notebook's cells, and those that were loaded from a path by hand.

    Args:
        function: the function that a job holds; a reference or None changes nothing.
    """
    import cloudpickle

    while hasattr(function, "func"):
        function = function.func
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if module is None or module.__name__ == "__main__" or _importable(module):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _importable(module: ModuleType) -> bool:
    """Returns whether another process with the same path would import this very module by its name."""
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ in sys.builtin_module_names
    top, _, rest = module.__name__.partition(".")
    try:
        found = PathFinder.find_spec(top)
    except (ImportError, ValueError):
        return False
    if found is None:
        return False
    return bool(rest) or (found.origin is not None and Path(found.origin).resolve() == Path(file).resolve())
