"""A result of several threats: composed, checked, read, compared, limited and shown, each number under its threat."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import example
import jsonschema
import pytest
from flat import check, compare, flat, parse_policy, problems, raised, render
from pipeline.test_render import Page

import dosimeter
from dosimeter.cli.app import main
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import ConfigError, StoreError
from dosimeter.foundation.gate import Gate
from dosimeter.results.compare import differences
from dosimeter.results.findings import Findings, FoundDose
from dosimeter.results.lines import lines
from dosimeter.results.metrics import UTILITIES, Metric
from dosimeter.results.policy.junit import junit
from dosimeter.results.policy.sarif import sarif
from dosimeter.results.reading import checked
from dosimeter.results.rows import Row
from dosimeter.results.schema import result_schema
from dosimeter.results.views import views
from dosimeter.results.whole.compose import ThreatFindings, compose

OLD = Path(__file__).parents[1] / "golden" / "format2"
IDS = ("membership", "insider", "passer-by")


def single(name: str = "recipe") -> dict[str, Any]:
    """A stored result with one threat, in this version's form."""
    return raised(json.loads((OLD / name / "result.json").read_text("utf-8")))


def under(result: dict[str, Any], name: str) -> dict[str, Any]:
    """The only threat of a result under another id."""
    entry = copy.deepcopy(result["threats"][0]) | {"id": name}
    entry["estimates"] = [row | {"threat": name} for row in entry["estimates"]]
    return entry


def several() -> dict[str, Any]:
    """A result of three threats: what a recipe's audit found, the same under another id, and one that shows nothing."""
    whole, other = single(), single("chance")
    entries = [under(one, name) for one, name in zip((whole, whole, other), IDS, strict=True)]
    utility = [row | {"threat": name} for name in IDS[:2] for row in whole["utility"]]
    variants = [
        one | {"threats": [outcome | {"threat": name} for name in IDS[:2] for outcome in one["threats"]]}
        for one in whole["variants"]
    ]
    verdict = whole["verdict"] | {"sentences": ["3 threats were tested.", *whole["verdict"]["sentences"]]}
    return whole | {"threats": entries, "utility": utility, "variants": variants, "verdict": verdict}


SEVERAL = several()


def test_a_result_of_several_threats_is_valid():
    assert problems(SEVERAL) == []
    jsonschema.Draft202012Validator(result_schema()).validate(SEVERAL)
    for entry in SEVERAL["threats"]:
        jsonschema.Draft202012Validator(FAMILIES["membership"].details_schema).validate(entry)
    assert len({line.key for line in lines(SEVERAL)}) == len(lines(SEVERAL))


