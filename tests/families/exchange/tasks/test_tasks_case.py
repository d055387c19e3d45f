"""A threat about tasks: what is refused at plan, a whole run, and chance where nothing is to be told."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.exchange.attacks import ATTACKS, TaskCoin, TaskInference, UntrainedEncoder
from dosimeter.families.exchange.family import EXCHANGE
from dosimeter.families.exchange.measures.measured import Measured
from dosimeter.families.exchange.measures.shown import ALPHA, Decisions, pooled
from dosimeter.families.exchange.section.tasks import tasks_section
from dosimeter.families.exchange.stored import evidence_file, read_left, truth_file
from dosimeter.families.exchange.tasks.game import TasksGame
from dosimeter.families.exchange.tasks.measure import measure_tasks
from dosimeter.families.family import CaseFolder
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import ensure
from dosimeter.jobs.runners import SerialRunner
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.statistics.leakage.exchange import exchange_attributes
from families.exchange.games import BASE
from families.exchange.tasks.audits import TASKS, tasks_table


def changed(**threat):
    """An audit with other keys of the threat."""
    return tasks_table(**threat)


def with_attacks(*names):
    """An audit with attacks of its own."""
    return {**tasks_table(), "attack": [{"name": one} for one in names]}


def without_pool():
    """An adversary without records of other tasks."""
    raw = tasks_table()
    raw["data"]["own"]["rows"] = "0:350"
    return raw


WRONG = [
    (changed(property=None), "threat.property: is required and missing"),
    (changed(property="sex"), "threat.property: the records of 'source' have no such attribute, got 'sex'"),
    (changed(property="few"), "threat.property: 8 tasks or more must have records of the victim and 2 or more in"),
    (changed(value="p01"), "threat.value: is read for question = 'property' or 'distribution' alone, got 'p01'"),
    (changed(show_records=True), "threat.show_records: is read for question = 'records' alone, got True"),
    (with_attacks("task_coin"), "threat.family: exchange needs an attack that reads messages, got task_coin: add"),
    (with_attacks("task_inference", "coin"), "threat.question: is 'tasks', which attack 'coin' does not answer"),
    ({**tasks_table(), "attack": [{"name": "task_inference", "statistic": "mean"}]}, "attack[0].statistic: must be"),
    (without_pool(), "threat.auxiliary: must hold 20 records or more of tasks that"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "line"), WRONG, ids=[line[:50] for _, line in WRONG])
def test_a_wrong_threat_is_one_line(raw, line, tmp_path):
    raw["threat"] = {key: one for key, one in raw["threat"].items() if one is not None}
    with pytest.raises(AuditError) as caught:
        prepare(parse(raw, base=BASE), store=Store(tmp_path))
    assert [one for one in caught.value.problems if one.startswith(line)], caught.value.problems


def test_the_victim_trains_on_half_of_the_tasks(tmp_path):
    (case,) = prepare(parse(tasks_table(targets=2), base=BASE), store=Store(tmp_path)).cases.values()
    persons = case.joint.partners.parties["source"].attributes["person"]
    assert len(case.asked.names) == TASKS
    for target, run in enumerate(case.runs):
        kept = {name for name, coin in zip(case.asked.names, case.coins[target], strict=True) if coin}
        assert len(kept) == TASKS // 2
        assert set(persons[run.members[0].batches].ravel()) == kept
    own = case.joint.partners.auxiliary.attributes["person"]
    assert not set(own[case.asked.pool]) & set(case.asked.names)
    assert not np.array_equal(case.coins, case.null_coins)
    assert any(note.startswith("tasks: 24 values of person; in each of 2 trainings") for note in case.notes())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of tasks that an encoder must look at to tell them apart."""
    folder = tmp_path_factory.mktemp("tasks")
    verbs.run(parse(tasks_table(), base=BASE), folder / "run", workers=1, store=folder / "store")
    return folder / "run"


def test_tasks_that_an_encoder_learned_to_look_at_are_told(run):
    (threat,) = json.loads((run / "result.json").read_text(encoding="utf-8"))["threats"]
    assert threat["verdict"]["status"] == "shown"
    assert threat["verdict"]["sentences"][0].startswith("The party “receiver” can tell on records of which values of")
    rows = {(row["attack"], row["metric"]): row for row in threat["estimates"]}
    assert rows["task_inference inner", "task_auc"]["value"] > 0.8
    assert rows["untrained_encoder", "task_auc"]["value"] < 0.8
    assert rows["task_inference inner", "task_auc"]["n"] == {"tasks": TASKS}
    assert {one["status"] for one in threat["null_audit"]} == {"pass"}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "What the shared layers were trained on" in page
    assert "yardstick: before the training" in page


def game():
    """Tasks of which the encoder passes the first half on and not the second."""
    seeded = torch.Generator().manual_seed(0)
    encoder = nn.Linear(8, 8, bias=False)
    with torch.no_grad():
        encoder.weight.copy_(torch.eye(8) * torch.tensor([5.0] * 4 + [0.1] * 4))
    start = nn.Linear(8, 8, bias=False)
    probes = tuple(torch.randn(6, 8, generator=seeded) + 3 * torch.eye(8)[one] for one in range(8))
    return TasksGame(np.arange(8), encoder, start, probes, torch.randn(80, 8, generator=seeded))


