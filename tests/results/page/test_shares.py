"""Doses of several threats side by side: in the order of the chain, as shares, without those that may not be quoted."""

from __future__ import annotations

import copy

import pytest
from flat import render

from dosimeter.results.findings import FoundDose
from results.test_threats import SEVERAL


def with_doses(*doses, statuses=("shown", "shown", "shown")):
    """A result of three threats with these doses, None for none; the second is about the first stage of two."""
    result = copy.deepcopy(SEVERAL)
    last = result["chain"][-1]
    result["chain"] = [{**last, "stage": "early", "data": "public"}, {**last, "stage": "late"}]
    for entry, dose, stage, status in zip(result["threats"], doses, ("late", "early", "late"), statuses, strict=True):
        found = None if dose is None else FoundDose("loss", *dose).to_json()
        entry |= {"dose": found, "at_risk": stage}
        entry["verdict"] = {**entry["verdict"], "status": status}
    return result


def lines(html):
    """Rows of the table, as text between tags."""
    table = html.split('id="shares"')[1].split("</table>")[0]
    return table.split("<tr>")[2:]


WHOLE, HALF = (0.5, 0.4, 0.6, 0.95, 1.0), (1.0, 0.5, 2.5, 0.95, 2.0)


def test_lines_stand_in_the_order_of_the_chain_with_shares_of_what_there_is_to_tell():
    found = lines(render(with_doses(WHOLE, HALF, None), {}))
    assert [("early" in one, "threat-2" in one) for one in found] == [(True, True), (False, False), (False, False)]
    assert "on public" in found[0]
    assert "left:25.00%;width:75.00%" in found[0]  # 0.5 to 2 bits of 2, never more than all
    assert "left:40.00%;width:20.00%" in found[1]
    assert "left:50.00%" in found[1]
    assert "50" in found[0].split('data-label="Share"')[1]
    assert "not measured" in found[2]


def test_a_withdrawn_dose_is_not_quoted_and_one_alone_is_not_compared():
    found = lines(render(with_doses(WHOLE, HALF, WHOLE, statuses=("withdrawn", "shown", "shown")), {}))
    assert "withdrawn" in found[1]
    assert "<i" not in found[1]
    for result in (
        with_doses(WHOLE, None, None),
        with_doses(WHOLE, HALF, None, statuses=("withdrawn", *["shown"] * 2)),
    ):
        assert 'id="shares"' not in render(result, {})


@pytest.mark.parametrize("stage", ["early", "late"])
def test_each_line_names_its_stage_and_links_to_its_threat(stage):
    html = render(with_doses(WHOLE, HALF, WHOLE), {})
    assert html.count(f"stage <bdi>{stage}</bdi>") == {"early": 1, "late": 2}[stage]
    for number in (1, 2, 3):
        assert f'href="#threat-{number}"' in html


def test_what_a_variant_changes_stands_below_and_what_it_leaves_does_not():
    result = with_doses(WHOLE, HALF, None)
    entry = result["threats"][0]
    row = {**next(one for one in entry["estimates"] if one["metric"] == "auc"), "metric": "dose", "unit": "bits"}
    row |= {"attack": "loss", "value": 0.5, "low": 0.4, "high": 0.6}
    entry["verdict"]["attack"] = "loss"
    entry["estimates"] += [
        row,
        {**row, "variant": "same"},
        {**row, "variant": "less", "value": 0.1, "low": 0.05, "high": 0.2},
    ]
    known = result["variants"][0]
    outcome = {"threat": entry["id"], "attack": "loss", "verdict": "shown", "fpr": 0.1}
    result["utility"] = []
    result["variants"] = [
        {**known, "id": name, "status": "ok", "reason": "", "threats": [outcome]} for name in ("same", "less")
    ]
    found = lines(render(result, {}).replace('<tr class="tried">', "<tr>"))
    assert len(found) == 4
    assert "with <bdi>less</bdi>" in found[2]
    assert "left:5.00%;width:15.00%" in found[2]