@pytest.mark.parametrize("schema", [result_schema(), FAMILIES["membership"].details_schema], ids=["whole", "details"])
def test_both_schemas_are_of_the_draft_that_they_name(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


BREAKS: list[tuple[tuple[Any, ...], Any, str]] = [
    (("name",), 3, "name: must be string, got integer"),
    (("threats",), [], "threats: must have at least 1 entries, got 0"),
    (("topology",), "x", "topology: must be object or null, got string"),
    (("threats", 1, "id"), "membership", "threats[1].id: must differ from those of other threats"),
    (
        ("threats", 1, "family"),
        "extraction",
        "threats[1].family: must be one that is installed (membership, inversion, split, exchange), got",
    ),
    (("threats", 1, "verdict", "status"), "fine", "threats[1].verdict.status: must be one of"),
    (("threats", 1, "data", "records"), -1, "threats[1].data.records: must be at least 0, got -1"),
    (("threats", 1, "verdict", "p_auc"), 2, "threats[1].verdict.p_auc: must be at most 1, got 2"),
    (("threats", 1, "details", "curves"), 1, "threats[1].details.curves: must be object, got integer"),
    (("threats", 1, "details", "curves", "loss", "fpr"), [0.1], "threats[1].details.curves.loss: fpr, tpr, low and"),
    (("threats", 1, "details", "histograms", "loss", "edges"), [], "threats[1].details.histograms.loss: edges must"),
    (("threats", 1, "gates", 0, "status"), "skipped", "threats[1].gates[0].status: must be one of"),
    (("threats", 1, "estimates", 0, "threat"), "insider ", "threats[1].estimates[0].threat: must be 'insider', got"),
    (("threats", 1, "estimates", 0, "metric"), "faces", "threats[1].estimates[0].metric: must be a metric of"),
    (("threats", 1, "estimates", 0, "unit"), "bits", "threats[1].estimates[0].unit: must be 'auc', got 'bits'"),
    (("threats", 1, "estimates", 0, "value"), None, 'threats[1].estimates[0]: status "ok" needs value, low and high'),
    (("threats", 1, "estimates", 0, "low"), 0.99, "threats[1].estimates[0]: low must be at most high, got 0.99 and"),
    (("threats", 1, "estimates", 0, "high"), 1.5, "threats[1].estimates[0].high: must be at most 1, got 1.5"),
    (("threats", 1, "estimates", 0, "n", "members"), -1, "threats[1].estimates[0].n.members: must be at least 0"),
    (
        ("threats", 1, "estimates", 0, "conditions"),
        {"cut": 1},
        "threats[1].estimates[0].conditions.cut: is no",
    ),
    (("threats", 1, "estimates", 1, "conditions"), {}, "threats[1].estimates[1].conditions.fpr: is missing"),
    (("threats", 1, "estimates", 1, "conditions", "fpr"), 7, "threats[1].estimates[1].conditions.fpr: must be a share"),
    (("threats", 1, "estimates", 0, "n"), {"members": 1}, "threats[1].estimates[0].n.nonmembers: is missing"),
    (
        ("utility", 0, "conditions"),
        {"split": "x"},
        "utility[0].conditions.split: must be one of train, ",
    ),
    (("verdict", "threat"), "gone", "verdict.threat: must be the id of a threat, got 'gone'"),
    (("utility", 0, "threat"), "gone", "utility[0].threat: must be the id of a threat, got 'gone'"),
    (("utility", 0, "family"), "membership", "utility[0].family: must be 'utility', got 'membership'"),
]


@pytest.mark.parametrize(("path", "value", "message"), BREAKS)
def test_what_breaks_a_result_is_told_in_one_line_with_its_place(path, value, message):
    result = copy.deepcopy(SEVERAL)
    node = result
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    found = problems(result)
    assert any(line.startswith(message) for line in found), found
    with pytest.raises(StoreError) as caught:
        checked(result, FAMILIES, name="result.json")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("result.json: ")


def test_every_key_is_needed():
    for part in ((), ("threats", 0), ("threats", 0, "estimates", 0), ("threats", 0, "data"), ("verdict",)):
        node: Any = SEVERAL
        for key in part:
            node = node[key]
        optional = {"most_frequent_class"}
        for key in node.keys() - optional:
            result = copy.deepcopy(SEVERAL)
            inner: Any = result
            for one in part:
                inner = inner[one]
            del inner[key]
            place = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in (*part, key)).lstrip(".")
            assert f"{place}: is missing" in problems(result)


def test_a_row_is_read_as_it_was_written():
    for entry in SEVERAL["threats"]:
        assert [Row.from_json(row).to_json() for row in entry["estimates"]] == entry["estimates"]
    assert [Row.from_json(row).to_json() for row in SEVERAL["utility"]] == SEVERAL["utility"]


def test_a_family_that_is_not_installed_is_refused_in_one_line(folder, capsys):
    result = copy.deepcopy(SEVERAL)
    result["threats"][1]["family"] = "extraction"
    Path("result.json").write_text(json.dumps(result), encoding="utf-8")
    for command in (["report", "."], ["diff", ".", "."], ["check", ".", "--accepted", "."]):
        assert main(command) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert (
            "threats[1].family: must be one that is installed (membership, inversion, split, exchange), got 'extract"
            in told
        )


