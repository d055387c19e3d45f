"""The user's own code: finds a `package.module:function`, hashes its source, reports its errors in one line."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import AuditError, ConfigError, TrainingError
from dosimeter.foundation.package import ROOT
from dosimeter.foundation.wording import describe, frames_of, is_users_frame, one_line, users_line

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
"""Pattern of a reference to a function: dotted module, colon, name."""


@dataclass
class _Home:
    """Folder of the audit file from which user modules come in this process, and the modules that came from it."""

    folder: str = ""
    added: bool = False
    modules: dict[str, str] = field(default_factory=dict)  # to the SHA-256 of the source that was imported


_home = _Home()


def import_from(folder: Path) -> None:
    """Makes Python search the folder of an audit file first for user modules.

    Modules from another audit's folder are forgotten, since two audits may each have their `recipe.py`, and so are
    modules whose source has changed, since keys are made of the source.

    Args:
        folder: of the audit file.
    """
    own = str(folder.resolve())
    same = own == _home.folder and own in sys.path
    if same and all(_digest(_file_of(name)) == digest for name, digest in _home.modules.items()):
        return
    for name in _home.modules:
        sys.modules.pop(name, None)
    if _home.added and _home.folder in sys.path:
        sys.path.remove(_home.folder)
    _home.folder, _home.added, _home.modules = own, own not in sys.path, {}
    if _home.added:
        sys.path.insert(0, own)
    importlib.invalidate_caches()


def _import(name: str) -> ModuleType:
    """Imports a module and records what came from the audit file's folder."""
    _forget_namesake(name.partition(".")[0])
    before, quiet = set(sys.modules), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # bytecode is trusted by size and second; a file may change twice within one
    try:
        return importlib.import_module(name)
    finally:
        sys.dont_write_bytecode = quiet
        if _home.folder:
            new = [one for one in sys.modules.keys() - before if _file_of(one).startswith(_home.folder + os.sep)]
            _home.modules |= {one: _digest(_file_of(one)) for one in new}


def user_sources() -> dict[str, str]:
    """Files that were imported from the folder of the audit file, with the SHA-256 of the imported content."""
    return {_file_of(name): digest for name, digest in _home.modules.items() if _file_of(name)}


def _forget_namesake(top: str) -> None:
    """Forgets a loaded module of this name that is not the one in the audit file's folder."""
    files = (Path(_home.folder, f"{top}.py"), Path(_home.folder, top, "__init__.py"))
    own = bool(_home.folder) and any(file.is_file() for file in files)
    if own and top in sys.modules and top not in sys.stdlib_module_names:
        if not _file_of(top).startswith(_home.folder + os.sep):
            for name in [one for one in sys.modules if one == top or one.startswith(top + ".")]:
                del sys.modules[name]
        else:
            _home.modules.setdefault(top, _digest(_file_of(top)))


def _digest(file: str) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""


def _file_of(name: str) -> str:
    return str(getattr(sys.modules.get(name), "__file__", None) or "")


def resolve(reference: str, *, error: type[AuditError] = ConfigError) -> Callable[..., Any]:
    """The function that `package.module:function` names.

    The module is imported as Python finds it; the caller puts the folder of the audit file on `sys.path`.

    Args:
        reference: dotted module, colon, the name of a callable in it.
        error: class of error to raise, so that each part of an audit file gets its own kind.

    Returns:
        The callable.

    Raises:
        AuditError: the reference has another form, or the module or the name is missing, or importing it failed.

    >>> resolve("math:sqrt")(9.0)
    3.0
    """
    if not REFERENCE.fullmatch(reference):
        raise error(f"{one_line(reference)}: a function is written package.module:function, got {reference!r}")
    module_name, _, name = reference.partition(":")
    try:
        module = _import(module_name)
    except ModuleNotFoundError as caught:
        if caught.name and (module_name + ".").startswith(caught.name + "."):
            raise error(
                f"{reference}: the module must be importable, got no module {caught.name!r}: put {caught.name}.py "
                "beside the audit file or install the package that has it"
            ) from None
        raise error(f"{reference}: importing the module failed, {describe(caught)}: install or correct it") from caught
    except (Exception, SystemExit) as caught:  # a module may raise or exit
        raise error(f"{reference}: importing the module failed, {describe(caught)}: correct it") from caught
    if not hasattr(module, name):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        remedy = suggest(name, known) if known else f"define it in {module_name}"
        raise error(f"{reference}: {module_name} must define the function, got no {name!r}: {remedy}")
    found = getattr(module, name)
    if not callable(found):
        raise error(f"{reference}: must be callable, got {type(found).__name__}: name a function or a class")
    return found  # type: ignore[no-any-return]  # callable() narrows Any to nothing that mypy can return


def is_users_fault(caught: BaseException) -> bool:
    """Returns whether an exception arose in the user's code, or in what that called, and not in our code below it."""
    for file, _ in reversed(frames_of(caught)):
        if is_users_frame(file):
            return True
        if Path(file).is_relative_to(ROOT):
            return False
    return False


def relay(caught: AuditError, place: str) -> AuditError:
    """A copy of one of our errors; if it arose in the user's code, with the place before it and their line after."""
    line = users_line(caught)
    return type(caught)(*[f"{place}: raised {problem} ({line})" if line else problem for problem in caught.problems])


@contextlib.contextmanager
def report_user_errors() -> Iterator[None]:
    """Turns exceptions of the user's code inside the block into one line, unless they are ours already.

    Raises:
        TrainingError: from what was raised, with the user's file and line.
    """
    try:
        yield
    except AuditError:
        raise
    except Exception as caught:
        if not is_users_fault(caught):
            raise
        raise TrainingError(f"your code: raised {describe(caught)}: correct it") from caught


def source_hash(fn: Callable[..., Any]) -> str:
    """SHA-256 of the source of the module that defines a function, for keys of its results.

    Args:
        fn: a function, a class, a `functools.partial` of one, or a callable object.

    Returns:
        64 hexadecimal digits; any change to the file changes them.

    Raises:
        ConfigError: no source can be found (typed at a prompt, or compiled).

    >>> len(source_hash(one_line))
    64
    """
    while isinstance(fn, partial):
        fn = fn.func
    named = inspect.unwrap(fn)
    if not hasattr(named, "__qualname__"):
        named = type(named)
    module = sys.modules.get(named.__module__ or "")
    try:
        if module is not None and getattr(module, "__file__", None):
            source = Path(inspect.getsourcefile(module) or "").read_bytes()
        else:
            source = inspect.getsource(named).encode()
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):  # none, or another file stands where it was
        raise ConfigError(
            f"{one_line(getattr(named, '__name__', named))}: the source of a user's function must be readable, "
            "got none: define it in a .py file"
        ) from None
    return hashlib.sha256(source).hexdigest()


def is_file(path: Path) -> bool:
    """Returns whether a file exists; false if the system cannot tell."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def call_user(reference: str, *arguments: Any, **options: Any) -> Any:
    """Calls a user's function; an exception becomes one line."""
    function = resolve(reference)
    try:
        return function(*arguments, **options)
    except AuditError as error:
        raise relay(error, reference) from error
    except (Exception, SystemExit) as error:
        raise TrainingError(f"{reference}: raised {describe(error)}: correct it") from error
