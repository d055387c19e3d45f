"""Shadows of a supplied language model: references that are finetuned from its base, or by the user's function."""

import json

import language_models as world
import pytest
import torch
from flat import flat

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.supplied.prepare import prepare_supplied, read_supplied

RECIPE = {"epochs": 6, "lr": 0.003}
"""As the finetuned models of the world were trained."""
READ = ("loss", "ez_mia", "difficulty", "count")


WORKERS = dosimeter.Workers(runner="serial")


def asked(folder, model=None, *, attacks=READ, **changes):
    own = {
        "base": world.base(),
        "members": world.texts()[world.MEMBERS],
        "nonmembers": world.texts()[world.OTHERS],
        "options": world.OPTIONS,
        "fit": RECIPE,
        "shadows": 4,
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
    assert found["difficulty offline"]["low"] > 0.9
    assert found["count"]["value"] == pytest.approx(0.5, abs=0.02)
    assert {gates[one]["status"] for one in ("P11", "I8", "I10")} == {"pass"}
    assert whole["threat"]["shadows"] == 4
    assert "its base in full: epochs 6" in whole["chain"][0]["settings"]["fit of shadows"]


def test_nothing_is_shown_of_a_model_that_saw_neither_half(tmp_path):
    result = asked(tmp_path, world.innocent(), attacks=("difficulty", "count"), shadows=2)
    _, found, gates = read(tmp_path)
    assert found["difficulty offline"]["low"] <= 0.5 <= found["difficulty offline"]["high"]
    assert gates["I8"]["status"] == "pass"
    assert result.status == "not_shown"


def finetuned(data, seed):
    """What a user writes: tokens in, a fresh finetuned model out."""
    assert (data.inputs.dtype, data.inputs.shape[1]) == (torch.int64, world.OPTIONS.length)
    return world.fit(world.base(), data.inputs, epochs=6, lr=0.003, seed=seed % 1000)


def test_a_function_of_the_user_may_finetune_them(tmp_path):
    asked(tmp_path, fit=finetuned, base=None, attacks=("difficulty", "ez_mia", "count"), shadows=2)
    whole, found, _ = read(tmp_path)
    assert found["difficulty offline"]["low"] > 0.9
    assert "none is given: name it as base" in next(one["reason"] for one in whole["attacks"] if one["id"] == "ez_mia")


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


def settings(**target):
    own = {
        "task": "language", "model": "transformer", "options": {"width": 16, "depth": 1},
        "weights": "tuned.safetensors", "base": "base.safetensors", "members": "in.csv", "nonmembers": "out.csv",
        "data_options": {"level": "words", "length": 36, "vocabulary": 300}, "fit": RECIPE,
    } | target  # fmt: skip
    attacks = [{"name": name} for name in ("difficulty", "lira", "learned_ratio", "count")]
    return {"name": "supplied", "seed": 3, "target": own, "threat": {"shadows": 6}, "attack": attacks}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("files")
    for name, net in (("tuned", world.tuned()), ("base", world.base())):
        save_file({key: one.contiguous() for key, one in net.state_dict().items()}, folder / f"{name}.safetensors")
    for name, rows in (("in", world.MEMBERS), ("out", world.OTHERS)):
        rows = [f'"{text.replace(chr(34), chr(39))}"' for text in world.texts()[rows]]
        (folder / f"{name}.csv").write_text("\n".join(["text", *rows]), encoding="utf-8")
    return folder


def jobs(folder, attack=None, **target):
    table = settings(**target)
    table["attack"] += [] if attack is None else [{"name": attack}]
    audit = parse(table, base=folder)
    prepared = prepare_supplied(read_supplied(audit), store=Store(folder / "store"))
    return prepared.case.jobs


def test_a_plan_prices_the_references_before_any_is_trained(folder):
    plan = verbs.plan(parse(settings(), base=folder), store=folder / "store")
    (shadows,) = (one for one in plan.stages if one.name == "shadows")
    assert (shadows.models, shadows.cached) == (6, 0)
    assert "epochs 6" in shadows.how
    more = verbs.plan(parse(settings(fit={**RECIPE, "epochs": 600}), base=folder), store=folder / "store")
    assert more.seconds > 10 * plan.seconds > 0
    assert {one.refused for one in plan.attacks} == {""}


def test_keys_follow_the_recipe_and_the_base_and_not_other_attacks(folder):
    other = {"fit": {**RECIPE, "lr": 0.004}}
    first, same, more, other = (
        jobs(folder, *attack, **changes)[0]
        for attack, changes in (((), {}), ((), {}), (("extraction",), {}), ((), other))
    )
    assert first.key == same.key
    assert len({first.key, more.key, other.key}) == 3
    assert first.decides("token_hits") == more.decides("token_hits") != other.decides("token_hits")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"fit": {"lr": 0.1}}, "target.fit.epochs: is required and missing: add it"),
        ({"fit": {**RECIPE, "epoch": 2}}, "target.fit.epoch: unknown key, did you mean 'epochs'"),
        ({"base": None}, "target.fit: settings say how the base is finetuned, got no base"),
        ({"task": "classes", "base": None}, "target.fit: must be package.module:function, got a table, which says"),
    ],
)
def test_settings_of_an_audit_file_are_refused_in_one_line(target, message, folder):
    target = {key: one for key, one in settings(**target)["target"].items() if one is not None}
    with pytest.raises(AuditError) as caught:
        parse({**settings(), "target": target}, base=folder)
    assert [line for line in caught.value.problems if message in line], caught.value.problems


@pytest.mark.slow
def test_an_audit_file_trains_references_on_processes(folder):
    verbs.run(parse(settings(), base=folder), folder / "run", store=folder / "store", workers=2)
    whole, found, gates = read(folder)
    assert {one["id"]: one["reason"] for one in whole["attacks"] if one["status"] != "ok"} == {}
    for name in ("lira online", "learned_ratio"):
        assert found[name]["low"] > 0.9
    assert gates["I8"]["status"] == "pass"


@pytest.mark.slow
def test_references_that_learn_far_less_than_the_model_are_told(tmp_path):
    """Adapters at this rate, where the model was finetuned in full."""
    pytest.importorskip("peft", reason="needs the extra lora")
    recipe = {**RECIPE, "transfer": "lora", "lr": 0.03}
    result = asked(tmp_path, attacks=("difficulty", "count"), shadows=6, fit=recipe)
    _, _, gates = read(tmp_path)
    assert gates["I8"]["status"] == "fail"
    assert result.status == "withdrawn"