def findings(status: str, dose: Any = None) -> Findings:
    """Findings that hold nothing but a verdict."""
    verdict = {"status": status, "attack": None, "sentences": [f"It is {status}."], "fpr": None, "p_auc": None}
    verdict["p_tpr"] = None
    details = {"curves": {}, "histograms": {}}
    entry = SEVERAL["threats"][0]
    return Findings(verdict, (), (), details=details, data=entry["data"], adversary=entry["adversary"], dose=dose)


def composed(*found: Findings) -> dict[str, Any]:
    """A result of these threats."""
    threats = [ThreatFindings(f"t{i}", "membership", "Was it?", "s", one) for i, one in enumerate(found)]
    return compose(SEVERAL, threats)


@pytest.mark.parametrize(
    ("given", "status", "threat"),
    [
        (["not_shown", "not_resolvable"], "not_resolvable", "t1"),
        (["not_resolvable", "shown", "not_shown"], "shown", "t1"),
        (["shown", "withdrawn"], "withdrawn", "t1"),
        (["shown", "shown"], "shown", "t0"),
        ([("shown", 0.2, 1.0), ("shown", 4.0, 8.0), ("not_shown", 1.0, 1.0)], "shown", "t1"),
        (["shown", ("shown", 0.0, 8.0)], "shown", "t1"),
    ],
)
def test_the_worst_verdict_is_that_of_the_run(given, status, threat):
    made = [
        findings(one)
        if isinstance(one, str)
        else findings(one[0], FoundDose("a", one[1], one[1], one[2], 0.95, one[2]))
        for one in given
    ]
    result = composed(*made)
    assert problems(result) == []
    assert (result["verdict"]["status"], result["verdict"]["threat"]) == (status, threat)
    *lead, counted, last = result["verdict"]["sentences"]
    assert last == f"It is {status}."
    assert counted.startswith(f"{len(given)} threats were tested: 1 " if len(set(given)) > 1
                              and status != "shown" else f"{len(given)} threats")  # fmt: skip
    wanted = ["Stage “s” gives away most", "That is more by what is show"]
    compared = sum(len(one) == 3 for one in given) > 1
    assert [one.startswith(start) for one, start in zip(lead, wanted, strict=compared)] == [True] * (2 * compared)
    assert [one["threat"] for one in result["dose"]] == [f"t{i}" for i, one in enumerate(given) if len(one) == 3]


def test_the_first_sentence_names_the_stage_and_the_adversary_that_learns_most():
    first, second = FoundDose("a", 0.5, 0.4, 0.6, 0.95, 1.0), FoundDose("a", 2.0, 1.0, 3.9, 0.95, 10.0)
    made = [replace(findings("shown"), dose=one, who=f"party {index}") for index, one in enumerate((second, first))]
    (told, counted, _) = composed(*made)["verdict"]["sentences"]
    assert told.replace("\xa0", " ").startswith(
        "Stage “s” gives away most (threat “t1”): party 1 learns at least 40 % of"
    )
    assert counted.startswith("2 threats were tested: 2 shown to leak.")
    wide = replace(made[0], dose=replace(second, high=4.1))
    assert composed(wide, made[1])["verdict"]["sentences"][1].endswith("“t0” at stage “s” may give away more.")
    nothing = [replace(one, verdict={**one.verdict, "status": "not_shown"}) for one in made]
    assert composed(*nothing)["verdict"]["sentences"][0].startswith("2 threats were tested: 2 not shown to leak.")


def test_one_threat_is_told_without_a_count_and_two_need_two_ids():
    assert composed(findings("shown"))["verdict"]["sentences"] == ["It is shown."]
    one = ThreatFindings("t", "membership", "Was this {noun}?", "s", findings("shown"))
    assert compose(SEVERAL | {"noun": "photo"}, [one])["threats"][0]["question"] == "Was this photo?"
    for wrong in ([one, one], []):
        with pytest.raises(ValueError, match="one or more with different ids"):
            compose(SEVERAL, wrong)


