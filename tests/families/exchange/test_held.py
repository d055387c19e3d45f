"""Parties that hold the same records: plan and report say so, and nothing is called safe that nobody tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dosimeter.config.audit import parse
from dosimeter.families.exchange.case.told import counted
from dosimeter.families.exchange.measure import measure
from dosimeter.families.exchange.measures.held import held_gate
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.prepare import prepare
from families.exchange.games import BASE, table
from families.exchange.test_shown import left

SOME = {"party": "source", "other": "receiver", "records": 10, "of": 300}
MANY = SOME | {"records": 16}


def gates(held, *, shown=False, adversary="receiver"):
    """The statuses of the check."""
    threat = {"victim": "source", "adversary": adversary}
    data = {} if held is None else {"held": held}
    return [one.status for one in held_gate({"noun": "record", "data": data, "threat": threat}, shown=shown)]


@pytest.mark.parametrize("question", ["property", "records"])
def test_a_plan_and_a_result_count_them(question, tmp_path):
    raw = table()
    raw["data"]["receiver"]["rows"] = "284:332"
    if question == "records":
        raw["attack"] = [{"name": "dense_inversion"}, {"name": "mean_record"}, {"name": "any_record"}]
        raw["threat"] = {
            key: one for key, one in raw["threat"].items() if key not in ("property", "value", "mixtures", "steps")
        } | {"question": "records", "batches": 8}
    (case,) = prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases.values()
    (note,) = [one for one in case.notes() if one.startswith("parties: ")]
    assert note.startswith("parties: 'receiver' holds 16 of the 300 records of 'source' too; no attack makes use of")
    if question == "property":
        assert counted(case.system, case.partners)["held"] == [MANY]


def test_nothing_is_said_where_no_record_is_held_twice(tmp_path):
    (case,) = prepare(parse(table(), base=BASE), store=Store(tmp_path)).cases.values()
    assert not [one for one in case.notes() if one.startswith("parties: ")]
    assert counted(case.system, case.partners)["held"] == []
    assert gates([]) == ["pass"]
    assert gates(None) == []  # of a training elsewhere nobody knows


def test_only_an_adversary_who_could_compare_withdraws_what_is_not_shown():
    assert gates([SOME]) == ["warn"]
    assert gates([MANY]) == ["fail"]
    assert gates([MANY], shown=True) == ["warn"]
    assert gates([MANY], adversary="coordinator") == ["warn"]
    assert gates([{**MANY, "party": "receiver", "other": "third"}]) == ["warn"]


@pytest.mark.parametrize(("told", "status"), [(0.0, "withdrawn"), (1.5, "shown")])
def test_a_verdict_says_nothing_of_who_holds_what_is_looked_for(told, status, tmp_path):
    folder = left(tmp_path, 2, told=told)
    summary = {**folder.summary, "data": {**folder.summary["data"], "held": [MANY]}}
    found = measure(replace(folder, summary=summary))
    assert found.verdict["status"] == status
    (gate,) = [one for one in found.gates if one.id == "E7"]
    assert gate.message.startswith("'receiver' holds 16 of the 300 records of 'source' too.")
    if status == "withdrawn":
        assert found.verdict["sentences"] == [
            "The numbers of this audit are withdrawn: records of several parties failed."
        ]
