"""JUnit XML against junit-10.xsd: every status, hostile names, the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import example
import pytest
from flat import check, junit, parse_policy

from results.policy import test_sarif
from results.policy.test_sarif import HOSTILE, POLICY

SCHEMA = Path(sys.prefix) / "share" / "junit-10.xsd"
"""Brought by `make install` from pytest's source distribution."""


def of(result, policy=POLICY, accepted=None):
    """The JUnit of a check, as text and tree."""
    text = junit(check(result, policy, accepted), result)
    assert text == junit(check(result, policy, accepted), result)
    return text, ET.fromstring(text)


def test_every_status_has_its_child():
    _, root = of(example.shown())
    children = {}
    for case in root.iter("testcase"):
        for child in case:
            children.setdefault(child.tag, set()).add(child.get("type"))
    assert children == {"failure": {"exceeded", "undecided"}, "skipped": {"undecided", "refused", "not_applicable"}}
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["membership, variant none", "utility, variant none"]
    first = suites["membership, variant none"]
    assert len(first.findall("properties/property")) == 6
    assert int(first.get("tests")) == len(first.findall("testcase"))
    assert int(first.get("failures")) == len(first.findall("testcase/failure"))
    assert int(first.get("skipped")) == len(first.findall("testcase/skipped"))
    assert root.get("failures") == first.get("failures")
    assert suites["utility, variant none"].find("testcase").find("*") is None


def test_withdrawn_is_an_error():
    result = example.shown()
    result["gates"][0]["status"] = "fail"
    _, root = of(result)
    assert root[0].get("name") == "the audit itself"
    assert root[0].find("testcase/error").get("message").startswith("check fail: blind")
    assert root.findall("testsuite/testcase/failure") == []
    strict = parse_policy({"limit": [{"metric": "auc", "max": 0.99}], "gates": {"allow_warn": False}})
    result["gates"][0]["status"] = "warn"
    _, root = of(result, strict)
    assert root[0].find("testcase/failure") is not None


def test_hostile_names_stay_text():
    text, root = of(test_sarif.hostile())
    assert not set(HOSTILE) & set("\x00\x1b\u202e\ufffe\ud800") & set(text)
    names = [case.get("name") for case in root.iter("testcase")]
    assert any("</a>]]>&[U+0000][U+001B]" in name for name in names)
    assert not {"time", "timestamp", "hostname"} & {name for node in root.iter() for name in node.attrib}


@pytest.mark.skipif(not SCHEMA.is_file(), reason="junit-10.xsd is absent; `make install` fetches it")
@pytest.mark.parametrize("make", [example.shown, test_sarif.hostile, example.tiny])
def test_it_is_of_the_junit_10_family(make):
    xmlschema = pytest.importorskip("xmlschema")
    schema, result = xmlschema.XMLSchema10(SCHEMA), make()
    schema.validate(of(result)[0])
    schema.validate(of(result, None, result)[0])
    result["gates"][0]["status"] = "fail"
    schema.validate(of(result)[0])
    assert not schema.is_valid("<testsuite/>")