def test_gates_of_the_run_are_gates_of_every_threat():
    threats = [ThreatFindings(name, "membership", "?", "s", findings("shown")) for name in "ab"]
    result = compose(SEVERAL, threats, gates=[Gate("I1", "Alike", "fail", None, "It is not.")])
    assert [view["gates"][0]["id"] for view in views(result)] == ["I1", "I1"]
    assert [gate.line for gate in check(result, parse_policy({"limit": [NEVER]})).gates] == [
        "check fail: I1 Alike: It is not."
    ]


NEVER = {"metric": "auc", "max": 0.5, "not_applicable": "for a test"}


def limited(**limit: Any) -> list[tuple[str, str]]:
    """Threat and attack of the rows that a limit is about."""
    found = check(SEVERAL, parse_policy({"limit": [{"max": 0.99, **limit}]}))
    return [(one.row.threat, str(one.row.attack)) for one in found.outcomes]


def test_a_limit_is_about_all_threats_or_those_that_it_names():
    tpr = {"metric": "tpr", "fpr": 0.1, "attack": "headline"}
    assert [threat for threat, _ in limited(**tpr)] == list(IDS)
    assert limited(**tpr, threat="insider") == [("insider", "lira online")]
    assert [threat for threat, _ in limited(**tpr, threat="*s*")] == ["membership", "insider", "passer-by"]
    assert [threat for threat, _ in limited(**tpr, family="mem*")] == list(IDS)
    accuracy = {"metric": "accuracy", "family": "membership"}
    assert [threat for threat, _ in limited(**accuracy)] == ["membership", "insider"]
    with pytest.raises(ConfigError, match=r"limit\[0\].threat: must match .* got 'insidr': did you mean 'insider'"):
        limited(**tpr, threat="insidr")
    with pytest.raises(ConfigError, match=r"limit\[0\].family: must match a family of attacks, got 'extraction'"):
        limited(**tpr, family="extraction")


def test_outcomes_name_their_threat():
    limits = parse_policy({"limit": [{"metric": "tpr", "fpr": 0.1, "max": 0.01, "attack": "headline"}]})
    found = check(SEVERAL, limits)
    assert [one.source.who for one in found.outcomes] == [
        "lira online, threat membership", "lira online, threat insider", "score, threat passer-by",
    ]  # fmt: skip
    run = json.loads(sarif(found, SEVERAL))["runs"][0]
    prints = [one["partialFingerprints"]["question/v1"] for one in run["results"]]
    assert len(set(prints)) == len(prints)
    assert {one["properties"]["threat"] for one in run["results"]} == set(IDS)
    suites = ElementTree.fromstring(junit(found, SEVERAL)).findall("testsuite")
    assert [one.get("name") for one in suites] == [f"membership, variant none, threat {name}" for name in IDS]
    assert [one["threat"] for one in found.as_json()["outcomes"]] == list(IDS)


def test_prints_of_the_only_threat_stay_when_others_join():
    def prints(result: dict[str, Any]) -> set[str]:
        limits = parse_policy({"limit": [NEVER]})
        found = json.loads(sarif(check(result, limits), result))["runs"][0]["results"]
        return {one["partialFingerprints"]["question/v1"] for one in found if one["kind"] == "informational"}

    assert prints(single()) <= prints(SEVERAL)


def test_a_failed_gate_withdraws_the_numbers_of_its_own_threat():
    result = copy.deepcopy(SEVERAL)
    result["threats"][1]["gates"][0]["status"] = "fail"
    found = check(result, parse_policy({"limit": [{"metric": "auc", "max": 0.999, "attack": "headline"}]}))
    assert [(one.row.threat, one.status) for one in found.outcomes][1] == ("insider", "withdrawn")
    assert [one.status == "withdrawn" for one in found.outcomes] == [False, True, False]
    assert found.gates[0].threat == "insider"
    assert " of threat insider: " in found.gates[0].line


