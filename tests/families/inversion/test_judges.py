"""Judges: whom they learn on, what the lineup accepts, and what every number says of a weak one."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from audits import BASE, faces

from dosimeter.config.audit import parse
from dosimeter.errors import AuditError
from dosimeter.families.inversion.play import judges
from dosimeter.families.registry import FAMILIES
from dosimeter.jobs.arrays import read_arrays, save_arrays
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.page import report
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.results.policy.check import check
from dosimeter.results.policy.limits import parse_policy
from dosimeter.results.reading import read_result

MARKED = {"recognised": "lineup", "placed": "lineup", "accepted": "lineup", "classified": "classifier"}


def with_verifier(**threat):
    """The audit of faces whose other people are divided: some for the adversary, some for the judges alone."""
    raw = faces(verifier="judged", **threat)
    people = raw["data"]["others"]["where"]["label"]
    raw["data"]["judged"] = {**raw["data"]["others"], "where": {"label": people[10:]}}
    raw["data"]["others"] = {**raw["data"]["others"], "where": {"label": people[:10]}}
    return raw


def prepared(raw, tmp_path):
    return prepare(parse(raw, base=BASE), store=Store(tmp_path))


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A run whose judges see with networks that were hardly trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "STEPS", 25)
        folder = tmp_path_factory.mktemp("judges")
        raw = with_verifier(judges="network")
        verbs.run(parse(raw, base=BASE), folder / "run", workers=1, store=folder / "store")
    return json.loads((folder / "run" / "result.json").read_text())["threats"][0], folder / "run"


def test_numbers_on_acceptance_are_those_of_the_evidence(seen):
    threat, folder = seen
    truth = read_arrays(folder / "threats" / "inversion" / "truth" / "truth.npz")
    least = float(truth["accepts_from"])
    own = threat["details"]["acceptance"]
    assert own["right"] == pytest.approx((truth["own_similarity"] > least).mean())
    assert own["wrong"] == pytest.approx((truth["other_similarity"] > least).mean())
    for index, attack in enumerate(threat["attacks"]):
        arrays = read_arrays(folder / "threats" / "inversion" / "evidence" / f"{index}.npz")
        accepted = np.diagonal(arrays["lineup"][0, :, 0]) > least
        named = arrays["classifier"][0, :, 0].argmax(1) == np.arange(20)
        rows = {row["metric"]: row for row in threat["estimates"] if row["attack"] == attack["id"]}
        assert rows["accepted"]["value"] == pytest.approx(accepted.mean())
        assert rows["confirmed"]["value"] == pytest.approx((accepted & named).mean())
        assert rows["confirmed"]["conditions"] == {"false_acceptance": 0.05}
        if named.any():
            assert rows["rejected"]["value"] == pytest.approx(1 - accepted[named].mean())
            assert rows["rejected"]["n"] == {"identities": named.sum()}
        else:
            assert rows["rejected"]["status"] == "not_resolvable"


def test_a_weak_judge_is_marked_in_every_row_and_warned_of(seen):
    threat, folder = seen
    weak = {name for name, share in threat["details"]["judges"].items() if share < 0.9}
    assert weak  # networks that were hardly trained
    for row in threat["estimates"]:
        if row["metric"] in MARKED and row["status"] == "ok":
            assert ("real records right" in row["reason"]) == (MARKED[row["metric"]] in weak)
    assert next(gate for gate in threat["gates"] if gate["id"] == "V1")["status"] == "warn"
    assert "of real records right" in (folder / "report.html").read_text("utf-8")


def test_judges_that_see_are_stored_whole(seen, monkeypatch):
    _, folder = seen
    monkeypatch.setattr(judges, "STEPS", 25)
    judge = prepared(with_verifier(judges="network"), folder.parent / "store").cases["inversion"].judge
    data, tested = judge.store.load(judge.data), judge.records.tested
    records = data["inputs"][tested].flatten(1).double().numpy() / 255
    truth = data["labels"].numpy()[tested]
    lineup, classifier = judge.load()
    similarity = lineup.similarity(records)
    assert np.allclose(similarity[np.arange(len(truth)), truth], judge.tested()["own_similarity"], rtol=1e-4, atol=1e-5)
    assert np.array_equal(classifier.similarity(records).argmax(1) == truth, judge.tested()["classifier_right"])
    assert judge.others != prepared(faces(), folder.parent / "store").cases["inversion"].judge.others


def test_what_a_blind_judge_does_not_recognise_meets_no_limit(seen, tmp_path):
    """Whom nobody recognises in real records nobody recognises in reconstructions, however much these tell."""
    shutil.copytree(seen[1], tmp_path / "run")
    path = tmp_path / "run" / "threats" / "inversion" / "truth" / "truth.npz"
    truth = dict(read_arrays(path))
    truth["lineup_right"] = np.zeros_like(truth["lineup_right"])
    save_arrays(path, truth)
    verbs.measure(tmp_path / "run")
    report(tmp_path / "run")
    result = read_result(tmp_path / "run" / "result.json", families=FAMILIES)
    (threat,) = result["threats"]
    assert threat["verdict"]["status"] == "not_resolvable"
    rows = {row["metric"]: row for row in threat["estimates"]}
    assert {rows[one]["status"] for one in ("recognised", "placed", "dose", "accepted")} == {"not_resolvable"}
    assert rows["classified"]["status"] == "ok"
    limit = {"metric": "recognised", "max": 0.9, "top": 1}
    found = check(result, parse_policy({"limit": [limit]}, FAMILIES), FAMILIES)
    assert {one.status for one in found.outcomes} == {"undecided"}
    assert not found.passed


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"verifier": "judges"}, "threat.verifier: no such part of data, got 'judges'"),
        ({"verifier": "private"}, "threat.verifier: "),
        ({"verifier": "others"}, "threat.verifier: "),
    ],
)
def test_a_verifier_of_other_people_is_asked_for_in_one_line(tmp_path, changed, told):
    with pytest.raises(AuditError) as refused:
        prepared(faces(**changed), tmp_path)
    assert all(one.startswith(told) for one in refused.value.problems), refused.value.problems
