"""Whole runs on real data: every transfer method, resuming after kill -9, runners, damaged caches, re-measuring."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from audits import BASE, audit, table
from flat import flat, problems

from dosimeter.config.audit import parse
from dosimeter.families.membership.measures.material import choose_headline
from dosimeter.families.membership.rates import FPRS
from dosimeter.families.membership.stored import material_of, read_case
from dosimeter.foundation.errors import StoreError
from dosimeter.jobs.runners import ProcessRunner
from dosimeter.jobs.store import Store
from dosimeter.pipeline import page, verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.pipeline.run_folder import read_run

PRETRAIN = {"name": "pretrain", "data": "digits", "rows": "800:1200", "model": "mlp", "epochs": 3, "lr": 0.05}

FEW = {"attack": [{"name": "loss"}, {"name": "lira"}]}


def chain(transfer: str = "head", **stage: object) -> dict[str, object]:
    """A pretrained perceptron, transferred."""
    finetune = {"name": "finetune", "data": "digits", "rows": "0:400", "transfer": transfer, "epochs": 3, "lr": 0.05}
    return table() | {"name": f"chain-{transfer}", "stage": [PRETRAIN, {**finetune, **stage}]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a finetuned head."""
    out = tmp_path_factory.mktemp("runs") / "head"
    verbs.run(parse(chain(standardise=True), base=BASE), out, workers=1)
    return out


def content(folder: Path) -> dict:
    return flat(json.loads((folder / "result.json").read_text()))


def test_a_run_leaves_what_its_page_says(finished):
    found = content(finished)
    assert problems(found) == []
    assert [stage["stage"] for stage in found["chain"]] == ["pretrain", "finetune"]
    assert found["data"]["members_per_target"] == 180
    assert {gate["id"] for gate in found["gates"]} == {
        *(f"P{number}" for number in range(1, 19) if number != 11), "N1", "N2",
    }  # fmt: skip
    assert {row["split"] for row in found["utility"]} == {"train", "nonmember", "test"}
    assert all(row["value"] > 0.7 for row in found["utility"])
    scores = pq.read_table(finished / "threats" / "membership" / "scores.parquet").to_pydict()
    assert len(scores["score"]) == 11 * 4 * 360
    assert sum(scores["is_member"]) == 11 * 4 * 180
    provenance = json.loads((finished / "provenance.json").read_text())
    assert provenance["versions"]["torch"]
    assert provenance["data_sha256"]
    assert "<script" not in (finished / "report.html").read_text()


def test_measure_and_report_give_the_same_bytes_again(finished):
    before = [
        (finished / name).read_bytes() for name in ("result.json", "report.html", "threats/membership/scores.parquet")
    ]
    verbs.measure(finished)
    page.report(finished)
    assert [
        (finished / name).read_bytes() for name in ("result.json", "report.html", "threats/membership/scores.parquet")
    ] == before


def test_running_again_trains_nothing(finished):
    phases: dict[str, list[int]] = {}
    before = (finished / "result.json").read_bytes()
    verbs.run(
        parse(chain(standardise=True), base=BASE),
        finished,
        workers=1,
        progress=lambda phase, done, total: phases.setdefault(phase, []).append(done),
    )
    assert phases["models"] == [1]
    assert phases["stage pretrain"] == [1]
    assert (finished / "result.json").read_bytes() == before


@pytest.mark.parametrize(
    "stage",
    [
        {"transfer": "last-k"},
        pytest.param({"transfer": "scratch", "model": "linear"}, marks=pytest.mark.slow),
        pytest.param({"transfer": "full"}, marks=pytest.mark.slow),
        pytest.param({"transfer": "head"}, marks=pytest.mark.slow),
    ],
)
def test_serial_and_process_runners_give_the_same_bytes(stage, tmp_path):
    settings = parse(chain(**stage) | FEW, base=BASE)
    verbs.run(settings, tmp_path / "serial" / "run", workers=1)
    verbs.run(settings, tmp_path / "processes" / "run", workers=2)
    for name in ("result.json", "threats/membership/scores.parquet", "run.json"):
        one, other = (tmp_path / kind / "run" / name for kind in ("serial", "processes"))
        assert one.read_bytes() == other.read_bytes(), name
    entries = [sorted(path.name for path in (tmp_path / kind / ".store").iterdir()) for kind in ("serial", "processes")]
    assert entries[0] == entries[1]
    for key in entries[0]:
        files = [tmp_path / kind / ".store" / key / "tensors.safetensors" for kind in ("serial", "processes")]
        assert files[0].read_bytes() == files[1].read_bytes(), key


def count_threads(folder):
    """Write how many threads each library computes with; SciPy's is loaded here, after the worker has begun."""
    import scipy.linalg  # noqa: F401
    import torch
    from threadpoolctl import threadpool_info

    counts = [torch.get_num_threads(), *(one["num_threads"] for one in threadpool_info())]
    (folder / str(os.getpid())).write_text(json.dumps(counts))


