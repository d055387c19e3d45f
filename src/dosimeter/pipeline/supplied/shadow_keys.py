"""Content of the keys of a supplied model's shadows, and a check of what `fit` reads outside them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.keys.code_keys import reading
from dosimeter.foundation.user_code import REFERENCE, resolve
from dosimeter.foundation.wording import one_line, quote
from dosimeter.jobs.store import file_hash
from dosimeter.training.keys import module_hash


def sources_of(fit: Callable[..., Any] | str | None, depends: Sequence[object]) -> tuple[dict[str, str], list[Gate]]:
    """Hashes of the code that the shadows' keys depend on: `fit`, what it reads, further modules.

    Args:
        fit: the user's function, or its reference.
        depends: further modules and functions, by name or themselves.

    Returns:
        Names to hashes, and a warning if `fit` reads what no key can hold.

    Raises:
        ConfigError: a module or function is not found.
    """
    if fit is None:
        return {}, []
    read = reading(resolve(fit) if isinstance(fit, str) else fit, depends)
    found, opaque = {"fit": read.digest}, set(read.opaque)
    for one in depends:
        name = name_in_depends(one)
        while name in found:  # a module may be called `fit`, and two lambdas have one name
            name += " (depends)"
        if isinstance(one, str) and ":" not in one or isinstance(one, ModuleType):
            found[name] = _module(one)
            continue
        function: Any = resolve(one) if isinstance(one, str) else one
        more = reading(function, depends)
        found[name] = more.digest
        opaque |= set(more.opaque)
    return found, keys_of_shadows(sorted(opaque))


def _module(one: str | ModuleType) -> str:
    """SHA-256 of a module's file."""
    if isinstance(one, str) and one != "__main__":
        return module_hash(one)
    module = sys.modules.get(one) if isinstance(one, str) else one
    file = Path(getattr(module, "__file__", None) or "")
    if not file.is_file():
        raise ConfigError(
            f"depends: {name_in_depends(one)} must be a module with a source file, got none: put what `fit` needs "
            "into a .py file"
        )
    return file_hash(file)


def name_in_depends(one: object) -> str:
    """Name of a module or a function that training depends on."""
    if isinstance(one, str):
        return one
    if isinstance(one, ModuleType):
        return one.__name__
    return one_line(f"{getattr(one, '__module__', '')}:{getattr(one, '__qualname__', type(one).__qualname__)}", 120)


def check_depends(depends: object) -> tuple[object, ...]:
    """Modules and functions of a call's `depends`, in order.

    Raises:
        ConfigError: something that is neither a module nor a function, nor the name of one.
    """
    rule = "depends: must be a list of modules and functions, or of names such as 'package.module'"
    if isinstance(depends, str | ModuleType) or callable(depends) or not isinstance(depends, Sequence):
        raise ConfigError(f"{rule}, got {quote(depends)}: write depends=[...]")
    for one in depends:
        named = isinstance(one, str) and REFERENCE.fullmatch(one if ":" in one else f"{one}:any")
        if not (named or isinstance(one, ModuleType) or (callable(one) and not isinstance(one, str))):
            raise ConfigError(f"{rule}, got {quote(one)} in it: name the module that holds what `fit` reads")
    return tuple(depends)


def keys_of_shadows(opaque: Sequence[str]) -> list[Gate]:
    """I6: values that `fit` reads but that are no part of the key under which shadows are stored.

    Args:
        opaque: the values, each as `name (type)`.
    """
    if not opaque:
        return []
    shown = 5
    parts = [one.partition(" (") for one in opaque[:shown]]
    listed = ", ".join(f"`{name}`{space}{kind}" for name, space, kind in parts)
    more = f" and {len(opaque) - shown} more" if len(opaque) > shown else ""
    return [
        Gate(
            "I6", "Keys of shadows", "warn", float(len(opaque)),
            f"`fit` reads {listed}{more}, whose content is not part of the key under which shadows are kept: name the "
            f"module that makes it in `depends`, or delete the cache when it changes.",
        )
    ]  # fmt: skip
