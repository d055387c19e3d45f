"""Digest of a function's code and of everything that it reads, and the names of values that no digest can hold."""

from __future__ import annotations

import enum
import functools
import hashlib
import sys
import types
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from dosimeter.foundation.keys.open_objects import attributes_of, is_open, library_name
from dosimeter.foundation.keys.own_code import imported_modules, is_own, own_sources, reads
from dosimeter.foundation.keys.plain_values import SCALARS, kind_of, library, mix, plain, scalar
from dosimeter.foundation.user_code import source_hash

MOST_VALUES, MOST_BYTES, DEEPEST = 1_000_000, 1 << 31, 80
"""Limits of the work on one name that a function reads: number of parts, bytes of arrays, depth of nesting."""
COMPILED = (
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)

DESCRIPTORS = (property, staticmethod, classmethod, functools.cached_property, functools.singledispatchmethod)


@dataclass(frozen=True)
class Reading:
    """Content of a function for a key.

    Attributes:
        digest: SHA-256 of its code and of all content that it reads.
        opaque: values that it reads whose content is not in the digest, each as `name (type)`.
    """

    digest: str
    opaque: tuple[str, ...] = ()


def reading(fn: Callable[..., Any], depends: Sequence[object] = ()) -> Reading:
    """Reads a function's code and all that it reads: globals, closure, defaults, bound arguments, attributes of `self`.

    Content counts: numbers, texts, containers, data classes, arrays, tensors and such. Of functions and classes of the
    user's own the source and the bytecode count, and what they read in turn; of installed ones the name. The same
    content gives the same digest in every process with the same release of Python.

    Args:
        fn: a function, a class, a `functools.partial` of one, a bound method, or a callable object.
        depends: modules and functions that the caller puts into the key too, by name or themselves; what they define
            is not opaque.

    Raises:
        ConfigError: compiled code that cannot be read.

    >>> def trained(rate): return lambda dataset, seed: {"rate": rate}
    >>> reading(trained({"lr": 1})) == reading(trained({"lr": 1})), reading(trained({"lr": 1}))== reading(trained({}))
    (True, False)
    >>> reading(trained(iter([]))).opaque
    ('rate (list_iterator)',)
    """
    bare, code = _bare(fn), ""
    if not isinstance(bare, FunctionType | type) and getattr(type(bare).__call__, "__code__", None) is None:
        code = source_hash(bare)
    walk = _Walk(bare, depends)
    digest = mix(code, walk.name_digest(fn, "", walk.home))
    return Reading(digest.hex(), tuple(sorted(f"{name} ({kind})" for name, kind in walk.opaque.items())))


def code_hash(fn: Callable[..., Any]) -> str:
    """The digest of `reading`.

    >>> def scaled(rate): return lambda: rate
    >>> code_hash(scaled(1.0)) == code_hash(scaled(1.0)), code_hash(scaled(1.0)) == code_hash(scaled(2.0))
    (True, False)
    """
    return reading(fn).digest


class _TooLargeError(Exception):
    """The work exceeds what one name may take."""


