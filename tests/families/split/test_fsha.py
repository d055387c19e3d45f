"""A malicious server in training: it reads the device's records where it steers, and none where it cannot."""

from __future__ import annotations

import dataclasses
import json
from typing import ClassVar

import numpy as np
import pytest
import torch
from audits import BASE
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data import Dataset
from dosimeter.defenses.joint.sgld import SGLD
from dosimeter.defenses.training.nopeek import NoPeek
from dosimeter.families.split.attacks import FSHA
from dosimeter.families.split.game import Auxiliary, SplitGame
from dosimeter.foundation.errors import AccessError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.learners.halves.hijacking import Client
from dosimeter.training.recipe import Hyperparameters
from families.split.games import Training, audit, records

HERE = "families.split.test_fsha"
SHORT = {"steps": 150, "warm_up": 150}


def uneven(rng, count):
    """Pictures whose pixels differ in kind, so that no mirror and no negative of them looks alike."""
    made, _ = records(rng, count)
    return made**3 * torch.linspace(0.2, 1, 36).reshape(1, 6, 6)


def game(seed, *, noise=False, **training):
    """A game with nothing but a training, and the victims; with `noise` the adversary's records are none."""
    rng = np.random.default_rng(seed)
    true, known = uneven(rng, 60), uneven(rng, 200)
    known = torch.from_numpy(rng.random(known.shape).astype(np.float32)) if noise else known
    side = Auxiliary(torch.zeros(0, 1), known, np.zeros(200, np.int64), np.arange(200))
    return SplitGame(
        np.arange(60).astype(str), torch.zeros(60, 1), side, training=Training(true, seed=seed, **training)
    ), true


def share(seed, settings=SHORT, **options):
    """Error of what the server makes, as a share of the error of the mean record."""
    one, true = game(seed, **options)
    found = FSHA(**settings).run(one, np.random.default_rng(0)).values[0, :, 0]
    mean = one.auxiliary.inputs.mean(0) if not options.get("noise") else true.mean(0)
    return float(((found - true.numpy()) ** 2).mean() / ((true - mean) ** 2).mean())


def test_a_server_that_steers_reads_what_the_device_trains_on():
    """The pilot is one convolution, and so is the device's half, so it can be led there wholly."""
    assert share(0) < 0.5


def test_gradients_that_do_not_arrive_and_halves_that_forget_tell_nothing():
    for options in ({"deaf": True}, {"forgets": True}):
        assert share(0, {"steps": 20, "warm_up": 60}, **options) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_longer_steering_reads_more_and_records_of_another_kind_teach_less(seed):
    longer = {"steps": 400, "warm_up": 400}
    steered = share(seed, longer)
    assert steered < 0.2
    assert share(seed, longer, noise=True) > 1.5 * steered
    assert share(seed, longer, deaf=True) > 0.9


@pytest.mark.slow
def test_the_scale_of_gradients_is_found_where_the_device_uses_sgd():
    assert share(0, {**SHORT, "scales": (1.0, 1e-3)}, recipe=Hyperparameters(lr=0.1)) < 0.5


def test_a_client_goes_one_step_along_what_comes_back_and_hands_out_features_alone():
    weight = torch.tensor([[2.0, 0.0]])
    layer = nn.Linear(2, 1, bias=False)
    layer.weight = nn.Parameter(weight.clone())
    inputs = torch.tensor([[1.0, 3.0], [2.0, 5.0]])
    client = Client(layer, inputs, torch.zeros(2, dtype=torch.long), Hyperparameters(lr=0.1, batch_size=2), 0)
    sent = client.sends()
    assert sorted(sent.flatten().tolist()) == [2.0, 4.0]
    assert not sent.requires_grad
    client.returns(torch.ones_like(sent))
    torch.testing.assert_close(layer.weight.data, weight - 0.1 * inputs.sum(0))
    torch.testing.assert_close(client.features(), inputs @ layer.weight.data.T)


