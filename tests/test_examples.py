"""The examples run as they are, but for fewer models."""

import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dosimeter import pipeline
from dosimeter.cli import main
from dosimeter.config import load, parse

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
def test_an_example_runs(file, tmp_path, clean_imports):
    assert load(file).name == file.parent.name
    table = tomllib.loads(file.read_text("utf-8"))
    table["stage"][0]["rows"] = "0:160"
    table["threat"] |= {"shadows": 6, "targets": 2, "population": 40}
    audit = parse(table, base=file.parent)
    report = pipeline.run(audit, tmp_path / audit.name, workers=1)
    assert report.stat().st_size > 10_000
    result = json.loads((tmp_path / audit.name / "result.json").read_text("utf-8"))
    assert all(attack["status"] == "ok" for attack in result["attacks"])
    assert result["data"]["candidates"] == 120
    assert result["data"]["members_per_target"] == 60
    assert result["noun"] == "customer"
    # 120 non-members certify 2.5 % at best, so the audit steps up from the 1 % it would lead with
    assert result["verdict"]["fpr"] == 0.1
    assert result["verdict"]["status"] in ("shown", "not_shown")


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
    subprocess.run([sys.executable, *script[1:]], check=True, timeout=60)
    assert table.read_bytes() == shipped
    assert main(measure[1:]) == 0
    result = json.loads((tmp_path / "runs" / "own-scores" / "result.json").read_text("utf-8"))
    assert (result["door"], result["noun"], result["data"]["candidates"]) == ("scores", "customer", 600)
    assert result["verdict"]["status"] == "shown"
    assert result["verdict"]["attack"] == "ours"
    assert not {"scores.parquet", "truth"} & {path.name for path in (tmp_path / "runs" / "own-scores").iterdir()}
