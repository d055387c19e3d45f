"""The contract of a family, on a toy one: planned, run, measured, reported, checked, compared and resumed like any."""

from __future__ import annotations

import json

import pytest
from audits import BASE, table

from dosimeter.config.audit import parse
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import AccessError, ConfigError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import page, verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.pipeline.result import load
from dosimeter.results.compare import compare
from dosimeter.results.policy.check import check
from dosimeter.results.policy.junit import junit
from dosimeter.results.policy.limits import parse_policy
from dosimeter.results.policy.sarif import sarif
from families.toy import COLOUR, ColourPlay

MEMBERSHIP = {"id": "members", "shadows": 4, "targets": 2, "population": 20}
ATTACKS = [{"name": "loss"}, {"name": "constant"}]


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The one line that registers a family."""
    monkeypatch.setitem(FAMILIES, "colour", COLOUR)


def two(**threat):
    """An audit of membership and of colours on one chain."""
    return {**table(), "threat": [MEMBERSHIP, {"family": "colour", **threat}], "attack": ATTACKS}


def run(raw, folder, **how):
    verbs.run(parse(raw, base=BASE), folder, **{"workers": 1, "store": folder.parent / "store", **how})
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with both families, on two processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "colour", COLOUR)
        folder = tmp_path_factory.mktemp("toy") / "run"
        run(two(), folder, workers=2)
        yield folder


def test_it_is_measured_beside_membership(finished):
    found = load(finished)
    members, colours = found.content["threats"]
    assert (members["family"], colours["family"], colours["id"]) == ("membership", "colour", "colour")
    assert colours["question"] == "Which colour is this digit's card?"
    assert colours["verdict"]["status"] == "shown"
    assert {row["attack"]: row["value"] > 0.5 for row in colours["estimates"]} == {"brightest": True, "dice": False}
    assert {row["status"] for row in colours["null_audit"]} == {"pass"}
    assert found.content["verdict"]["threat"] == "colour" or members["verdict"]["status"] == "shown"
    assert {row.threat for row in found.estimates} == {"members", "colour"}


def test_its_numbers_are_those_of_an_audit_alone(finished, tmp_path):
    alone = run({**table(), "threat": {"family": "colour"}}, tmp_path / "alone")
    (colours,) = alone["threats"]
    assert colours == load(finished).content["threats"][1]
    members = run({**table(), "threat": {**MEMBERSHIP}, "attack": ATTACKS}, tmp_path / "members")["threats"][0]
    beside = load(finished).content["threats"][0]
    answers = [one.pop("answers") for one in (members["verdict"], beside["verdict"])]  # which name the audit's key
    assert members == beside
    assert len(answers[0]) == len(answers[1])


def test_every_runner_gives_the_same_bytes(finished, tmp_path):
    run(two(), tmp_path / "run")
    assert (tmp_path / "run" / "result.json").read_bytes() == (finished / "result.json").read_bytes()


def test_the_report_has_a_section_for_it(finished):
    page = (finished / "report.html").read_text()
    assert "Somebody who sees the picture names" in page
    assert "Which colour is this digit" in page
    assert page.count("Was this digit used to train the model?") >= 1


def test_policies_know_its_metrics(finished):
    content = load(finished).content
    limit = {"metric": "right", "family": "colour", "max": 0.3}
    found = check(content, parse_policy({"limit": [limit]}, FAMILIES), FAMILIES)
    assert not found.passed
    assert "right" in sarif(found, content)
    assert "brightest" in junit(found, content)
    (line,) = [one for one in found.lines() if "brightest" in one]
    assert "colour" in line
    with pytest.raises(ConfigError, match="fpr"):
        parse_policy({"limit": [{"metric": "right", "fpr": 0.01, "max": 0.3}]}, FAMILIES)


def test_two_runs_of_it_are_compared(finished, tmp_path):
    blurred = run(two(sharpness=0.0), tmp_path / "blurred")
    assert blurred["threats"][1]["verdict"]["status"] == "not_shown"
    told = compare(load(finished).content, blurred).lines()
    assert any("moved down" in line and "brightest" in line and "right" in line for line in told)


def test_plans_and_refusals(tmp_path):
    plan = verbs.plan(parse(two(sharpness=0.0), base=BASE), store=tmp_path)
    assert [(one.threat, one.id, one.refused) for one in plan.attacks] == [
        ("members", "loss", ""), ("members", "constant", ""), ("members", "count", ""), ("colour", "brightest", ""),
        ("colour", "dice", ""),
    ]  # fmt: skip
    assert "threat colour: pictures: they show nothing" in plan.notes
    with pytest.raises(ConfigError, match=r"threat\[1\].cards: must be even, got 41: use 42"):
        parse(two(cards=41), base=BASE)
    with pytest.raises(ConfigError, match=r"threat\[1\].card: unknown key, did you mean 'cards'"):
        parse(two(card=40), base=BASE)
    with pytest.raises(ConfigError, match=r"threat\[1\].cards: must be at most 10000"):
        prepare(parse(two(cards=20_000), base=BASE), store=Store(tmp_path))
    with pytest.raises(AccessError, match="threat 'colour': attack 'brightest': needs a picture"):
        verbs.run(parse(two(access="labels"), base=BASE), tmp_path / "run", workers=1)


def test_attacks_go_to_the_threats_that_they_are_for():
    rows = [*ATTACKS, {"name": "brightest", "weight": 2.0, "threats": ["colour"]}, {"name": "dice"}]
    audit = parse({**two(), "attack": rows}, base=BASE)
    assert [[one.id for one in row.attacks] for row in audit.threats] == [
        ["loss", "constant", "count"], ["brightest", "dice"],
    ]  # fmt: skip
    for row, told in (
        ({"name": "brighter"}, r"attack\[0\].name: unknown attack 'brighter', did you mean 'brightest'"),
        ({"name": "dice", "family": "membership"}, "unknown attack 'dice'"),
        ({"name": "dice", "threats": ["members"]}, r"attack\[0\].threats: must be ids of threats of family 'colour'"),
        ({"name": "dice", "family": "color"}, r"attack\[0\].family: must be the family of a \[\[threat\]\]"),
        ({"name": "families.toy:Dice"}, r"attack\[0\].family: must say which family is meant"),
    ):
        with pytest.raises(ConfigError, match=told):
            parse({**two(), "attack": [row]}, base=BASE)


def test_another_attack_is_played_alone(finished, tmp_path, monkeypatch):
    """The store of a finished audit has everything but the new plays."""
    played, real = [], ColourPlay.perform
    monkeypatch.setattr(ColourPlay, "perform", lambda job: (played.append(job.row.id), real(job)))
    run(two(), tmp_path / "run", store=finished.parent / "store")
    assert played == []
    rows = [*ATTACKS, {"name": "brightest"}, {"name": "brightest", "id": "twice", "weight": 2.0}]
    run({**two(), "attack": rows}, tmp_path / "more", store=finished.parent / "store")
    assert played == ["twice", "twice"]


def test_measuring_anew_gives_the_same_bytes(finished):
    before = [(finished / name).read_bytes() for name in ("result.json", "report.html")]
    verbs.measure(finished)
    page.report(finished)
    assert [(finished / name).read_bytes() for name in ("result.json", "report.html")] == before


def test_a_topology_stands_for_its_threats():
    parties = [{"name": "phone", "trust": "full"}, {"name": "server", "trust": "honest-but-curious"}]
    parts = [{"name": "all", "stage": "train", "at": "phone"}]
    raw = {key: value for key, value in table().items() if key != "threat"}
    audit = parse({**raw, "topology": {"parties": parties, "parts": parts}}, base=BASE)
    assert [(row.id, row.family.name) for row in audit.threats] == [("server-sees", "colour")]