class _Walk:
    """One walk over a function and what it reads; it remembers visited values and those that it could not read."""

    def __init__(self, root: Any, depends: Sequence[object]) -> None:
        self.home = _home_of(root)
        named = root if isinstance(root, FunctionType | type) else type(root)
        self.forced = {id(named)}  # what the user names as `fit` counts though it may be installed
        self.covering = {_module_of(one) for one in depends}
        self.covered = {id(one) for one in depends}
        self.opaque: dict[str, str] = {}
        self.known: dict[int, tuple[object, bytes]] = {}  # holds the value too, so that its id stays its own
        self.above: list[int] = []
        self.values, self.bytes = MOST_VALUES, MOST_BYTES
        self.files: dict[str, bytes] = {}

    def name_digest(self, value: Any, name: str, home: str) -> bytes:
        """Digest of the value behind a name; a value that needs too much work is opaque as a whole."""
        kept, height = (self.values, self.bytes), len(self.above)
        self.values, self.bytes = MOST_VALUES, MOST_BYTES
        try:
            return self.value(value, name, home)
        except (_TooLargeError, RecursionError):
            del self.above[height:]
            return self.hide(value, name, home, ", too large")
        finally:
            self.values, self.bytes = kept

    def value(self, value: Any, name: str, home: str) -> bytes:
        """Digest of any value."""
        self.values -= 1
        if type(value) in SCALARS:
            return scalar(value)
        number = id(value)
        if number in self.known:
            return self.known[number][1]
        if number in self.above:
            return mix("again", str(len(self.above) - self.above.index(number)))
        if self.values < 0 or len(self.above) > DEEPEST:
            raise _TooLargeError
        height = len(self.above)
        self.above.append(number)
        try:
            found = self.content(value, name, home)
        except (_TooLargeError, RecursionError):
            raise
        except Exception:  # the user's own attributes and comparisons run here, and may raise
            found = self.hide(value, name, home)
        del self.above[height:]
        self.known[number] = (value, found)
        return found

    def content(self, value: Any, name: str, home: str) -> bytes:
        """Digest of a value that was not visited yet, by its kind."""
        if isinstance(value, enum.Enum):
            return mix("enum", self.value(type(value), name, home), str(value.name), repr(value.value))
        found = plain(value, self.spend)
        if found is not None:
            return found
        for kinds, handler in HANDLERS:
            if isinstance(value, kinds):
                return handler(self, value, name, home)
        if isinstance(value, library("numpy", "ndarray")):
            return mix("array", str(value.shape), self.items(value.ravel().tolist(), name, home))
        inner = getattr(value, "__dict__", {}).get("__wrapped__")
        if callable(inner):
            return mix("wrapped", kind_of(value), self.value(inner, name, home))
        return self.thing(value, name, home)

    def spend(self, size: int) -> None:
        """Subtracts the bytes of a large value from the remaining allowance."""
        self.bytes -= size
        if self.bytes < 0:
            raise _TooLargeError

    def expect(self, parts: int) -> None:
        """Refuses a container with more parts than the remaining allowance."""
        if parts > self.values:
            raise _TooLargeError

    def hide(self, value: Any, name: str, home: str, why: str = "") -> bytes:
        """Records a value whose content no digest holds, unless the user named something that covers it."""
        kind = type(value)
        covered = id(value) in self.covered or {id(kind), home, kind.__module__} & (self.covered | self.covering)
        if not covered:
            self.opaque.setdefault(name or kind.__name__, kind.__name__ + why)
        return mix("opaque", kind_of(value), why)

    def number(self, value: Any, name: str, home: str) -> bytes:
        """Digest of a number or text of a derived class."""
        return mix(kind_of(value), scalar(value))

    def mapping(self, value: Mapping[Any, Any], name: str, home: str) -> bytes:
        """Digest of a dictionary in its order, since the order may decide what is built from it."""
        parts = []
        self.expect(len(value))
        for key, one in value.items():
            shown = repr(key)[:60] if type(key) in SCALARS else "..."
            parts += [self.value(key, name, home), self.value(one, f"{name}[{shown}]", home)]
        factory = self.value(value.default_factory if isinstance(value, defaultdict) else None, name, home)
        return mix(kind_of(value), factory, *parts)

    def items(self, value: Sequence[Any], name: str, home: str) -> bytes:
        """Digest of a list, a tuple or a queue."""
        self.expect(len(value))
        if {type(one) for one in value} <= set(SCALARS):  # in one go, since there may be a million of them
            self.values -= len(value)
            return mix(kind_of(value), *map(scalar, value))
        parts = [self.value(one, f"{name}[{place}]", home) for place, one in enumerate(value)]
        return mix(kind_of(value), *parts)

    def members(self, value: frozenset[Any], name: str, home: str) -> bytes:
        """Digest of a set, whose order differs between processes."""
        self.expect(len(value))
        ordered = sorted(value, key=lambda one: (kind_of(one), str(getattr(one, "__qualname__", ""))))
        return mix(kind_of(value), *sorted(self.value(one, name, home) for one in ordered))

    def partial(self, value: functools.partial[Any] | functools.partialmethod[Any], name: str, home: str) -> bytes:
        """Digest of a function and the arguments bound to it."""
        bound = {f"argument {place}": one for place, one in enumerate(value.args)} | dict(
            sorted(value.keywords.items())
        )
        parts = [part for key, one in bound.items() for part in (key, self.name_digest(one, _join(name, key), home))]
        return mix("partial", self.value(value.func, name, home), *parts)

    def method(self, value: types.MethodType, name: str, home: str) -> bytes:
        """Digest of a function and the object it is bound to."""
        owner = self.name_digest(value.__self__, _join(name, "self"), home)
        return mix("method", self.value(value.__func__, name, home), owner)

    def builtin(self, value: Any, name: str, home: str) -> bytes:
        """Digest of a function without bytecode: its name, and the object it is bound to."""
        owner = getattr(value, "__self__", None)
        told = mix("compiled", str(getattr(value, "__module__", "")), value.__qualname__)
        if owner is None or isinstance(owner, ModuleType | type) or library_name(value):
            return told
        return mix(told, self.name_digest(owner, _join(name, "self"), home))

    def descriptor(self, value: Any, name: str, home: str) -> bytes:
        """Digest of the functions of a property, or of a static or class method."""
        names = ("__func__", "fget", "fset", "fdel", "func")
        return mix(type(value).__name__, *(self.value(getattr(value, one, None), name, home) for one in names))

    def module(self, value: ModuleType, name: str, home: str) -> bytes:
        """Digest of a module: the name of an installed one, else the user's files that it consists of."""
        return self.through(value, (), name, home)

    def through(self, value: Any, chain: tuple[str, ...], name: str, home: str) -> bytes:
        """Digest of a value that is reached by attributes, as far as they lead through the user's own modules."""
        parts = []
        while isinstance(value, ModuleType):
            parts.append(value.__name__)
            if not is_own(value.__name__):
                return mix("module", *parts)
            parts += [self.file(value.__name__).hex(), repr(own_sources([value.__name__]))]
            if not chain or chain[0] not in vars(value):
                return mix("module", *parts, *chain)
            name, home = f"{name}.{chain[0]}", value.__name__
            value, chain = vars(value)[chain[0]], chain[1:]
        return mix("module", *parts, self.name_digest(value, name, home))

    def file(self, module: str) -> bytes:
        """Digest of the file of a module; empty for code that was typed at a prompt."""
        if module not in self.files:
            place = Path(getattr(sys.modules.get(module), "__file__", None) or "")
            source = place.read_bytes() if place.suffix == ".py" and place.is_file() else b""
            self.files[module] = hashlib.sha256(source).digest() if source else b""
        return self.files[module]

    def kind(self, value: type, name: str, home: str) -> bytes:
        """Digest of a class: the name of an installed one, else its file, its bases, and what its methods read."""
        own = value.__module__
        told = mix("class", own, value.__qualname__)
        if not is_own(own) and id(value) not in self.forced:
            return told
        source = self.file(own)
        parts = [self.value(base, base.__qualname__, base.__module__) for base in value.__bases__]
        for key, one in sorted(vars(value).items()):
            if (key.startswith("_") and key.endswith("_") and not isinstance(one, FunctionType)) or key == "_abc_impl":
                continue
            made = getattr(getattr(one, "__code__", None), "co_filename", "").startswith("<")
            if source and made:  # a data class writes such methods from its fields, which the source has
                continue
            parts += [key.encode(), self.name_digest(one, f"{value.__qualname__}.{key}", own)]
        return mix(told, source, *parts)

    def function(self, value: FunctionType, name: str, home: str) -> bytes:
        """Digest of a function: name and bindings of an installed one, else its code and what it reads."""
        own, inner = _home_of(value), vars(value).get("__wrapped__")
        if not is_own(own) and id(value) not in self.forced:
            if callable(inner):
                return mix("around", own, value.__qualname__, self.value(inner, name, home))
            cells = [self.name_digest(one, _join(name, key), home) for key, one in sorted(_cells(value).items())]
            return mix("installed", own, value.__qualname__, *cells)
        parameters = list(value.__code__.co_varnames[: value.__code__.co_argcount])
        defaults = value.__defaults__ or ()
        bound = dict(zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True))
        bound |= value.__kwdefaults__ or {}
        bound |= vars(value)
        before = "" if id(value) in self.forced else value.__qualname__
        parts = [part for key, one in bound.items() for part in (key, self.name_digest(one, _join(before, key), own))]
        return mix("function", self.file(own), self.bytecode(value.__code__), *parts, *self.read_by(value, own))

    def read_by(self, fn: FunctionType, home: str) -> list[bytes]:
        """Digests of what a function reads from its module, its closure, and modules that it imports when it runs."""
        parts, cells = [], _cells(fn)
        for name, cell, chain in reads(fn.__code__):
            scope = cells if cell else fn.__globals__
            if name in scope:
                label = name if home == self.home else f"{home}.{name}"
                parts += [name.encode(), self.through(scope[name], chain, label, home)]
        # such a module may be loaded or not when a key is made, so only its files count
        modules = imported_modules(fn.__code__, str(fn.__globals__.get("__package__") or ""))
        return [*parts, repr(own_sources(modules)).encode()]

    def bytecode(self, code: CodeType) -> bytes:
        """Digest of the instructions of compiled code, without its position in a file."""
        inner = [self.bytecode(one) if isinstance(one, CodeType) else self.value(one, "", "") for one in code.co_consts]
        words = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        return mix(code.co_code, code.co_exceptiontable, repr((words, counts)), *inner)

    def thing(self, value: Any, name: str, home: str) -> bytes:
        """Digest of an object: its class, and its attributes if it holds nothing else."""
        if found := library_name(value):
            return mix("library", found)
        if hasattr(type(value), "__get__") and not is_own(type(value).__module__):
            return mix("descriptor", kind_of(value))  # a field of a class, which the class's source defines
        kind = self.value(type(value), type(value).__qualname__, home)
        if not is_open(value):
            return mix(kind, self.hide(value, name, home))
        held = sorted(attributes_of(value).items())
        parts = [part for key, one in held for part in (key, self.value(one, _join(name, key), home))]
        return mix("object", kind, *parts)


