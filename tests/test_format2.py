"""Run folders that a release with version 2 of result.json left: they open, and no number has moved.

The folders are in `golden/format2`, without games and provenance: a recipe with persons, groups, canaries and a
defense; a supplied model with and without shadows; two tables of scores, one of which shows nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flat import flat
from test_golden import differences

import dosimeter
from dosimeter.cli.app import main
from dosimeter.families.membership.measures import detection_limit
from dosimeter.pipeline import table, verbs

OLD = Path(__file__).parent / "golden" / "format2"
RUNS = ("recipe", "supplied", "shadows")
TABLES = ("table", "chance")
STATUS = {"recipe": "shown", "supplied": "not_shown", "shadows": "shown", "table": "shown", "chance": "not_shown"}


@pytest.fixture(autouse=True)
def as_few_worlds_as_then(monkeypatch):
    """The stored limits were found with so many worlds."""
    monkeypatch.setattr(detection_limit, "WORLDS", 40)


def stored(name: str) -> dict:
    return json.loads((OLD / name / "result.json").read_text("utf-8"))


def moved(content: Mapping[str, Any], name: str) -> list[str]:
    """Differences between what is measured now and what is stored.

    What was not tested was told in another order, without the sentence about shadows that there are not, and without
    features at a cut, about which no family asked.
    """
    now, before = flat(json.loads(json.dumps(content))), stored(name)
    new = [one for one in now["not_tested"] if not one.startswith("Attackers with shadow models: this audit had no")]
    new = [one.replace(", features at a cut: only", ": only") for one in new]
    assert sorted(new) == sorted(before["not_tested"])
    return differences({**now, "not_tested": []}, {**before, "not_tested": []})


@pytest.fixture
def run(tmp_path):
    """Copies a stored run, so that it can be measured."""

    def copied(name: str) -> Path:
        return Path(shutil.copytree(OLD / name, tmp_path / name))

    return copied


@pytest.mark.parametrize("name", RUNS)
def test_a_stored_run_is_measured_as_it_was(name, run):
    folder = run(name)
    assert moved(verbs.measure(folder), name) == []
    for own in sorted((folder / "variants").glob("*")):
        found = json.loads((own / "result.json").read_text("utf-8"))
        assert moved(found, f"{name}/variants/{own.name}") == []


@pytest.mark.parametrize("name", TABLES)
def test_a_stored_table_is_measured_as_it_was(name, tmp_path):
    scores = shutil.copy(OLD / name / "scores.csv", tmp_path / f"{stored(name)['name']}.csv")
    found = table.measure_scores(Path(scores), tmp_path / "run", leading_fpr=0.1)
    assert moved(found, name) == []


@pytest.mark.parametrize("name", [*RUNS, *TABLES])
def test_a_result_of_version_2_opens_in_every_reader(name, run, tmp_path, capsys):
    folder, policy = run(name), tmp_path / "policy.toml"
    policy.write_text('[[limit]]\nmetric = "tpr"\nfpr = 0.1\nmax = 0.01\n[[limit]]\nmetric = "auc"\nmax = 0.999\n')
    assert main(["report", str(folder)]) == 0
    assert "Membership" in (folder / "report.html").read_text("utf-8")
    assert main(["check", str(folder), "--policy", str(policy)]) == 1
    assert main(["check", str(folder), "--accepted", str(folder)]) in (0, 1)
    capsys.readouterr()
    assert main(["diff", str(folder), str(folder)]) == 0
    assert "The audits do not differ" in capsys.readouterr().out
    found = dosimeter.load(folder)
    assert found.status == STATUS[name]
    assert found.sentences == tuple(stored(name)["verdict"]["sentences"])
    rows = {(one.attack, one.metric, one.fpr, one.prior, one.group, one.variant, one.threshold): one
            for one in found.estimates}  # fmt: skip
    for row in stored(name)["estimates"]:
        key = tuple(row[part] for part in ("attack", "metric", "fpr", "prior", "group", "variant", "threshold"))
        assert (rows[key].estimate.value, rows[key].fpr_reached) == (row["value"], row["fpr_reached"])
        assert (rows[key].estimate.n_members, rows[key].estimate.n_nonmembers) == (
            row["n_members"], row["n_nonmembers"],
        )  # fmt: skip


def test_a_run_that_was_measured_anew_does_not_differ_from_what_was_stored(run, capsys):
    folder = run("recipe")
    verbs.measure(folder)
    assert main(["diff", str(OLD / "recipe"), str(folder)]) == 0
    told = capsys.readouterr().out
    assert "The audits do not differ" in told
    moved = [line for line in told.splitlines() if line.startswith(("moved", "new:", "gone:", "changed"))]
    assert moved
    new = (", dose: ", ", log mia")  # version 2 had neither
    assert all(line.startswith("new:") and any(name in line for name in new) for line in moved), moved