def test_attacks_are_seeded_and_registered():
    asked = game()
    for attack in (TaskInference(), TaskInference("compact"), UntrainedEncoder(), TaskCoin()):
        assert type(attack) in ATTACKS.values()
        first, again = (attack.run(asked, np.random.default_rng(1)).values for _ in range(2))
        assert first.shape == (1, 8, 2)
        np.testing.assert_allclose(first, again, rtol=1e-5)
        assert np.isfinite(first).all()


def left(folder, seed, *, told=0.0, targets=1, n=30):
    """What a run left, whose scores are the halves times a strength plus noise."""
    rng = np.random.default_rng(seed)
    halves = np.stack([[rng.permutation(n) < n // 2 for _ in range(targets)] for _ in range(2)])
    save_arrays(truth_file(folder), {"coins": halves[:1], "null_coins": halves[1]})
    rows = []
    kinds = (("task_inference", "trunk", {}), ("untrained_encoder", None, {"reference": True}), ("task_coin", None, {}))
    for index, (name, channel, more) in enumerate(kinds):
        own, null = rng.normal(size=(2, targets, n))
        own = own + told * (index == 0) * (2.0 * halves[0] - 1)
        arrays = {"guesses": np.stack([-own, own], -1)[None], "null_guesses": np.stack([-null, null], -1)}
        save_arrays(evidence_file(folder, index), arrays)
        rows.append(
            {
                "id": name, "name": name, "mode": None, "paper": "none", "control": name == "task_coin", "settings": {},
                "status": "ok", "reason": "", "channel": channel, "reads": "messages", **more,
            }
        )  # fmt: skip
    threat = {
        "question": "tasks", "at_risk": "joint", "access": "weights", "targets": targets, "method": "fedsgd",
        "parties": ["source", "receiver"], "victim": "source", "adversary": "receiver", "receiver": "receiver",
        "property": "person", "auxiliary": "own", "steps": 40, "batch_size": 16, "mixtures": [[1.0, 0.0]],
    }  # fmt: skip
    data = {
        "name": "source", "records": 300, "parties": {"source": 300, "receiver": 30}, "auxiliary": 100, "tasks": n,
        "probes": 60, "pool": 40, "test": None,
    }  # fmt: skip
    return CaseFolder(folder, {"seed": seed, "noun": "photo", "threat": threat, "data": data, "attacks": rows})


def test_findings_fit_the_schema_and_make_a_page(tmp_path):
    for seed, told in enumerate([2.0, 0.0]):
        found = measure_tasks(left(tmp_path / str(seed), seed, told=told))
        assert found.verdict["status"] == ("shown" if told else "not_shown")
        made = {
            "noun": "photo", "verdict": dict(found.verdict), "adversary": dict(found.adversary),
            "data": dict(found.data), "details": dict(found.details), "attacks": found.attacks,
            "estimates": found.estimates, "utility": found.utility, "dose": found.dose.to_json(),
        }  # fmt: skip
        plain = {key: made[key] for key in ("adversary", "data", "verdict", "details")}
        jsonschema.Draft202012Validator(EXCHANGE.details_schema).validate(json.loads(json.dumps(plain)))
        assert tasks_section(made).leads[0] == "task_auc"


def test_where_encoders_tell_nothing_it_is_rarely_shown(tmp_path):
    """Of 40 runs 2 are shown in the mean; more than 6 are so in 1 of 250 such simulations."""
    shown = [
        Decisions(Measured(read_left(left(tmp_path / str(seed), seed, targets=1 + seed % 3)))).headline.shown
        for seed in range(40)
    ]
    assert sum(shown) <= 6, sum(shown)


@pytest.mark.slow
def test_of_200_audits_of_unseen_tasks_few_show_anything(tmp_path):
    """Nobody trains on a task that is asked about. At 5 % more than 17 are shown in 1 of 50 simulations."""
    shown = 0
    for seed in range(200):
        raw = {**tasks_table(steps=60), "seed": seed}
        store = Store(tmp_path / str(seed))
        (case,) = prepare(parse(raw, base=BASE), store=store).cases.values()
        for one in case.datasets():
            save_data(one, store)
        jobs = [case.joint.plain[0], *(case.plays(row)[1][0] for row in case.joint.attacks)]
        for job in jobs:
            ensure([job], SerialRunner(), lambda count, total: None)
        row = next(one for one in case.joint.attacks if one.name == "task_inference")
        guesses = case.plays(row)[1][0].load()[None]
        coins, n = case.null_coins.astype(np.int64).ravel(), TASKS
        (p,) = exchange_attributes([pooled(guesses)], coins, np.arange(n), rng=generator(seed, "test"))
        shown += p <= ALPHA
    assert shown <= 17, shown