def test_a_defense_of_the_device_adds_its_own_gradient():
    @dataclasses.dataclass(frozen=True)
    class Shrinks:
        paper: ClassVar[str] = "none; a toy"
        place: ClassVar[str] = "loss"
        ladder: ClassVar = ({}, {}, {})
        cut: str = "0"

        def charge_cut(self, records, features, labels):
            return (features**2).sum() / 2

    layer = nn.Linear(1, 1, bias=False)
    layer.weight = nn.Parameter(torch.tensor([[3.0]]))
    recipe = Hyperparameters(lr=0.1, batch_size=1, defenses=(Shrinks(),))
    client = Client(layer, torch.ones(1, 1), torch.zeros(1, dtype=torch.long), recipe, 0)
    client.returns(0 * client.sends())
    assert layer.weight.item() == pytest.approx(3.0 - 0.1 * 3.0)


def test_noise_of_the_devices_steps_is_in_them_too():
    """Nothing comes back, so weights move by noise alone: s √η each step."""
    layer = nn.Linear(100, 100, bias=False)
    nn.init.zeros_(layer.weight)
    recipe = Hyperparameters(lr=0.25, momentum=0.0, batch_size=1, defenses=(SGLD(scale=0.2),))
    client = Client(layer, torch.ones(1, 100), torch.zeros(1, dtype=torch.long), recipe, 0)
    for _ in range(4):
        client.returns(0 * client.sends())
    assert float(layer.weight.detach().std()) == pytest.approx(0.2 * 0.25**0.5 * 2, rel=0.05)


@pytest.mark.slow
def test_a_server_that_scales_its_gradients_undoes_nopeek_and_finds_the_scale_by_itself():
    """S9: a device that keeps its features independent of its records is led all the same, if the server is loud."""
    recipe = Hyperparameters(optimizer="adam", lr=0.01, defenses=(NoPeek("0", 10.0),))
    assert share(0, {**SHORT, "scales": (0.01,)}, recipe=recipe) > 0.9
    assert share(0, {**SHORT, "scales": (0.01, 10.0)}, recipe=recipe) < 0.5


def test_without_a_training_it_says_so():
    one, _ = game(0)
    with pytest.raises(AccessError, match="set active = true"):
        FSHA().run(dataclasses.replace(one, training=None), np.random.default_rng(0))


def pictures(seed):
    """Records of an audit."""
    made = uneven(np.random.default_rng(0), 700)
    ink = made.numpy().reshape(700, -1).mean(1)
    labels = (np.argsort(np.argsort(ink)) * 4 // 700).astype(np.int64)
    ids = np.array([f"{row:04d}" for row in range(700)])
    return Dataset(inputs=made.numpy(), labels=labels, classes=tuple("abcd"), ids=ids, noun="picture", part=True)


def maps(shape, classes):
    """A network whose first half is one convolution."""
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(108, classes))


def forgetful(shape, classes):
    """The same, of which nothing of a record crosses the cut."""

    class Forgets(nn.Module):
        def forward(self, x):
            return 0 * x

    return nn.Sequential(Forgets(), *maps(shape, classes))


def fit(model, dataset, seed):
    """Trains nothing."""
    return model


ROWS = [
    {"name": "ridge"}, {"name": "fsha", "steps": 200, "warm_up": 150},
    {"name": "output_only", "mode": "input", "epochs": 12}, {"name": "mean_input"},
]  # fmt: skip


def raw(model="maps", stage=None, **threat):
    found = audit(ROWS, attributes=[], cuts=["0" if model == "maps" else "1"], active=True, **threat)
    for one in found["data"].values():
        one["data"] = f"{HERE}:pictures"
    own = {"model": f"{HERE}:{model}", "optimizer": "adam", "lr": 0.01, "epochs": 5}
    found["stage"][0] |= own | (stage or {})
    return found


