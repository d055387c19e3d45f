"""Chains whose stage at risk is followed by others: from audit file to result."""

import copy
import json

import numpy as np
import pytest
from flat import flat

from dosimeter.config.audit import parse
from dosimeter.families.membership.case.refusals import refusal
from dosimeter.families.membership.game import BEFORE_TRANSFER
from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare

STAGE = {"data": "digits", "batch_size": 64}
TABLE = {
    "stage": [
        {**STAGE, "name": "pretrain", "rows": "0:400", "model": "mlp", "epochs": 30, "lr": 0.2},
        {
            **STAGE, "name": "finetune", "rows": "400:900", "transfer": "head", "epochs": 5, "lr": 0.1,
            "test": "digits", "test_rows": "900:1200",
        },
    ],
    "threat": {"at_risk": "pretrain", "shadows": 12, "targets": 2, "rehearsals": 2, "candidates": 120},
    "attack": [{"name": "tmi", "updates": 40}, {"name": "adapted_lira"}, {"name": "direct"}, {"name": "count"}],
}  # fmt: skip


def audit(tmp_path, stages=None, variants=(), **threat):
    table = copy.deepcopy(TABLE) | {"variant": list(variants)}
    table["threat"] |= threat
    for index, changes in (stages or {}).items():
        table["stage"][index] |= changes
    return parse(table, base=tmp_path, name="chain")


