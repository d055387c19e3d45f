"""What the user's own code raises ends in one line with the place in their file, at every door."""

from __future__ import annotations

import dataclasses
import linecache
from pathlib import Path

import numpy as np
import pytest
import supplied_models
import torch
from supplied_models import SERIAL, records
from torch import nn

import dosimeter
from dosimeter.cli import app
from dosimeter.cli.app import main
from dosimeter.families.membership.attacks import ATTACKS
from dosimeter.foundation.errors import AuditError, ConfigError, DataError, TrainingError
from dosimeter.foundation.user_code import is_users_fault, report_user_errors
from dosimeter.foundation.wording import describe
from dosimeter.jobs.store import key_of

INPUTS, LABELS = records(240)
PARTS = {"members": (INPUTS[:120], LABELS[:120]), "nonmembers": (INPUTS[120:], LABELS[120:])}
MODEL = supplied_models.untrained(supplied_models.Data(*PARTS["members"]), 1)


class Raises(nn.Module):
    """A model that raises from some call on."""

    def __init__(self, first):
        super().__init__()
        self.model, self.first, self.calls = MODEL, first, 0

    def forward(self, x):
        self.calls += 1
        if self.calls >= self.first:
            raise KeyError("gone")  # forward
        return self.model(x)


class Classifier:
    """A classifier with scikit-learn's methods."""

    classes_ = np.arange(5)

    def fit(self, inputs, labels):
        return self

    def predict(self, inputs):
        return np.zeros(len(inputs), int)

    def predict_proba(self, inputs):
        raise KeyError("gone")  # predict_proba


class Items(torch.utils.data.Dataset):
    """A data set of which one record cannot be read."""

    def __init__(self, kind):
        self.kind = kind

    def __len__(self):
        return 20

    def __getitem__(self, index):
        if index == 7:
            raise self.kind("gone")  # item
        return torch.from_numpy(INPUTS[index]), int(LABELS[index])


@dataclasses.dataclass(frozen=True)
class Mine:
    """An attack that raises."""

    paper = "none"
    control = False
    signals = ("logit_confidence",)
    needs = ATTACKS["loss"]().needs

    def run(self, game, rng):
        raise KeyError("gone")  # attack


def fit(dataset, seed):
    raise KeyError("gone")  # fit


def fit_refused(dataset, seed):
    raise DataError("too few records")  # refused


def fit_of_one_that_raises(dataset, seed):
    return Raises(4)


def called(inputs):
    raise KeyError("gone")  # function


DOORS = {
    "forward": (Raises(1), {}, "model Raises: must take", TrainingError),
    "forward later": (Raises(4), {}, "model Raises: must answer", TrainingError),
    "predict_proba": (Classifier(), {}, "model Classifier: must answer", TrainingError),
    "function": (called, {}, "model called: must take", TrainingError),
    "item": (MODEL, {"members": Items(KeyError)}, "members[7]: must be readable", DataError),
    "item exit": (MODEL, {"members": Items(SystemExit)}, "members[7]: must be readable", DataError),
    "fit": (MODEL, {"fit": fit}, "shadow 0: fit: raised", TrainingError),
    "fit in another process": (
        MODEL,
        {"fit": fit, "workers": 2},
        ("shadow 0: fit: raised", "shadow 1: fit: raised"),
        TrainingError,
    ),
    "forward of a shadow": (MODEL, {"fit": fit_of_one_that_raises}, "shadow 0: fit: must answer", TrainingError),
    "attack": (MODEL, {"attacks": [Mine()]}, "attack 'Mine': raised", AuditError),
    "refused": (MODEL, {"fit": fit_refused}, "shadow 0: fit: raised too few records", DataError),
}


@pytest.mark.parametrize("door", DOORS)
def test_python_tells_the_place_in_one_line(door, tmp_path):
    model, more, start, kind = DOORS[door]
    wanted = {**PARTS, "attacks": ["loss"], "workers": SERIAL, **more}
    shadows = {"shadows": 2} if "fit" in wanted else {}
    with pytest.raises(kind) as caught:
        dosimeter.audit(model, **wanted, **shadows, out=tmp_path / "audit")
    (line,) = str(caught.value).splitlines()
    assert line.startswith(start)
    assert "(key " not in line
    assert f"({place(door.split(' ')[0])})" in line
    if "process" not in door and door != "refused":
        assert ("SystemExit: gone" if "exit" in door else "KeyError: 'gone'") in line
        causes, one = [], caught.value
        while one.__cause__ is not None:
            one = one.__cause__
            causes.append(type(one))
        assert causes[-1] is (SystemExit if "exit" in door else KeyError)


def place(mark):
    """File and line of the statement with this mark in this file."""
    lines = linecache.getlines(__file__)
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"  # {mark}\n") and "raise" in line]
    return f"{__file__}:{number}"


