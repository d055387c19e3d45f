import numpy as np
import pytest
import torch

from dosimeter.data import Options, load
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.user_code import resolve, source_hash
from dosimeter.foundation.wording import one_line

SOURCE = """
import numpy as np
import torch
from dosimeter.data import Dataset

def good(seed):
    rng = np.random.default_rng(seed)
    return Dataset(rng.normal(size=(6, 2)).astype(np.float32), np.arange(6) % 2, ("a", "b"),
                   np.array(list("uvwxyz")), noun="mail")

def pair(seed):
    return torch.ones(6, 2, requires_grad=True), ["b", "a", "b", "a", "b", "a"]

def breaks(seed):
    table = {}
    return table["missing\\ncolumn"]

def deeper(seed):
    return np.zeros((2, 2)).reshape(3)

def one_class(seed):
    return np.ones((3, 2)), np.zeros(3, int)

def bad_dataset(seed):
    return Dataset(np.ones((3, 2), np.float32), np.array([0, 1, 5]), ("a", "b"), np.array(["u", "u", "v"]))

def three(seed):
    return 1, 2, 3

def nothing(seed):
    pass

def scalar(seed):
    return 3, [1, 2]

def ragged(seed):
    return [[1, 2], [3]], [0, 1]

def no_seed():
    return 1

def leaves(seed):
    raise SystemExit(3)

value = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "users_code.py").write_text(SOURCE)
    (tmp_path / "broken_code.py").write_text("x = 1\ny = x / 0\n")
    (tmp_path / "no_python.py").write_text("x = (\n")
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    import sys

    for name in ("users_code", "broken_code", "no_python", "needs_more"):
        sys.modules.pop(name, None)


def test_a_data_set_is_used_as_it_is(fails):
    data = load("users_code:good", seed=3, rows="2:5")
    assert data.ids.tolist() == list("wxy")
    assert data.noun == "mail"
    assert data.name == "users_code:good[2:5]"
    assert data.fingerprint == load("users_code:good", seed=3, rows="2:5").fingerprint
    assert data.fingerprint != load("users_code:good", seed=4, rows="2:5").fingerprint
    assert "names its classes itself" in fails(load, "users_code:good", options=Options(classes=("a", "b")))


def test_a_tuple_of_tensors_or_lists():
    data = load("users_code:pair")
    assert data.inputs.dtype == np.float32
    assert data.classes == ("a", "b")
    assert data.ids[2] == data.ids[0] + "-1"
    assert isinstance(data.inputs, np.ndarray)
    assert not isinstance(data.inputs, torch.Tensor)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("breaks", r"users_code:breaks: the function raised KeyError: 'missing\ncolumn' ({file}:16)"),
        ("deeper", "users_code:deeper: the function raised ValueError: cannot reshape"),
        ("deeper", "({file}:19)"),
        ("one_class", "at least two classes, got only '0'"),
        ("bad_dataset", "users_code:bad_dataset: raised data: labels must be in 0..1, got 5 in row 2"),
        ("three", "must return a Dataset or (inputs, labels), got a tuple of 3"),
        ("nothing", "got NoneType"),
        ("scalar", "inputs must be an array, got int"),
        ("ragged", "inputs must be an array, got ValueError"),
        ("no_seed", "it is called with one argument, the seed"),
        ("leaves", "raised SystemExit: 3 ({file}:43)"),
        ("value", "must be callable, got int"),
        ("god", "got no 'god': did you mean 'good'?"),
    ],
)
def test_what_functions_do_wrong_is_told(name, said, fails, module):
    assert said.format(file=module / "users_code.py") in fails(load, f"users_code:{name}")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("no_such_module:f", "got no module 'no_such_module': put no_such_module.py beside the audit file"),
        ("users_code.inner:f", "No module"),
        (
            "broken_code:f",
            "importing the module failed, ZeroDivisionError: division by zero ({folder}/broken_code.py:2)",
        ),
        ("no_python:f", "SyntaxError: '(' was never closed ({folder}/no_python.py:1)"),
        ("needs_more:f", "No module named 'a_package_that_is_not_there'"),
        ("users_code:a b", "a function is written package.module:function"),
        ("users_code:", "a function is written package.module:function"),
    ],
)
def test_functions_that_are_not_found_are_told(reference, said, fails, module):
    message = fails(load, reference)
    assert said.format(folder=module) in message or (said == "No module" and "no module" in message)


def test_resolve_raises_what_it_is_told():
    with pytest.raises(ConfigError, match="did you mean 'good'"):
        resolve("users_code:goood")
    with pytest.raises(ConfigError, match=r"written package\.module:function"):
        resolve("users_code")


def test_source_hash_follows_the_file(module):
    import functools
    import importlib

    first = resolve("users_code:good")
    before = source_hash(first)
    assert source_hash(functools.partial(first, seed=3)) == before
    assert source_hash(resolve("users_code:pair")) == before
    (module / "users_code.py").write_text(SOURCE + "# changed\n")
    importlib.invalidate_caches()
    assert source_hash(first) != before


def test_source_hash_needs_a_source():
    with pytest.raises(ConfigError, match="define it in a .py file"):
        source_hash(len)
    scope = {"__name__": "typed_at_a_prompt"}
    exec("def f(seed): return seed", scope)
    with pytest.raises(ConfigError, match="got none"):
        source_hash(scope["f"])


def test_one_line_cuts_long_text():
    assert len(one_line("x" * 10000)) <= 310
    assert one_line("é ü") == "é ü"
