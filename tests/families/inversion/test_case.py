"""Inversion from an audit file to the report, on real faces: leak, null, refusals, variants, pictures on request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from audits import BASE, faces, table

from dosimeter.config.audit import parse
from dosimeter.data import load
from dosimeter.families.inversion.case.records import split_records
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.games import Access, InversionNeeds, Reconstructions
from dosimeter.jobs.arrays import read_arrays
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.results.policy.check import check
from dosimeter.results.policy.limits import parse_policy
from dosimeter.results.policy.sarif import sarif
from dosimeter.results.reading import read_result

VARIANT = {"id": "less", "stage": {"train": {"epochs": 1, "lr": 0.001}}}


@dataclass(frozen=True)
class Cheat:
    """Look up who is who in the data, where no attack may look."""

    paper: ClassVar[str] = "none; a cheat for tests"
    control: ClassVar[bool] = False
    needs: ClassVar[InversionNeeds] = InversionNeeds(Access.LABELS)
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game, rng):
        real = load("orl-faces", options=parse(faces(), base=BASE).parts["private"].data_options.options)
        found = [real.inputs[real.labels == one][:1] / 255 for one in game.classes]
        return Reconstructions(game.ids, np.array(found, np.float32)[None])


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
    """A run with a variant that hardly trains, and with membership beside inversion."""
    folder = tmp_path_factory.mktemp("inversion") / "run"
    raw = {**faces(), "variant": [VARIANT]}
    return run(raw, folder, store), folder


def rows_of(threat, metric, attack, variant="none"):
    return [
        row
        for row in threat["estimates"]
        if (row["metric"], row["attack"], row["variant"]) == (metric, attack, variant)
    ]


def test_people_are_recognised_in_what_attacks_made_and_the_page_says_so_plainly(finished):
    result, folder = finished
    (threat,) = result["threats"]
    assert threat["verdict"]["status"] == "shown"
    assert max(threat["verdict"]["p_recognised"], threat["verdict"]["p_placed"]) <= 0.001
    head = threat["verdict"]["attack"]
    assert head in ("miface", "gmi logit")
    told = " ".join(threat["verdict"]["sentences"])
    assert "Somebody who has the model and holds 200 photos of other identities can make photos" in told
    assert "by chance an attack would get 1 right" in told
    assert "this trained model only" in told
    number = threat["details"]["headline"]["value"] * 20
    assert f"{number:.0f} of 20 identities" in told
    page = (folder / "report.html").read_text("utf-8")
    assert threat["verdict"]["sentences"][0] in page
    assert threat["dose"]["ceiling"] == pytest.approx(np.log2(20))
    assert 0 < threat["dose"]["shown"] <= threat["dose"]["value"] <= threat["dose"]["not_excluded"]


def test_numbers_are_those_of_the_stored_evidence(finished):
    result, folder = finished
    (threat,) = result["threats"]
    for index, attack in enumerate(threat["attacks"]):
        arrays = read_arrays(folder / "threats" / "inversion" / "evidence" / f"{index}.npz")
        for metric, judge in (("recognised", "lineup"), ("classified", "classifier")):
            similarity = arrays[judge][0, :, 0]
            rank = (similarity > np.diag(similarity)[:, None]).sum(1)
            for row in rows_of(threat, metric, attack["id"]):
                assert row["value"] == pytest.approx((rank < row["conditions"]["top"]).mean())
                assert row["n"] == {"identities": 20}
        (row,) = rows_of(threat, "placed", attack["id"])
        lineup = arrays["lineup"][0, :, 0]
        below = (lineup < np.diag(lineup)[:, None]).sum(1) / 19
        assert row["value"] == pytest.approx(below.mean())


def test_the_control_is_right_for_exactly_one_and_the_null_model_tells_nothing(finished):
    (threat,) = finished[0]["threats"]
    (row, _) = rows_of(threat, "recognised", "mean_public")
    assert row["value"] == pytest.approx(1 / 20)
    assert {one["status"] for one in threat["null_audit"]} == {"pass"}
    assert {one["attack"] for one in threat["null_audit"]} == {one["id"] for one in threat["attacks"]}
    assert max(one["value"] for one in threat["null_audit"]) <= 0.25


def test_a_variant_is_compared_identity_by_identity(finished):
    result, folder = finished
    (threat,) = result["threats"]
    for attack in ("miface", "gmi logit", "prior_best"):
        changes = rows_of(threat, "recognised_change", attack, "less")
        before, after = (rows_of(threat, "recognised", attack, one)[0]["value"] for one in ("none", "less"))
        plain = [one for one in changes if not one["reason"]]
        if plain:
            assert plain[0]["value"] == pytest.approx(after - before)
            assert plain[0]["low"] <= plain[0]["value"] <= plain[0]["high"]
    assert rows_of(threat, "recognised_change", "miface", "less")[0]["high"] < 0
    changes = [row for row in result["utility"] if row["metric"] == "accuracy_change"]
    assert {row["conditions"]["split"] for row in changes} == {"train", "nonmember"}
    assert "Identities recognised" in (folder / "report.html").read_text("utf-8")


def test_judges_prior_and_starts_are_the_same_for_all_variants(tmp_path):
    one = prepared({**faces(), "variant": [VARIANT]}, tmp_path)
    ((_, other),) = one.variants
    first, second = one.cases["inversion"], other.cases["inversion"]
    assert (first.judge.key, first.prior.key) == (second.judge.key, second.prior.key)
    assert {pack.key for pack in first.packs}.isdisjoint(pack.key for pack in second.packs)
    assert np.array_equal(first.split.trained, second.split.trained)


def test_pictures_are_shown_and_kept_on_request_alone(finished, store, tmp_path):
    result, folder = finished
    assert result["threats"][0]["details"]["pictures"] is None
    assert result["threats"][0]["details"]["identities"] is None
    for text in ((folder / "report.html").read_text("utf-8"), (folder / "result.json").read_text("utf-8")):
        assert not [name for name in ("s01", "s20") if name in text]
    assert "data:image/png" not in (folder / "report.html").read_text("utf-8")
    for file in folder.rglob("*.npz"):
        assert "pictures" not in read_arrays(file)
    shown = run(faces(show_records=True), tmp_path / "shown", store)
    pictures = shown["threats"][0]["details"]["pictures"]
    assert [row["attack"] for row in pictures["rows"]] == ["", *(one["id"] for one in shown["threats"][0]["attacks"])]
    assert all(len(row["png"]) == 20 for row in pictures["rows"])
    named = shown["threats"][0]["details"]["identities"]
    assert [one["name"] for one in named] == pictures["identities"] == [f"s{number:02d}" for number in range(1, 21)]
    assert np.mean([one["recognised"] for one in named]) == shown["threats"][0]["details"]["headline"]["value"]
    page = (tmp_path / "shown" / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 20 * 5
    same = [
        {key: value for key, value in one["threats"][0].items() if key in ("verdict", "dose")}
        for one in (result, shown)
    ]
    assert same[0] == same[1]


def test_an_attack_that_reads_the_audit_instead_of_the_model_is_caught(store, tmp_path):
    raw = faces()
    raw["attack"] = [{"name": "families.inversion.test_case:Cheat", "id": "cheat"}, {"name": "mean_public"}]
    (threat,) = run(raw, tmp_path / "run", store)["threats"]
    assert threat["verdict"]["status"] == "withdrawn"
    assert threat["verdict"]["sentences"] == ["The numbers of this audit are withdrawn: null audit failed."]
    assert {row["attack"]: row["status"] for row in threat["null_audit"]} == {"cheat": "fail", "mean_public": "pass"}


def test_with_less_access_attacks_are_refused_by_name_or_ask_for_labels(store, tmp_path):
    raw = faces(access="labels")
    raw["attack"] = [*raw["attack"], {"name": "brep_mi", "steps": 60, "directions": 16}]
    refused = prepared(raw, tmp_path).cases["inversion"].refusals()
    assert set(refused) == {"miface", "gmi logit", "prior_best"}
    assert refused["gmi logit"] == "needs weights, but threat.access grants labels: grant it or leave the attack out"
    (threat,) = run(raw, tmp_path / "run", store)["threats"]
    assert threat["verdict"]["attack"] == "brep_mi"
    assert threat["verdict"]["status"] == "shown"
    assert "sees only which class the model names" in threat["verdict"]["sentences"][0]
    assert threat["details"]["queries"]["brep_mi"] == 1000 + 60 * 20 * 17


def test_defenses_of_answers_are_asked_through_and_cannot_bind_who_holds_the_weights(tmp_path):
    def plays(access, defenses):
        raw = {**faces(access=access), "attack": [{"name": "nearest_public"}]}
        raw["stage"][0]["defenses"] = defenses
        case = prepared(raw, tmp_path).cases["inversion"]
        return [play for jobs in case.verdicts.values() for job in jobs for play in job.plays]

    hidden = [{"name": "top_k", "k": 1}]
    assert {one.key for one in plays("probs", [])}.isdisjoint(one.key for one in plays("probs", hidden))
    assert [type(one).__name__ for one in plays("probs", hidden)[0].arena.defenses] == ["TopK"]
    with pytest.raises(ConfigError, match="top_k changes answers, but threat.access = 'weights'"):
        plays("weights", hidden)


def test_runs_of_both_families_say_that_both_were_tested(finished, tmp_path):
    raw = table(shadows=4, targets=2, population=20)
    raw["data"] = {"rest": {"data": "digits", "where": {"label": ["5", "6", "7", "8", "9"]}}}
    raw["stage"][0] |= {"data": "own"}
    del raw["stage"][0]["rows"]
    raw["data"]["own"] = {"data": "digits", "where": {"label": ["0", "1", "2", "3", "4"]}, "rows": "0:400"}
    raw["threat"] = [raw["threat"], {"family": "inversion", "public": "rest"}]
    raw["attack"] = [{"name": "loss"}, {"name": "miface", "steps": 20}, {"name": "mean_public"}]
    result = run(raw, tmp_path / "run", tmp_path / "store")
    assert [one["family"] for one in result["threats"]] == ["membership", "inversion"]
    (left,) = result["not_tested"]
    assert left.startswith(
        "Attributes of training records, properties of the training set, gradients, features at a cut: only "
    )
    assert left.endswith("only membership and model inversion were.")
    assert finished[0]["not_tested"][0].endswith("membership, gradients, features at a cut: only model inversion was.")


def test_a_policy_limits_it_and_sarif_names_the_lists(finished):
    result, folder = finished
    read = read_result(folder / "result.json", families=FAMILIES, name="result.json", absent="run")
    policy = parse_policy({"limit": [{"metric": "recognised", "top": 1, "max": 0.1}]}, families=FAMILIES)
    found = check(read, policy, families=FAMILIES)
    assert not found.passed
    text = json.loads(sarif(found, read))
    taxa = {one["id"] for entry in text["runs"][0]["results"] for one in entry.get("taxa", ())}
    assert "AML.T0024.001" in taxa
    assert "AML.T0024.000" not in taxa


def test_identities_are_split_evenly_and_the_null_model_learns_exchanged_names():
    records = load("digits")
    split = split_records(records, 0.5, 3)
    rows = np.concatenate([split.trained, split.known, split.tested])
    assert sorted(rows) == list(range(len(records)))
    for part, share in ((split.trained, 0.5), (split.known, 0.3), (split.tested, 0.2)):
        counts = np.bincount(records.labels[part]) / np.bincount(records.labels)
        assert np.allclose(counts, share, atol=0.01)
    assert np.array_equal(np.sort(split.named), np.sort(records.labels[split.trained]))
    assert np.mean(split.named == records.labels[split.trained]) == pytest.approx(0.1, abs=0.05)
    again = split_records(records, 0.5, 3)
    assert np.array_equal(split.named, again.named)
    assert not np.array_equal(split.trained, split_records(records, 0.5, 4).trained)


WRONG = [
    ({"public": None}, ConfigError, r"threat.public: is required and missing"),
    ({"public": "othres"}, ConfigError, r"threat.public: no such part of data, got 'othres', did you mean 'others'"),
    ({"public": "private"}, DataError, r"threat.public: must share nothing with 'private'"),
    ({"latent": 0}, ConfigError, r"threat.latent"),
    ({"pictures": 1.0}, ConfigError, r"threat.pictures"),
]


@pytest.mark.parametrize(("threat", "kind", "message"), WRONG)
def test_a_wrong_threat_is_told_in_one_line(threat, kind, message, tmp_path):
    raw = faces()
    raw["threat"] = {key: value for key, value in {**raw["threat"], **threat}.items() if value is not None}
    with pytest.raises(kind, match=message):
        prepared(raw, tmp_path)


def test_other_records_of_private_identities_in_the_public_set_are_refused(tmp_path):
    """No record is in both, and still somebody is."""
    raw = faces()
    raw["data"]["private"] |= {"rows": "0:198"}
    raw["data"]["others"] |= {"where": {"label": ["s20", "s21"]}, "rows": "198:210"}
    with pytest.raises(DataError, match=r"threat.public: .*'s20'"):
        prepared(raw, tmp_path)


def test_records_that_do_not_fit_are_refused_before_training(tmp_path):
    few = faces()
    few["data"]["private"]["where"] = {"label": ["s01", "s02", "s03"]}
    with pytest.raises(ConfigError, match="inversion needs 5 identities or more"):
        prepared(few, tmp_path)
    short = faces()
    short["data"]["private"] |= {"rows": "0:193"}
    with pytest.raises(DataError, match=r"needs 4 records or more of each identity.* got 3 of 's20'"):
        prepared(short, tmp_path)
    other = faces()
    other["data"]["others"]["data_options"] = {"size": [20, 20]}
    with pytest.raises(DataError, match=r"records must have the form of those at risk"):
        prepared(other, tmp_path)
    lone = faces()
    lone["data"]["others"]["where"] = {"label": ["s21"]}
    with pytest.raises(DataError, match=r"must have 2 identities or more with 2 records each"):
        prepared(lone, tmp_path)
    persons = [f"{18 + one % 60},{'fm'[one % 2]},p{one // 8}" for one in range(160)]
    (tmp_path / "people.csv").write_text("\n".join(["age,sex,label", *persons]))
    words, file = table(), str(tmp_path / "people.csv")
    words |= {
        "data": {"others": {"data": file, "rows": "80:160"}},
        "threat": {"family": "inversion", "public": "others"},
    }
    words["stage"][0] |= {"data": file, "rows": "0:80"}
    with pytest.raises(DataError, match="pictures or other plain numbers, got texts or a table"):
        prepared(words, tmp_path)


def test_a_stage_that_is_transferred_is_refused():
    raw = faces(at_risk="train")
    raw["stage"].append({"name": "more", "data": "others", "transfer": "head"})
    with pytest.raises(ConfigError, match=r"threat.at_risk: must be the last stage"):
        parse(raw, base=BASE)


def test_what_the_plan_says(tmp_path):
    made = verbs.plan(parse(faces(targets=2), base=BASE), store=tmp_path, workers=1)
    assert {one.id: one.refused for one in made.attacks} == dict.fromkeys(
        ("miface", "gmi logit", "prior_best", "mean_public"), ""
    )
    assert made.stages[0].models == 3
    assert any("exchanged names" in note for note in made.notes)
    assert made.seconds is not None
    assert made.seconds > 0


@pytest.mark.slow
def test_leaks_are_rarely_claimed_where_nothing_leaks(tmp_path, record_figure):
    """Twenty audits of models that were not trained, with all attacks: more than four claims come once in 400."""
    claimed = []
    for seed in range(20):
        raw = {**faces(), "seed": seed}
        del raw["attack"]
        raw["stage"][0] |= {"lr": 1e-12, "epochs": 1}
        (threat,) = run(raw, tmp_path / f"run-{seed}", tmp_path / "store")["threats"]
        claimed.append(threat["verdict"]["status"] != "not_shown")
    record_figure("claims of untrained models", audits=20, claimed=sum(claimed))
    assert sum(claimed) <= 4


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(tmp_path):
    for workers in (1, 2):
        verbs.run(parse(faces(), base=BASE), tmp_path / str(workers) / "run", workers=workers)
    first, second = ((tmp_path / str(workers) / "run" / "result.json").read_bytes() for workers in (1, 2))
    assert first == second
