"""An audit file with `[topology]` and without `[[threat]]` runs the audit that follows, and tells what is left."""

from __future__ import annotations

import json

import pytest
from audits import BASE

from dosimeter.cli.topology import topology_lines
from dosimeter.config.audit import parse
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import plan_topology, prepare
from dosimeter.pipeline.recipe.wires import about_topology
from families.split.games import audit

SHORT = [{"name": "ridge"}, {"name": "output_only", "mode": "input", "epochs": 5}, {"name": "mean_input"}]
ATTRIBUTES = [{"name": "attribute_pool", "classifiers": ["logistic"]}]


def topology(**server):
    """A phone runs the first layers, a server that has the training records the others."""
    return {
        "parties": [
            {"name": "phone", "trust": "full"},
            {"name": "server", "trust": "honest-but-curious", "auxiliary": "others", **server},
        ],
        "parts": [
            {"name": "device", "stage": "train", "to": "2", "at": "phone"},
            {"name": "rest", "stage": "train", "from": "2", "at": "server"},
        ],
        "edges": [
            {"from": "device", "to": "rest", "sends": "features"},
            {"from": "rest", "to": "device", "sends": "probabilities"},
        ],
        "holds": [
            {"party": "phone", "data": "queries", "attributes": ["side"]},
            {"party": "server", "data": "own"},
        ],
    }  # fmt: skip


def table(**changed):
    """An audit file of split with a topology in place of its threat."""
    raw = {key: value for key, value in audit().items() if key != "threat"}
    return {**raw, "topology": topology(), "attack": [*SHORT, *ATTRIBUTES], **changed}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("topology")
    verbs.run(parse(table(), base=BASE), folder / "run", workers=1, store=folder / "store")
    return json.loads((folder / "run" / "result.json").read_text()), folder


def test_the_audit_that_follows_is_run(finished):
    result, _ = finished
    (threat,) = result["threats"]
    assert (threat["id"], threat["family"], threat["verdict"]["status"]) == ("split-server", "split", "shown")
    assert threat["adversary"]["cuts"] == ["2"]
    assert threat["adversary"]["attributes"] == ["side"]
    assert threat["adversary"]["victims"] == "queries"


def test_every_row_is_tested_or_told(finished):
    result, _ = finished
    rows = result["topology"]["risks"]
    assert [one["rule"] for one in rows if one["threats"]] == ["reconstruction", "attributes"]
    left = [one for one in rows if not one["threats"]]
    assert all(one["reason"] for one in left)
    told = [line for line in result["not_tested"] if "Not tested: " in line]
    assert len(told) == len(left) > 0
    for one, line in zip(left, told, strict=True):
        assert line.startswith(" and ".join(one["adversary"]))
        assert line.endswith(one["reason"])


def test_bytes_are_those_of_the_cut(finished):
    (stage,) = finished[0]["topology"]["stages"]
    assert stage["parts"] == ["device", "rest"]
    there, back = stage["crossings"]
    assert (there["sends"], there["cut"], there["shapes"], there["bytes"]) == ("features", "2", [[24]], 96)
    assert (back["sends"], back["from"], back["bytes"]) == ("probabilities", "rest", 16)


def test_the_report_draws_it(finished):
    page = (finished[1] / "run" / "report.html").read_text("utf-8")
    assert '<svg class="plot topology" role="img"' in page
    assert "1: features after 2" in page
    assert "96 bytes" in page
    assert '<a href="#topology">Topology</a>' in page
    assert page.count("<b>not tested</b>") == sum(not one["threats"] for one in finished[0]["topology"]["risks"])


def test_the_plan_tells_what_is_left(tmp_path):
    notes = verbs.plan(parse(table(), base=BASE), store=tmp_path).notes
    assert any(one.startswith("topology: 2 of ") and one.endswith("by split-server") for one in notes)
    assert any("not tested" in one for one in notes)


STEERING = "no attack of threat split-server that would can run, fsha is not played behind defenses of the cut"