def test_two_results_are_compared_threat_by_threat():
    new = copy.deepcopy(SEVERAL)
    new["threats"][1]["adversary"]["shadows"] = 4
    row = new["threats"][2]["estimates"][0]
    row |= {"value": 0.9, "low": 0.85, "high": 0.95}
    found = compare(SEVERAL, new)
    assert found.differences == ("threat insider: threat.shadows: 6 -> 4",)
    assert [move.line for move in found.of("up")] == [
        "score, threat passer-by, auc: 0.506 (0.425 to 0.586) -> 0.900 (0.850 to 0.950), +0.394"
    ]
    fewer = new | {"threats": new["threats"][:2]}
    assert "threat passer-by: gone" in list(differences(SEVERAL, fewer))
    assert {move.key.threat for move in compare(SEVERAL, fewer).of("gone")} == {"passer-by"}


def test_the_ratchet_refuses_another_adversary_of_any_threat():
    other = copy.deepcopy(SEVERAL)
    other["threats"][1]["adversary"]["access"] = "weights"
    with pytest.raises(ConfigError) as caught:
        check(SEVERAL, None, other)
    assert caught.value.problems[0].startswith("accepted: threat.access of threat insider must be the same in both")
    assert check(SEVERAL, None, SEVERAL).passed
    fewer = SEVERAL | {"threats": SEVERAL["threats"][:2]}
    assert not check(fewer, None, SEVERAL).passed  # a number may not vanish with its threat
    alone = single() | {"threats": [under(single(), "elsewhere")]}
    with pytest.raises(ConfigError, match="must have a threat of this result, got 'elsewhere' there and"):
        check(SEVERAL, None, alone)


def test_users_find_the_threat_of_every_number(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(SEVERAL), encoding="utf-8")
    found = dosimeter.load(tmp_path)
    assert {(one.threat, one.family) for one in found.estimates} == {(name, "membership") for name in IDS}
    (row,) = [one for one in found.estimates if one.metric == "auc" and one.threat == "passer-by"]
    assert (row.attack, row.fpr, row.threshold, dict(row.conditions), row.unit) == ("score", None, None, {}, "auc")
    assert str(found).count(", threat membership: ") == str(found).count(", threat insider: ")
    frame = pytest.importorskip("pandas") and found.to_frame()
    assert {"threat", "family", "attack", "metric", "fpr", "prior", "threshold", "value", "n_members"} <= {
        *frame.columns
    }
    assert list(frame["threat"].unique()) == list(IDS)


def test_the_page_has_a_row_and_a_part_for_every_threat():
    html = render(SEVERAL, example.provenance())
    page = Page(html)  # which refuses one id for two places
    assert page.of("h1") == ["3 threats were tested."]
    rows = re.findall(r'<tr><th scope="row"><a href="#(threat-\d)">', html)
    assert rows == ["threat-1", "threat-2", "threat-3"]
    assert [text for text in page.of("bdi") if text in IDS]
    assert html.count("Who the adversary is") == 3
    links = [value[1:] for tag, key, value in page.attributes if (tag, key) == ("a", "href")]
    assert set(links) <= set(page.ids)
    assert {"threat-1-validity", "threat-3-curves", "signature"} <= set(page.ids)
    for used in re.findall(r"url\(#([^)]*)\)", html):
        assert used in page.ids
    assert "Leak shown (“membership”), of 3 threats" in page.text


def test_the_page_of_one_threat_has_the_anchors_that_it_had():
    html = render(single(), {})
    page = Page(html)
    family = {"verdict", "adversary", "attacks", "ladder", "groups", "exposure", "canaries", "precision", "curves"}
    frame = {"variants", "utility", "validity", "not-tested", "reading", "provenance", "signature"}
    assert family | frame <= set(page.ids)
    assert "threat-1" not in html


def test_no_table_of_the_first_card_is_wider_than_a_phone():
    """Its table is one of cards, which stand below each other on a narrow screen, with a label for every cell."""
    html = render(SEVERAL, {})
    table = re.search(r'<table class="cards threats">.*?</table>', html, re.DOTALL)
    assert table is not None
    assert all("data-label=" in cell for cell in re.findall(r"<td[^>]*>", table[0]))


