"""Layers that the attack's loss depends on: against a loop over records, and from the audit to the page."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from audits import BASE, faces

from dosimeter.config.audit import parse
from dosimeter.families.inversion.attacks.reading import margin, poincare
from dosimeter.families.inversion.play.information import LOSSES, aimed
from dosimeter.families.inversion.section.layers import layers
from dosimeter.jobs.arrays import read_arrays
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.deployment.network import opened


def raw(model="mlp"):
    made = faces(fisher=True)
    made["stage"][0] |= {"model": model, **({"options": {"width": 32}} if model == "mlp" else {})}
    made["attack"] = [
        {"name": "gmi", "restarts": 1, "steps": 30},
        {"name": "prior_best", "samples": 100},
        {"name": "mean_public"},
        {"name": "gmi", "mode": "ce", "restarts": 1, "steps": 5},
        {"name": "ppa", "steps": 2, "samples": 20, "restarts": 2},
    ]
    return made


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("information")
    verbs.run(parse(raw(), base=BASE), folder / "run", workers=1, store=folder / "store")
    return json.loads((folder / "run" / "result.json").read_text()), folder


def test_squares_are_those_of_a_loop_over_records_with_the_attacks_own_loss(finished):
    _, folder = finished
    case = prepare(parse(raw(), base=BASE), store=Store(folder / "store")).cases["inversion"]
    stored = read_arrays(folder / "run" / "threats" / "inversion" / "evidence" / "layers.npz")
    one = opened(case.packs[0], 0)
    one.model.requires_grad_(True)
    weights = {name: list(one.model.get_submodule(name).parameters()) for name in stored["layers"].tolist()}
    assert [sum(each.numel() for each in own) for own in weights.values()] == stored["parameters"].tolist()

    def squares(loss):
        slopes = torch.autograd.grad(loss, [each for own in weights.values() for each in own])
        found, place = [], 0
        for own in weights.values():
            found.append(sum(float(each.double().square().sum()) for each in slopes[place : place + len(own)]))
            place += len(own)
        return found

    own = case.system.at_risk
    for kind in ("train", "held_out"):
        rows = stored[f"{kind}_rows"]
        for index in (0, 57):
            x, y = torch.from_numpy(own.inputs[rows[index]])[None] / 255, int(own.labels[rows[index]])
            loss = -one.answer(x)[1].log_softmax(1)[0, y]
            assert stored[kind][index] == pytest.approx(squares(loss), rel=1e-3)
    with torch.no_grad():
        usual = one.answer(torch.from_numpy(case.public.inputs) / 255)[0].mean(0)
    made = torch.from_numpy(case.verdicts["gmi logit"][0].records()[:, 0])
    for identity in (0, 11):
        features, logits = one.answer(made[identity][None])
        loss = ((features - usual) ** 2).mean() - logits[0, identity]
        assert stored["made-0"][identity] == pytest.approx(squares(loss), rel=1e-3)
    made = torch.from_numpy(case.verdicts["ppa"][0].records()[:, 0])
    loss = poincare(one.answer(made[3][None])[1], torch.tensor([3])).sum()
    assert stored["made-4"][3] == pytest.approx(squares(loss), rel=1e-3)
    assert stored["losses"].tolist() == ["logit", "ce", "ce", "ce", "poincare"]
    assert stored["made-1"].shape == (20, 2)
    assert "made-2" not in stored  # the control asks nothing of the model
    assert stored["prior"].shape == stored["noise"].shape == (200, 2)


def test_margin_and_distance_are_those_of_the_attacks():
    logits, labels = torch.randn(7, 5), torch.arange(7) % 5
    assert torch.allclose(LOSSES["margin"](logits, labels), margin(logits, labels))
    assert torch.allclose(LOSSES["poincare"](logits, labels), poincare(logits, labels))


def test_the_result_says_where_the_information_lies_and_the_page_draws_it(finished):
    result, folder = finished
    (threat,) = result["threats"]
    found = threat["details"]["fisher"]
    stored = read_arrays(folder / "run" / "threats" / "inversion" / "evidence" / "layers.npz")
    assert found["attack"] == threat["verdict"]["attack"]
    index = [one["id"] for one in threat["attacks"]].index(found["attack"])
    curves = {one["of"]: one for one in found["curves"]}
    assert list(curves) == ["train", "held_out", "prior", "noise", "made"]
    for kind, stored_as in (("train", "train"), ("made", f"made-{index}")):
        total = stored[stored_as].mean(0)
        for aggregate, own in (("sum", total), ("mean", total / stored["parameters"])):
            shares = own / own.sum()
            assert curves[kind][aggregate]["shares"]["value"] == pytest.approx(shares, rel=1e-6)
            assert curves[kind][aggregate]["centre"]["value"] == pytest.approx(shares[1], rel=1e-6)
    assert (curves["train"]["records"], curves["train"]["units"]) == (100, 20)  # whole identities are drawn
    assert (curves["made"]["records"], curves["made"]["units"]) == (20, 20)
    ratio = next(one for one in found["ratios"] if one["beside"] == "held_out")
    wanted = np.log(stored[f"made-{index}"].mean(0) / stored["held_out"].mean(0))
    assert ratio["log_ratio"]["value"] == pytest.approx(wanted, rel=1e-6)
    assert ratio["slope"]["value"] == pytest.approx(wanted[1] - wanted[0], rel=1e-6)
    assert ratio["slope"]["low"] < ratio["slope"]["value"] < ratio["slope"]["high"]
    page = (folder / "run" / "report.html").read_text("utf-8")
    assert "Which layers attack and task depend on" in page
    assert "Share of the Fisher information by layer" in page


@pytest.mark.parametrize(
    ("ends", "told"),
    [((-2, -1), "depends on earlier layers"), ((1, 2), "depends on later layers"), ((-1, 1), "It is not shown")],
)
def test_the_sentence_follows_the_slopes(finished, ends, told):
    (threat,) = json.loads(json.dumps(finished[0]))["threats"]
    for one in threat["details"]["fisher"]["ratios"]:
        if one["beside"] in ("train", "held_out"):
            one["slope"] |= {"low": ends[0], "high": ends[1]}
    view = {**threat, "noun": "photo"}
    names = {one["id"]: one["name"] for one in threat["attacks"]}
    assert told in layers(view, names)["sentence"]
    for one in threat["details"]["fisher"]["ratios"]:  # both kinds of records must say so
        if one["beside"] == "train":
            one["slope"] |= {"low": -1, "high": 1}
    assert "It is not shown" in layers(view, names)["sentence"]


def test_without_two_layers_the_page_says_why_there_is_nothing(tmp_path):
    verbs.run(parse(raw("linear"), base=BASE), tmp_path / "run", workers=1, store=tmp_path / "store")
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text())["threats"]
    assert "two layers or more" in threat["details"]["fisher"]["reason"]
    assert "Not measured: " in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_it_is_off_unless_asked_for_and_names_the_loss_of_each_attack(tmp_path):
    assert prepare(parse(faces(), base=BASE), store=Store(tmp_path)).cases["inversion"].information == ()
    rows = {row.id: aimed(row.attack) for row in parse({**faces(), "attack": [
        {"name": "gmi", "mode": "ce"}, {"name": "gmi"}, {"name": "miface"}, {"name": "ppa", "aim": "margin"},
    ]}, base=BASE).attacks}  # fmt: skip
    assert rows == {"gmi ce": "ce", "gmi logit": "logit", "miface": "ce", "ppa": "margin", "mean_public": "ce"}