@pytest.mark.parametrize(
    ("model", "got"), [("x.pt", "str"), (Path("x.pt"), "PosixPath"), ({}, "dict"), (3, "int")], ids=str
)
def test_what_is_no_model_is_called_by_its_argument(model, got, tmp_path):
    with pytest.raises(ConfigError) as caught:
        dosimeter.audit(model, **PARTS, out=tmp_path / "audit")
    assert str(caught.value).startswith("model: must be a torch.nn.Module, an exported program")
    assert f"got {got}: " in str(caught.value)
    assert "load_target" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"progress": 3}, "progress: must be a function of (phase, done, total), got 3: pass one"),
        ({"store": 3}, "store: must be the path of a folder, got 3: give text or a pathlib.Path"),
        (
            {"device": "x"},
            "device: must be cpu, or an accelerator that PyTorch can use here, got 'x': use cpu",
        ),
        ({"out": None}, "out: must be the path of a folder, got None: give text or a pathlib.Path"),
    ],
    ids=str,
)
def test_an_argument_of_another_kind_is_one_line(wrong, line, tmp_path):
    with pytest.raises(ConfigError) as caught:
        dosimeter.audit(MODEL, **PARTS, **{"out": tmp_path / "audit", **wrong})
    assert str(caught.value) == line


def test_what_a_callback_raises_is_told_with_its_place(tmp_path):
    def broken(*_):
        raise KeyError("gone")  # callback

    with pytest.raises(TrainingError) as caught:
        dosimeter.audit(MODEL, **PARTS, out=tmp_path / "audit", progress=broken)
    assert str(caught.value) == f"your code: raised KeyError: 'gone' ({place('callback')}): correct it"
    assert isinstance(caught.value.__cause__, KeyError)


def test_our_own_errors_stay_what_they_are():
    with pytest.raises(TypeError) as caught, report_user_errors():
        key_of({"a": object()})
    assert not is_users_fault(caught.value)  # the user called, but it arose in ours
    assert "test_user_errors.py" in describe(caught.value)


RECIPE = """
import dataclasses
import numpy as np
import torch
from torch import nn
from dosimeter.attacks import ATTACKS
def data(seed):
    {data}
    return np.random.default_rng(0).normal(size=(120, 6)).astype("float32"), np.arange(120) % 3
def model(shape, classes):
    {model}
    return Net(shape, classes)
class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.layer = nn.Linear(*shape, classes)
    def forward(self, x):
        if len(x) > 2:
            {forward}
        return self.layer(x)
def fit(model, dataset, seed):
    {fit}
    return model
@dataclasses.dataclass(frozen=True)
class Mine:
    paper = "none"
    control = False
    signals = ("logit_confidence",)
    needs = ATTACKS["loss"]().needs
    def __post_init__(self):
        {made}
    def run(self, game, rng):
        {attack}
{module}
"""
TOML = """
[[stage]]
name = "train"
data = "recipe:data"
model = "recipe:model"
epochs = 1
{fit}
[threat]
shadows = 4
population = 20
[[attack]]
name = "{attack}"
"""
HOLES = ("data", "model", "forward", "fit", "made", "attack", "module")


@pytest.mark.parametrize(
    ("hole", "start"),
    [
        ("data", "stage[0].data: recipe:data: the function raised KeyError: 'gone'"),
        ("model", "stage 'train', model: recipe:model: raised KeyError: 'gone'"),
        ("forward", "stage 'train', model 0: raised KeyError: 'gone'"),
        ("fit", "stage 'train', model 0: recipe:fit: raised KeyError: 'gone'"),
        ("made", "attack[0]: raised KeyError: 'gone'"),
        ("attack", "attack 'recipe:Mine': raised KeyError: 'gone'"),
        ("module", "stage[0].data: recipe:data: importing the module failed, KeyError: 'gone'"),
    ],
)
def test_a_recipe_tells_the_place_in_one_line(hole, start, folder, capsys):
    code = RECIPE.format(**{one: "raise KeyError('gone')" if one == hole else "pass" for one in HOLES})
    Path("recipe.py").write_text(code)
    own = "recipe:Mine" if hole in ("made", "attack") else "loss"
    Path("audit.toml").write_text(TOML.format(fit='fit = "recipe:fit"' if hole == "fit" else "", attack=own))
    assert main(["run", "audit.toml", "--workers", "1", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    number = next(number for number, text in enumerate(code.splitlines(), 1) if "gone" in text)
    assert line.startswith(f"error: {start} ({Path('recipe.py').resolve()}:{number}): ")


def test_what_nobody_told_better_is_one_line_of_the_command(monkeypatch, capsys):
    def raising(**_):
        raise KeyError("gone")  # command

    monkeypatch.setattr(app, "_parser", lambda: raising)
    assert main(["list"]) == 2
    assert capsys.readouterr().err == f"error: your code: raised KeyError: 'gone' ({place('command')}): correct it\n"
