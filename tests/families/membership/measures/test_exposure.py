"""Exposure of a whole audit: who counts as a training, what is told and what is kept private, persons as units."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from audits import BASE, attacks, gaussian, material, table
from flat import flat, problems, result

from dosimeter.config.audit import parse
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.design.person_split import person_half
from dosimeter.families.membership.design.target_halves import (
    half_game,
    half_games,
    players,
    playing_rows,
    second_half,
)
from dosimeter.families.membership.game import Holdings, Needs
from dosimeter.families.membership.measures import exposure
from dosimeter.families.membership.play.play import play_attack
from dosimeter.foundation.errors import ConfigError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import table as table_module
from dosimeter.pipeline import verbs
from dosimeter.results import rounding
from dosimeter.results.rows import Row
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.rates import shadow_threshold

LIRA = [row for row in attacks() if row.id == "lira online"]


def audit(leakage=3.0, *, person=None, **more):
    """The material of an audit by one attack, with what the halves give."""
    design, observations = gaussian(1, leakage=leakage, **more)
    made = material(design, observations, rows=LIRA)
    null = membership_matrix(*design.member.shape[::-1], seed=1, purpose="null")
    evidence = {row.id: play_attack(row, design, observations, null_member=null, seed=0) for row in LIRA}
    return replace(made, apart={name: one.apart for name, one in evidence.items()}, persons=person)


def test_decisions_are_those_of_targets_and_of_rehearsals_before_thresholds_of_other_pairs():
    made = audit()
    found = exposure.decisions(made, "lira online", 0.05)
    scores, bits = made.calibration.scores["lira online"][0], made.calibration.is_member[0]
    own = made.scores["lira online"] > made.thresholds("lira online", 0.05)[:, None]
    np.testing.assert_array_equal(found.hits[:8], own)
    for pair in range(len(bits) // 2):
        other = np.delete(np.arange(len(bits)), [2 * pair, 2 * pair + 1])
        threshold = shadow_threshold(scores[other], bits[other], 0.05)
        rows = slice(8 + 2 * pair, 10 + 2 * pair)
        np.testing.assert_array_equal(found.hits[rows], scores[2 * pair : 2 * pair + 2] > threshold)
    np.testing.assert_array_equal(found.member, np.concatenate([made.truth.is_member, bits]))
    assert found.block.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("targets", [1, 3, 8])
def test_a_half_is_attacked_without_shadows_of_the_other_half(targets):
    design, observations = gaussian(2, leakage=0.0, targets=targets)
    signals = {"logit_confidence": observations.signals["logit_confidence"]}
    rows = playing_rows(design)
    block = players(targets, len(design.rehearsal_rows))
    half, judged = second_half(block), []
    for positions, shadows in half_games(design, LIRA[0].attack.needs, views=1):
        game = half_game(design, positions, shadows, signals)
        assert len(set(half[positions])) == 1
        gone = set(rows[half != half[positions[0]]].tolist()) | set(rows[positions].tolist())
        gone |= {row ^ 1 for row in gone}
        left = np.array(sorted(set(range(len(design.member))) - gone))
        np.testing.assert_array_equal(game.shadow_in, design.member[left])
        np.testing.assert_array_equal(
            game.outputs["logit_confidence"], signals["logit_confidence"][rows[positions]][..., :400]
        )
        judged += positions.tolist()
    assert sorted(judged) == list(range(len(rows)))


def test_no_half_games_without_enough_shadows():
    design, observations = gaussian(2, leakage=0.0)
    assert half_games(design, Needs(LIRA[0].attack.needs.access, in_shadows=9), views=1) == []


@pytest.mark.parametrize("extra", ["inputs", "retrain", "informed"])
def test_attacks_that_read_records_or_train_are_made_on_halves_too(extra):
    design, observations = gaussian(2, leakage=0.0)
    needs = Needs(LIRA[0].attack.needs.access, in_shadows=2, out_shadows=2, **{extra: True})
    plain = Needs(needs.access, in_shadows=2, out_shadows=2)
    found, wanted = (half_games(design, one, views=1) for one in (needs, plain))
    assert len(found) == len(wanted) > 0


def test_an_attack_that_reads_records_plays_on_halves_too():
    design, observations = gaussian(2, leakage=0.0)
    row, *_ = parse(table() | {"attack": [{"name": "quantile", "mode": "inputs", "trees": 5}]}, base=BASE).attacks
    observations.signals["hinge"] = observations.signals["logit_confidence"]
    columns = np.random.default_rng(0).normal(size=(500, 3))
    null = membership_matrix(*design.member.shape[::-1], seed=1, purpose="null")
    apart = play_attack(row, design, observations, null_member=null, seed=0, knowledge=Holdings(inputs=columns)).apart
    assert apart.shape == (len(playing_rows(design)), 400)


def test_a_list_of_an_attack_that_trains_is_at_chance_where_nothing_leaks():
    design, observations = gaussian(5, leakage=0.0, targets=8, shadows=16)
    level = observations.signals["logit_confidence"].mean(0)[:, :400]

    def retrain(member, seed):
        noise = np.random.default_rng(seed).normal(0, 1, (len(member), 1, 400))
        return {"logit_confidence": level + noise, "logit_confidence_t2": (level + noise) / 2}

    row, *_ = parse(table() | {"attack": [{"name": "cascading", "references": 8}]}, base=BASE).attacks
    null = membership_matrix(*design.member.shape[::-1], seed=1, purpose="null")
    found = play_attack(row, design, observations, null_member=null, seed=0, knowledge=Holdings(retrain=retrain))
    made = replace(material(design, observations, rows=LIRA), apart={"lira online": found.apart})
    told = exposure.row(made, "lira online", [])["records"]
    assert told["ranking"] == "apart"
    assert all(listed["low"] <= listed["unused_high"] for listed in told["top"])
    assert told["shown"] == 0


def test_what_a_leaking_audit_tells():
    told = exposure.row(audit(4.0, targets=2, shadows=32, person=np.arange(400) // 10), "lira online", [])
    assert told["status"] == "ok"
    assert told["models"] == 2 + 4
    for kind, n in (("records", 400), ("persons", 40)):
        part = told[kind]
        assert part["n"] == n
        assert sum(part["distribution"]["used"]) == n
        assert part["ranking"] == "apart"
        for row in part["top"]:
            assert row["low"] <= row["other_half"] <= row["high"]
        assert part["top"][0]["other_half"] > part["top"][0]["average"] > 0.3
        assert part["top"][0]["unused"] < 0.2
    assert told["persons"]["once"]["used"] > 0.9
    assert 0 < told["persons"]["highest"]["low"] < 0.1  # three pairs of trainings can show little about one of 40
    assert "any person" in told["first"]


def test_persons_are_shown_where_there_are_trainings_enough():
    made = audit(4.0, targets=8, shadows=16, person=np.arange(400) // 10)
    told = exposure.row(made, "lira online", [])["persons"]
    assert told["shown"] == 40
    assert 0.1 < told["highest"]["low"] < told["highest"]["value"] < told["highest"]["high"]
    assert told["highest"]["unused"] < 0.1


def test_without_leakage_nobody_is_shown():
    told = exposure.row(audit(0.0, person=np.arange(400) // 10), "lira online", [])
    assert told["records"]["shown"] == told["persons"]["shown"] == 0
    assert told["records"]["highest"]["low"] == 0
    assert "none shown" in told["first"]


def test_the_result_names_nobody_and_the_private_table_everybody():
    made = audit(person=np.arange(400) // 10)
    content = result(made)
    assert problems(json.loads(json.dumps(rounding.round_numbers(content)))) == []
    text = json.dumps(rounding.round_numbers(content["exposure"]))
    assert not [one for one in made.truth.ids if f'"{one}"' in text]
    columns = exposure.individuals(made, "lira online", made.leading)
    assert columns["kind"].tolist() == ["record"] * 400 + ["person"] * 40
    assert columns["id"][:400].tolist() == made.truth.ids.tolist()
    assert sorted(columns["rank_first_half"][:400]) == list(range(1, 401))
    assert content["exposure"]["records"]["highest"]["low"] == columns["low"][:400].max()


def test_the_same_audit_gives_the_same_exposure():
    assert exposure.row(audit(), "lira online", []) == exposure.row(audit(), "lira online", [])


def test_one_target_without_rehearsal_is_not_measurable():
    made = audit()
    truth = Truth(made.truth.ids, made.truth.is_member[:1], made.truth.record)
    split = replace(
        made.calibration, source="split", block=np.zeros(1, np.int64), is_member=[truth.is_member],
        scores={"lira online": [made.scores["lira online"][:1]]},
    )  # fmt: skip
    alone = replace(made, truth=truth, scores={"lira online": made.scores["lira online"][:1]}, calibration=split)
    told = exposure.row(alone, "lira online", [])
    assert (told["status"], told["records"]) == ("not_measurable", None)
    assert "one training" in told["reason"]
    assert exposure.individuals(alone, "lira online", 0.1) == {}
    assert exposure.row(made, None, [])["status"] == "not_measurable"


def test_without_scores_from_halves_there_is_no_list():
    told = exposure.row(replace(audit(), apart={}), "lira online", [])["records"]
    assert (told["top"], told["stability"], told["ranking"]) == ([], None, "none")


def test_a_group_that_may_be_named_when_unused_counts_as_nothing_shown():
    def rows(group, low, fpr_high):
        base = Row("membership", "membership", "s", "none", "lira online", "tpr", group=group)
        yield replace(base, value=low + 0.1, low=low, high=low + 0.2)
        yield replace(base, metric="fpr", value=0.01, low=0.0, high=fpr_high)

    found = exposure.row(audit(), "lira online", [*rows("a", 0.3, 0.4), *rows("b", 0.2, 0.05)])["groups"]
    assert found["n"] == 2
    assert found["highest"] == {"value": pytest.approx(0.3), "low": 0.2, "high": 0.5, "unused": 0.01}


def test_nothing_is_excluded_of_a_group_that_is_too_small_for_a_rate():
    made = audit(4.0)
    made = replace(made, summary={**made.summary, "leading_fpr": 0.1})
    groups = np.where(np.arange(400) < 4, "tiny", np.where(np.arange(400) % 2, "a", "b"))
    told = result(replace(made, groups=groups))["exposure"]
    assert told["groups"]["n"] == 3
    assert told["groups"]["highest"]["high"] == 1.0
    assert 0 < told["groups"]["highest"]["low"] < 1
    assert "of any group: shown at least" in told["first"]
    large = result(replace(made, groups=np.where(np.arange(400) % 2, "a", "b")))["exposure"]
    assert large["groups"]["n"] == 2
    assert large["groups"]["highest"]["high"] < 1.0


def test_the_sentence_claims_no_more_than_the_intervals():
    part = {"n": 40, "trainings": 16.0, "highest": {"low": 0.3979, "high": 0.8021}}
    rare = {"n": 360, "trainings": 16.0, "highest": {"low": 0.0042, "high": 0.0089}}
    content = {"persons": part, "records": rare, "groups": None, "models": 32}
    told = sentence(content)
    assert "of any person: shown at least 39 %, not excluded up to 81 % (all 40 together)" in told
    assert "of any photo: shown at least 0.42 %, not excluded up to 0.89 % (all 360 together)" in told
    assert "of a person, the mean of that share over their records" in told
    assert "of a person" not in sentence({**content, "persons": None})


def sentence(content):
    """What the first page says, with every space alike."""
    return exposure._sentence(content, "photo").replace("\xa0", " ")


def test_ends_that_exclude_nothing_are_left_out():
    nothing = {"n": 360, "trainings": 2.0, "highest": {"low": 0.0, "high": 1.0}}
    content = {"persons": None, "records": nothing, "groups": None, "models": 4}
    assert sentence(content) == ""
    some = {**nothing, "highest": {"low": 0.0, "high": 0.6}}
    assert sentence({**content, "records": some}).startswith("Highest exposure of any photo: none shown, not excluded")


def test_records_that_are_always_recognised_are_not_called_none():
    every = {"n": 1200, "trainings": 2.0, "always": 1200, "always_unused": 3, "highest": {"low": 0.0, "high": 1.0}}
    content = {"persons": None, "records": every, "groups": None, "models": 4}
    assert sentence(content) == (
        "1,200 of 1,200 photos were recognised in every training that used them (about 2 each), and 3 in every "
        "training that did not."
    )
    told = sentence({**content, "records": {**every, "highest": {"low": 0.0, "high": 0.9}}})
    assert "none shown" not in told
    assert "not excluded up to 90 %" in told
    by_chance = {**every, "always": 70, "always_unused": 60}
    assert "every training" not in sentence({**content, "records": by_chance})


def test_a_total_leak_counts_its_records():
    found = result(audit(30.0, targets=2))["exposure"]
    assert found["records"]["always"] > 350
    assert found["records"]["always_unused"] < 20
    assert "none shown" not in found["first"]


def test_without_an_attack_that_is_the_reason():
    told = exposure.row(audit(), None, [])
    assert (told["status"], told["reason"]) == ("not_measurable", "no attack could be run")
    few = audit(n=20)  # ten non-members under each target, 20 distinct ones
    assert exposure.row(few, "lira online", [])["reason"] == "no false positive rate can be certified"


@pytest.mark.parametrize("sizes", [[9] * 40, [1] * 7 + [3, 2, 6], [5, 5], list(range(1, 24)), [30, *[1] * 40]])
def test_halves_of_persons_are_even_and_every_person_is_in_half_of_them(sizes):
    person = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(0)
    drawn = np.stack([person_half(person, rng) for _ in range(400)])
    assert (drawn.sum(1) == len(person) // 2).all()
    for one in range(len(sizes)):
        assert len(np.unique(drawn[:, person == one], axis=1).T) >= 1
        assert (drawn[:, person == one].all(1) | ~drawn[:, person == one].any(1)).all()
    assert abs(drawn.mean(0) - 0.5).max() < 4.5 * 0.5 / 20


def test_persons_that_fill_no_even_halves_are_refused():
    with pytest.raises(ConfigError, match=r"threat.unit: .* differ by 2 records: use unit = 'record'"):
        person_half(np.array([0, 0, 0, 1]), np.random.default_rng(0))


def people(folder, persons):
    """An audit file's table over a small data set with persons."""
    rng = np.random.default_rng(0)
    labels = np.arange(320) % 4
    inputs = rng.normal(size=(320, 30)).astype(np.float32) + np.eye(4, 30, dtype=np.float32)[labels]
    extra = {"persons": np.array([f"p{i // 4}" for i in range(320)])} if persons else {}
    np.savez(folder / "people.npz", inputs=inputs, labels=labels, **extra)
    stage = {"name": "train", "data": "people.npz", "model": "linear", "epochs": 30, "lr": 0.1}
    attack = [{"name": "lira"}, {"name": "count"}]
    threat = {"shadows": 8, "targets": 2, "unit": "person"}
    return {"name": "people", "stage": [stage], "threat": threat, "attack": attack}