class Toy:
    """A family with a metric in bits and a condition of its own."""

    name = "toy"
    metrics = {
        "taken": Metric("bits", needs=("cut",), may=("batch",), example={"cut": "block1", "max": 2}),
        "auc": Metric("auc", may=("batch",)),
    }
    details_schema: dict[str, Any] = {}


def toy() -> dict[str, Any]:
    """A result whose second threat is of another family."""
    row = Row("toys", "toy", "s", "none", "grab", "taken", "bits", value=3.0, low=2.0, high=5.0, n={"images": 40})
    verdict = {"status": "shown", "attack": "grab", "sentences": ["It grabs."]}
    attack = {**single("chance")["threats"][0]["attacks"][0], "id": "grab"}
    estimates = tuple(replace(row, conditions={"cut": cut, "batch": 8}) for cut in ("block1", "block2"))
    found = Findings(verdict, estimates, (attack,))
    entry = ThreatFindings("toys", "toy", "What is it?", "s", found).to_json("record")
    return single() | {"threats": [*single()["threats"], entry]}


BOTH = {**FAMILIES, "toy": Toy()}


def test_a_family_brings_metrics_units_and_conditions_of_its_own():
    from dosimeter.results.policy.check import check as plain_check
    from dosimeter.results.policy.limits import parse_policy as plain_parse
    from dosimeter.results.schema import problems as plain_problems

    assert plain_problems(toy(), BOTH) == []
    limit = {"metric": "taken", "cut": "block1", "max": 4}
    (found,) = plain_check(toy(), plain_parse({"limit": [limit]}, BOTH), BOTH).outcomes
    assert found.row.key.what == "taken, batch 8, cut block1"
    assert (found.status, found.row.said) == ("undecided", "3 bits (2 to 5 bits)")
    assert found.name == "taken, cut block1, max 4 bits"
    wrong = [
        ({"metric": "taken", "max": 4}, "limit[0].cut: is required for taken and missing: write cut = 'block1'"),
        ({"metric": "tpr", "fpr": 0.1, "max": 0.4, "cut": 1}, "limit[0].cut: is only for identified and"),
        ({"metric": "taken", "cut": "block1", "max": 4, "prior": 0.5}, "limit[0].prior: is only for precision, got"),
        ({"metric": "taken", "cut": "block1", "max": 4, "family": "membership"}, "limit[0].metric: must be one of"),
        ({"metric": "auc_change", "max": 0.1}, "limit[0].metric: must be one of 'tpr', 'auc'"),
    ]
    for limit, message in wrong:
        with pytest.raises(ConfigError) as caught:
            plain_parse({"limit": [limit]}, BOTH)
        assert caught.value.problems[0].startswith(message), caught.value.problems
    with pytest.raises(ConfigError, match="must match what was measured for taken, got 'block3': "):
        plain_check(toy(), plain_parse({"limit": [limit | {"cut": "block3", "metric": "taken", "max": 4}]}, BOTH), BOTH)
    accepted = plain_check(toy(), None, BOTH, toy())
    assert [one.row.metric for one in accepted.outcomes].count("taken") == 2  # all numbers of a family lead
    assert accepted.passed


def test_utilities_and_families_name_no_metric_twice():
    assert not {*UTILITIES} & {*FAMILIES["membership"].metrics}
    assert FAMILIES["membership"].question == "Was this {noun} used to train the model?"


def test_the_old_form_holds_all_that_the_new_one_does():
    for name in ("recipe", "supplied", "shadows", "table", "chance"):
        stored = json.loads((OLD / name / "result.json").read_text("utf-8"))
        assert flat(raised(stored)) == stored


def test_what_reads_results_knows_the_families_without_their_code():
    code = "import sys, dosimeter.families, dosimeter.families.membership.family\n"
    code += "heavy = ('torch', 'scipy', 'matplotlib', 'sklearn', 'pyarrow')\n"
    code += "sys.exit(', '.join(name for name in heavy if name in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
