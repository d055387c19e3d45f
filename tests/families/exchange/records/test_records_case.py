"""A threat about records: what is refused at plan, and a whole run with its report, limits and variants."""

from __future__ import annotations

import json

import pytest

from dosimeter.config.audit import parse
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from families.exchange.games import BASE, table
from families.exchange.records.audits import records_table


def problems(raw, folder):
    """Lines about an audit; nothing is trained."""
    with pytest.raises(AuditError) as caught:
        prepare(parse(raw, base=BASE), store=Store(folder))
    assert not list(folder.rglob("*.safetensors"))
    return caught.value.problems


def convolved(shape, classes):
    """A net whose first layer is no dense one."""
    from torch import nn

    return nn.Sequential(
        nn.Unflatten(1, (1, shape[0])), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(4 * (shape[0] - 2), 8), nn.ReLU(), nn.Linear(8, classes),
    )  # fmt: skip


def with_model(raw, name):
    raw["stage"][-1]["model"] = f"families.exchange.records.test_records_case:{name}"
    return raw


def asked(attack, method="fedsgd", **threat):
    """An audit with one attack that reads messages."""
    raw = records_table(method, **threat)
    raw["attack"][0] = {"name": attack}
    return raw


def guarded(raw, defense):
    raw["stage"][-1]["defenses"] = [defense]
    return raw


CANNOT = "threat.family: exchange needs an attack that can run, got"
COMPRESS = {"name": "compress", "how": "sign"}
WRONG = [
    (records_table(property="size"), "threat.property: is read for question = 'property' or 'tasks' or "),
    (records_table(mixtures=[[1.0, 0.0]]), "threat.mixtures: is read for question = 'property' or "),
    ({**table(), "threat": {**table()["threat"], "batches": 9}}, "threat.batches: is read for question = 'records'"),
    (records_table(question="everything"), "threat.question: must be one of 'property', 'records', 'tasks',"),
    (records_table(victim=None), "threat.victim: is required and missing"),
    (records_table(batches=4), "threat.batches: must be at least 8, got 4"),
    (records_table(batches=21), "threat.batches: must be at most the 20 steps of the training that are seen, got 21"),
    (records_table(batches=16, steps=40) | {"stage": [{**records_table()["stage"][0], "batch_size": 24}]},
     "threat.batches: source must hold 16 batches of 24 with equal classes"),
    (asked("batch_property"), "threat.question: is 'records', which attack 'batch_property gradient' does not answer"),
    (asked("mean_record") | {"attack": [{"name": "any_record"}]}, "threat.family: exchange needs an attack that reads"),
    (asked("dense_inversion", "fedavg"), "threat.family: exchange needs an attack that can run, got dense_inversion"),
    (with_model(asked("dense_inversion"), "convolved"), CANNOT),
    (asked("idlg"), CANNOT),
    (asked("idlg", "coral", head="seen"), CANNOT),
    (guarded(asked("idlg", head="seen"), COMPRESS), CANNOT),
    (records_table(auxiliary="source"), "threat.auxiliary: must share nothing with 'source'"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "line"), WRONG, ids=[line[:50] for _, line in WRONG])
def test_a_wrong_threat_is_one_line(raw, line, tmp_path):
    raw["threat"] = {key: one for key, one in raw["threat"].items() if one is not None}
    found = problems(raw, tmp_path)
    assert [one for one in found if one.startswith(line)], found
    assert all(one.isprintable() for one in found)


def test_a_plan_names_what_cannot_run_and_what_is_sought(tmp_path):
    raw = records_table()
    del raw["attack"]
    plan = verbs.plan(parse(raw, base=BASE), store=tmp_path)
    refused = {one.id: one.refused for one in plan.attacks}
    assert refused["dense_inversion gradient"] == refused["dlg gradient"] == refused["any_record"] == ""
    assert not any(refused.values())  # nobody named what cannot run
    assert not refused.keys() & {"dlg update", "inverting_gradients gradient", "head_features"}
    raw["attack"] = [{"name": "dlg"}, {"name": "inverting_gradients"}, {"name": "dlg", "channel": "update"}]
    refused = {one.id: one.refused for one in verbs.plan(parse(raw, base=BASE), store=tmp_path).attacks}
    assert "write head = 'seen'" in refused["inverting_gradients gradient"]
    assert "which transfer 'fedsgd' does not send" in refused["dlg update"]
    assert any(note.startswith("records: 8 batches of 4 of 'source' are sought") for note in plan.notes)
    assert plan.seconds > 0


def test_threats_of_both_questions_stand_in_one_file(tmp_path):
    raw = table()
    del raw["attack"]
    both = {"property": raw.pop("threat"), "records": records_table()["threat"]}
    raw["threat"] = [{**one, "id": name} for name, one in both.items()]
    cases = prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases
    names = {name: {row.name for row in (case.attacks if name == "property" else case.joint.attacks)}
             for name, case in cases.items()}  # fmt: skip
    assert "batch_property" in names["property"]
    assert "dense_inversion" in names["records"]
    assert not names["property"] & names["records"]
    raw["attack"] = [{"name": "coin"}, {"name": "label_only"}, {"name": "batch_property"}]
    found = problems(raw, tmp_path)
    assert any(
        "is 'records', which attack 'coin' does not answer: give its [[attack]] `threats`" in one for one in found
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a variant."""
    folder = tmp_path_factory.mktemp("records")
    raw = records_table()
    del raw["stage"][-1]["test"], raw["data"]["later"]
    raw["stage"][-1] |= {"momentum": 0.0, "batch_size": 2}
    raw["defense"] = [{"name": "sgld", "id": "noisy", "scale": 1.0}]
    verbs.run(parse(raw, base=BASE), folder / "run", workers=1, store=folder / "store")
    return folder


def test_a_run_shows_the_leak_of_a_dense_layer_and_that_noise_hides_it(run):
    result = json.loads((run / "run" / "result.json").read_text(encoding="utf-8"))
    (threat,) = result["threats"]
    assert threat["verdict"]["status"] == "shown"
    assert threat["verdict"]["sentences"][0].startswith("The party “receiver” can tell which records of “source” are")
    rows = {(row["attack"], row["metric"], row["variant"]): row for row in threat["estimates"]}
    dense = "dense_inversion gradient"
    assert rows[dense, "recovered", "none"]["low"] > 0.3
    assert rows[dense, "identified", "none"]["low"] > 0.3
    assert rows["any_record", "recovered", "none"]["value"] == 0
    assert rows[dense, "recovered_change", "noisy"]["high"] < 0
    assert {one["status"] for one in threat["null_audit"]} == {"pass"}
    assert threat["dose"]["ceiling"] == 3  # of 8 records of a class


def test_its_report_has_the_table_and_no_pictures_unless_asked_for(run):
    page = (run / "run" / "report.html").read_text(encoding="utf-8")
    assert "Records made again from the messages" in page
    assert "yardstick: the mean record" in page
    assert "data:image/png" not in page
