"""Objects that hold nothing but their attributes, so that a key can hold their content."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
import types
from typing import Any

from dosimeter.foundation.keys.own_code import is_own
from dosimeter.foundation.keys.plain_values import library

OPEN_CLASSES = (
    ("pydantic", "BaseModel"),
    ("sklearn.base", "BaseEstimator"),
    ("transformers.configuration_utils", "PretrainedConfig"),
)
"""Library classes whose objects, and those of derived classes, are read by their attributes."""
OPEN_MODULES = ("torchvision.transforms", "torch.autograd.grad_mode", "torch.utils.data.dataset")
"""Library modules whose classes hold nothing but their attributes."""
BARE = ("abc", "collections.abc", "typing", *OPEN_MODULES)
"""Modules whose classes may be bases of a user's class without holding anything for it."""


def is_open(value: Any) -> bool:
    """Returns whether an object holds nothing but its attributes.

    A network with parameters is not: training may change them, and where they came from is not seen in them.

    >>> is_open(types.SimpleNamespace(rate=1)), is_open(iter([]))
    (True, False)
    """
    kind = type(value)
    if isinstance(value, library("torch.nn", "Module")):
        return "_parameters" in vars(value) and next(value.parameters(), None) is None
    if dataclasses.is_dataclass(value) or hasattr(kind, "__attrs_attrs__"):
        return True
    if isinstance(value, types.SimpleNamespace | argparse.Namespace):
        return True
    if any(isinstance(value, library(*names)) for names in OPEN_CLASSES) or _of(kind, OPEN_MODULES):
        return True
    own = is_own(kind.__module__)
    return own and all(one is object or is_own(one.__module__) or _of(one, BARE) for one in kind.__mro__)


def _of(kind: type, modules: tuple[str, ...]) -> bool:
    return any(f"{kind.__module__}.".startswith(f"{one}.") for one in modules)


def attributes_of(value: Any) -> dict[str, Any]:
    """Attributes of the object itself, without values that it computes once and keeps."""
    kind = type(value)
    slots = [getattr(one, "__slots__", ()) for one in kind.__mro__]
    names = [name for some in slots for name in ((some,) if isinstance(some, str) else some)]
    found = {name: getattr(value, name) for name in names if name[:2] != "__" and hasattr(value, name)}
    found |= getattr(value, "__dict__", {})
    kept = {name for name in found if isinstance(getattr(kind, name, None), functools.cached_property)}
    if isinstance(value, library("torch.nn", "Module")):
        kept.add("training")  # evaluation switches it, and no loss depends on it
    return {name: one for name, one in found.items() if name not in kept}


def library_name(value: Any) -> str:
    """Dotted name under which an installed library keeps a callable object, such as `numpy.exp`; else empty.

    >>> import numpy
    >>> library_name(numpy.exp)
    'numpy.exp'
    """
    name = getattr(value, "__name__", None)
    if not callable(value) or not isinstance(name, str):
        return ""
    for module in (getattr(value, "__module__", None), type(value).__module__.partition(".")[0]):
        if isinstance(module, str) and not is_own(module) and getattr(sys.modules.get(module), name, None) is value:
            return f"{module}.{name}"
    return ""
