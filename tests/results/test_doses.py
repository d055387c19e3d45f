"""The dose from a measured run to the report, policies, diff and variants: recipe, supplied models, a table."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
from flat import check, compare, parse_policy, problems, render

from dosimeter.foundation.errors import ConfigError
from dosimeter.pipeline import table, verbs
from dosimeter.results.page.doses import figure, sentences

OLD = Path(__file__).parents[1] / "golden" / "format2"
NAMES = ("recipe", "supplied", "shadows", "table")
READ = {
    "recipe": "read by rehearsals",
    "supplied": "read by halves of the records",
    "shadows": "read by rehearsals",
    "table": "read by halves of the records",
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Results of stored evidence, measured anew, by name."""
    base, found = tmp_path_factory.mktemp("doses"), {}
    for name in NAMES:
        if name == "table":
            made = table.measure_scores(OLD / name / "scores.csv", base / name, leading_fpr=0.1)
        else:
            made = verbs.measure(Path(shutil.copytree(OLD / name, base / name)))
        found[name] = json.loads(json.dumps(made))
    return found


def rows(result, variant="none"):
    return {row["attack"]: row for row in result["threats"][0]["estimates"]
            if row["metric"] == "dose" and row["variant"] == variant}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_door_tells_a_dose(name, measured):
    result = measured[name]
    assert problems(result) == []
    (dose,) = result["dose"]
    own = rows(result)[dose["attack"]]
    assert own["method"].endswith(READ[name])
    assert (dose["value"], dose["shown"], dose["not_excluded"]) == (own["value"], own["low"], own["high"])
    assert (own["unit"], own["conditions"], dose["ceiling"]) == ("bits", {}, 1.0)
    for attack in result["threats"][0]["attacks"]:
        if attack["control"]:
            assert rows(result)[attack["id"]]["value"] == rows(result)[attack["id"]]["low"] == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_the_page_tells_it_after_the_counts_and_for_each_attack(name, measured):
    html, result = render(measured[name], {}), measured[name]
    card = html[html.index('<section class="verdict"') : html.index("<nav")]
    (told,) = re.findall(r'<p class="more">(In bits: .*?)</p>', card)
    assert "Somebody who knows nothing is right about one" in told
    assert "1 time in 2, a chance of 50 in 100; with this, they can give the truth a chance of " in told
    assert card.index('class="two-ends"') < card.index(told)
    assert ("is shown" in told) == (result["verdict"]["status"] == "shown" and result["dose"][0]["shown"] > 0)
    assert html.count('data-label="Dose (bits)"') >= len(rows(result))  # on a phone each cell has its label
    assert "<dt>Dose (bits)</dt>" in html


def test_a_result_without_a_dose_prints_none():
    html = render(json.loads((OLD / "recipe" / "result.json").read_text("utf-8")), {})
    assert "In bits" not in html
    assert "Dose" not in html


def test_a_withdrawn_audit_has_no_sentence_about_bits(measured):
    result = copy.deepcopy(measured["recipe"])
    for verdict in (result["verdict"], result["threats"][0]["verdict"]):
        verdict["status"] = "withdrawn"
    result["threats"][0]["verdict"]["lead"] = None
    assert "In bits" not in render(result, {})


def test_several_threats_have_a_column(measured):
    one = measured["recipe"]
    kept = [row for row in one["threats"][0]["estimates"] if row["metric"] != "dose"]
    other = {**one["threats"][0], "id": "other", "dose": None, "estimates": kept}
    html = render({**one, "threats": [one["threats"][0], other]}, {})
    assert html.count('data-label="Dose: what they learn about one record"') == 2
    assert figure(one["threats"][0]["dose"]).value in html
    assert figure(None).value == "–"


def test_variants_have_the_dose_of_their_strongest_attack(measured):
    result = measured["recipe"]
    names = [one["id"] for one in result["variants"] if one["status"] == "ok"]
    assert names
    assert all(rows(result, name) for name in names)
    part = render(result, {}).split('<section id="variants">')[1].split("</section>")[0]
    assert part.count('data-label="Dose (bits)"') == 1 + len(names)


def test_a_policy_limits_it(measured):
    result = measured["recipe"]
    dose = result["dose"][0]

    def status(most, attack="headline"):
        (found,) = check(result, parse_policy({"limit": [{"metric": "dose", "attack": attack, "max": most}]})).outcomes
        return found

    met = status(dose["not_excluded"] + 0.01)
    assert met.status == "met" or "in doubt" in met.message
    assert met.name.startswith("dose, max ")
    assert met.name.endswith(" bits")
    assert status(max(0.0, dose["shown"] - 0.001)).status == "exceeded"
    assert status((dose["shown"] + dose["not_excluded"]) / 2).status == "undecided"
    with pytest.raises(ConfigError, match="limit.0..prior: is only for precision, got dose"):
        parse_policy({"limit": [{"metric": "dose", "max": 0.1, "prior": 0.5}]})


def test_an_accepted_result_and_diff_compare_it(measured):
    new, old = measured["recipe"], copy.deepcopy(measured["recipe"])
    name = new["dose"][0]["attack"]
    rows(old)[name].update(value=0.0, low=0.0, high=rows(new)[name]["low"] / 2)
    (worse,) = [one for one in check(new, None, old).outcomes if one.fails]
    assert (worse.row.metric, worse.row.attack, worse.status) == ("dose", name, "exceeded")
    (up,) = compare(old, new).of("up")
    assert up.line.startswith(f"{name}, dose: ")
    assert up.line.endswith(" bits")
    assert any("dose" in line for line in compare(new, new).lines())  # a headline figure is listed if it did not move
    before = json.loads((OLD / "recipe" / "result.json").read_text("utf-8"))
    first = {one.status for one in check(new, None, before).outcomes if one.row.metric == "dose"}
    assert first == {"not_applicable"}


SMALL = {"shown": 0.0, "not_excluded": 0.0123, "floor": 0.0, "ceiling": 1.0, "value": 0.0021, "chance_after": 0.5}


def test_what_is_not_shown_has_no_lower_end_and_a_floor_is_named():
    told = sentences(SMALL, noun="photo", settles="it", shown=False)
    assert told.startswith("In bits: 0.002 of the 1 bit that would settle it is seen, and up to 0.013 is not excluded.")
    assert "shown" not in told
    none = sentences(SMALL, noun="photo", settles="it", shown=True)
    assert "none of it is shown" in none
    floor = sentences({**SMALL, "floor": 0.3}, noun="photo", settles="it", shown=False)
    assert floor.endswith("Of these bits, 0.300 can be read without asking the model at all.")
    assert sentences({}, noun="photo", settles="it", shown=True) == ""
