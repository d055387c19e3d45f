"""A life in one file: chains that branch off share their stages, and stand in one report."""

from __future__ import annotations

import json

import pytest
from config.test_legs import life
from families.exchange.games import BASE, table

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.prepared import jobs_of
from dosimeter.pipeline.recipe.prepare import plan_topology, prepare
from dosimeter.pipeline.recipe.summary import about_recipe
from dosimeter.pipeline.whole_result import WHATEVER_IS_GAINED
from dosimeter.training.packs import PackJob

QUICK = {"simulated": 1, "classifiers": ["logistic"]}


def small():
    """A life with few and quick attacks."""
    raw = life(t1={"steps": 20}, t2={"steps": 20})
    raw["attack"] = [
        {"name": "loss"}, {"name": "batch_property", "channel": "gradient", **QUICK}, {"name": "label_only", **QUICK},
        {"name": "coin"},
    ]  # fmt: skip
    return raw


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of that life."""
    folder = tmp_path_factory.mktemp("life")
    verbs.run(parse(small(), base=BASE), folder / "run", workers=1)
    return folder / "run"


def test_stages_that_chains_share_are_trained_once(tmp_path):
    raw = small()
    prepared = prepare(parse(raw, base=BASE), store=Store(tmp_path))
    first = [job for job in jobs_of(prepared.cases) if isinstance(job, PackJob) and len(job.links) == 1]
    assert len(first) == 1
    plan = verbs.plan(parse(raw, base=BASE), store=tmp_path)
    assert [(one.name, one.models) for one in plan.stages[:4]] == [("first", 1), ("second", 6), ("joint", 2),
                                                                   ("anew", 2)]  # fmt: skip


def test_one_report_holds_all_chains(run):
    result = json.loads((run / "result.json").read_text("utf-8"))
    assert [(one["stage"], one["at_risk"]) for one in result["chain"]] == [
        ("first", False), ("second", True), ("joint", True), ("anew", True),
    ]  # fmt: skip
    assert result["chain"][2]["settings"]["after"] == "first"
    assert [one["at_risk"] for one in result["threats"]] == ["second", "joint", "anew"]
    page = (run / "report.html").read_text("utf-8")
    for name in ("members", "joint", "anew"):
        assert f"<bdi>{name}</bdi>" in page


def test_a_threat_beside_a_joint_training_says_that_no_gain_is_asked_of_it(run):
    result = json.loads((run / "result.json").read_text("utf-8"))
    told = {one["id"]: [line for line in one["not_tested"] if line == WHATEVER_IS_GAINED] for one in result["threats"]}
    families = {one["id"]: one["family"] for one in result["threats"]}
    assert len(set(families.values())) > 1
    assert {name: len(lines) for name, lines in told.items()} == {
        name: int(family != "exchange") for name, family in families.items()
    }


def test_a_variant_changes_one_chain_and_leaves_the_others(tmp_path):
    raw = small()
    raw["variant"] = [{"id": "hidden", "stage": {"joint": {"defenses": [{"name": "compress", "how": "sign"}]}}}]
    prepared = prepare(parse(raw, base=BASE), store=Store(tmp_path))
    ((_, variant),) = prepared.variants
    keys = [{name: {job.key for _, jobs in case.phases() for job in jobs} for name, case in one.cases.items()}
            for one in (prepared, variant)]  # fmt: skip
    assert list(keys[0]) == list(keys[1]) == ["members", "joint", "anew"]
    assert [keys[0][name] == keys[1][name] for name in keys[0]] == [True, False, True]


def test_variants_are_kept_where_one_chain_alone_is_asked_of(tmp_path):
    """The joint stage branches off the only plain one, so its chain is the whole file."""
    raw = table()
    model = raw["stage"][0].pop("model")
    raw["stage"] = [
        {"name": "first", "data": "own", "model": model, "epochs": 1}, {**raw["stage"][0], "after": "first"},
    ]  # fmt: skip
    raw |= {"variant": [{"id": "slow", "stage": {"joint": {"lr": 0.01}}}]}
    raw |= {"defense": [{"name": "compress", "how": "sign", "id": "signs"}]}
    prepared = prepare(parse(raw, base=BASE), store=Store(tmp_path))
    assert [row.id for row, _ in prepared.variants] == ["signs", "slow"]
    assert len({prepared.key, *(one.key for _, one in prepared.variants)}) == 3


def test_problems_of_a_chain_name_the_stage_in_the_file(tmp_path):
    raw = small()
    raw["stage"][3]["parties"] = {"source": "source", "receiver": "narrow"}
    raw["data"]["narrow"] = {"data": "families.exchange.games:narrow", "rows": "300:332"}
    with pytest.raises(AuditError) as caught:
        prepare(parse(raw, base=BASE), store=Store(tmp_path))
    assert [one for one in caught.value.problems if one.startswith("stage[3].parties.receiver: its records must have")]


@pytest.mark.parametrize(
    ("method", "defense"),
    [("fedsgd", {"name": "dp_sgd"}), ("coral", {"name": "dp_moments"})],
    ids=["dp_sgd", "moments"],
)
def test_what_defenses_guarantee_to_each_party_stands_in_the_chain(tmp_path, method, defense):
    raw = table(method, steps=20)
    del raw["attack"]
    store = Store(tmp_path)
    (plain,) = about_recipe(prepare(parse(raw, base=BASE), store=store))["chain"]
    assert "privacy" not in plain["settings"]
    raw["stage"][0]["defenses"] = [{"noise_multiplier": 4.0, **defense} if method == "fedsgd" else defense]
    prepared = prepare(parse(raw, base=BASE), store=store)
    for one in prepared.case.datasets():
        save_data(one, store)
    (stage,) = about_recipe(prepared)["chain"]
    told = stage["settings"]["privacy"]
    assert "source: " in told
    assert "epsilon" in told or "ε" in told


PARTIES = {
    "parties": [
        {"name": "hospital", "trust": "full"}, {"name": "clinic", "trust": "honest-but-curious", "auxiliary": "own"},
        {"name": "user", "trust": "honest-but-curious"},
    ],
    "parts": [
        {"name": "plain", "stage": "second", "at": "user"}, {"name": "net", "stage": "joint", "at": "clinic"},
        {"name": "new", "stage": "anew", "at": "hospital"},
    ],
    "edges": [{"from": "plain", "to": "net", "sends": "labels"}, {"from": "new", "to": "plain", "sends": "logits"}],
    "holds": [{"party": "hospital", "data": "source", "attributes": ["size"]}, {"party": "clinic", "data": "receiver"}],
}  # fmt: skip
"""Who has the plain chain's model, and those of two joint stages that branch off."""