def test_a_row_whose_attack_the_case_refuses_is_told_as_not_tested(tmp_path, capsys):
    """A malicious server cannot be played behind noise, so its row stands beside those that nothing tests."""
    raw = table(attack=[*SHORT, *ATTRIBUTES, {"name": "fsha", "steps": 2, "warm_up": 2}])
    raw["topology"] = topology(trust="malicious")
    raw["topology"]["edges"].append({"from": "rest", "to": "device", "sends": "gradients"})

    def steering(plan):
        (row,) = [one for one in plan.rows if one.risk.rule.name == "steering" and one.risk.adversary == ("server",)]
        return row

    assert steering(plan_topology(parse(raw, base=BASE))).threats == ("split-server",)
    raw["stage"][0]["defenses"] = [{"name": "noise", "scale": 0.5}]
    audit = parse(raw, base=BASE)
    shown = plan_topology(audit)
    assert not steering(shown).threats
    assert steering(shown).reason.startswith(STEERING)
    assert STEERING in " ".join("\n".join(topology_lines(shown)).split())
    found = about_topology(prepare(audit, store=Store(tmp_path)).topology)
    assert any(STEERING in one for one in found["not_tested"])
    (row,) = [one for one in found["topology"]["risks"] if one["rule"] == "steering" and one["adversary"] == ["server"]]
    assert row["threats"] == []
    assert row["reason"].startswith(STEERING)
    assert not list(tmp_path.iterdir())


def test_a_threat_of_the_file_wins_and_what_it_leaves_is_told(tmp_path):
    raw = table(attack=SHORT)
    raw["threat"] = {"family": "split", "cuts": ["4"], "auxiliary": "others", "victims": "queries"}
    plan = verbs.plan(parse(raw, base=BASE), store=tmp_path)
    assert {one.threat for one in plan.attacks} == {"split"}
    assert any(one.startswith("topology: 0 of ") for one in plan.notes)


def test_threats_that_do_not_fit_are_left_out_with_the_reason_if_the_topology_does_not_name_their_records(tmp_path):
    raw = table(attack=[*SHORT, *ATTRIBUTES])
    raw["topology"]["holds"] = raw["topology"]["holds"][:1]
    raw["attack"] += [{"name": "mean_public"}, {"name": "prior_best"}, {"name": "loss"}]
    plan = verbs.plan(parse(raw, base=BASE), store=tmp_path)
    assert {one.threat for one in plan.attacks} == {"membership-server", "split-server"}
    (line,) = [one for one in plan.notes if "is left out" in one]
    assert line.startswith("topology: threat inversion-server is left out, it does not fit the records: public: its")


BAD = {
    "overlap": (
        lambda raw: raw["data"].update(others={"data": raw["data"]["own"]["data"], "rows": "300:700"}),
        "threat split-server.auxiliary: must share nothing with 'queries', got in both 20 records",
    ),
    "a constant attribute": (
        lambda raw: raw["topology"]["holds"][0].update(attributes=["same"]),
        "threat split-server.attributes: 'same' must have 2 to 20 values",
    ),
    "a cut that the model has not": (
        lambda raw: [
            one.update({key: "9" for key in ("to", "from") if key in one}) for one in raw["topology"]["parts"]
        ],
        "topology.parts[0].to: the model of stage 'train' has no cut at such a layer, got '9'",
    ),
    "a gap": (
        lambda raw: raw["topology"]["parts"][1].update({"from": "4"}),
        "topology.parts: somebody must run the whole model of stage 'train', got none from '2' to '4'",
    ),
    "answers from the middle": (
        lambda raw: raw["topology"]["edges"][0].update(sends="logits"),
        "topology.edges[0]: logits must come from the last part of a model",
    ),
    "nobody is an adversary": (
        lambda raw: raw["topology"]["parties"][1].update(trust="full"),
        "topology: must expose something that this release tests, got 2 parties of whom none does",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line_before_training(case, tmp_path):
    change, said = BAD[case]
    raw = table()
    change(raw)
    if case == "nobody is an adversary":
        del raw["attack"]
    with pytest.raises(AuditError) as caught:
        verbs.run(parse(raw, base=BASE), tmp_path / "run", workers=1, store=tmp_path / "store")
    assert sum(line.startswith(said) for line in caught.value.problems) == 1, caught.value.problems
    assert not list(tmp_path.rglob("*.safetensors"))
