"""Split from an audit file to the report: leak, null, refusals, variants, and what attacks may read."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from audits import BASE
from sklearn.metrics import roc_auc_score

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.registry import FAMILIES
from dosimeter.families.split.case.people import lined_up
from dosimeter.families.split.play.exchanged import Exchanged
from dosimeter.families.split.play.job import PlayJob
from dosimeter.foundation.errors import AuditError, ConfigError, DataError
from dosimeter.games import Guesses, SplitNeeds
from dosimeter.jobs.arrays import read_arrays
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.results.compare import compare
from dosimeter.results.policy.check import check
from dosimeter.results.policy.limits import parse_policy
from dosimeter.results.policy.sarif import sarif
from dosimeter.results.reading import read_result
from families.split.games import audit, people

RIDGE = [{"name": "ridge"}, {"name": "output_only", "mode": "input", "epochs": 5}, {"name": "mean_input"}]
VARIANT = {"id": "short", "stage": {"train": {"epochs": 1, "lr": 0.001}}}


@dataclass(frozen=True)
class Cheat:
    """Look the attribute up by the names of the victims, where no attack may look."""

    paper: ClassVar[str] = "none; a cheat for tests"
    control: ClassVar[bool] = False
    needs: ClassVar[SplitNeeds] = SplitNeeds("attribute")
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game, rng):
        whole = people(0)
        side = dict(zip(whole.ids.tolist(), whole.attributes["side"].tolist(), strict=True))
        right = np.array([side[one] == "right" for one in game.ids])
        return Guesses(game.ids, np.stack([~right, right], 1)[None].astype(float))


@dataclass(frozen=True)
class Scramble:
    """Send noise in place of features."""

    paper: ClassVar[str] = "none; a toy"
    place: ClassVar[str] = "cut"
    ladder: ClassVar = ({"spread": 1.0}, {"spread": 2.0}, {"spread": 3.0})
    spread: float = 1.0

    def send(self, features, rng):
        return self.spread * torch.from_numpy(rng.standard_normal(tuple(features.shape), dtype=np.float32))


def run(raw, folder, store):
    verbs.run(parse(raw, base=BASE), folder, workers=1, store=store)
    return json.loads((folder / "result.json").read_text())


def prepared(raw, tmp_path):
    return prepare(parse(raw, base=BASE), store=Store(tmp_path))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, store):
    """A run with a variant that hardly trains."""
    folder = tmp_path_factory.mktemp("split") / "run"
    return run({**audit(show_records=True), "variant": [VARIANT]}, folder, store), folder


def rows_of(threat, metric, attack, variant="none"):
    return [
        row
        for row in threat["estimates"]
        if (row["metric"], row["attack"], row["variant"]) == (metric, attack, variant)
    ]


def test_a_leak_is_shown_and_the_page_says_so_plainly(finished):
    result, folder = finished
    (threat,) = result["threats"]
    assert threat["verdict"]["status"] == "shown"
    told = " ".join(threat["verdict"]["sentences"])
    assert "learns more of the picture itself and the attribute “side” than the model's answer must tell." in told
    assert "by chance it would be 1" in told
    assert "this trained model only" in told
    page = (folder / "report.html").read_text("utf-8")
    assert threat["verdict"]["sentences"][1].split(",")[0] in page
    assert "data:image/png" in page
    for text in ("Leakage index", "answers alone", "control, must be at chance", "Cut after “2”", "Cut after “4”"):
        assert text in page
    assert 0 < threat["dose"]["floor"] < threat["dose"]["shown"] < threat["dose"]["ceiling"]
    assert {one["status"] for one in threat["gates"]} == {"pass"}


def test_numbers_are_those_of_the_stored_evidence(finished):
    result, folder = finished
    (threat,) = result["threats"]
    truth = read_arrays(folder / "threats" / "split" / "truth" / "truth.npz")
    for index, attack in enumerate(threat["attacks"]):
        arrays = read_arrays(folder / "threats" / "split" / "evidence" / f"{index}.npz")
        cuts = ["2", "4"] if attack["reads"] == "features" else [None]
        for source, cut in enumerate(cuts):
            if attack["goal"] == "input":
                lineup = arrays["lineup"][0, source]
                top = ((lineup > np.diag(lineup)[:, None]).sum(1) < 1) & (
                    (lineup == np.diag(lineup)[:, None]).sum(1) == 1
                )
                wanted = {"mse": arrays["mse"][0, source].mean(), "ssim": arrays["ssim"][0, source].mean()}
                wanted["identified"] = top.mean()
            else:
                wanted = {"attribute_auc": roc_auc_score(truth["value-0"], arrays["guesses-0"][0, source][:, 1])}
            for metric, value in wanted.items():
                rows = [one for one in rows_of(threat, metric, attack["id"]) if one["conditions"].get("cut") == cut]
                assert rows[0]["value"] == pytest.approx(value)
                assert rows[0]["low"] <= rows[0]["value"] <= rows[0]["high"]


def test_the_null_audit_of_an_attack_on_the_input_is_its_own_play_with_the_answers_exchanged(store, tmp_path):
    ready = prepare(parse(audit(RIDGE), base=BASE), store=Store(store))
    (case,) = ready.cases.values()
    own = {plays.row.name: plays for plays in case.plays}["ridge"]
    (null,) = own.null
    assert isinstance(null, Exchanged)
    assert null not in own.jobs
    anew = replace(null.play, moved=case.moved)
    assert anew.key != null.key != null.play.key
    verbs.run(parse(audit(RIDGE), base=BASE), tmp_path / "run", workers=1, store=store)
    anew.perform()
    assert anew.load() == pytest.approx(null.load(), abs=1e-4)
    assert not np.allclose(null.load(), null.play.load())


def test_yardsticks_stand_where_they_must(finished):
    (threat,) = finished[0]["threats"]
    (floor,), (ceiling,) = (rows_of(threat, "attribute_auc", one) for one in ("output_only attribute", "raw_input"))
    first, second = rows_of(threat, "attribute_auc", "attribute_pool")
    assert floor["value"] < second["value"] <= first["value"] <= ceiling["value"] + 0.02
    (mean,) = rows_of(threat, "input_place", "mean_input")
    assert mean["value"] == 0.5
    assert (
        max(row["value"] for row in rows_of(threat, "mse", "decoder"))
        < rows_of(threat, "mse", "mean_input")[0]["value"]
    )
    index = rows_of(threat, "leakage_index", "attribute_pool")
    assert [0 <= row["value"] <= 1 for row in index] == [True, True]
    assert {one["status"] for one in threat["null_audit"]} == {"pass"}
    assert {one["attack"] for one in threat["null_audit"]} == {one["id"] for one in threat["attacks"]}


def test_a_variant_is_compared_victim_by_victim(finished):
    result, _ = finished
    (threat,) = result["threats"]
    changes = rows_of(threat, "attribute_auc_change", "attribute_pool", "short")
    assert [row["conditions"] for row in changes] == [{"attribute": "side", "cut": one} for one in ("2", "4")]
    assert len(rows_of(threat, "identified_change", "ridge", "short")) == 2
    assert all(row["low"] <= row["value"] <= row["high"] for row in changes)
    (change,) = [row for row in result["utility"] if row["metric"] == "accuracy_change"]
    assert change["high"] < 0


def test_a_policy_limits_it_and_sarif_names_the_lists(finished):
    _, folder = finished
    read = read_result(folder / "result.json", families=FAMILIES, name="result.json", absent="run")
    limits = [
        {"metric": "attribute_auc", "attribute": "side", "attack": "attribute_pool", "max": 0.6},
        {"metric": "identified", "top": 1, "cut": "4", "attack": "ridge", "max": 0.999},
        {"metric": "mse", "attack": "decoder", "min": 0.0},
    ]
    passed = []
    for limit in limits:
        found = check(read, parse_policy({"limit": [limit]}, families=FAMILIES), families=FAMILIES)
        passed.append(found.passed)
        if not found.passed:
            text = json.loads(sarif(found, read))
            taxa = {one["id"] for entry in text["runs"][0]["results"] for one in entry.get("taxa", ())}
            assert "MEASURE 2.10" in taxa
            assert "AML.T0024.000" not in taxa
    assert passed == [False, True, True]
    later = parse_policy({"limit": [{**limits[0], "cut": "4"}]}, families=FAMILIES)
    (one,) = check(read, later, families=FAMILIES).outcomes
    assert one.row.conditions["cut"] == "4"
    unmeasured = parse_policy({"limit": [{"metric": "ssim", "cut": "9", "max": 0.3}]}, families=FAMILIES)
    with pytest.raises(ConfigError, match="must match what was measured for ssim, got '9': use one of: 2, 4"):
        check(read, unmeasured, families=FAMILIES)


def test_two_audits_are_compared_cut_by_cut(finished, tmp_path, store):
    result, _ = finished
    fewer = run(audit(RIDGE, attributes=[], cuts=["2"]), tmp_path / "run", store)
    found = compare(result, fewer)
    assert any(line.startswith("threat.cuts: ") for line in found.differences)
    own = {
        str((move.new or move.old).row.conditions["cut"]): move.change
        for move in found.moves
        if (move.key.attack, move.key.metric, move.key.variant) == ("ridge", "mse", "none")
    }
    assert own == {"2": "none", "4": "gone"}
    limits = parse_policy({"limit": [{"metric": "mse", "attack": "ridge", "cut": "2", "min": 0}]}, families=FAMILIES)
    worse = json.loads(json.dumps(result))
    for row in worse["threats"][0]["estimates"]:
        if (row["attack"], row["metric"]) == ("ridge", "mse"):
            row |= {name: row[name] / 10 for name in ("value", "low", "high")}
    assert check(result, limits, families=FAMILIES, accepted=result).passed
    ratcheted = check(worse, limits, families=FAMILIES, accepted=result)
    assert [one.row.conditions["cut"] for one in ratcheted.outcomes if one.fails] == ["2"]


def test_features_of_nothing_show_nothing(tmp_path, store):
    result = run(audit(model="blind"), tmp_path / "run", store)
    (threat,) = result["threats"]
    assert threat["verdict"]["status"] == "not_shown"
    told = " ".join(threat["verdict"]["sentences"])
    assert "It was not shown that somebody" in told
    assert "would have been above chance in 9 of 10 audits" in told
    assert threat["dose"] is None or threat["dose"]["shown"] == 0
    assert not any(one["above_chance"] for one in threat["details"]["tests"])


def test_what_the_answers_tell_too_is_not_blamed_on_the_cut(tmp_path, store):
    """The features of the last hidden layer of a model whose answer is the attribute tell no more than the answer."""
    raw = audit(model="net", attributes=["side"], cuts=["4"])
    for part in raw["data"].values():
        part["data"] = "families.split.test_case:sided"
    raw["stage"][0] |= {"epochs": 60}
    (threat,) = run(raw, tmp_path / "run", store)["threats"]
    (test,) = [one for one in threat["details"]["tests"] if one["attribute"] == "side"]
    assert test["above_chance"]
    assert not test["shown"]


def sided(seed):
    """The records with the attribute as their class."""
    whole = people(0)
    return replace(whole, labels=(whole.attributes["side"] == "right").astype(np.int64), classes=("left", "right"))


def test_a_cheat_is_caught(tmp_path, store):
    raw = audit([{"id": "cheat", "name": "families.split.test_case:Cheat"}, {"name": "mean_input"}])
    (threat,) = run(raw, tmp_path / "run", store)["threats"]
    assert threat["verdict"]["status"] == "withdrawn"
    assert {one["attack"]: one["status"] for one in threat["null_audit"]}["cheat"] == "fail"


def done(raw, folder, watch=None):
    """The case of an audit, with its jobs done; `watch` is asked about each of them first."""
    case = prepared(raw, folder).cases["split"]
    for _, jobs in case.phases():
        for job in jobs:
            for data in case.datasets():
                save_data(data, job.store)
            if watch is not None:
                watch(job)
            job.perform()
    return case


def test_attacks_read_the_recording_and_the_auxiliary_side_alone(tmp_path, monkeypatch):
    loaded, load, seen = [], Store.load, []

    def remember(self, key):
        loaded.append(key)
        return load(self, key)

    def watch(job):
        if isinstance(job, PlayJob):
            loaded.clear()
            job.game()
            more = {job.record.data[0]} if job.row.id == "raw_input" else set()  # a yardstick that nobody has
            assert set(loaded) <= {job.record.key, job.record.data[1]} | more
            assert job.record.data[0] != job.record.data[1]
            seen.append(job.row.id)

    monkeypatch.setattr(Store, "load", remember)
    short = [
        {"name": "ridge"},
        {"name": "attribute_pool", "classifiers": ["logistic"]},
        {"name": "raw_input", "classifiers": ["logistic"]},
        {"name": "mean_input"},
    ]
    done(audit(short), tmp_path, watch)
    # Neither attack plays on the answers too, and nothing else stands for the control of attributes.
    beside = {"output_only input", "output_only attribute", "attribute_coin"}
    assert set(seen) == {"ridge", "attribute_pool", "raw_input", "mean_input", *beside}


def test_victims_who_differ_only_where_the_first_half_is_blind_get_the_same_reconstructions(tmp_path):
    raw = audit(RIDGE, model="left", attributes=[])
    first = done(raw, tmp_path)
    raw["data"]["queries"]["data"] = "families.split.test_case:right_changed"
    second = done(raw, tmp_path)
    assert not np.array_equal(first.people.victims.inputs, second.people.victims.inputs)
    for one, other in zip(first.plays, second.plays, strict=True):
        for a, b in zip(one.all, other.all, strict=True):
            assert np.array_equal(a.load(), b.load())


def right_changed(seed):
    """The records with other right halves."""
    whole = people(0)
    inputs = whole.inputs.copy()
    inputs[..., 3:] = 1 - inputs[..., 3:]
    return replace(whole, inputs=inputs)


def test_defenses_of_the_cut_reach_attacks_and_the_rest_of_the_audit_stays(tmp_path, store):
    raw = {**audit(RIDGE, attributes=[]), "variant": [
        {"id": "noise", "stage": {"train": {"defenses": [{"name": "families.split.test_case:Scramble"}]}}}
    ]}  # fmt: skip
    (threat,) = run(raw, tmp_path / "run", store)["threats"]
    changes = rows_of(threat, "identified_change", "ridge", "noise")
    assert [row["high"] < 0 for row in changes] == [True, True]
    after = rows_of(threat, "input_place", "ridge", "noise")
    assert all(row["low"] < 0.5 < row["high"] for row in after)


def test_persons_move_together_and_stand_in_the_lineup_once(tmp_path, store):
    (threat,) = run(audit(RIDGE, data="albums", attributes=[]), tmp_path / "run", store)["threats"]
    assert (threat["data"]["persons"], threat["data"]["lineup"]) == (24, 24)
    rows = lined_up(np.repeat(np.arange(9), 4), 5, seed=0)
    assert len(set((rows // 4).tolist())) == 5


BAD = [
    ({"cuts": []}, "threat.cuts: is required"),
    ({"cuts": ["2", "2"]}, "threat.cuts: must be distinct, got '2' twice"),
    ({"cuts": ["input"]}, "threat.cuts: must leave something on either side, got 'input'"),
    ({"cuts": ["output"]}, "`output_only` attacks the answers"),
    ({"cuts": ["9"]}, "threat.cuts: stage 'train' has no cut after '9'"),
    ({"auxiliary": None}, "threat.auxiliary: is required"),
    ({"auxiliary": "queries"}, "threat.victims: must be others than the auxiliary records"),
    ({"auxiliary": "other"}, "threat.auxiliary: no such part of data, got 'other', did you mean 'others'?"),
    ({"victims": None}, "threat.victims: is required where the stage has no `test` records"),
    ({"attributes": ["sides"]}, "no such attribute, got 'sides', did you mean 'side'?"),
    ({"attributes": ["same"]}, "must have 2 to 20 values among the auxiliary records, got 1"),
    ({"attributes": ["many"]}, "must have 2 to 20 values among the auxiliary records, got 50"),
    ({"labels": 16, "attributes": []}, "threat.labels: counts labels of attributes"),
    ({"labels": 4000}, "threat.labels: must be at most 380"),
    ({"knows": "nothing"}, "threat.knows: these attacks need"),
    ({"access": "weights"}, "threat.access"),
    ({"lineup": 1}, "threat.lineup"),
]


@pytest.mark.parametrize(("threat", "said"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_refused_in_one_line_before_anything_is_trained(threat, said, tmp_path):
    raw = audit()
    raw["threat"] = {key: value for key, value in {**raw["threat"], **threat}.items() if value is not None}
    with pytest.raises(AuditError) as caught:
        prepared(raw, tmp_path)
    assert any(said in line for line in caught.value.problems), caught.value.problems
    assert all("\n" not in line for line in caught.value.problems)


def test_auxiliary_records_that_are_victims_are_refused(tmp_path):
    raw = audit()
    raw["data"]["others"] = {"data": raw["data"]["own"]["data"], "rows": "300:700"}
    with pytest.raises(DataError, match=r"threat.auxiliary: must share nothing with 'queries', got in both 20 records"):
        prepared(raw, tmp_path)


def test_a_supplied_model_with_records_that_split_does_not_read_is_refused():
    raw = {
        "name": "s", "target": {"model": "families.split.games:net", "members": "digits", "nonmembers": "digits"},
        "threat": {"family": "split", "cuts": ["2"], "auxiliary": "x"},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"target.nonmembers: no threat of this file reads it.*\n.*target.data: is"):
        parse(raw, base=BASE)


def test_training_records_among_the_victims_are_told(tmp_path, store):
    raw = audit(RIDGE, attributes=[])
    raw["data"]["queries"]["rows"] = "150:300"
    one = prepared(raw, tmp_path)
    assert "victims: 50 of them are records that a stage is trained on" in one.cases["split"].notes()
    (threat,) = run(raw, tmp_path / "run", store)["threats"]
    assert {gate["id"]: gate["status"] for gate in threat["gates"]}["S3"] == "warn"


def test_a_defense_of_the_cut_is_refused_where_nobody_sees_one():
    raw = audit()
    raw["threat"] = {"shadows": 4}
    del raw["attack"]
    raw["stage"][0]["defenses"] = [{"name": "families.split.test_case:Scramble"}]
    with pytest.raises(ConfigError, match="changes what crosses a cut"):
        parse(raw, base=BASE)
