"""What a function reads is in its key by content, or it is named."""

from __future__ import annotations

import argparse
import datetime
import decimal
import enum
import functools
import importlib
import logging
import os
import re
import subprocess
import sys
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import own_kinds
import pandas as pd
import pydantic
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.keys.code_keys import code_hash, reading

LOGGER = logging.getLogger(__name__)
FOREST = RandomForestClassifier(5)
CRITERION = nn.CrossEntropyLoss(weight=torch.ones(5))
Pair = namedtuple("Pair", "a b")  # noqa: PYI024  the plain kind is what users have


class Mode(enum.Enum):
    SLOW = 1
    FAST = 2


@dataclass
class Config:
    rate: float = 0.1
    layers: list = field(default_factory=list)


class Settings(pydantic.BaseModel):
    rate: float = 0.1


class Plain:
    def __init__(self, rate):
        self.rate = rate


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate):
        self.rate = rate


class Records(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows


def closing(value):
    """A fit that closes over a value."""
    return lambda dataset, seed: value


CONTENT = {
    "number": lambda n: n,
    "large number": lambda n: 10**5000 + n,
    "real": lambda n: n + 0.5,
    "text": lambda n: f"a\ud800{n}",
    "bytes": lambda n: bytes([n]),
    "none": lambda n: [None, False][n],
    "types": lambda n: [1, True][n],
    "enum": lambda n: [Mode.SLOW, Mode.FAST][n],
    "path": lambda n: Path(f"a{n}"),
    "tuple": lambda n: (1, (n,)),
    "list": lambda n: [1, [n], "a"],
    "list of plain values": lambda n: [1, n],
    "deque": lambda n: deque([n]),
    "dict": lambda n: {"a": {"b": n}},
    "keys": lambda n: {n: 1},
    "ordered": lambda n: OrderedDict(a=n),
    "default": lambda n: defaultdict([int, list][n]),
    "counter": lambda n: Counter({"a": n}),
    "view of a dict": lambda n: types.MappingProxyType({"a": n}),
    "set": lambda n: {"a", "b", n},
    "frozenset": lambda n: frozenset([("a", n), ("b", 1)]),
    "named tuple": lambda n: Pair(1, n),
    "data class": lambda n: Config(layers=[n]),
    "pydantic": lambda n: Settings(rate=n),
    "own object": lambda n: Plain([n]),
    "slots": lambda n: Slotted([n]),
    "namespace": lambda n: types.SimpleNamespace(a=n),
    "arguments": lambda n: argparse.Namespace(a=n),
    "array": lambda n: np.array([1, n]),
    "type of an array": lambda n: np.array([1], [np.int64, np.float32][n]),
    "shape of an array": lambda n: np.zeros([(2, 3), (3, 2)][n]),
    "columns of an array": lambda n: np.arange(12).reshape(3, 4)[:, n::2],
    "array of objects": lambda n: np.array(["a", n], dtype=object),
    "masked array": lambda n: np.ma.masked_array([1, 2], mask=[0, n]),
    "scalar of NumPy": lambda n: np.float32(n),
    "tensor": lambda n: torch.tensor([1.0, n]),
    "half tensor": lambda n: torch.tensor([1.0, n], dtype=torch.bfloat16),
    "parameter": lambda n: nn.Parameter(torch.tensor([1.0, n])),
    "device": lambda n: torch.device(["cpu", "meta"][n]),
    "dtype": lambda n: [torch.float32, torch.float16][n],
    "NumPy's dtype": lambda n: np.dtype(["i4", "i8"][n]),
    "range": lambda n: range(3 + n),
    "slice": lambda n: slice(n),
    "date": lambda n: datetime.datetime(2026, 1, 1 + n, tzinfo=datetime.UTC),
    "decimal": lambda n: (decimal.Decimal(n), Fraction(n, 7)),
    "pattern": lambda n: re.compile("a" * 500 + str(n)),
    "frame": lambda n: pd.DataFrame({"a": [1, n], "b": ["x", "y"]}),
    "names of a frame": lambda n: pd.DataFrame({"ab"[n]: [1]}),
    "series": lambda n: pd.Series([1, n], name="a"),
    "loss": lambda n: nn.CrossEntropyLoss(label_smoothing=n / 2),
    "weights of a loss": lambda n: nn.CrossEntropyLoss(weight=torch.tensor([1.0, n])),
    "data set of PyTorch": lambda n: torch.utils.data.TensorDataset(torch.tensor([n])),
    "own data set": lambda n: Records([n]),
    "estimator": lambda n: RandomForestClassifier(5 + n),
    "partial": lambda n: functools.partial(print, n, sep="a"),
    "method of a value": lambda n: {"a": n}.get,
    "own function": lambda n: closing(n),
    "wrapped function": lambda n: functools.lru_cache(closing(n)),
    "decorated by a library": lambda n: torch.no_grad()(closing(n)),
    "function with an attribute": lambda n: attributed(n),
    "class": lambda n: type("Made", (), {"rate": n}),
    "property": lambda n: type("Made", (), {"rate": property(closing(n)), "made": staticmethod(closing(n))}),
}


def attributed(n):
    found = closing(0)
    found.rate = n
    return found


@pytest.mark.parametrize("kind", CONTENT)
def test_equal_content_gives_equal_digests_and_changed_content_others(kind):
    make = CONTENT[kind]
    first, again, other = (reading(closing(make(n))) for n in (0, 0, 1))
    assert first.digest == again.digest != other.digest
    assert first.opaque == other.opaque == ()


OPAQUE = {
    "value (Linear)": lambda: nn.Linear(2, 3),
    "value (TextIOWrapper)": lambda: Path(__file__).open(),  # noqa: SIM115  a handle is what is read
    "value (DataLoader)": lambda: torch.utils.data.DataLoader([1]),
    "value['a'][1].rate (generator)": lambda: {"a": (0, Plain(one for one in ()))},
    "value (Generator)": lambda: np.random.default_rng(0),
    "value (list, too large)": lambda: [0] * 1_000_001,
    "value (Error)": lambda: type("Error", (Exception,), {})(),
    "argument 0 (Linear)": lambda: functools.partial(closing(0), nn.Linear(2, 3)),
    "self (Linear)": lambda: nn.Linear(2, 3).forward,
}


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize("named", OPAQUE)
def test_what_has_no_content_is_named(named):
    made = OPAQUE[named]()
    found = reading(made if named[:4] in ("argu", "self") else closing(made))
    assert found.opaque == (named,)


def test_what_has_no_content_to_read_is_not_named():
    lock, alias, sqrt = threading.Lock(), list[int], np.sqrt

    def fit(dataset, seed):
        with lock:
            LOGGER.info("training %s", alias)
        CRITERION(dataset, seed)
        return clone(FOREST), sqrt(2), np.random.default_rng(seed), torch.relu(dataset), os.sep

    assert reading(fit).opaque == ()


def test_a_value_that_holds_itself_and_one_that_lies_deep_end():
    own, deep = [1], []
    own.append(own)
    for _ in range(200):
        deep = [deep, 1.5]
    assert code_hash(closing(own)) != code_hash(closing([1]))
    assert reading(closing(deep)).opaque == ("value (list, too large)",)

    def first(n):
        return second(n) if n else 0

    def second(n):
        return first(n - 1)

    assert code_hash(first) != code_hash(second)
    assert reading(first).opaque == ()


def test_two_functions_of_one_file_that_read_the_same_have_two_keys():
    def slow(dataset, seed):
        return nn.Linear(2, 3)

    def fast(dataset, seed):
        return nn.Linear(2, 4)

    assert code_hash(slow) != code_hash(fast)


class Trainer:
    kind = "a"

    def __init__(self, rate, loader=None):
        self.config, self.loader = {"rate": rate}, loader

    def fit(self, dataset, seed):
        return self.config

    def __call__(self, dataset, seed):
        return self.fit(dataset, seed)


def test_bound_methods_and_callable_objects_are_read_with_their_attributes(monkeypatch):
    for make in (lambda *given: Trainer(*given).fit, Trainer):
        assert code_hash(make(1)) == code_hash(make(1)) != code_hash(make(2))
    assert reading(Trainer(1, nn.Linear(2, 2)).fit).opaque == ("self.loader (Linear)",)
    before = code_hash(Trainer(1))
    monkeypatch.setattr(Trainer, "kind", "b")
    assert code_hash(Trainer(1)) != before


def test_defaults_and_bound_arguments_are_read():
    def fit(dataset, seed, config=None, *, more=()):
        return config, more

    def with_default(value):
        def inner(dataset, seed, config=value):
            return config

        return inner

    assert code_hash(with_default({"a": 1})) == code_hash(with_default({"a": 1})) != code_hash(with_default({"a": 2}))
    assert reading(with_default(nn.Linear(2, 2))).opaque == ("config (Linear)",)
    bound = [functools.partial(fit, more={"a": n}) for n in (1, 1, 2)]
    assert code_hash(bound[0]) == code_hash(bound[1]) != code_hash(bound[2])
    decorated = [functools.wraps(fit)(functools.partial(fit, config=[n])) for n in (1, 2)]
    assert code_hash(decorated[0]) != code_hash(decorated[1])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package and a module of the user's own: a fit whose training stands elsewhere."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mypack").mkdir()
    files = {
        "mypack/__init__.py": "",
        "mypack/deep.py": "from . import deeper\nDEPTH = {'n': 3}\nfeed = iter(())\n",
        "mypack/deeper.py": "x = 1\n",
        "mysettings.py": "RATE = {'lr': 0.1}\nloader = iter(())\nunread = iter(())\n",
        "mytools.py": "import mypack.deep\ndef train(config): return [mypack.deep.DEPTH for _ in config]\n",
        "myfit.py": (
            "import mysettings, math\nfrom mytools import train\n"
            "def fit(dataset, seed):\n    return train([one for one in mysettings.RATE if one in {'a', 'b', 'lr'}])\n"
            "def local(dataset, seed):\n    from mypack import deep\n    return deep.DEPTH\n"
            "def hidden(dataset, seed):\n    return (lambda: mysettings.loader)()\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in ("mypack", "mypack.deep", "mypack.deeper", "mysettings", "mytools", "myfit"):
        sys.modules.pop(name, None)


def fresh(name):
    """A function of `myfit`, imported anew."""
    for one in [one for one in sys.modules if one.split(".")[0] in ("mypack", "mysettings", "mytools", "myfit")]:
        del sys.modules[one]
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True
    return getattr(importlib.import_module("myfit"), name)


@pytest.mark.parametrize(
    ("file", "old", "new", "moved"),
    [
        ("mysettings.py", "0.1", "0.2", {"fit", "hidden"}),
        ("mytools.py", "config]", "config] + []", {"fit"}),
        ("mypack/deep.py", "3", "4", {"fit", "local"}),
        ("mypack/deeper.py", "1", "2", {"fit", "local"}),
        ("myfit.py", "'lr'}", "'lx'}", {"fit", "local", "hidden"}),
    ],
)
def test_the_sources_of_own_modules_and_functions_count(package, file, old, new, moved):
    before = {name: code_hash(fresh(name)) for name in ("fit", "local", "hidden")}
    assert before == {name: code_hash(fresh(name)) for name in before}
    path = package / file
    path.write_text(path.read_text().replace(old, new))
    assert {name for name in before if code_hash(fresh(name)) != before[name]} == moved


def test_values_of_own_modules_count_as_they_are_now(package):
    fit = fresh("fit")
    before = code_hash(fit)
    sys.modules["mysettings"].RATE["lr"] = 7
    assert (changed := code_hash(fit)) != before
    sys.modules["mypack.deep"].DEPTH["n"] = 7
    assert code_hash(fit) != changed


def test_a_local_import_gives_the_same_key_before_and_after_it_ran(package):
    local = fresh("local")
    before = code_hash(local)
    assert local(None, 0) == {"n": 3}
    assert code_hash(local) == before


def test_what_the_user_names_covers_what_it_defines(package):
    hidden = fresh("hidden")
    assert reading(hidden).opaque == ("mysettings.loader (tuple_iterator)",)
    for depends in ("mysettings", "mysettings:loader", sys.modules["mysettings"]):
        assert reading(hidden, [depends]).opaque == ()
    assert reading(hidden, ["mytools", Trainer]).opaque != ()
    model = type("Mine", (nn.Module,), {})()
    model.layer = nn.Linear(2, 2)
    assert reading(closing(model), [type(model)]).opaque == ()


def test_another_process_gives_the_same_digests(package):
    code = (
        "import myfit, functools, numpy; from dosimeter.foundation.keys.code_keys import code_hash\n"
        "values = [{'a', 'b', ('c', 1)}, frozenset('xyz'), numpy.arange(3), {'a': [object]}]\n"
        "def closing(value): return lambda: (value, value in {'p', 'q', 'r'})\n"
        "print([code_hash(one) for one in (myfit.fit, myfit.local, *map(closing, values))])\n"
    )
    told = []
    for seed in ("1", "2"):
        path = os.pathsep.join([str(package), *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told[0] == told[1]


def test_what_is_typed_at_a_prompt_counts_by_its_bytecode():
    def typed(number, helper="return [one + {n} for one in data]"):
        scope = {"__name__": "__main__", "__builtins__": __builtins__}
        source = f"def helper(data): {helper.format(n=number)}\ndef fit(dataset, seed): return helper(dataset)"
        exec(compile(source, "<stdin>", "exec"), scope)  # noqa: S102  as a prompt does
        return scope["fit"]

    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        assert code_hash(typed(1)) == code_hash(typed(1)) != code_hash(typed(2))
    finally:
        sys.modules["__main__"] = main


def test_compiled_code_without_source_is_refused():
    with pytest.raises(ConfigError, match="the source of a user's function must be readable, got none"):
        code_hash(len)


def test_objects_that_raise_when_they_are_looked_at_are_named():
    class Odd:
        __slots__ = ("x",)

        @property
        def __dict__(self):
            raise KeyError("no")

    class Endless:
        def __getattr__(self, name):
            return self

        def __call__(self, *given):
            return self

    assert reading(closing([Odd()])).opaque == ("value[0] (Odd)",)
    assert len(code_hash(Endless())) == 64
    assert reading(closing(Endless())).opaque == ()


@pytest.mark.parametrize("name", [one for one in vars(own_kinds) if not one.startswith("__") and one != "annotations"])
def test_classes_and_functions_of_all_kinds_hide_nothing(name):
    assert reading(closing(getattr(own_kinds, name))).opaque == ()
