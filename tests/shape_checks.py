"""Checks of annotations at a fraction of their cost; `conftest` puts `jaxtyped` here in the place of jaxtyping's own.

The hook of `--jaxtyping-packages` decorates every function of the packages that it names. Jaxtyping's own decorator
makes two functions of each when a module is imported, and binds and checks the arguments twice in every call, so that
its message can name the part at fault. Half of what the tests computed was that. Here a function is prepared when it is
first called, and its arguments and its result are checked once, with the same checker and the same names of axes. The
message is the checker's own.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing

import jaxtyping
from beartype import BeartypeConf

_OWN, _AXES = jaxtyping.jaxtyped, jaxtyping.jaxtyped("context")
_REFUSED = BeartypeConf(violation_type=jaxtyping.TypeCheckError)


def jaxtyped(fn=None, *, typechecker=None):
    """What jaxtyping's decorator checks, of functions and of the fields of dataclasses."""
    if fn is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if typechecker is None:
        return _OWN(fn, typechecker=None)
    if inspect.isclass(fn):
        if dataclasses.is_dataclass(fn) and not hasattr(fn.__init__, "unchecked"):
            fn.__init__ = _lean(fn.__init__, typechecker)
        return fn
    if not isinstance(fn, types.FunctionType) or _in_steps(fn):
        return _OWN(fn, typechecker=typechecker)
    return _lean(fn, typechecker)


def _in_steps(fn):
    """Whether a call only begins the work, so that the names of its axes would be gone when it ends."""
    return inspect.isgeneratorfunction(fn) or inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)


def _lean(fn, typechecker):
    """A function whose calls are checked; axes have their names for one call."""
    checked, axes = None, True

    @functools.wraps(fn)
    def call(*args, **kwargs):
        nonlocal checked, axes
        if jaxtyping.config.jaxtyping_disable:
            return fn(*args, **kwargs)
        if checked is None:
            typed = _resolved(fn)
            checked, axes = typechecker(typed, conf=_REFUSED), any(map(_has_axes, typed.__annotations__.values()))
        if not axes:
            return checked(*args, **kwargs)
        with _AXES:
            return checked(*args, **kwargs)

    call.unchecked = fn
    return call


def _has_axes(hint):
    """Whether a checker of this annotation names axes."""
    array = isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray)
    return array or any(map(_has_axes, typing.get_args(hint)))


def _resolved(fn):
    """A copy whose annotations are types; what is imported for type checkers only is left out, as jaxtyping does."""
    copy = types.FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    copy.__kwdefaults__, copy.__module__, copy.__qualname__ = fn.__kwdefaults__, fn.__module__, fn.__qualname__
    for name, hint in fn.__annotations__.items():
        one = types.SimpleNamespace(__annotations__={name: hint})
        try:
            copy.__annotations__ |= typing.get_type_hints(one, fn.__globals__, include_extras=True)
        except Exception:  # as many kinds of errors as annotations have ways not to be there
            continue
    return copy
