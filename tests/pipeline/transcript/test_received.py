"""Recorded joint trainings: audited like one that runs here, used as far as they go, refused where they do not fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from families.exchange.games import BASE, case_of, records, table
from safetensors.numpy import save_file

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.families.exchange.case.counted import counted_p
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.transcript.prepared import prepare_recorded, read_recorded
from dosimeter.training.deployment.received import receive
from dosimeter.training.joint.transcript import Transcript, write_transcript
from dosimeter.training.joint.truth import Truth, read_truth, write_truth

QUICK = {"simulated": 1, "classifiers": ["logistic"]}
ATTACKS = [
    {"name": "batch_property", "channel": "gradient", **QUICK}, {"name": "label_only", **QUICK}, {"name": "coin"},
]  # fmt: skip
THREAT = {
    "family": "exchange", "victim": "source", "adversary": "receiver", "property": "size", "auxiliary": "own",
    "mixtures": [[1.0, 0.0]],
}  # fmt: skip
MODEL = "families.exchange.games:net"


def own():
    """The adversary's records."""
    return records(0).take(np.arange(332, 600))


def recorded(folder, **changes):
    """An audit of a folder; None removes a key."""
    raw = {
        "name": "received", "target": {"transcript": str(folder), "model": MODEL},
        "data": {"own": {"data": "families.exchange.games:records", "rows": "332:600"}}, "threat": dict(THREAT),
        "attack": [dict(one) for one in ATTACKS],
    }  # fmt: skip
    for key, change in changes.items():
        raw[key] = {name: one for name, one in {**raw[key], **change}.items() if one is not None}
    return raw


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A joint training that ran here, and its transcript as its parties would have recorded it."""
    folder = tmp_path_factory.mktemp("received")
    raw = table()
    raw["attack"] = [dict(one) for one in ATTACKS]
    case = case_of(raw, folder / "store")
    (((job,),),) = (case.runs,)
    write_transcript(job.transcript(), folder / "transcript")
    rows = job.members[0].batches
    labels = case.partners.parties["source"].labels[rows]
    classes = np.stack([(labels == one).sum(1) for one in range(2)], 1)
    write_truth(folder / "transcript", case.partners.has[rows].sum(1), classes)
    return case, folder


@pytest.fixture(scope="module")
def run(made):
    """The audit of that folder."""
    _, folder = made
    verbs.run(parse(recorded(folder / "transcript"), base=BASE), folder / "run", workers=1)
    return folder / "run"


def test_attacks_say_of_a_recorded_training_what_they_say_of_the_same_one_here(made, run):
    case, _ = made
    for index, row in enumerate(case.attacks):
        if row.id == "coin":
            continue
        play = case.plays(row)[0][0]
        play.perform()
        with np.load(run / "threats" / "exchange" / "evidence" / f"{index}.npz") as found:
            assert np.allclose(found["guesses"][0, 0], play.load(), atol=1e-6)
    with np.load(run / "threats" / "exchange" / "truth" / "truth.npz") as found:
        assert np.array_equal(found["coins"][0], case.coins(0))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("method", "channel"),
    [
        pytest.param("fedavg", "update", marks=SLOW), pytest.param("soft", "gradient", marks=SLOW),
        ("coral", "moments"),
    ],
)  # fmt: skip
def test_messages_of_every_kind_are_read_as_of_a_training_here(tmp_path, method, channel):
    raw = table(method, steps=24)
    raw["attack"] = [{"name": "batch_property", "channel": channel, **QUICK}, {"name": "label_only", **QUICK}]
    case = case_of(raw, tmp_path / "store")
    job = case.runs[0][0]
    write_transcript(job.transcript(), tmp_path / "transcript")
    rows = job.members[0].batches.reshape(24, -1)
    labels = case.partners.parties["source"].labels[rows]
    classes = np.stack([(labels == one).sum(1) for one in range(2)], 1)
    write_truth(tmp_path / "transcript", case.partners.has[rows].sum(1), classes)
    own = recorded(tmp_path / "transcript")
    own["attack"] = raw["attack"]
    prepared = prepare_recorded(read_recorded(parse(own, base=BASE)), store=Store(tmp_path / "store"), device="cpu")
    (found,) = prepared.cases.values()
    assert np.array_equal(found.sides == 1, case.coins(0)[0])
    found.training.perform()
    for row in case.attacks:
        here, there = case.plays(row)[0][0], found.play(row)
        here.perform()
        there.perform()
        assert np.allclose(here.load(), there.load(), atol=1e-6)


def test_a_run_on_a_folder_tells_what_leaks_and_what_it_takes_for_granted(run):
    result = json.loads((run / "result.json").read_text("utf-8"))
    (threat,) = result["threats"]
    assert result["door"] == "transcript"
    assert threat["verdict"]["status"] == "shown"
    assert "order that has nothing to do with the property" in threat["verdict"]["sentences"][-1]
    gates = {one["id"]: one["status"] for one in threat["gates"]}
    assert gates.pop("E2") in ("pass", "warn")  # by luck, 80 batches may tell their side by classes
    assert gates == {
        "E1": "warn",
        "E3": "pass",
        "E4": "pass",
        "N2": "pass",
        **dict.fromkeys(("E6", "P8", "P16"), "pass"),
    }
    assert [one["id"] for one in threat["gates_not_asked"]] == ["N1"]
    assert threat["adversary"]["recorded"] == {"judged": 80, "planned": 80, "left_out": []}
    page = (run / "report.html").read_text("utf-8")
    assert "at 80 of 80 recorded steps" in page
    assert "A recorded training tells no accuracy" in page


def test_the_python_call_gives_the_same_numbers(made, run, tmp_path):
    _, folder = made
    found = dosimeter.audit(
        MODEL, transcript=folder / "transcript", data={"own": own()}, threats=[THREAT], attacks=ATTACKS,
        out=tmp_path / "run", store=folder / ".store", workers=1,
    )  # fmt: skip
    wanted = json.loads((run / "result.json").read_text("utf-8"))["threats"][0]["estimates"]
    assert found.content["threats"][0]["estimates"] == wanted


def test_what_is_cut_short_is_used_as_far_as_it_goes(made, tmp_path):
    _, folder = made
    place = tmp_path / "transcript"
    shutil.copytree(folder / "transcript", place)
    (place / "000050.safetensors").unlink()
    plan = verbs.plan(parse(recorded(place), base=BASE), store=tmp_path / "store")
    assert any(note.startswith("transcript: 49 steps of 'fedsgd' between source and receiver") for note in plan.notes)
    assert any("step 50 is missing: 50 of 81 steps are used" in note for note in plan.notes)
    verbs.run(parse(recorded(place), base=BASE), tmp_path / "run", workers=1)
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))["threats"]
    (gate,) = [one for one in threat["gates"] if one["id"] == "E4"]
    assert gate["status"] == "warn"
    assert gate["message"].startswith("49 of 80 steps were recorded whole, and 49 of them are judged. Left out: ")


def rewritten(folder, place, **changes):
    """A copy of a transcript with another agreement."""
    shutil.copytree(folder / "transcript", place)
    path = place / "agreement.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")
    return place


def with_truth(folder, place, having, classes):
    """A copy of a transcript with another truth."""
    shutil.copytree(folder / "transcript", place)
    save_file({"having": np.asarray(having), "classes": np.asarray(classes)}, place / "truth.safetensors")
    return place


def test_counts_of_other_steps_withdraw_what_is_not_shown(made, tmp_path):
    _, folder = made
    truth = read_truth(folder / "transcript")
    late = with_truth(folder, tmp_path / "late", np.roll(truth.having, 7), np.roll(truth.classes, 7, axis=0))
    verbs.run(parse(recorded(late), base=BASE), tmp_path / "run", workers=1)
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))["threats"]
    assert threat["verdict"]["status"] == "withdrawn"
    assert {one["id"]: one["status"] for one in threat["gates"]}["E6"] == "fail"
    whole = receive(folder / "transcript")
    assert counted_p(whole, "source", 0) == 0.001
    alone = tuple(one for one in whole.transcript.messages if one.sender != "source")
    assert counted_p(replace(whole, transcript=Transcript(whole.agreement, alone)), "source", 0) is None
    alike = Truth(truth.having * 0, np.ones_like(truth.classes))
    assert counted_p(replace(whole, truth=alike), "source", 0) is None


def test_another_protocol_and_a_wrong_truth_are_one_line(made, tmp_path):
    _, folder = made
    truth = read_truth(folder / "transcript")
    alone = tmp_path / "alone"
    shutil.copytree(folder / "transcript", alone)
    (alone / "truth.safetensors").unlink()
    wrong = {
        rewritten(folder, tmp_path / "prox", method="fedprox"): "must name a method that is known here, got 'fedprox'",
        alone: "must hold truth.safetensors, got none",
        with_truth(folder, tmp_path / "many", truth.having + 17, truth.classes): "count no more records with the",
        with_truth(folder, tmp_path / "float", truth.having / 2, truth.classes): "be whole numbers, got float64",
        with_truth(folder, tmp_path / "few", truth.having[:10], truth.classes[:10]): "20 whole steps or more",
        with_truth(folder, tmp_path / "one", truth.having * 0, truth.classes): "20 batches or more must be judged, 5",
        with_truth(folder, tmp_path / "wide", truth.having, np.c_[truth.classes, truth.having * 0]): "the 3 classes",
    }
    for place, line in wrong.items():
        with pytest.raises(AuditError) as caught:
            verbs.plan(parse(recorded(place), base=BASE), store=tmp_path / "store")
        (found,) = caught.value.problems
        assert line in found
        assert found.isprintable()


@pytest.mark.parametrize(
    "changes",
    [{"rates": [0.5] * 80}, {"momentum": 0.0}, {"weight_decay": 0.5}, {"averaged": False}],
    ids=lambda one: next(iter(one)),
)
def test_an_agreement_by_which_the_trunk_does_not_move_is_refused(made, tmp_path, changes):
    """Adversaries undo it, so with a wrong one they would find nothing where there is something."""
    _, folder = made
    with pytest.raises(AuditError) as caught:
        verbs.plan(parse(recorded(rewritten(folder, tmp_path / "odd", **changes)), base=BASE), store=tmp_path / "store")
    (found,) = caught.value.problems
    assert "must have trunks that move by what the parties sent, with the rates, momentum" in found


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"target": {"model": None}}, "target.model: is required and missing: name the network whose layers"),
        ({"target": {"model": "mlb"}}, "target.model: unknown architecture 'mlb', did you mean 'mlp'?"),
        ({"target": {"model": "mlp", "options": {"width": 8}}}, "target.model: its shared layers must have the arrays"),
        ({"threat": {"steps": 40}}, "threat.steps: the recorded training has its own, got 40: remove it"),
        ({"threat": {"mixtures": [[1.0, 0.0], [0.7, 0.3]]}}, "threat.mixtures: one training was recorded, in which"),
        (
            {"threat": {"victim": "sorce"}},
            "threat.victim: must be a party of the stage, got 'sorce', did you mean 'source'?",
        ),
        ({"threat": {"auxiliary": "others"}}, "threat.auxiliary: no such part of data, got 'others'"),
        ({"threat": {"property": "class"}}, "threat.property: must be no function of the task's classes"),
    ],
)
def test_a_threat_that_does_not_fit_a_folder_is_one_line(made, tmp_path, changes, line):
    _, folder = made
    with pytest.raises(AuditError) as caught:
        verbs.plan(parse(recorded(folder / "transcript", **changes), base=BASE), store=tmp_path / "store")
    assert [one for one in caught.value.problems if one.startswith(line)], caught.value.problems


def test_each_family_reads_its_own_kind_of_folder(made, tmp_path):
    _, folder = made
    raw = recorded(folder / "transcript")
    raw |= {"target": {"transcript": str(folder / "transcript")}, "threat": {"family": "split", "auxiliary": "own"}}
    del raw["attack"]
    with pytest.raises(AuditError, match="'split' reads traffic over a cut, got messages of a joint training in"):
        verbs.plan(parse(raw, base=BASE), store=tmp_path / "store")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AuditError, match="'exchange' reads messages of a joint training, got traffic over a cut in"):
        verbs.plan(parse(recorded(tmp_path / "empty"), base=BASE), store=tmp_path / "store")


def test_no_game_holds_the_truth(made):
    case, folder = made
    audit = parse(recorded(folder / "transcript"), base=BASE)
    prepared = prepare_recorded(read_recorded(audit), store=Store(folder / "store"), device="cpu")
    (found,) = prepared.cases.values()
    found.training.perform()
    play = found.play(found.attacks[0])
    game = play.game()
    assert game.classes is None
    assert game.own is None
    assert {one.receiver for one in game.seen.messages if one.sender != "receiver"} <= {"all", "receiver"}
