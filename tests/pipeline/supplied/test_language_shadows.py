"""Shadows of a supplied language model: references that are finetuned from its base, or by the user's function."""

import json

import language_models as world
import pytest
import torch
from flat import flat

import dosimeter
from dosimeter.foundation.errors import AuditError

RECIPE = {"epochs": 6, "lr": 0.003}
"""As the finetuned models of the world were trained."""
READ = ("loss", "ez_mia", "difficulty", "lira", "learned_ratio", "count")


WORKERS = dosimeter.Workers(runner="serial")


def asked(folder, model=None, *, attacks=READ, **changes):
    own = {
        "base": world.base(),
        "members": world.texts()[world.MEMBERS],
        "nonmembers": world.texts()[world.OTHERS],
        "options": world.OPTIONS,
        "fit": RECIPE,
        "shadows": 6,
        "attacks": attacks,
        "workers": WORKERS,
    } | changes
    return dosimeter.audit(model or world.tuned(), out=folder / "run", store=folder / "store", **own)


def read(folder):
    whole = flat(json.loads((folder / "run" / "result.json").read_text()))
    aucs = {one["attack"]: one for one in whole["estimates"] if one["metric"] == "auc" and one["group"] is None}
    return whole, aucs, {one["id"]: one for one in whole["gates"]}


def test_references_from_the_base_find_more_than_the_model_alone(tmp_path):
    asked(tmp_path)
    whole, found, gates = read(tmp_path)
    assert {one["id"]: one["reason"] for one in whole["attacks"] if one["status"] != "ok"} == {}
    assert found["difficulty offline"]["value"] > found["loss"]["value"] + 0.02
    for name in ("difficulty offline", "lira online", "learned_ratio"):
        assert found[name]["low"] > 0.9, name
    assert found["count"]["value"] == pytest.approx(0.5, abs=0.02)
    assert {gates[one]["status"] for one in ("P11", "I8", "I10")} == {"pass"}
    assert whole["threat"]["shadows"] == 6
    assert "its base in full: epochs 6" in whole["chain"][0]["settings"]["fit of shadows"]


def test_nothing_is_shown_of_a_model_that_saw_neither_half(tmp_path):
    asked(tmp_path, world.innocent(), attacks=("difficulty", "lira", "count"))
    _, found, gates = read(tmp_path)
    for name in ("difficulty offline", "lira online"):
        assert found[name]["low"] <= 0.5, name
    assert gates["I8"]["status"] == "pass"


def finetuned(data, seed):
    """What a user writes: tokens in, a fresh finetuned model out."""
    assert (data.inputs.dtype, data.inputs.shape[1]) == (torch.int64, world.OPTIONS.length)
    return world.fit(world.base(), data.inputs, epochs=6, lr=0.003, seed=seed % 1000)


def test_a_function_of_the_user_may_finetune_them(tmp_path):
    asked(tmp_path, fit=finetuned, base=None, attacks=("difficulty", "ez_mia", "count"))
    whole, found, _ = read(tmp_path)
    assert found["difficulty offline"]["low"] > 0.9
    assert "none is given: name it as base" in next(one["reason"] for one in whole["attacks"] if one["id"] == "ez_mia")


def fits_its_base(data, seed):
    net = world.base()
    torch.nn.init.zeros_(next(net.parameters()))
    return net


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit": {"lr": 0.1}}, "fit.epochs: is required and missing: add it"),
        ({"fit": {"epochs": 0, "lr": 0.1}}, "fit.epochs: must be at least 1, got 0: raise it"),
        ({"fit": {"epoch": 2, "epochs": 1, "lr": 0.1}}, "fit.epoch: unknown key, did you mean 'epochs'"),
        ({"fit": {"epochs": 1, "lr": 0.1, "transfer": "head"}}, "fit.transfer: must be one of 'full', 'lora', got"),
        ({"base": None}, "fit: settings say how the base is finetuned, got no base: name it as base, or give a"),
        ({"fit": lambda data, seed: None}, "shadow 0: fit: must return the trained model, got None"),
        ({"fit": lambda data, seed: 1 / 0}, "shadow 0: fit: raised ZeroDivisionError"),
        ({"fit": lambda data, seed: torch.nn.Linear(2, 2)}, "shadow 0: fit: must map tokens"),
        ({"fit": lambda data, seed: len}, "shadow 0: fit: must be a causal language model"),
    ],
)
def test_what_cannot_train_references_is_refused_in_one_line(changes, message, tmp_path):
    with pytest.raises(AuditError) as caught:
        asked(tmp_path, attacks=("difficulty", "count"), shadows=2, workers=WORKERS, **changes)
    assert [line for line in caught.value.problems if message in line and "\n" not in line], caught.value.problems