HANDLERS: tuple[tuple[Any, Callable[[_Walk, Any, str, str], bytes]], ...] = (
    ((int, float, complex, str, bytes), _Walk.number),
    ((dict, types.MappingProxyType), _Walk.mapping),
    ((list, tuple, deque), _Walk.items),
    ((set, frozenset), _Walk.members),
    ((functools.partial, functools.partialmethod), _Walk.partial),
    (ModuleType, _Walk.module),
    (type, _Walk.kind),
    (FunctionType, _Walk.function),
    (types.MethodType, _Walk.method),
    (COMPILED, _Walk.builtin),
    (DESCRIPTORS, _Walk.descriptor),
)
"""Kinds of values, with the method that makes their digest; the first that fits counts."""


def _bare(fn: Any) -> Any:
    """The function without partial arguments, binding and decorators."""
    for _ in range(DEEPEST):
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        elif callable(inner := getattr(fn, "__dict__", {}).get("__wrapped__")):
            fn = inner
        else:
            break
    return fn


def _join(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _home_of(value: Any) -> str:
    """The module in which a function looks up names, or that defines an object's class."""
    if isinstance(value, FunctionType):
        return str(value.__globals__.get("__name__") or "")
    return str(getattr(value, "__module__", None) or type(value).__module__)


def _module_of(one: object) -> str:
    """The module of something that a user named as a dependency of training."""
    if isinstance(one, str):
        return one.partition(":")[0]
    return one.__name__ if isinstance(one, ModuleType) else _home_of(_bare(one))


def _cells(fn: FunctionType) -> dict[str, Any]:
    """Values of a function's closure by name, without those that are not assigned yet."""
    found = {}
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found
