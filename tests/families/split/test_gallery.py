"""Who a person is as the secret: the adversary knows the victims by other records of theirs."""

from __future__ import annotations

import json

import pytest
from audits import BASE

from dosimeter.config.audit import parse
from dosimeter.foundation.errors import DataError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from families.split.games import audit


def asked(*attributes):
    """An audit of 12 persons, each in every part."""
    few = {"classifiers": ["logistic"]}
    pool = [
        {"name": "attribute_pool", **few}, {"name": "output_only", "mode": "attribute", **few},
        {"name": "raw_input", **few},
    ]  # fmt: skip
    raw = audit(pool, data="galleries", cuts=["2"], attributes=list(attributes))
    del raw["data"]["others"]["disjoint"]
    return parse(raw, base=BASE)


def test_who_a_person_is_may_be_the_secret_and_is_known_by_a_gallery(tmp_path):
    case = prepare(asked("person"), store=Store(tmp_path / "plan")).cases["split"]
    assert case.people.gallery == len(case.people.secrets[0].values) == 12
    assert any(note.startswith("gallery: of 12 of the victims' persons") for note in case.notes())
    verbs.run(asked("person"), tmp_path / "run", workers=1, store=tmp_path / "store")
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text())["threats"]
    (found,) = (
        one
        for one in threat["estimates"]
        if (one["metric"], one["attack"], one["variant"]) == ("attribute_auc", "attribute_pool", "none")
    )
    (told,) = (one for one in threat["gates"] if one["id"] == "S6")
    assert told["status"] == "warn"
    assert "person says who a person is" in told["message"]
    # Intervals are those of further records of these persons: no value has a second person.
    assert 0.5 < found["low"] < found["value"] < found["high"] < 1


def test_beside_another_attribute_the_same_persons_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"must share nothing with 'queries', got in both 12 persons"):
        prepare(asked("side", "person"), store=Store(tmp_path))
