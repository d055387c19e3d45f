"""From the words of an audit file to a model; code in files does not run."""

from __future__ import annotations

import os
import pickle
import sys

import joblib
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from torch import nn

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.user_code import import_from
from dosimeter.models.architectures import mlp
from dosimeter.models.supplied.adapt import adapt
from dosimeter.models.supplied.loading import load_target

SHAPE, CLASSES = (1, 8, 8), 10
CODE = """
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, classes, width=8):
        super().__init__()
        self.fc = nn.Linear(64, classes)
    def forward(self, x):
        return self.fc(x.flatten(1))

def build(shape, classes, bias=True): return nn.Sequential(nn.Flatten(), nn.Linear(64, classes, bias=bias))
def load(): return build((1, 8, 8), 10)
def answer(x): return x.flatten(1)[:, :10] - 0.5
def scaled(x, factor=2.0): return x.flatten(1)[:, :10] * factor - 0.5
def broken(shape, classes): raise OSError("no disk")
def words(shape, classes): return "a model"
net = Net((1, 8, 8), 10)
fitted = LogisticRegression().fit(np.eye(10), range(10))
"""


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, witness):
        self.witness = str(witness)

    def __reduce__(self):
        return os.mkdir, (self.witness,)


@pytest.fixture
def here(tmp_path):
    (tmp_path / "supplied.py").write_text(CODE)
    import_from(tmp_path)
    yield tmp_path
    sys.modules.pop("supplied", None)


def load(reference, base, **more):
    return load_target(reference, shape=SHAPE, classes=CLASSES, base=base, **more).model


@pytest.mark.parametrize("name", ["Net", "build", "load", "net"])
def test_builders_and_networks(name, here):
    assert isinstance(load(f"supplied:{name}", here), nn.Module)


@pytest.mark.parametrize("name", ["answer", "scaled"])
def test_functions_that_are_the_model(name, here):
    model = load(f"supplied:{name}", here)
    assert model.__name__ == name
    assert adapt(model, classes=CLASSES, example=torch.rand(3, *SHAPE)).output == "logits"


def test_a_fitted_classifier_and_options(here):
    assert type(load("supplied:fitted", here)) is LogisticRegression
    assert load("supplied:build", here, options={"bias": False})[1].bias is None


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin"])
def test_weights(suffix, here):
    state = load("supplied:build", here).state_dict()
    file = here / f"weights{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    model = load("supplied:build", here, weights=file.name)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(
        ConfigError, match=rf"got weights{suffix} alone .not opened.: name it in model.*weights = 'weights"
    ):
        load(file.name, here)


WRAPPED = {
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "model": lambda state: {"model": state, "optimizer": {}},
    "parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "compiled": lambda state: {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()},
    "lightning": lambda state: {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_checkpoints_of_training_scripts(kind, here):
    state = {name: torch.ones_like(tensor) for name, tensor in load("supplied:Net", here).state_dict().items()}
    torch.save(WRAPPED[kind](state), here / "checkpoint.pt")
    model = load("supplied:Net", here, weights="checkpoint.pt")
    assert bool((model.fc.weight == 1).all())


def test_weights_that_do_not_fit_name_the_tensors(here):
    torch.save({"module.fc.weight": torch.zeros(3, 3), "module.extra": torch.zeros(1)}, here / "odd.pt")
    with pytest.raises(
        TrainingError, match=r"target: weights must fit the model, got missing fc.bias, fc.weight; unkn"
    ):
        load("supplied:Net", here, weights="odd.pt")
    torch.save({"module.fc.weight": torch.zeros(3, 3), "module.fc.bias": torch.zeros(10)}, here / "odd.pt")
    with pytest.raises(TrainingError, match=r"fc.weight has shape \(3, 3\) instead of \(10, 64\)"):
        load("supplied:Net", here, weights="odd.pt")


def test_our_architectures(here):
    save_file(mlp(SHAPE, CLASSES, width=8).state_dict(), here / "mlp.safetensors")
    assert load("mlp", here, weights="mlp.safetensors", options={"width": 8}).head.in_features == 8
    with pytest.raises(ConfigError, match="weights: must name the file"):
        load("mlp", here)


@pytest.mark.parametrize("suffix", [".pkl", ".joblib", ".pt", ".pth", ".bin", ".pt2"])
def test_hostile_files_do_not_run(suffix, here):
    witness, file = here / "ran", here / f"model{suffix}"
    dump = pickle.dump if suffix in (".pkl", ".joblib", ".pt2") else torch.save
    with file.open("wb") as out:
        dump(Hostile(witness), out)
    with pytest.raises(ConfigError, match="--trust-pickle"):
        load(file.name, here)
    with pytest.raises(ConfigError, match="no code in it was run"):
        load("supplied:Net", here, weights=file.name)
    torch.save({"state_dict": Hostile(witness)}, here / "inner.pt")
    with pytest.raises(ConfigError, match="no code in it was run"):
        load("supplied:Net", here, weights="inner.pt")
    assert not witness.exists()


def test_trusted_files(here):
    fitted = LogisticRegression().fit(torch.eye(10).numpy(), range(10))
    joblib.dump(fitted, here / "fitted.joblib")
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), here / "whole.pt")
    for file, kind in (("fitted.joblib", LogisticRegression), ("whole.pt", nn.Sequential)):
        loaded = load_target(file, shape=SHAPE, classes=CLASSES, base=here, trust_pickle=True)
        assert isinstance(loaded.model, kind)
        assert loaded.trusted == file
    torch.save({"w": torch.ones(1)}, here / "state.pt")
    with pytest.raises(ConfigError, match="must hold a whole model, got dict"):
        load("state.pt", here, trust_pickle=True)


def test_skops_files(here):
    io = pytest.importorskip("skops.io", reason="skops is not installed")
    io.dump(LogisticRegression().fit(torch.eye(10).numpy(), range(10)), here / "fitted.skops")
    assert type(load("fitted.skops", here)) is LogisticRegression
    io.dump(Hostile(here / "ran"), here / "odd.skops")
    with pytest.raises(
        ConfigError, match="must hold types that skops trusts, got 'models.supplied.test_loading.Hostile'|got '.*mkdir'"
    ):
        load("odd.skops", here)
    (here / "none.skops").write_bytes(b"no zip")
    with pytest.raises(ConfigError, match="must be a skops file"):
        load("none.skops", here)
    assert not (here / "ran").exists()


REFUSED = {
    "resnet50": "must be package.module:name, an architecture",
    "mlpp": "did you mean 'mlp'",
    "supplied:nope": "must define the function",
    "supplied:broken": "raised OSError: no disk",
    "supplied:words": "must return a model when called with .shape, classes., got str",
    "model.onnx": "must be a file",
    "hf:nowhere": "must have a readable config.json",
}


@pytest.mark.parametrize("reference", REFUSED)
def test_references_that_name_no_model(reference, here):
    with pytest.raises((ConfigError, TrainingError), match=REFUSED[reference]) as caught:
        load(reference, here)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_there_or_have_no_network(here):
    with pytest.raises(ConfigError, match="weights: must be a file, got 'no.pt'"):
        load("supplied:build", here, weights="no.pt")
    (here / "m.onnx").write_bytes(b"")
    with pytest.raises(ConfigError, match="write a function that runs it"):
        load("m.onnx", here)
    save_file({"w": torch.ones(1)}, here / "w.safetensors")
    with pytest.raises(ConfigError, match="must give a torch.nn.Module to load them into, got LogisticRegression"):
        load("supplied:fitted", here, weights="w.safetensors")