def prepared(tmp_path, stages=None, **threat):
    return prepare(audit(tmp_path, stages, **threat), store=Store(tmp_path / "store"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One finished run: folder and result."""
    folder = tmp_path_factory.mktemp("transferred")
    verbs.run(audit(folder), folder / "run", store=folder / "store", workers=1)
    return folder, flat(json.loads((folder / "run" / "result.json").read_text("utf-8")))


def auc_of(result, attack):
    return next(one for one in result["estimates"] if one["attack"] == attack and one["metric"] == "auc")


def test_the_reference_is_told_apart_and_leads_nothing(run):
    _, result = run
    listed = {one["id"]: one for one in result["attacks"]}
    assert listed["direct"]["reference"] is True
    assert "reference" not in listed["tmi"]
    assert result["verdict"]["attack"] in ("tmi", "adapted_lira mean")
    assert auc_of(result, "direct")["value"] > 0.6  # the pretrained net remembers
    assert auc_of(result, "count")["value"] == 0.5
    assert {one["split"]: one["n"] for one in result["utility"]}["test"] == 300


def test_the_report_says_what_lies_in_between(run):
    folder, _ = run
    page = (folder / "run" / "report.html").read_text("utf-8")
    assert "it is trained further in “finetune”" in page
    assert "Of that they know the recipe and where the records come from" in page


def test_a_second_run_trains_nothing_and_gives_the_same_bytes(run, tmp_path):
    folder, _ = run
    made = []
    again = audit(folder)
    verbs.run(again, tmp_path / "again", store=folder / "store", workers=1, progress=lambda *one: made.append(one))
    phases = [name for name, done, total in made if done < total]
    assert not any(name.startswith(("models", "stage", "features")) for name in phases)
    assert (tmp_path / "again" / "result.json").read_bytes() == (folder / "run" / "result.json").read_bytes()


def test_another_task_on_the_same_records_shares_pretraining_and_features(tmp_path):
    one = prepared(tmp_path).case.jobs
    other = prepared(tmp_path, {1: {"epochs": 6}}).case.jobs
    assert [job.key for job in one.packs] == [job.key for job in other.packs]
    assert [job.key for job in one.later[0].features] == [job.key for job in other.later[0].features]
    assert not {job.key for job in one.later[0].packs} & {job.key for job in other.later[0].packs}


def test_every_chain_draws_its_own_records_unless_they_are_known(tmp_path):
    own = [tuple(job.rows[0]) for job in prepared(tmp_path, {1: {"sample": 0.5}}).case.jobs.later[0].packs]
    assert len(set(own)) == len(own)
    assert {len(one) for one in own} == {250}
    known = [tuple(job.rows[0]) for job in prepared(tmp_path, knows=("finetuning-data",)).case.jobs.later[0].packs]
    assert len(set(known)) == 1


def test_known_initialisation_is_that_of_all_chains_and_makes_another_audit(tmp_path):
    from dosimeter.foundation.seeds import seed_for
    from dosimeter.training.chain import build_chain

    plain, alike = prepared(tmp_path), prepared(tmp_path, knows=("initialisation",))
    assert plain.key != alike.key
    assert all(job.alike for job in alike.case.jobs.packs)
    job = alike.case.jobs.packs[0]
    fresh = build_chain(job.links, 0, seed_for(job.seed, "initialisation"), None).state_dict()
    for pack in alike.case.jobs.packs[:2]:
        start = build_chain(pack.links, 0, seed_for(pack.seed, "initialisation"), None).state_dict()
        assert all(bool((fresh[name] == start[name]).all()) for name in fresh)


def test_attacks_that_read_a_class_are_refused_where_the_deployed_model_has_others(tmp_path):
    values = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)
    np.savez(tmp_path / "other.npz", inputs=values, labels=np.array(["a", "b", "c"] * 100))
    table = copy.deepcopy(TABLE)
    table["stage"][1] |= {"data": str(tmp_path / "other.npz")}
    for key in ("rows", "test", "test_rows"):
        del table["stage"][1][key]
    table["attack"] = [{"name": "lira"}, {"name": "tmi"}, {"name": "iha"}, {"name": "influence"}, {"name": "entropy"}]
    table["threat"]["access"] = "weights"
    table["stage"][0]["data_options"] = {}
    found = prepare(parse(table, base=tmp_path, name="chain"), store=Store(tmp_path / "store"))
    reasons = {row.id: refusal(row, found.case.offer) for row in found.audit.attacks}
    assert "none of the deployed model's" in reasons["lira online"]
    assert "transferred before anyone sees them" in reasons["iha informed"]
    assert reasons["influence"]
    assert reasons["tmi"] == reasons["entropy"] == ""


def test_the_plan_says_that_two_classes_have_no_direction(tmp_path):
    values = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)
    np.savez(tmp_path / "two.npz", inputs=values, labels=np.array(["even", "odd"] * 100))
    table = copy.deepcopy(TABLE)
    table["stage"][1] = {"name": "finetune", "data": str(tmp_path / "two.npz"), "transfer": "head"}
    found = verbs.plan(parse(table, base=tmp_path, name="chain"), store=tmp_path / "store")
    assert "attack tmi: two classes leave a direction only its sign, so `unit` is switched off" in found.notes
    assert [(stage.models, stage.data.rpartition(", ")[2]) for stage in found.stages] == [
        (14, "200 per model"), (14, "170 per model"),
    ]  # fmt: skip


def test_the_reference_needs_a_transfer(tmp_path):
    table = copy.deepcopy(TABLE)
    del table["stage"][1]
    del table["threat"]["at_risk"]
    found = prepare(parse(table, base=tmp_path, name="chain"), store=Store(tmp_path / "store"))
    direct = next(row for row in found.audit.attacks if row.id == "direct")
    assert BEFORE_TRANSFER in direct.attack.signals
    assert "here that is the deployed model" in refusal(direct, found.case.offer)


def test_folds_of_several_pairs_use_the_same_shadows(tmp_path):
    found = prepared(tmp_path, fold_pairs=2, targets=6, shadows=10)
    assert len(found.case.design.member) == 14
    assert [list(fold) for fold in found.case.design.folds] == [[0, 1, 2, 3], [4, 5]]
    signals = {"x": np.zeros((14, 1, len(found.case.design.ids)))}
    assert [found.case.design.game(fold, signals).n_shadows for fold in range(2)] == [10, 10]
    assert list(found.case.design.rehearsal_rows) == [8, 9, 10, 11]
    assert list(found.case.design.rehearsal_pairs) == [2, 3]


@pytest.mark.parametrize(
    ("stages", "threat", "line"),
    [
        (
            {1: {"transfer": "scratch", "model": "mlp"}},
            {},
            "stage[1]: stands after the stage at risk, so it must start",
        ),
        ({0: {"sample": 0.5}}, {}, "stage[0].sample: only a stage after the one at risk draws a share"),
        ({}, {"at_risk": "finetune", "knows": ("initialisation",)}, "threat.knows: tells what is known of a transfer"),
        ({0: {"test": "digits"}}, {}, "stage[0].test: only the last stage is tested, which is deployed"),
        ({}, {"targets": 12}, "threat.targets: must be at most shadows - 2 = 10"),
        ({}, {"fold_pairs": 3, "targets": 14}, "threat.targets: whole folds of 6 models must leave two pairs"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path, stages, threat, line):
    with pytest.raises(ConfigError) as raised:
        audit(tmp_path, stages, **threat)
    assert any(problem.startswith(line) for problem in raised.value.problems), raised.value.problems


VARIANTS = [
    {"id": "known", "knows": ["finetuning-data"]},
    {"id": "whole", "stage": {"finetune": {"transfer": "full", "lr": 0.02}}},
]


@pytest.fixture(scope="module")
def varied(run):
    """A finished run with two variants, which shares the cache of `run`: folder and result."""
    folder = run[0] / "varied"
    verbs.run(audit(folder, variants=VARIANTS), folder / "run", store=run[0] / "store", workers=1)
    return folder, flat(json.loads((folder / "run" / "result.json").read_text("utf-8")))


def test_a_variant_is_the_audit_file_that_it_stands_for(varied, tmp_path):
    folder, _ = varied
    for name, alone in (
        ("known", audit(tmp_path, knows=("finetuning-data",))),
        ("whole", audit(tmp_path, {1: VARIANTS[1]["stage"]["finetune"]})),
    ):
        verbs.run(alone, tmp_path / name, store=folder.parent / "store", workers=1)
        own = flat(json.loads((folder / "run" / "variants" / name / "result.json").read_text("utf-8")))
        wanted = flat(json.loads((tmp_path / name / "result.json").read_text("utf-8")))
        assert own["estimates"] == wanted["estimates"]
        assert own["utility"] == wanted["utility"]


def test_variants_share_what_they_do_not_change(varied, tmp_path):
    found = prepare(audit(tmp_path, variants=VARIANTS), store=Store(tmp_path / "store"))
    known, whole = (one for _, one in found.variants)
    pretrained = [job.key for job in found.case.jobs.packs]
    assert [job.key for job in known.case.jobs.packs] == [job.key for job in whole.case.jobs.packs] == pretrained
    assert np.array_equal(known.case.matrix, found.case.matrix)


def test_what_more_knowledge_and_other_settings_change_is_paired_and_reported(varied):
    from audits import material_in

    from dosimeter.statistics.paired import auc_difference

    folder, result = varied
    before = material_in(folder / "run")
    for one in result["variants"]:
        after = material_in(folder / "run" / "variants" / one["id"])
        scores = after.scores[one["attack"]], before.scores[result["verdict"]["attack"]]
        wanted = auc_difference(*scores, before.truth.is_member, record=before.truth.record)
        found = [one[f"auc_change{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx([wanted.value, wanted.low, wanted.high], abs=1e-9)
    page = (folder / "run" / "report.html").read_text("utf-8")
    section = page.split('<section id="variants">')[1].split("</section>")[0]
    assert "What else would change it" in section
    assert "knows finetuning-data · the adversary knows this too" in section
    assert "finetune.lr 0.02, finetune.transfer full · trained otherwise" in section
    assert f"{result['variants'][0]['auc_change']:+.3f} (" in section


def test_privacy_of_another_stage_is_told_to_guarantee_nothing_here():
    from dosimeter.pipeline.variants import _guarantees

    spent = "epsilon 3.97 at delta 0.001 for each record of this stage"
    chain = [{"stage": "pretrain", "settings": {}}, {"stage": "finetune", "settings": {"privacy": spent}}]
    later, own = ({"chain": chain, "at_risk": name} for name in ("pretrain", "finetune"))
    bound = "epsilon 3.97 at delta 0.001 for each record of stage finetune"
    assert _guarantees(later) == [bound, "no guarantee for records of stage pretrain, which are at risk"]
    assert _guarantees(own) == [bound]


def test_the_plan_counts_all_stages_of_a_variant(varied, tmp_path, even_clock):
    folder, _ = varied
    fresh = verbs.plan(audit(tmp_path, variants=VARIANTS), store=tmp_path / "store", workers=1)
    assert [(one.models, one.cached) for one in fresh.stages[2:]] == [(28, 15), (28, 14)]
    assert fresh.seconds > verbs.plan(audit(tmp_path), store=tmp_path / "store", workers=1).seconds
    again = verbs.plan(audit(tmp_path, variants=VARIANTS), store=folder.parent / "store", workers=1)
    assert all(one.models == one.cached for one in again.stages)


def test_keys_of_another_way_to_transfer_are_left_behind(tmp_path):
    rows = [{"id": "lora", "stage": {"finetune": {"transfer": "lora", "lora_rank": 2}}}]
    found = audit(tmp_path, {1: {"transfer": "last-k", "last_k": 2}}, variants=rows)
    assert found.variants[0].audit.stages[1].lora_rank == 2


BAD = [
    ({"id": "none", "knows": []}, "variant[0].id: 'none' is the audit itself"),
    ({"id": "../x", "knows": []}, "variant[0].id: must be 1 to 64 letters"),
    ({"knows": []}, "variant[0].id: is required and missing"),
    ({"id": "a"}, "variant[0]: must change something, got 'a' alone: give `stage` or `knows`"),
    ({"id": "a", "stage": {"finetun": {"lr": 0.1}}}, "variant[0].stage: no such stage, got 'finetun', did you mean"),
    ({"id": "a", "stage": {"finetune": {"rows": "0:9"}}}, "variant[0].stage.finetune.rows: is the same in every varia"),
    ({"id": "a", "stage": {"finetune": {"lern": 1}}}, "variant[0]: stage[1].lern: unknown key"),
    ({"id": "a", "stage": {"finetune": {"lr": "1"}}}, "variant[0]: stage[1].lr: must be a number, got '1'"),
    ({"id": "a", "stage": {"finetune": {"transfer": "scratch"}}}, "variant[0]: stage[1]: stands after the stage at r"),
    ({"id": "a", "knows": ["everything"]}, "variant[0].knows[0]: must be one of"),
    ({"id": "a", "stage": {"finetune": 3}}, "variant[0].stage.finetune: must be a table"),
    ({"id": "a", "defence": 1}, "variant[0].defence: unknown key"),
]


@pytest.mark.parametrize(("row", "message"), BAD, ids=[message for _, message in BAD])
def test_what_is_wrong_with_a_variant_is_told_in_one_line(row, message, tmp_path):
    with pytest.raises(ConfigError) as caught:
        audit(tmp_path, variants=[row])
    assert caught.value.problems[0].startswith(message), caught.value.problems


def test_a_brought_model_takes_no_variant(tmp_path):
    target = {"model": "mine:build", "members": "a.npz", "nonmembers": "b.npz"}
    with pytest.raises(ConfigError, match=r"variant: a supplied model is not trained here, got \[\[variant\]\] beside"):
        parse({"target": target, "variant": [{"id": "a", "knows": []}]}, base=tmp_path)


def test_variants_have_distinct_ids_also_from_defenses(tmp_path):
    table = copy.deepcopy(TABLE) | {"variant": [VARIANTS[0]] * 2, "defense": [{"name": "l2", "id": "Known"}]}
    with pytest.raises(ConfigError, match="variant: ids must be distinct, got 'known' 3 times: rename one"):
        parse(table, base=tmp_path)


def test_models_of_a_variant_are_tried_before_anything_is_trained(tmp_path):
    rows = [{"id": "deep", "stage": {"finetune": {"transfer": "last-k", "last_k": 90}}}]
    with pytest.raises(AuditError, match=r"variant 'deep': stage 'finetune': model \w+: last_k must be at most"):
        prepared(tmp_path, variants=rows)
