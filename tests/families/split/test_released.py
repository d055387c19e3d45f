"""Defenses at the cut, from an audit file to the report: answers behind them, what attacks read, what is printed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from audits import BASE

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.defenses import Mask, Noise, NullSpace
from dosimeter.defenses.sending import send
from dosimeter.families.split.game import Needs
from dosimeter.families.split.play.wire import AsFractions, Wire
from dosimeter.foundation.errors import ConfigError
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import cuts, find_cut
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.deployment.network import deployed
from families.split.games import audit

FEW = {"classifiers": ["logistic"]}
ATTACKS = [
    {"name": "ridge"},
    {"name": "ridge", "id": "naive", "adaptive": False},
    {"name": "attribute_pool", **FEW},
    {"name": "output_only", "mode": "input", "epochs": 3},
    {"name": "output_only", "id": "floor", "mode": "attribute", **FEW},
    {"name": "mean_input"},
]
DEFENSES = [
    {"name": "noise", "id": "noise", "scale": 0.2, "clip": 3.0},
    {"name": "mask", "id": "masked", "rate": 0.9},
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with three variants that differ in what crosses the cut."""
    folder = tmp_path_factory.mktemp("released")
    of_input = [one for one in ATTACKS if one["name"] != "attribute_pool" and one.get("id") != "floor"]
    raw = {**audit(of_input, attributes=[]), "defense": DEFENSES}
    verbs.run(parse(raw, base=BASE), folder / "run", workers=1, store=folder / "s")
    found = {"none": json.loads((folder / "run" / "result.json").read_text())}
    for name in ("noise", "masked"):
        found[name] = json.loads((folder / "run" / "variants" / name / "result.json").read_text())
    return found, folder


def rows(result, metric, attack, **conditions):
    found = [*result["threats"][0]["estimates"], *result["utility"]]
    return [
        one
        for one in found
        if (one["metric"], one["attack"], one["variant"]) == (metric, attack, "none")
        and conditions.items() <= one["conditions"].items()
    ]


def test_answers_are_given_behind_the_defense_at_each_cut(finished):
    found, _ = finished
    (plain,) = rows(found["none"], "accuracy", None)
    assert "cut" not in plain["conditions"]
    for name in ("noise", "masked"):
        own = rows(found[name], "accuracy", None)
        assert [one["conditions"]["cut"] for one in own] == ["2", "4"]
        assert own[0]["value"] < plain["value"] - 0.05
    changes = [one for one in found["none"]["utility"] if one["metric"] == "accuracy_change"]
    assert {(one["variant"], one["conditions"]["cut"]) for one in changes} == {
        (name, cut) for name in ("noise", "masked") for cut in ("2", "4")
    }
    for one in changes:
        (own,) = rows(found[one["variant"]], "accuracy", None, cut=one["conditions"]["cut"])
        assert one["value"] == pytest.approx(own["value"] - plain["value"], abs=1e-9)


def test_rows_say_whether_an_attack_knows_the_defense_and_only_those_that_do_decide(finished):
    found, _ = finished
    for name, result in found.items():
        (threat,) = result["threats"]
        for attack, told in (("ridge", "yes"), ("naive", "no")):
            seen = {one["conditions"].get("adaptive") for one in rows(result, "mse", attack)}
            assert seen == ({None} if name == "none" else {told})
        assert "naive" not in {one["attack"] for one in threat["details"]["tests"]}
        assert threat["verdict"]["attack"] != "naive"
    for cut in ("2", "4"):
        both = [rows(found["none"], "mse", one, cut=cut)[0]["value"] for one in ("ridge", "naive")]
        assert both[0] == both[1]  # without a defense there is nothing to know
        naive, knowing = (rows(found["masked"], "mse", one, cut=cut)[0]["value"] for one in ("naive", "ridge"))
        assert naive > knowing


def test_the_floor_is_that_of_the_answers_that_are_given(finished):
    found, _ = finished
    for name, places in (("none", [None]), ("masked", ["2", "4"])):
        assert [one["conditions"].get("cut") for one in rows(found[name], "mse", "output_only input")] == places
    assert len({one["value"] for one in rows(found["masked"], "mse", "output_only input")}) == 2


def test_a_check_says_if_attacks_that_know_the_defense_did_worse_than_others(finished):
    found, _ = finished
    for name, result in found.items():
        checks = {one["id"]: one["status"] for one in result["threats"][0]["gates"]}
        assert ("S4" in checks) == (name != "none")
        if name == "none":
            continue
        better = 0
        for cut in ("2", "4"):
            naive, knowing = (rows(result, "identified", one, cut=cut, top=1)[0]["value"] for one in ("naive", "ridge"))
            better += naive > knowing
        assert checks["S4"] == ("warn" if better else "pass")