def test_workers_compute_with_one_thread_in_every_library(tmp_path, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    runner = ProcessRunner(1)
    runner.run(count_threads, [tmp_path] * 2, lambda _: None)
    runner.close()
    (told,) = tmp_path.iterdir()
    assert set(json.loads(told.read_text())) == {1}


SCRIPT = """
import json, sys
from pathlib import Path
from dosimeter.config.audit import parse
from dosimeter.pipeline import verbs
table, base, out, workers = json.loads(sys.argv[1])
verbs.run(parse(table, base=Path(base)), Path(out), workers=workers)
"""


def killed_after(entries: int, settings: dict, out: Path, workers: int) -> None:
    """Start a run in another process and kill it as soon as its store has so many entries."""
    arguments = [sys.executable, "-c", SCRIPT, json.dumps([settings, str(BASE), str(out), workers])]
    process = subprocess.Popen(
        arguments, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    limit = time.monotonic() + 600
    while process.poll() is None and len(list(out.parent.glob(".store/*/manifest.json"))) < entries:
        assert time.monotonic() < limit, "the run did not get so far"
        time.sleep(0.002)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors


@pytest.mark.parametrize("entries", [4, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 9))])
def test_a_killed_run_continues_to_the_same_bytes(entries, tmp_path):
    settings = chain("full") | FEW
    verbs.run(parse(settings, base=BASE), tmp_path / "whole" / "run", workers=1)
    out = tmp_path / "killed" / "run"
    killed_after(entries, settings, out, workers=1)
    done = len(list(out.parent.glob(".store/*/manifest.json")))
    assert done >= entries
    verbs.run(parse(settings, base=BASE), out, workers=1)
    assert (out / "result.json").read_bytes() == (tmp_path / "whole" / "run" / "result.json").read_bytes()
    assert not list(out.parent.glob(".store/.draft-*"))


def test_a_damaged_entry_is_found_by_its_hash_and_made_again(tmp_path, caplog):
    settings = parse(chain() | FEW, base=BASE)
    out = tmp_path / "run"
    verbs.run(settings, out, workers=1)
    before = (out / "result.json").read_bytes()
    for path in (tmp_path / ".store").glob("*/tensors.safetensors"):
        damaged = bytearray(path.read_bytes())
        damaged[-1] ^= 0xFF
        path.write_bytes(damaged)
    verbs.run(settings, out, workers=1)
    assert "damaged" in caplog.text
    assert (out / "result.json").read_bytes() == before


def test_a_folder_of_another_audit_is_refused(finished):
    with pytest.raises(StoreError, match="holds another audit"):
        verbs.run(audit(), finished, workers=1)


def test_an_attack_that_needs_more_is_refused_and_listed(tmp_path):
    verbs.run(audit(population=0, access="probs", shadows=4, targets=2), tmp_path / "run", workers=1)
    listed = {row["id"]: row for row in content(tmp_path / "run")["attacks"]}
    assert listed["influence"]["status"] == "refused"
    assert "features" in listed["influence"]["reason"]
    assert listed["lira online"]["status"] == "refused"
    assert "shadows" in listed["lira online"]["reason"]
    assert listed["loss"]["status"] == "ok"


def test_one_target_is_measured_as_this_model_only(tmp_path):
    verbs.run(audit(targets=1), tmp_path / "run", workers=1)
    found = content(tmp_path / "run")
    row = next(row for row in found["estimates"] if row["metric"] == "auc")
    assert "this trained model only" in row["method"]
    assert row["n_targets"] == 1


def test_adding_an_attack_moves_no_other_number(tmp_path):
    few = table() | {"attack": [{"name": "loss"}, {"name": "lira"}]}
    many = table() | {"attack": [{"name": "count"}, {"name": "loss"}, {"name": "lira"}]}
    for name, settings in (("few", few), ("many", many)):
        verbs.run(parse(settings, base=BASE), tmp_path / name, store=tmp_path / "store", workers=1)
    one, other = (
        [row for row in content(tmp_path / name)["estimates"] if row["attack"] != "count"] for name in ("few", "many")
    )
    assert one == other


def test_only_attacks_that_lead_at_a_rate_play_in_halves(finished):
    """The headline is among them, whatever the rate, and no other attack's scores of halves are read."""
    (folder,) = read_run(finished).cases.values()
    material = material_of(read_case(folder))
    wanted = [replace(material, summary={**material.summary, "leading_fpr": fpr}) for fpr in FPRS]
    headlines = {choose_headline(one)[1] for one in wanted}
    case = prepare(parse(chain(standardise=True), base=BASE), store=Store(finished.parent / ".store")).case
    assert set(case.plays.leaders.load()) == headlines
    assert material.apart.keys() <= headlines  # some need more shadows than one half leaves
    assert len(headlines) <= len(FPRS) < len(material.scores)
    assert {one.shape for one in material.apart.values()} == {(10, 360)}
    assert content(finished)["exposure"]["records"]["ranking"] == "apart"


def test_evidence_can_be_attacked_anew_without_pickle(finished):
    with np.load(finished / "threats" / "membership" / "games" / "outputs.npz", allow_pickle=False) as file:
        assert file["logit_confidence"].shape == (10, 1, 400)
    with np.load(finished / "threats" / "membership" / "truth" / "truth.npz", allow_pickle=False) as file:
        assert file["member"].shape == (4, 360)
