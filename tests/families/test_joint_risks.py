"""Topologies in which parties train one stage together: who could learn what, and which threat tests it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dosimeter.config.audit import parse
from dosimeter.config.topology import read_topology
from dosimeter.families.derived import answered, derived
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.families.joint_risks import all_risks
from dosimeter.families.registry import FAMILIES
from dosimeter.families.sights import WIRE, StageRole
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import plan_topology
from families.exchange.games import BASE, table

AVAILABLE = {"exchange": {"weights"}, "membership": {"weights", "logits"}}


def tables(**changes):
    """A hospital and a clinic, who keeps the trunk; the hospital's records have a private size."""
    return {
        "parties": ({"name": "hospital", "trust": "honest-but-curious"},
                    {"name": "clinic", "trust": "honest-but-curious", "auxiliary": "own"}),
        "parts": ({"name": "net", "stage": "joint", "at": "clinic"},),
        "holds": ({"party": "hospital", "data": "source", "attributes": ("size",)},
                  {"party": "clinic", "data": "receiver"}),
        **changes,
    }  # fmt: skip


def topology(**changes):
    """The same, read."""
    found, problems = read_topology(
        {"topology": tables(**changes)}, stages=["joint"], data=["source", "receiver", "own", "more"]
    )
    assert problems == []
    return found


def stage(method="fedsgd", *more):
    """The joint stage as a topology uses it."""
    members = (("source", "source"), ("receiver", "receiver"), *more)
    return StageRole("joint", "source", topology().parts, members=members, method=method)


def messages(found):
    """Rows of messages: who, whose, which threat or the reason why none."""
    return [(one.adversary[0], one.holder, one.threat.get("adversary"), one.remark) for one in found
            if one.rule.name == "messages"]  # fmt: skip


def test_a_party_with_records_of_others_is_a_threat_and_all_else_is_listed_with_a_reason():
    found = all_risks(topology(), [stage()], AVAILABLE)
    first, second, *wire = messages(found)
    assert first == ("hospital", "clinic", None, "attacks of family exchange need records of others: name them as "
                     "`auxiliary` of the party")  # fmt: skip
    assert second[:3] == ("clinic", "hospital", "receiver")
    assert 'victim = "source", adversary = "receiver", property = "size", auxiliary = "own"' in second[3]
    assert [one[:3] for one in wire] == [(WIRE, "hospital", None), (WIRE, "clinic", None)]
    assert all("is no party of the training" in one[3] for one in wire)
    assert not [one for one in found if one.tested and one.rule.name != "messages"]
    (other,) = [one for one in found if one.rule.name == "membership" and "clinic" in one.adversary]
    assert other.remark == "no threat of family membership can be asked of a stage that parties train together"


def test_who_keeps_the_shared_layers_of_three_sees_each_part():
    roles = [stage("fedsgd", ("third", "more"))]
    found = messages(all_risks(topology(), roles, AVAILABLE))
    assert ("clinic", "hospital", "coordinator") in [one[:3] for one in found]
    outside = topology(parties=({"name": "hospital", "trust": "full"}, {"name": "clinic", "trust": "full"},
                                {"name": "server", "trust": "malicious", "auxiliary": "own"}),
                       parts=({"name": "net", "stage": "joint", "at": "server"},))  # fmt: skip
    found = messages(all_risks(outside, [replace(stage(), parts=outside.parts)], AVAILABLE))
    assert found[0][:3] == ("server", "hospital", "coordinator")
    soft = replace(stage("soft"), parts=outside.parts)
    assert not [one for one in messages(all_risks(outside, [soft], AVAILABLE)) if one[0] == "server"]


def test_a_malicious_party_is_asked_as_one_that_departs_from_the_protocol():
    parties = ({"name": "hospital", "trust": "full"}, {"name": "clinic", "trust": "malicious", "auxiliary": "own"})
    whole = topology(parties=parties)
    (row,) = derived(whole, [stage()], "exchange", ExchangeThreat)
    assert row["active"] is True
    (risk,) = [one for one in all_risks(whole, [stage()], AVAILABLE) if one.tested]
    assert risk.remark.endswith("active = true")
    threats = {
        "steers": ExchangeThreat.model_validate(row),
        "looks": ExchangeThreat.model_validate({**row, "active": False}),
    }
    assert [one.threats for one in answered([risk], threats, "joint", {})] == [("steers",)]


@pytest.mark.parametrize(
    ("holds", "reason"),
    [
        (({"party": "clinic", "data": "receiver"},), "no party holds these records: name it in `holds`"),
        (({"party": "hospital", "data": "source"}, {"party": "clinic", "data": "receiver"}), "no private attribute of"),
    ],
)
def test_what_the_file_does_not_say_is_the_reason(holds, reason):
    found = messages(all_risks(topology(holds=holds), [stage()], AVAILABLE))
    assert [one[3].startswith(reason) for one in found if one[0] == "clinic"] == [True]


def test_each_attribute_is_a_threat_of_its_own_and_a_threat_tests_the_row_that_it_names():
    holds = ({"party": "hospital", "data": "source", "attributes": ("size", "luck")},
             {"party": "clinic", "data": "receiver"})  # fmt: skip
    whole = topology(holds=holds)
    rows = derived(whole, [stage()], "exchange", ExchangeThreat)
    assert [(one["id"], one["property"]) for one in rows] == [
        ("exchange-clinic", "size"),
        ("exchange-clinic-2", "luck"),
    ]
    own = ExchangeThreat.model_validate({**rows[0], "auxiliary": "more"})
    told = answered(all_risks(whole, [stage()], AVAILABLE), {"a": own}, "joint", {})
    assert [one.threats for one in told if one.risk.tested] == [("a",), ()]


def test_a_file_with_a_topology_and_no_threat_is_audited(tmp_path):
    raw = table()
    del raw["threat"], raw["attack"]
    raw["topology"] = tables()
    audit = parse(raw, base=BASE)
    (row,) = audit.threats
    assert (row.id, row.threat.victim, row.threat.adversary) == ("exchange-clinic", "source", "receiver")
    plan = plan_topology(audit)
    assert [one.threats for one in plan.rows if one.risk.rule.name == "messages"][1] == ("exchange-clinic",)
    assert any(one.sentence.startswith(f"{WIRE}, messages (source of hospital)") for one in plan.rows)
    notes = verbs.plan(audit, store=tmp_path).notes
    assert any("rows are tested, by exchange-clinic" in one for one in notes)
    assert set(FAMILIES) >= {"exchange"}


def test_records_of_every_party_are_trained_on_and_none_are_queries_of_the_shared_layers():
    """Whoever keeps the shared layers sees messages of both, and records of none."""
    outside = topology(parties=({"name": "hospital", "trust": "full"}, {"name": "clinic", "trust": "full"},
                                {"name": "server", "trust": "honest-but-curious", "auxiliary": "own"}),
                       parts=({"name": "net", "stage": "joint", "at": "server"},))  # fmt: skip
    found = all_risks(outside, [replace(stage(), parts=outside.parts)], AVAILABLE)
    assert not [one for one in found if one.access == "inputs"]
    assert [(one.holder, one.data) for one in found if one.rule.name == "membership"] == [
        ("hospital", "source"), ("clinic", "receiver"),
    ]  # fmt: skip