def test_what_noise_lets_through_is_told_and_of_masks_it_is_refused_with_the_reason(finished):
    found, folder = finished
    names = ("fisher_information", "mse_unbiased", "mse_predicted", "channel")
    for name in names:
        assert rows(found["none"], name, None) == []
        for one in rows(found["masked"], name, None):
            assert (one["status"], one["value"]) == ("refused", None)
            assert "masks" in one["reason"]
    for cut in ("2", "4"):
        dfil, bound, predicted, channel = (rows(found["noise"], name, None, cut=cut)[0] for name in names)
        assert bound["value"] == pytest.approx(1 / dfil["value"])
        assert "without bias alone" in bound["reason"]
        assert "no bound" in predicted["reason"]
        ridge = rows(found["noise"], "mse", "ridge", cut=cut)[0]["value"]
        assert 0.8 * predicted["value"] < ridge < bound["value"]
        (dose,) = rows(found["noise"], "dose", "ridge", cut=cut)
        assert dose["low"] < channel["high"]
    page = (folder / "run" / "variants" / "noise" / "report.html").read_text("utf-8")
    for text in (
        Noise(scale=0.2, clip=3.0).guarantee,
        "dFIL",
        "Predicted error (no bound)",
        "naive: learned without the defense",
    ):
        assert text in page
    masked = (folder / "run" / "variants" / "masked" / "report.html").read_text("utf-8")
    assert "no ε can be given" in masked
    (told,) = found["noise"]["threats"][0]["details"]["releases"]
    assert told["epsilon"] == pytest.approx(Noise(scale=0.2, clip=3.0).epsilon)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The undefended case, its model trained."""
    store = Store(tmp_path_factory.mktemp("trained"))
    case = prepare(parse(audit(ATTACKS), base=BASE), store=store).cases["split"]
    for dataset in case.datasets():
        save_data(dataset, store)
    for job in case.packs:
        job.perform()
    return case


def recorded(case, *releases):
    """The recording of a case behind defenses; the model is trained once."""
    job = replace(case.recordings[0], releases=releases)
    job.perform()
    return job


def test_recorded_answers_are_those_of_the_second_half_on_what_was_sent(trained):
    job = recorded(trained, Noise(scale=0.5))
    model = deployed(job.host.pack, 0)
    inputs = as_float(job.store.load(job.data[0])["inputs"])
    graph = read_graph(model, inputs[:2])
    for index, name in enumerate(job.cuts):
        sent, _ = job.load(index)
        _, second = halves(graph, find_cut(cuts(graph), name))
        torch.testing.assert_close(job.answered(index), second(sent.clone())[0], rtol=1e-5, atol=1e-5)
        plain = recorded(trained).load(index)[0]
        assert float((sent - plain).std()) > 0.01
        assert float((job.answered(index) - recorded(trained).answered(None)).abs().max()) > 0.01


def test_naive_attacks_learn_on_plain_features_and_read_what_was_sent(trained):
    job, bare = recorded(trained, Mask(0.5)), recorded(trained)
    plays = {own.row.id: own.real[0][0] for own in trained.plays}
    seen = {name: replace(plays[name][1], record=job, source=1).game() for name in ("ridge", "naive")}
    assert torch.equal(seen["ridge"].seen, seen["naive"].seen)
    assert torch.equal(seen["ridge"].seen, job.load(1)[0])
    assert torch.equal(seen["naive"].auxiliary.seen, bare.load(1)[1])
    assert torch.equal(seen["ridge"].auxiliary.seen, job.load(1)[1])
    assert not torch.equal(seen["ridge"].auxiliary.seen, seen["naive"].auxiliary.seen)
    floor = replace(plays["output_only input"][0], record=job, source=1).game()
    assert torch.equal(floor.seen, job.answered(1))


def test_a_recording_depends_on_the_defenses_and_on_their_settings(trained):
    keys = {
        replace(trained.recordings[0], releases=one).key
        for one in ((), (Mask(0.5),), (Mask(0.6),), (Noise(),), (Mask(0.5), Noise()), (Noise(), Mask(0.5)))
    }
    assert len(keys) == 6


def test_a_yardstick_on_inputs_is_played_once_for_all_defenses_and_gets_no_model(trained):
    other = replace(trained.recordings[0], releases=(Mask(0.5),))
    plays = {own.row.id: own.real[0][0][0] for own in trained.plays}
    assert replace(plays["raw_input"], record=other).key == plays["raw_input"].key
    assert replace(plays["attribute_pool"], record=other).key != plays["attribute_pool"].key
    recorded(trained)
    assert plays["raw_input"].game().asked is None
    assert plays["attribute_pool"].game().asked is not None
    with pytest.raises(ValueError, match="gets no model, got rest: remove it"):
        Needs("attribute", reads="inputs", rest=True)


def test_projected_features_give_the_same_answers_and_an_attack_finds_no_more(trained):
    job, bare = recorded(trained, NullSpace()), recorded(trained)
    for index in range(2):
        torch.testing.assert_close(job.answered(index), bare.answered(None), rtol=0, atol=1e-5)


def test_a_cut_inside_a_residual_block_sends_several_tensors(trained):
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(6, 5), torch.nn.Linear(5, 6)

        def forward(self, x):
            return x * 2 + self.b(torch.relu(self.a(x * 3)))

    model = torch.nn.Sequential(torch.nn.Linear(4, 6), Block(), torch.nn.Linear(6, 2)).eval().requires_grad_(False)
    graph, records = read_graph(model, torch.rand(2, 4)), torch.rand(30, 4)
    cut = next(one for one in cuts(graph) if len(one.tensors) == 2)
    wire = Wire(graph, cut, (Mask(0.5),), AsFractions("cpu"))
    features = wire.first(records.clone())
    torch.testing.assert_close(wire.answers(features), model(records), rtol=1e-5, atol=1e-6)
    settled = wire.settled(records, np.random.default_rng(0))
    assert send(features, settled, np.random.default_rng(0)).shape == (30, features.shape[1])


@pytest.mark.parametrize(
    ("cut", "told"), [("1", "right after the cut, got ReLU"), ("3", "right after the cut, got ReLU")]
)
def test_a_defense_that_cannot_act_at_a_cut_is_refused_before_training(tmp_path, cut, told):
    raw = audit(ATTACKS, cuts=[cut])
    raw["stage"][0]["defenses"] = [{"name": "null_space"}]
    with pytest.raises(ConfigError, match=told):
        prepare(parse(raw, base=BASE), store=Store(tmp_path))


def test_naive_attacks_alone_cannot_say_that_nothing_leaks(tmp_path):
    with pytest.raises(ConfigError, match="knows the defenses"):
        prepare(parse(audit([ATTACKS[1], *ATTACKS[3:]]), base=BASE), store=Store(tmp_path))


def test_a_bottleneck_at_the_cut_trains_for_its_noise_and_lets_few_bits_pass(tmp_path):
    of_input = [{"name": "ridge"}, {"name": "output_only", "mode": "input", "epochs": 2}]
    vib = {"name": "vib", "id": "v", "cut": "4", "beta": 1.0}
    raw = {**audit(of_input, attributes=[], cuts=["4"]), "defense": [vib]}
    raw["stage"][0]["epochs"] = 8
    verbs.run(parse(raw, base=BASE), tmp_path / "run", workers=1, store=tmp_path / "s")
    plain, found = (
        json.loads((folder / "result.json").read_text())
        for folder in (tmp_path / "run", tmp_path / "run" / "variants" / "v")
    )
    (bits,) = rows(found, "channel", None, cut="4")
    assert 0 <= bits["low"] <= bits["value"] < 2
    (before,), (after,) = (rows(one, "mse", "ridge", cut="4") for one in (plain, found))
    assert after["value"] > before["value"]
    (release,) = found["threats"][0]["details"]["releases"]
    assert (release["epsilon"], release["settings"]) == (None, {"beta": 1.0, "cut": "4"})


@pytest.mark.parametrize(
    ("own", "cuts", "told"),
    [
        ("4", ["2", "4"], r"its own `cut` '4', got threat.cuts = '2, 4': name the same single layer in both"),
        ("", ["4"], "its own `cut` '', got threat.cuts = '4'"),
        ("4", "all", "got threat.cuts = 'all'"),
    ],
)
def test_a_bottleneck_stands_at_the_one_cut_that_is_attacked(own, cuts, told):
    raw = {**audit([{"name": "ridge"}], attributes=[], cuts=cuts), "defense": [{"name": "vib", "cut": own}]}
    with pytest.raises(ConfigError, match=told):
        parse(raw, base=BASE)
