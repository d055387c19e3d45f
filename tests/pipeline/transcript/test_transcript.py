"""Recorded traffic: audited like a model that is here, and refused where it does not fit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from audits import BASE
from families.split.games import audit, people
from safetensors.torch import save_file

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.foundation.errors import AuditError
from dosimeter.models.cuts.recorder import flat
from dosimeter.pipeline import verbs
from dosimeter.training.deployment.recorded import read_transcript

ATTACKS = [
    {"name": "ridge"},
    {"name": "attribute_pool", "classifiers": ["logistic"]},
    {"name": "output_only", "mode": "attribute", "classifiers": ["logistic"]},
    {"name": "mean_input"},
]
THREAT = {"family": "split", "attributes": ["side"]}


def records():
    """Victims and auxiliary records."""
    whole = people(0)
    return {"victims": whole.take(np.arange(200, 320)), "auxiliary": whole.take(np.arange(320, 700))}


def write(folder, tensors, suffix=".safetensors"):
    """Writes a transcript."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, own in tensors.items():
        if suffix == ".npz":
            np.savez(folder / f"{part}.npz", **{name: one.numpy() for name, one in own.items()})
        else:
            save_file(own, folder / f"{part}.safetensors")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on a model that is here, its halves, and the traffic that its device half sends."""
    folder = tmp_path_factory.mktemp("wire")
    raw = audit(ATTACKS)
    raw["threat"]["cuts"] = ["4"]
    verbs.run(parse(raw, base=BASE), folder / "run", workers=1, store=folder / "store")
    here = dosimeter.load(folder / "run")
    place = here.save_partition(folder / "halves", base=BASE)
    device, server = dosimeter.load_device(place, base=BASE), dosimeter.load_server(place, base=BASE)
    traffic = {}
    for part, own in records().items():
        (sent,) = device.send(torch.from_numpy(own.inputs))
        traffic[part] = {"4": sent.clone(), "answers": server.answer(sent).clone()}
    return here, traffic, folder


def audited(folder, transcript, **more):
    """An audit of recorded traffic."""
    given = {"data": records(), "threats": [THREAT], "attacks": ATTACKS, "workers": 1, **more}
    return dosimeter.audit(transcript=transcript, out=folder, **given)


def rows(content):
    """Values of one threat by what they are of."""
    (threat,) = content["threats"]
    return {
        (one["attack"], one["metric"], json.dumps(one["conditions"], sort_keys=True)): one["value"]
        for one in threat["estimates"]
    }


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_recorded_traffic_gives_the_numbers_of_the_model_itself(made, suffix, tmp_path):
    here, traffic, folder = made
    found = audited(tmp_path / "run", write(tmp_path / "traffic", traffic, suffix), store=folder / f"store{suffix}")
    wanted, got = rows(here.content), rows(found.content)
    assert got.keys() == wanted.keys()
    assert {key: got[key] == pytest.approx(one, abs=1e-4) for key, one in wanted.items()} == dict.fromkeys(got, True)
    assert found.status == here.status
    (threat,) = found.content["threats"]
    assert threat["adversary"]["knows"] == "queries"
    assert (threat["data"]["trained"], threat["details"]["cuts"][0]["parameters"]) == (None, None)
    assert {gate["id"]: gate["status"] for gate in threat["gates"]}["S3"] == "warn"
    page = found.report().read_text("utf-8")
    assert "A model elsewhere, whose traffic was recorded." in page
    assert found.content["door"] == "transcript"


def spoilt(traffic, change):
    """Traffic in which something is wrong."""
    tensors = {part: dict(own) for part, own in traffic.items()}
    change(tensors)
    return tensors


def drop(part, name):
    """Leaves an array out."""
    return lambda tensors: tensors[part].pop(name)


def put(part, name, one):
    """Puts another array in."""
    return lambda tensors: tensors[part].update({name: one})


def moved(changed):
    """Changes what crossed for the victims."""
    return lambda tensors: tensors["victims"].update({"4": changed(tensors["victims"]["4"])})


def renamed(name):
    """Gives the cut another name."""
    return lambda tensors: [own.update({name: own.pop("4")}) for own in tensors.values()]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop("victims", "answers"), "must hold the model's `answers` too"),
        (drop("victims", "4"), "got answers alone"),
        (put("victims", "7", torch.zeros(120, 3)), "both files must hold the same cuts, got '7' in one alone"),
        (put("auxiliary", "4", torch.zeros(380, 9)), "must have one shape in both files"),
        (put("victims", "4", torch.full((120, 8), float("nan"))), "'4' must hold finite numbers"),
        (put("victims", "4", torch.zeros(119, 8)), "all arrays must have one row for each record"),
        (put("victims", "answers", torch.zeros(120)), "answers must be"),
        (moved(lambda one: one[:, :0].clone()), "'4' must hold a number or more of each record, got none"),
        # As float32, in which attacks read it, it would be the same for everyone: no leak could be shown.
        (moved(lambda one: one.double() + 1e12), "float64 numbers whose differences are lost"),
        (moved(lambda one: one.double() * 1e-200), "float64 numbers whose differences are lost"),
        (moved(lambda one: (one * 1000).long() + 2**45), "int64 numbers whose differences are lost"),
        (renamed("a\nb"), r"names of cuts must be 1 to 200 printable characters, got 'a\\nb'"),
        (renamed("x" * 201), "names of cuts must be 1 to 200 printable characters"),
        (renamed(""), "names of cuts must be 1 to 200 printable characters, got ''"),
    ],
)
def test_traffic_that_does_not_fit_is_refused_in_one_line(made, change, told, tmp_path):
    _, traffic, _ = made
    place = write(tmp_path / "traffic", spoilt(traffic, change))
    with pytest.raises(AuditError, match=told) as caught:
        audited(tmp_path / "run", place)
    assert len(caught.value.problems) == 1
    assert not (tmp_path / "run").exists()


def test_what_stands_beside_it_is_refused(made, tmp_path):
    _, traffic, _ = made
    place = write(tmp_path / "traffic", traffic)
    wrong = [
        ({"model": lambda x: x}, "model: recorded traffic stands in the place of a model"),
        ({"data": None}, "data: is required and missing beside transcript"),
        ({"data": {"victims": records()["victims"]}}, "threat.auxiliary: no such part of data, got 'auxiliary'"),
        ({"data": {**records(), "victims": records()["victims"].take(np.arange(50))}}, "must have one row for each"),
        ({"threats": [{**THREAT, "knows": "weights"}]}, "recorded traffic holds no weights"),
        ({"threats": [{**THREAT, "cuts": ["5"]}]}, "must be among those that were recorded, got '5'"),
        ({"threats": [THREAT, {"family": "membership"}], "attacks": None}, "reads no recorded traffic"),
        ({"threats": [{**THREAT, "targets": 3}]}, "recorded traffic is that of one model, got 3"),
    ]
    for given, told in wrong:
        with pytest.raises(AuditError, match=told):
            audited(tmp_path / "run", place, **given)
    overlapping = {**records(), "auxiliary": people(0).take(np.arange(310, 690))}
    with pytest.raises(AuditError, match="threat.auxiliary"):
        audited(tmp_path / "run", place, data=overlapping)


def test_missing_and_doubled_files_and_pickles_are_refused(made, tmp_path):
    _, traffic, _ = made
    with pytest.raises(AuditError, match=r"must hold victims.safetensors or victims.npz, got neither"):
        audited(tmp_path / "run", tmp_path)
    place = write(write(tmp_path / "two", traffic), traffic, ".npz")
    with pytest.raises(AuditError, match="got both"):
        audited(tmp_path / "run", place)
    pickled = write(tmp_path / "pickled", {"auxiliary": traffic["auxiliary"]})
    np.savez(pickled / "victims.npz", answers=np.array([{"a": 1}], dtype=object))
    with pytest.raises(AuditError, match="no code in it was run"):
        audited(tmp_path / "run", pickled)


def test_a_function_that_cannot_be_cut_is_refused_with_the_way_by_its_traffic(tmp_path):
    threat, classes = {**THREAT, "cuts": ["4"]}, torch.eye(4)

    def bright(x):
        return classes[(x.flatten(1).mean(1) * 4).long().clamp(0, 3)]

    with pytest.raises(AuditError, match="record what crosses its cut and give the transcript"):
        dosimeter.audit(bright, data=records(), threats=[threat], out=tmp_path / "x")


def file(transcript, **more):
    """The audit file of recorded traffic."""
    where = "families.split.games:pictures"
    return {
        "name": "wire",
        "target": {"transcript": str(transcript)},
        "data": {"victims": {"data": where, "rows": "200:320"}, "auxiliary": {"data": where, "rows": "320:700"}},
        "threat": THREAT,
        "attack": ATTACKS,
        **more,
    }


def test_an_audit_file_names_the_traffic(made, tmp_path):
    here, traffic, folder = made
    audit = parse(file(write(tmp_path / "traffic", traffic)), base=BASE)
    plan = verbs.plan(audit, store=tmp_path / "store")
    assert plan.stages[0].how == "recorded traffic"
    verbs.run(audit, tmp_path / "run", workers=1, store=tmp_path / "store")
    got = rows(dosimeter.load(tmp_path / "run").content)
    key = next(one for one in got if one[:2] == ("attribute_pool", "attribute_auc"))
    assert got[key] == pytest.approx(rows(here.content)[key], abs=1e-4)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"threat": {"family": "membership"}, "attack": []}, "threat.family: reads no recorded traffic"),
        ({"data": {}}, "target.transcript: needs the records that were sent"),
        ({"target": {"transcript": "traffic", "model": "recipe:net"}}, "target.model: no threat of this file reads it"),
        ({"defense": [{"name": "l2"}]}, "a supplied model is not trained here"),
        ({"threat": {**THREAT, "limits": {"multiply_adds": 9}}}, "limits.multiply_adds: needs the model"),
    ],
)
def test_an_audit_file_that_does_not_fit_is_refused(more, told):
    with pytest.raises(AuditError, match=told):
        parse(file("traffic", **more), base=BASE)


def mixed(part, *, answers=True):
    """Writes the rows of one part in another order."""

    def change(tensors):
        order = torch.randperm(len(tensors[part]["answers"]), generator=torch.manual_seed(0))
        for name in ("4", "answers") if answers else ("4",):
            tensors[part][name] = tensors[part][name][order].contiguous()

    return change


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (mixed("victims"), "fail"), (mixed("auxiliary"), "fail"),
        (mixed("auxiliary", answers=False), "warn"), (lambda tensors: None, "pass"),
    ],
    ids=["victims", "auxiliary", "one cut alone", "nothing"],
)  # fmt: skip
def test_traffic_in_another_order_than_the_records_is_found(made, change, status, tmp_path):
    """With a shuffled loader every attack fails, and nothing would be shown whatever leaks."""
    _, traffic, folder = made
    place = write(tmp_path / "traffic", spoilt(traffic, change))
    quick = {"attacks": [{"name": "ridge"}, {"name": "mean_input"}], "threats": [{"family": "split"}]}
    found = audited(tmp_path / "run", place, store=folder / "mixed", **quick)
    (threat,) = found.content["threats"]
    assert {gate["id"]: gate["status"] for gate in threat["gates"]}["S5"] == status
    assert (found.status == "withdrawn") == (status == "fail")
    assert found.status == "shown" or status != "pass"
    assert (found.content["dose"] == []) == (status == "fail")


def test_answers_of_another_width_have_no_accuracy_and_huge_features_are_numbers(made, tmp_path):
    _, traffic, folder = made

    def change(tensors):
        for own in tensors.values():
            own["answers"], own["4"] = own["answers"][:, :1].contiguous(), own["4"].double() * 1e30

    found = audited(tmp_path / "run", write(tmp_path / "traffic", spoilt(traffic, change)), store=folder / "odd",
                    attacks=[{"name": "ridge"}, {"name": "mean_input"}], threats=[{"family": "split"}])  # fmt: skip
    assert found.content["utility"] == []
    (threat,) = found.content["threats"]
    assert threat["details"]["cuts"][0]["radius"]["squared"] > 1e50


@pytest.mark.parametrize("part", ["victims", "auxiliary"])
def test_records_that_are_all_alike_are_refused_since_nothing_could_be_shown(made, part, tmp_path):
    known = records()
    known[part] = replace(known[part], inputs=np.repeat(known[part].inputs[:1], len(known[part]), 0))
    with pytest.raises(AuditError, match=f"threat.{part}: must be records that differ"):
        audited(tmp_path / "run", write(tmp_path / "traffic", made[1]), data=known)


def test_one_number_of_each_record_is_a_row(made, tmp_path):
    tensors = {part: {"4": own["4"][:, 0].clone(), "answers": own["answers"]} for part, own in made[1].items()}
    found = read_transcript(write(tmp_path / "traffic", tensors)).load("victims")
    assert torch.equal(found["4"], made[1]["victims"]["4"][:, :1])
    assert flat([torch.arange(3)]).tolist() == [[0.0], [1.0], [2.0]]
