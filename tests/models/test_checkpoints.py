"""Weights from checkpoints as libraries write them: which tensors are the network's, and what is told or refused."""

from __future__ import annotations

import argparse

import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.user_code import import_from
from dosimeter.models import weights
from dosimeter.models.supplied.loading import load_target
from dosimeter.models.weights import read_weights
from dosimeter.training.chain import Link, build_chain

SHAPE, CLASSES = (1, 4, 4), 3
CODE = """
from torch import nn
def build(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, classes))
def private(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))
"""


@pytest.fixture
def here(tmp_path):
    (tmp_path / "ckpt_nets.py").write_text(CODE)
    import_from(tmp_path)
    return tmp_path


def net(name="build", value=0.5):
    """A network whose tensors all have one value."""
    import ckpt_nets

    model = getattr(ckpt_nets, name)(SHAPE, CLASSES)
    for one in model.state_dict().values():
        one.fill_(value)
    return model


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def loaded(here, content, builder="build"):
    torch.save(content, here / "run.ckpt")
    return load_target(f"ckpt_nets:{builder}", shape=SHAPE, classes=CLASSES, base=here, weights="run.ckpt")


def lightning(state):
    """What `Trainer.save_checkpoint` writes, with a criterion and metrics beside the model."""
    beside = {"criterion.weight": torch.ones(3), "train_acc.tp": torch.zeros(3), "train_acc.fp": torch.zeros(3)}
    return {
        "epoch": 3,
        "global_step": 120,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": {**under("model.", state), **beside},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.9), "monitor": None}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(2)}}}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "layers": [8]},
    }


WHOLE = {
    "alone": lambda state: state,
    "grad samples": lambda state: under("_module.", state),
    "entries": lambda state: {"model_state_dict": state, "optimizer_state_dict": {"state": {}}, "epoch": 1},
    "model": lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}}},
    "ema alone": lambda state: {"ema": state, "step": 3},
    "nested entries": lambda state: {"ema": {"module": state, "decay": 0.99}},
    "nested prefixes": lambda state: under("module._orig_mod.", state),
    "any prefix": lambda state: {"state_dict": under("backbone.net.", state)},
}


@pytest.mark.parametrize("kind", WHOLE)
def test_weights_are_found_without_a_word(kind, here):
    found = loaded(here, WHOLE[kind](net().state_dict()))
    assert found.notes == ()
    assert all(bool((one == 0.5).all()) for one in found.model.state_dict().values() if one.is_floating_point())


PARTS = {
    "lightning": (lightning, "criterion.weight, train_acc.fp, train_acc.tp"),
    "averaged": (lambda state: {**under("module.", state), "n_averaged": torch.tensor(3)}, "n_averaged"),
    "two networks": (lambda state: {"model": state, "critic": {"x.weight": torch.ones(1)}}, "the entry 'critic'"),
    "loss beside": (
        lambda state: {**under("net.", state), **{f"loss.{i}": torch.ones(1) for i in range(5)}},
        "loss.0, loss.1, loss.2 and 2 more",
    ),
}


@pytest.mark.parametrize("kind", PARTS)
def test_what_is_left_out_is_told(kind, here):
    make, told = PARTS[kind]
    found = loaded(here, make(net().state_dict()))
    assert bool((found.model[1].weight == 0.5).all())
    (note,) = found.notes
    assert note.startswith("all tensors of the network were found in 'run.ckpt'; left out as no part of it: ")
    assert note.endswith(told)


