"""Identity of a supplied model: SHA-256 over its tensors, its fitted state, or its source and its answers."""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.keys.code_keys import reading
from dosimeter.foundation.user_code import source_hash


def of_state(state: Mapping[str, Any], *words: str) -> str:
    """SHA-256 of names, types, shapes and bytes of tensors, in the order of their names.

    >>> one = {"w": torch.ones(2)}
    >>> of_state(one) == of_state({"w": torch.ones(2)}), of_state(one) == of_state({"w": torch.zeros(2)})
    (True, False)
    """
    digest = hashlib.sha256("\0".join(words).encode())
    for name in sorted(state):
        digest.update(name.encode() + b"\0")
        _add(digest, state[name])
    return digest.hexdigest()


def of_module(module: nn.Module) -> str:
    """SHA-256 of a network's class name and state dict."""
    return of_state(module.state_dict(), type(module).__name__, str(getattr(module, "code", "")))


def of_network(module: nn.Module, *words: str) -> str:
    """SHA-256 of a network: its state dict, what else its layers hold, its settings, and the code of the user's own.

    A mean that is no buffer of the state dict, an activation or a rate of dropout makes another network of the same
    weights.

    Args:
        module: the network.
        words: further texts.
    """
    kinds = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in map(type, module.modules())}
    code = [reading(kind).digest for name, kind in sorted(kinds.items()) if not name.startswith(_LIBRARIES)]
    held = {
        f"{name}.{key}{place}": value
        for name, part in module.named_modules()
        for key, one in {**vars(part), **part._buffers}.items()  # state dicts lack some buffers
        if key not in _OF_TORCH
        for place, value in _plain_values(one)
    }
    return of_state(held, of_module(module), repr(module), *code, *words)


_OF_TORCH = frozenset(vars(nn.Module()))
"""What torch keeps of every module; the state dict and the list of layers hold it."""
_LIBRARIES = ("torch.", "transformers.", "peft.")
"""Packages whose code counts by its release alone."""


def _plain_values(value: object, place: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers, texts, arrays and tensors within a value, each with its place; nothing of other objects."""
    if isinstance(value, bool | int | float | str | Tensor | np.ndarray):
        yield place, value
    elif isinstance(value, tuple | list):
        for at, one in enumerate(value):
            yield from _plain_values(one, f"{place}[{at}]")
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _plain_values(one, f"{place}[{key!r}]")
    elif callable(told := getattr(value, "to_dict", None)) and not isinstance(value, type | nn.Module):
        yield from _plain_values({key: one for key, one in told().items() if key != "_name_or_path"}, place)  # a config


def of_estimator(model: Any, answers: Tensor) -> str:
    """SHA-256 of a fitted estimator: its pickled form, which holds parameters and fitted arrays, else its answers."""
    try:
        return hashlib.sha256(pickle.dumps(model, protocol=4)).hexdigest()
    except Exception:  # estimators with functions or handles in them
        return of_state({"answers": answers.float()}, type(model).__name__, repr(model))


def of_callable(function: Callable[..., Any], answers: Tensor) -> str:
    """SHA-256 of a function's source, what it closes over, and its answers to some records, to four decimals."""
    digest = hashlib.sha256()
    try:
        digest.update(_code(function).encode())
    except ConfigError:
        digest.update(b"no source")  # compiled code: its answers must do
    for value in _closure_values(function):
        if isinstance(value, nn.Module):
            digest.update(of_module(value).encode())
        elif isinstance(value, Tensor | np.ndarray):
            _add(digest, value)
    _add(digest, answers.mul(1e4).round().div(1e4))
    return digest.hexdigest()


def _code(function: Callable[..., Any]) -> str:
    """A function's source and bytecode, and the numbers and texts that it reads, as text.

    Other values count by their answers alone: a client that counts its calls is the same model after them.
    """
    told = []
    while isinstance(function, functools.partial):
        told += [_simple(function.args), *(f"{key}={_simple(one)}" for key, one in sorted(function.keywords.items()))]
        function = function.func
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    try:
        told.append(source_hash(function))
    except ConfigError:
        if code is None:
            raise
    told += [] if code is None else [_bytecode(code)]
    if inspect.isfunction(function):
        read = inspect.getclosurevars(function)
        told += [f"{name}={_simple(one)}" for name, one in sorted({**read.globals, **read.nonlocals}.items())]
    return "\0".join(told)


def _bytecode(code: CodeType) -> str:
    """The instructions of a compiled function, without its position in a file."""
    inner = [_bytecode(one) if isinstance(one, CodeType) else _simple(one) for one in code.co_consts]
    return "\0".join([code.co_code.hex(), repr(code.co_names), *inner])


def _simple(value: object) -> str:
    """A number, a text or a tuple of them as text; of anything else only its type."""
    if isinstance(value, bool | int | float | str | None):
        return repr(value)
    if isinstance(value, tuple | list):
        return repr([_simple(one) for one in value])
    if isinstance(value, frozenset):
        return repr(sorted(_simple(one) for one in value))
    return type(value).__name__


def _closure_values(function: Callable[..., Any]) -> list[Any]:
    """Values of a function's closure and defaults, and the arguments that a partial binds, in order."""
    partial = [*getattr(function, "args", ()), *getattr(function, "keywords", {}).values()]
    inner = inspect.unwrap(getattr(function, "func", function))
    cells = [cell.cell_contents for cell in getattr(inner, "__closure__", None) or () if _is_filled(cell)]
    return [*partial, *cells, *(getattr(inner, "__defaults__", None) or ())]


def _is_filled(cell: Any) -> bool:
    """Returns whether a closure's cell has a value yet."""
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _add(digest: Any, value: object) -> None:
    """Adds a tensor, an array or a simple value to a digest; of anything else, the name of its type."""
    if isinstance(value, Tensor):
        plain = value.detach().cpu()
        digest.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
        try:
            digest.update(plain.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        except (RuntimeError, TypeError):  # sparse or quantised
            digest.update(repr(plain).encode())
    elif isinstance(value, np.ndarray) and value.dtype.kind != "O":
        digest.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    else:
        digest.update(repr(value).encode())
