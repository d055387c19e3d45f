"""Chains of stages: user code, weights, what a key depends on."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.user_code import call_user, import_from
from dosimeter.models.weights import load_state
from dosimeter.training.chain import Link, build_chain
from dosimeter.training.keys import module_hash
from dosimeter.training.preflight import check_training

LINK = Link("s", "mlp", (1, 8, 8), 10, options={"width": 8})


def test_each_setting_moves_the_definition():
    others = [
        Link("s", "mlp", (1, 8, 8), 10, options={"width": 9}),
        Link("s", "mlp", (1, 8, 8), 11, options={"width": 8}),
        Link("s", "linear", (1, 8, 8), 10),
        Link("s", "mlp", (1, 8, 8), 10, options={"width": 8}, depends=("json",)),
    ]
    definitions = [str(link.definition) for link in (LINK, *others)]
    assert len(set(definitions)) == len(definitions)


def test_the_source_of_user_code_and_of_what_it_depends_on_is_hashed(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1\ndef fit(m, d, s): return m\n")
    import_from(tmp_path)
    link = Link("s", "mlp", (1, 8, 8), 10, fit="mine:fit", depends=("mine",))
    assert set(link.sources) == {"mine:fit", "mine"}
    assert link.sources["mine"] == link.sources["mine:fit"] == module_hash("mine")
    before = link.sources
    (tmp_path / "mine.py").write_text("x = 2\ndef fit(m, d, s): return m\n")
    import_from(tmp_path)
    assert Link("s", "mlp", (1, 8, 8), 10, fit="mine:fit", depends=("mine",)).sources != before
    for name in ("no_such_module", "sys", "no.such"):
        with pytest.raises(ConfigError, match="must be a module with a source file"):
            module_hash(name)


def test_a_finetuned_model_is_its_parents_copy_with_a_fresh_head():
    child = Link("t", None, (1, 8, 8), 3, transfer="full")
    parent = build_chain((LINK, child), 0, 1, None)
    state = {name: torch.ones_like(tensor) for name, tensor in parent.state_dict().items()}
    model = build_chain((LINK, child), 1, 2, state)
    assert model.head.out_features == 3
    assert bool((model.backbone[1][0].weight == 1).all())
    assert not bool((model.head.weight == 1).any())


def test_weights_that_do_not_fit_name_the_tensors():
    model = nn.Linear(2, 3)
    with pytest.raises(TrainingError, match=r"got missing bias; weight has shape \(9, 2\) instead of \(3, 2\)"):
        load_state(model, {"weight": torch.zeros(9, 2)}, "stage 's'")
    with pytest.raises(TrainingError, match="unknown a, b, c and 1 more: correct"):
        load_state(model, {**model.state_dict(), **dict.fromkeys("abcd", torch.zeros(1))}, "stage 's'")


@pytest.mark.parametrize(
    "code", ["raise SystemExit", "raise MemoryError", "yield_ = 1 / 0", "raise Exception('a\\nb')"]
)
def test_what_a_user_raises_is_one_line(code, tmp_path):
    (tmp_path / "mine.py").write_text(f"def go():\n    {code}\n")
    import_from(tmp_path)
    with pytest.raises(TrainingError) as caught:
        call_user("mine:go")
    (line,) = caught.value.problems
    assert line.startswith("mine:go: raised ")
    assert "\n" not in line


def test_options_that_give_no_model():
    for link in (
        Link("s", "convnet", (64,), 10),
        Link("s", "convnet", (1, 8, 8), 10, options={"widths": (8, 8, 8, 8, 8)}),
        Link("s", "convnet", (1, 8, 8), 10, options={"widths": (4,), "norm": "group"}),
    ):
        with pytest.raises(ConfigError, match=r"stage 's': model 'convnet': .*: .+"):
            build_chain((link,), 0, 0, None)


def test_a_model_that_cannot_be_trained():
    with pytest.raises(TrainingError, match="must be trainable with a batch of 1"):
        check_training(nn.Sequential(nn.BatchNorm1d(4)), LINK, torch.zeros(1, 4))
    with pytest.raises(TrainingError, match="must have parameters to train"):
        check_training(nn.Flatten(), LINK, torch.zeros(2, 4))
    check_training(nn.Sequential(nn.BatchNorm1d(4)), LINK, torch.zeros(2, 4))


def test_a_namesake_that_is_loaded_already_is_not_used(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "namesake.py").write_text("def go(): return 'a'\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "namesake.py").write_text("def go(): return 'b'\n")
    monkeypatch.syspath_prepend(str(tmp_path / "a"))
    importlib.import_module("namesake")
    import_from(tmp_path / "b")
    assert call_user("namesake:go") == "b"
    (tmp_path / "b" / "namesake.py").write_text("def go(): return 'c'\n")
    import_from(tmp_path / "b")
    assert call_user("namesake:go") == "c"