REFUSED = {
    "model and ema": (lambda state: {"model": state, "ema": state}, "'model' and 'ema': save those you mean alone"),
    "an average of another form": (
        lambda state: {"state_dict": state, "state_dict_ema": under("module.", state)},
        "'state_dict' and 'state_dict_ema: module.*'",
    ),
    "teacher and student": (
        lambda state: {"state_dict": {**under("student.", state), **under("teacher.", state)}},
        r"'state_dict: student.\*' and 'state_dict: teacher.\*'",
    ),
    "nothing": (lambda state: {"epoch": 3}, "must hold a state dict, got none"),
    "numbers": (lambda state: [1, 2], "must hold a state dict, got none"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_two_networks_and_none_are_refused(kind, here):
    make, told = REFUSED[kind]
    with pytest.raises(ConfigError, match=told) as caught:
        loaded(here, make(net().state_dict()))
    assert "\n" not in str(caught.value)


UNFIT = {
    "a deeper network": (lambda state: {**state, "5.weight": torch.ones(1)}, "unknown 5.weight"),
    "a deeper network under a prefix": (
        lambda state: {**under("model.", state), "model.5.weight": torch.ones(1), "loss.weight": torch.ones(1)},
        "unknown 5.weight",
    ),
    "a part": (lambda state: {"model": {k: v for k, v in state.items() if k[0] != "4"}}, "missing 4.bias, 4.weight"),
    "a part under each of two prefixes": (
        lambda state: {("a." if name[0] == "4" else "b.") + name: tensor for name, tensor in state.items()},
        "missing 1.bias",
    ),
    "another width": (lambda state: under("model.", {**state, "4.weight": torch.ones(3, 9)}), "4.weight has shape"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_part_of_a_network_is_never_loaded(kind, here):
    make, told = UNFIT[kind]
    with pytest.raises(TrainingError, match=told) as caught:
        loaded(here, make(net().state_dict()))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # of Opacus: secure randomness is off, and a hook sees no gradient of the inputs
@pytest.mark.parametrize("accountant", ["prv", "rdp"])
def test_checkpoints_of_opacus(accountant, here):
    opacus = pytest.importorskip("opacus", reason="opacus is not installed")
    from torch.utils.data import DataLoader, TensorDataset

    model = net("private", 0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    batches = DataLoader(TensorDataset(torch.rand(40, *SHAPE), torch.arange(40) % 3), batch_size=20)
    engine = opacus.PrivacyEngine(accountant=accountant)
    private, optimizer, batches = engine.make_private(
        module=model, optimizer=optimizer, data_loader=batches, noise_multiplier=1.0, max_grad_norm=1.0
    )
    for inputs, labels in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(private(inputs), labels).backward()
        optimizer.step()
    engine.save_checkpoint(path=here / "private.ckpt", module=private, optimizer=optimizer)
    torch.save(private.state_dict(), here / "plain.ckpt")
    for file in ("private.ckpt", "plain.ckpt"):
        found = load_target("ckpt_nets:private", shape=SHAPE, classes=CLASSES, base=here, weights=file)
        assert torch.equal(found.model[1].weight, private._module[1].weight)
        assert bool((found.model[1].weight != 0).any())
        assert found.notes == ()


def test_objects_beside_the_tensors_are_named_with_what_to_do(here):
    content = {**lightning(net().state_dict()), "hyper_parameters": argparse.Namespace(lr=0.1)}
    with pytest.raises(ConfigError, match=r"got argparse.Namespace in it .*no code in it was run.*weights_only=False"):
        loaded(here, content)
    (here / "run.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match="got a file that is not so .*: save a state dict as .safetensors"):
        load_target("ckpt_nets:build", shape=SHAPE, classes=CLASSES, base=here, weights="run.ckpt")


def test_a_stage_of_a_recipe_takes_no_file_of_which_something_is_left_out(here):
    model = net()
    torch.save(lightning(model.state_dict()), here / "stage.ckpt")
    torch.save({"state_dict": under("model.", model.state_dict())}, here / "clean.ckpt")
    link = Link("s", "ckpt_nets:build", SHAPE, CLASSES, weights=str(here / "stage.ckpt"))
    with pytest.raises(TrainingError, match="stage 's', weights: must hold the model's tensors alone, got also crit"):
        build_chain((link,), 0, 0, None)
    link = Link("s", "ckpt_nets:build", SHAPE, CLASSES, weights=str(here / "clean.ckpt"))
    assert bool((build_chain((link,), 0, 0, None)[1].weight == 0.5).all())


def test_names_are_those_of_the_network_whatever_their_order(tmp_path):
    torch.save({"b.a.x": torch.ones(1), "b.y": torch.ones(1)}, tmp_path / "f.pt")
    found = read_weights(tmp_path / "f.pt", {"y", "a.x"}, "target")
    assert sorted(found.state) == ["a.x", "y"]
    assert weights.prefixes({"x": torch.ones(1)}, set()) == []