def test_an_audit_by_person_draws_whole_persons_and_judges_them(tmp_path):
    out = tmp_path / "run"
    verbs.run(parse(people(tmp_path, True), base=tmp_path), out, workers=1)
    found = flat(json.loads((out / "result.json").read_text()))
    assert problems(found) == []
    with np.load(out / "threats" / "membership" / "truth" / "truth.npz") as truth:
        member, person = truth["member"], truth["persons"]
    for one in np.unique(person):
        own = member[:, person == one]
        assert (own.all(1) | ~own.any(1)).all()
    assert (member.sum(1) == 160).all()
    told = found["exposure"]
    assert (told["unit"], found["threat"]["unit"], told["persons"]["n"]) == ("person", "person", 80)
    assert {row["n_nonmembers"] for row in found["estimates"]} == {80}
    attack = told["persons"]["attack"]
    assert attack["auc"]["low"] > 0.5
    assert not [line for line in found["not_tested"] if "person as a whole" in line]
    (count,) = [row for row in found["estimates"] if row["attack"] == "count" and row["metric"] == "auc"]
    assert count["value"] == 0.5
    private = pq.read_table(out / "threats" / "membership" / "exposure.parquet").to_pydict()
    assert private["kind"].count("person") == 80
    assert set(private["id"][-80:]) == set(person)
    page = (out / "report.html").read_text()
    assert "Was any of this person" in page
    assert "p17" not in page


