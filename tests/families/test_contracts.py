"""What every family of attacks keeps to; a new one is added to the list."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import pytest
from audits import BASE, faces, table

from dosimeter.config.audit import parse
from dosimeter.families.family import Family
from dosimeter.families.registry import FAMILIES
from dosimeter.families.threat import ThreatTable
from dosimeter.jobs.store import Store, canonical
from dosimeter.pipeline import verbs
from dosimeter.results.metrics import BOUNDS
from dosimeter.results.page.section import Section
from dosimeter.results.standards import entries
from dosimeter.results.views import own_rows, views
from families.exchange.games import table as together
from families.split.games import audit as halves
from families.toy import COLOUR

ROOT = Path(__file__).parents[2]
LEAKS = {
    "membership": {"shadows": 8, "targets": 4, "population": 40},
    "inversion": {"public": "others"},
    "split": {"cuts": ["2"], "auxiliary": "others", "victims": "queries"},
    "exchange": {},
    "colour": {"sharpness": 2.0},
}
"""A threat of each family; where nothing leaks, its `NOTHING` changes it."""
NOTHING = {
    "membership": {}, "inversion": {}, "split": {"cuts": ["1"]}, "exchange": {"property": "luck"},
    "colour": {"sharpness": 0.0},
}  # fmt: skip


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(FAMILIES, "colour", COLOUR)


@pytest.fixture(params=["membership", "inversion", "split", "exchange", "colour"])
def family(request):
    return FAMILIES[request.param]


def audit(family, *, leaks=True):
    """A small audit of one family; a model that was trained for no epoch at all tells nothing of its records.

    Features of fresh weights tell of the records that pass, so the family split gets a model that forgets them.
    """
    small = {"inversion": faces, "split": lambda: halves(model="net" if leaks else "blind"), "exchange": together}
    raw = small.get(family.name, table)()
    asked = {"family": family.name, **LEAKS[family.name], **({} if leaks else NOTHING[family.name])}
    raw |= {"threat": {**(raw["threat"] if family.name == "exchange" else {}), **asked}}
    if not leaks and family.name != "exchange":
        raw["stage"][0] |= {"lr": 1e-12, "epochs": 1}
    return parse(raw, base=BASE)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Finished runs by family, made when first asked for."""
    folder, found = tmp_path_factory.mktemp("contracts"), {}

    def run(family, *, leaks):
        place = folder / f"{family.name}-{leaks}"
        if place not in found:
            verbs.run(audit(family, leaks=leaks), place, workers=1)
            found[place] = json.loads((place / "result.json").read_text())
        return found[place], place

    return run


def test_its_findings_map_to_public_lists(family):
    mapped = {entry.source for entry in entries(family.name)}
    assert ("NIST AI RMF" in mapped) == (family is not COLOUR)


def test_it_says_all_that_readers_need(family):
    assert isinstance(family, Family)
    assert issubclass(family.settings, ThreatTable)
    assert family.question.endswith("?")
    assert "{noun}" in family.question
    for metric in family.metrics.values():
        assert metric.unit in {*BOUNDS, "number"}
        assert {"max", "min"} & set(metric.example) or not metric.limited
    for kind in family.attacks().values():
        assert dataclasses.is_dataclass(kind)
        assert kind.__doc__
        assert kind.paper
    assert any(kind.control for kind in family.attacks().values())
    rows = family.default_attacks(family.settings(), transferred=False)
    assert any(family.attacks()[row["name"]].control for row in rows)


def test_its_template_is_an_audit_file(family):
    assert "threat" in tomllib.loads(family.template()["audit.toml"])


@pytest.mark.parametrize("name", list(FAMILIES))
def test_it_has_a_page_and_its_metrics_are_in_the_page_of_policies(name):
    pages = [path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")]
    assert any(f"`{name}`" in page or f'"{name}"' in page for page in pages)
    policies = (ROOT / "docs" / "policies.md").read_text("utf-8")
    limited = [metric for metric, one in FAMILIES[name].metrics.items() if one.limited]
    assert [metric for metric in limited if f"`{metric}`" not in policies] == []


def test_a_leak_is_found_and_controls_are_at_chance(family, runs):
    result, _ = runs(family, leaks=True)
    (threat,) = result["threats"]
    assert threat["verdict"]["status"] == "shown"
    assert threat["dose"]["shown"] > 0
    assert {row["status"] for row in threat["null_audit"]} == {"pass"}
    assert not [gate for gate in threat["gates"] if gate["status"] == "fail"]


def test_where_nothing_leaks_nothing_is_claimed(family, runs):
    result, _ = runs(family, leaks=False)
    (threat,) = result["threats"]
    assert threat["verdict"]["status"] in ("not_shown", "not_resolvable", "withdrawn")
    assert threat["dose"] is None or threat["dose"]["shown"] == 0


def test_it_is_cached_and_measured_anew_to_the_same_bytes(family, runs, tmp_path, monkeypatch):
    _, folder = runs(family, leaks=True)
    saved = []
    monkeypatch.setattr(Store, "save", lambda *arguments: saved.append(arguments))
    verbs.run(audit(family), tmp_path / "run", workers=1, store=folder.parent / ".store")
    assert saved == []
    before = (folder / "result.json").read_bytes()
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    verbs.measure(tmp_path / "run")
    assert (tmp_path / "run" / "result.json").read_bytes() == before


def test_its_section_is_made_of_the_result_alone(family, runs):
    result, _ = runs(family, leaks=True)
    (view,) = views(json.loads(canonical(result)))
    section = family.section(own_rows(view), {})
    assert isinstance(section, Section)
    assert section.what
    assert section.badge
    assert {row["id"] for row in view["attacks"]} <= set(section.names)
