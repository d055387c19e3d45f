"""Several threats of one run on one chain: stages are shared, each number is that of an audit alone, one report."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys

import pytest
from audits import BASE
from flat import flat

from dosimeter.config.audit import parse
from dosimeter.foundation.errors import StoreError
from dosimeter.jobs.job import models_of
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.prepared import jobs_of
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.results.views import views

PRETRAIN = {"name": "pretrain", "data": "digits", "rows": "0:300", "model": "mlp", "epochs": 3, "lr": 0.05}
FINETUNE = {"name": "finetune", "data": "digits", "rows": "300:600", "transfer": "head", "epochs": 3, "lr": 0.05}
COMMON = {"shadows": 6, "targets": 2, "population": 20}
THREATS = [
    {"id": "pretraining", "at_risk": "pretrain", **COMMON},
    {"id": "finetuning", "at_risk": "finetune", **COMMON},
    {"id": "labels", "at_risk": "finetune", "access": "labels", **COMMON},
]
ATTACKS = [
    {"name": "loss", "threats": ["pretraining", "finetuning"]},
    {"name": "gap", "threats": ["labels"]},
    {"name": "constant"},
]


def audit(*threats):
    """The chain under these adversaries; a single one has a table of its own, as in an audit alone."""
    ids = [one["id"] for one in threats]
    rows = [{key: one[key] for key in ("name",)} for one in ATTACKS if set(one.get("threats", ids)) & set(ids)]
    rows = ATTACKS if len(threats) > 1 else rows
    return {"name": "chain", "stage": [PRETRAIN, FINETUNE], "threat": list(threats), "attack": rows}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "run"
    verbs.run(parse(audit(*THREATS), base=BASE), folder, workers=1)
    return folder


def entry(folder, name):
    """The threat in a result; its answers name the audit's key."""
    found = json.loads((folder / "result.json").read_text())
    (own,) = [one for one in found["threats"] if one["id"] == name]
    return {**own, "verdict": {**own["verdict"], "answers": []}}


@pytest.mark.parametrize("threat", THREATS, ids=lambda one: one["id"])
def test_each_number_is_that_of_an_audit_alone(threat, finished, tmp_path):
    verbs.run(parse(audit(threat), base=BASE), tmp_path / "run", workers=1, store=finished.parent / ".store")
    assert entry(tmp_path / "run", threat["id"]) == entry(finished, threat["id"])


def test_each_stage_is_trained_once_for_all_that_need_it(tmp_path):
    """Eight pretrained and eight finetuned models for the first, one and eight for the others together."""
    prepared = prepare(parse(audit(*THREATS), base=BASE), store=Store(tmp_path))
    assert sum(models_of(job) for job in jobs_of(prepared.cases)) == 8 + 8 + 1 + 8
    alone = [prepare(parse(audit(one), base=BASE), store=Store(tmp_path)) for one in THREATS]
    assert [sum(models_of(job) for job in jobs_of(one.cases)) for one in alone] == [16, 9, 9]
    (pretrain, finetune) = verbs.plan(parse(audit(*THREATS), base=BASE), store=tmp_path).stages
    assert (pretrain.models, finetune.models) == (9, 16)


def test_one_report_has_a_section_for_each(finished):
    page = (finished / "report.html").read_text()
    for threat in THREATS:
        assert f"“{threat['id']}”" in page or threat["id"] in page
    assert page.count('<h2 class="lead"') >= len(THREATS)
    assert {path.name for path in (finished / "threats").iterdir()} == {one["id"] for one in THREATS}


def test_an_interrupted_run_goes_on_where_it_stopped(finished, tmp_path, monkeypatch):
    """Twelve interruptions, each after one more entry or two; nothing is done twice, and the bytes are the same."""
    saved, real = [], Store.save

    def save(store, key, tensors, definition):
        if len(saved) >= limit:
            raise KeyboardInterrupt
        saved.append(key)
        real(store, key, tensors, definition)

    monkeypatch.setattr(Store, "save", save)
    limit = 0
    for more in (*random.Random(0).choices((1, 2, 5), k=12), 10_000):
        limit = len(saved) + more
        with contextlib.suppress(KeyboardInterrupt):
            verbs.run(parse(audit(*THREATS), base=BASE), tmp_path / "run", workers=1)
    assert len(set(saved)) == len(saved)
    assert (tmp_path / "run" / "result.json").read_bytes() == (finished / "result.json").read_bytes()


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_gives_the_same_bytes(finished, tmp_path):
    """SIGKILL at 30 random moments with two processes; a run that comes to its end begins again in another folder."""
    rng, whole = random.Random(0), (finished / "result.json").read_bytes()
    code = (
        "import json, sys; from pathlib import Path; from dosimeter.config.audit import parse; "
        "from dosimeter.pipeline import verbs; "
        "verbs.run(parse(json.loads(sys.argv[1]), base=Path.cwd()), Path(sys.argv[2]), workers=2)"
    )
    killed, ended, stages = 0, 0, set()
    while killed < 30:
        folder = tmp_path / str(ended) / "run"
        command = [sys.executable, "-c", code, json.dumps(audit(*THREATS)), str(folder)]
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(2.5, 7.0))
            process.kill()
        killed += process.returncode == -signal.SIGKILL
        stages.add(len(list((folder.parent / ".store").glob("*/manifest.json"))))
        if process.returncode == 0:
            assert (folder / "result.json").read_bytes() == whole
            ended += 1
        else:
            assert process.returncode == -signal.SIGKILL
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (folder / "result.json").read_bytes() == whole
    assert len(stages) > 5, stages


def test_the_worst_verdict_leads(finished):
    found = json.loads((finished / "result.json").read_text())
    statuses = {one["id"]: one["verdict"]["status"] for one in found["threats"]}
    assert found["verdict"]["status"] in statuses.values()
    assert statuses[found["verdict"]["threat"]] == found["verdict"]["status"]
    assert found["verdict"]["sentences"][0].startswith("3 threats were tested: ")
    with pytest.raises((AssertionError, ValueError, KeyError)):
        flat(found)  # which is for one threat


def test_each_section_is_about_its_own_stage(finished):
    """What is at risk under another threat is not at risk here, and a deployed model is not said to be transferred."""
    found = {view["id"]: view for view in views(json.loads((finished / "result.json").read_text()))}
    marked = {name: [one["stage"] for one in view["chain"] if one["at_risk"]] for name, view in found.items()}
    assert marked == {"pretraining": ["pretrain"], "finetuning": ["finetune"], "labels": ["finetune"]}
    for name, view in found.items():
        answers = " ".join(one["answer"] for one in view["verdict"]["answers"])
        assert ("came from the last stage" in answers) == (name == "pretraining")
    page = (finished / "report.html").read_text()
    assert page.count("The model at risk is not deployed") == 1
    assert page.count('<span class="tag risk">records at risk</span>') == 3


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", "a/b", "..", ""])
@pytest.mark.parametrize("kind", ["threats", "variants"])
def test_an_id_in_run_json_leads_nowhere_else(kind, name, finished, tmp_path):
    """Measuring writes below `threats/ID` and `variants/ID`, and a run's folder may come from a stranger."""
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    summary = json.loads(path.read_text())
    summary.setdefault("variants", [{"id": "x", "status": "ok"}])[0]["id"] = name if kind == "variants" else "x"
    summary["threats"][0]["id"] = name if kind == "threats" else "pretraining"
    path.write_text(json.dumps(summary))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match="is damaged .*id must be a name without slashes"):
        verbs.measure(tmp_path / "run")
    assert sorted(tmp_path.rglob("*")) == before