def test_persons_are_needed_for_an_audit_by_person(tmp_path):
    with pytest.raises(ConfigError, match=r"threat.unit: 'person' needs to know whose each record is"):
        verbs.plan(parse(people(tmp_path, False), base=tmp_path), store=tmp_path / "store")


def test_the_key_of_an_audit_by_record_does_not_depend_on_units(tmp_path):
    from dosimeter.pipeline.recipe.prepare import prepare

    named = table(unit="record")
    keys = {prepare(parse(one, base=BASE), store=Store(tmp_path)).key for one in (named, table())}
    assert len(keys) == 1


def test_a_table_of_scores_with_several_targets_has_persons_and_lists_as_given(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["score,is_member,target,id,person"]
    for target in range(4):
        member = np.repeat(rng.random(120) < 0.5, 3)
        scores = rng.normal(size=360) + 3 * member
        lines += [f"{s},{int(m)},t{target},{i},p{i // 3}" for i, (s, m) in enumerate(zip(scores, member, strict=True))]
    (tmp_path / "scores.csv").write_text("\n".join(lines))
    found = flat(table_module.measure_scores(tmp_path / "scores.csv", tmp_path / "run", leading_fpr=0.1))
    assert problems(found) == []
    told = found["exposure"]
    assert (told["models"], told["persons"]["ranking"]) == (4, "as_given")
    assert told["persons"]["n"] == 112  # 8 of 120 were never used
    assert told["persons"]["top"][-1]["other_half"] > 0.5 > 3 * told["persons"]["top"][-1]["unused"]
    assert not (tmp_path / "run" / "threats" / "membership" / "exposure.parquet").exists()