def who_asks(rows):
    """Of each row that a threat tests the stage, whose records, and the threat."""
    return [(one.risk.at_risk, one.risk.holder, one.threats) for one in rows if one.threats]


def test_a_topology_tells_of_every_chain_and_its_threats_follow():
    raw = {**life(), "topology": PARTIES}
    del raw["threat"]
    audit = parse(raw, base=BASE)
    assert [(row.id, row.threat.at_risk) for row in audit.threats] == [
        ("membership-user", "first"), ("membership-user-2", "second"), ("exchange-clinic", "joint"),
        ("exchange-clinic-2", "anew"),
    ]  # fmt: skip
    found = plan_topology(audit)
    assert [one.stage for one in found.stages] == ["second", "joint", "anew"]
    assert who_asks(found.rows) == [
        ("first", None, ("membership-user",)), ("second", None, ("membership-user-2",)),
        ("joint", "hospital", ("exchange-clinic",)), ("anew", "hospital", ("exchange-clinic-2",)),
    ]  # fmt: skip
    assert not [one for one in found.sights if one.sees == "inputs"]  # records of one chain are no queries of another
    assert {one.way for one in found.sights if one.crosses} == {"plain -> net", "new -> plain"}
    assert len(found.risks) == len(set(found.risks))


def test_chains_that_no_threat_asks_of_are_told_as_not_tested(tmp_path):
    raw = {**life(), "topology": PARTIES}
    raw["threat"] = raw["threat"][1:2]
    prepared = prepare(parse(raw, base=BASE), store=Store(tmp_path))
    told = {(one.risk.at_risk, bool(one.threats)) for one in prepared.topology.rows}
    assert told >= {("first", False), ("second", False), ("joint", True), ("anew", False)}
    assert prepared.topology.topology == parse(raw, base=BASE).topology
    assert list(prepared.cases) == ["joint"]


def test_without_a_topology_the_cuts_of_every_chain_are_shown():
    assert [one.stage for one in plan_topology(parse(life(), base=BASE)).stages] == ["second", "joint", "anew"]
