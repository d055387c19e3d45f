"""A joint training from the audit file to the report, a policy, a variant and a comparison."""

from __future__ import annotations

import json

import pytest
from families.exchange.games import BASE, table

from dosimeter.cli.app import main
from dosimeter.config.audit import parse
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a variant that trains by other steps, and one behind a defense of messages."""
    folder = tmp_path_factory.mktemp("exchange")
    raw = table()
    raw["defense"] = [{"name": "compress", "how": "sign"}]
    raw["variant"] = [{"id": "slow", "stage": {"joint": {"lr": 0.005}}}]
    verbs.run(parse(raw, base=BASE), folder / "run", workers=1)
    return folder / "run"


def test_a_run_leaves_rows_a_variant_and_a_page(run):
    result = json.loads((run / "result.json").read_text("utf-8"))
    (threat,) = result["threats"]
    assert threat["family"] == "exchange"
    rows = {(row["variant"], row["metric"]) for row in [*threat["estimates"], *result["utility"]]}
    assert rows >= {("none", "property_auc"), ("none", "accuracy"), ("none", "transfer_gain"),
                    ("slow", "property_auc_change"), ("slow", "accuracy_change")}  # fmt: skip
    behind = [row for row in threat["estimates"] if row["metric"] == "property_auc_change" and "sign" in row["variant"]]
    assert [row["attack"] for row in behind] == ["batch_property gradient"]
    assert behind[0]["low"] <= behind[0]["value"] <= behind[0]["high"]
    assert any(
        row["metric"] == "accuracy_change" and row["variant"] == behind[0]["variant"] for row in result["utility"]
    )
    (stage,) = result["chain"]
    assert stage["transfer"] == "fedsgd"
    assert stage["settings"]["parties"] == {"source": "source", "receiver": "receiver"}
    page = (run / "report.html").read_text("utf-8")
    for text in ("What the messages tell", "What the joint training is worth", "Beyond classes", "headline attack"):
        assert text in page
    assert 'data-label="Beyond classes"' in page  # tables become cards on a phone


def test_a_policy_limits_what_messages_tell(run, tmp_path, capsys):
    (tmp_path / "policy.toml").write_text('[[limit]]\nmetric = "property_auc"\nmixture = "1/0"\nmax = 0.6\n', "utf-8")
    sarif, junit = tmp_path / "check.sarif", tmp_path / "check.xml"
    told = ["check", str(run), "--policy", str(tmp_path / "policy.toml"), "--sarif", str(sarif), "--junit", str(junit)]
    assert main(told) == 1
    assert "property auc" in capsys.readouterr().out
    assert json.loads(sarif.read_text("utf-8"))["runs"][0]["results"]
    assert "<failure" in junit.read_text("utf-8")
    (tmp_path / "policy.toml").write_text('[[limit]]\nmetric = "property_auc"\nmax = 0.6\n', "utf-8")
    assert main(["check", str(run), "--policy", str(tmp_path / "policy.toml")]) == 2
    assert "mixture" in capsys.readouterr().err
    assert main(["diff", str(run), str(run)]) == 0


def test_an_interrupted_run_goes_on_and_a_changed_threat_trains_no_joint_model_anew(run, monkeypatch, tmp_path):
    saved = []
    save = Store.save
    monkeypatch.setattr(Store, "save", lambda self, *told: saved.append(told[2]["kind"]) or save(self, *told))
    raw = table()
    raw["attack"].append({"name": "batch_property", "channel": "gradient", "reading": "entries", "id": "entries"})
    verbs.run(parse(raw, base=BASE), tmp_path / "run", workers=1, store=run.parent / ".store")
    assert set(saved) == {"play"}
    assert len(saved) == 2  # of the new attack: one training of the mixture, one in which no coin chooses