def ran(table, tmp_path):
    verbs.run(parse(table, base=BASE), tmp_path / "run", workers=1, store=tmp_path / "store")
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text())["threats"]
    return threat


def test_it_is_shown_through_the_door_and_the_page_says_what_it_means(tmp_path):
    threat = ran(raw(), tmp_path)
    (test,) = [one for one in threat["details"]["tests"] if one["attack"] == "fsha"]
    assert test["shown"]
    errors = {one["attack"]: one["value"] for one in threat["estimates"] if one["metric"] == "mse"}
    assert errors["fsha"] < 0.75 * errors["mean_input"]
    assert threat["adversary"]["active"] is True
    assert not [line for line in threat["not_tested"] if "gradients of its own choice" in line]
    assert "or decides what comes back to the device in training" in threat["verdict"]["sentences"][0]
    assert {one["status"] for one in threat["null_audit"]} == {"pass"}
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "What they do" in page
    assert "decides what comes back in training" in page
    (case,) = prepare(parse(raw(), base=BASE), store=Store(tmp_path / "store")).cases.values()
    assert any(note.startswith("active: the first half is trained anew") for note in case.notes())


def test_where_nothing_crosses_the_server_learns_nothing(tmp_path):
    table = raw("forgetful")
    table["attack"][1] = {"name": "fsha", "steps": 10, "warm_up": 10}
    threat = ran(table, tmp_path)
    (test,) = [one for one in threat["details"]["tests"] if one["attack"] == "fsha"]
    assert not test["above_chance"]


def test_a_list_of_it_alone_stands_beside_the_mean_record_and_the_answers(tmp_path):
    table = raw()
    table["attack"] = [{"name": "fsha", "steps": 2, "warm_up": 2}]
    threat = ran(table, tmp_path)
    assert [one["id"] for one in threat["attacks"]] == ["fsha", "output_only input", "mean_input"]
    gates = {one["id"]: one for one in threat["gates"]}
    assert gates["S1"]["status"] == "warn"
    assert gates["S1"]["message"].startswith("fsha after 0 did worse than the mean record")
    assert gates["N2"]["status"] == "pass"
    (test,) = threat["details"]["tests"]
    assert test["p_floor"] is not None


REFUSED = {
    "no grant": ({"active": False}, {}, "threat.active is false"),
    "a fit of the user's": ({}, {"fit": f"{HERE}:fit"}, "the stage has a fit of its own"),
    "private training": (
        {}, {"defenses": [{"name": "dp_sgd", "noise_multiplier": 1.0, "delta": 1e-3}]},
        "where DPSGD changes what the device does",
    ),
    "noise at the cut": ({}, {"defenses": [{"name": "noise", "scale": 0.5}]}, "behind defenses of the cut"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_where_it_cannot_act_the_plan_says_why(case, tmp_path):
    threat, stage, said = REFUSED[case]
    table = raw(stage=stage)
    table["threat"] |= threat
    (found,) = prepare(parse(table, base=BASE), store=Store(tmp_path)).cases.values()
    assert said in found.refusals()["fsha"]


def test_nopeek_at_the_cut_is_played_and_elsewhere_not(tmp_path):
    for cut, played in (("0", True), ("1", False)):
        table = raw(stage={"defenses": [{"name": "nopeek", "cut": cut}]})
        (found,) = prepare(parse(table, base=BASE), store=Store(tmp_path)).cases.values()
        assert ("fsha" not in found.refusals()) == played


def test_recorded_traffic_and_supplied_networks_have_no_training(tmp_path):
    from dosimeter.families.family import Surroundings
    from dosimeter.families.split.problems import problems_of
    from dosimeter.families.split.threat import SplitThreat

    threat = SplitThreat(cuts=("1",), active=True)
    for around in (Surroundings(draws=False, recorded=True), Surroundings(draws=False)):
        (line,) = [one for one in problems_of(threat, [], around) if one.startswith(".active")]
        assert line.endswith("or audit the recipe with [[stage]]")
