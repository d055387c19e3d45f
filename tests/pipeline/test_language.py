"""Audits of language models from the file to the result, on real texts that every Python has."""

import json

import language_models as world
import numpy as np
import pytest
import torch
from audits import BASE as BASE_FOLDER
from audits import table
from flat import flat
from real_texts import paragraphs, write_texts

from dosimeter.config.audit import parse
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.models.language.pretrained import causal_lm
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare

OPTIONS = {"level": "words", "length": 36, "vocabulary": 300}
SETTINGS = {
    "task": "language", "data": "texts.csv", "data_options": OPTIONS, "batch_size": 8, "optimizer": "adam", "lr": 0.006,
}  # fmt: skip
BASE = {"name": "base", "rows": "300:340", "model": "transformer", "options": {"width": 16, "depth": 1}, "epochs": 2}
TUNE = {"name": "tune", "rows": "0:80", "transfer": "full", "epochs": 8}
READ = (
    "loss", "text_loss", "min_k", "neighbourhood", "recall", "extraction", "base_reference", "ez_mia", "lira",
    "learned_ratio", "count",
)  # fmt: skip


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    write_texts(folder / "texts.csv", 400)
    return folder


def chain(*stages, attacks=("loss", "count"), **threat):
    return {
        "name": "texts",
        "seed": 4,
        "stage": [{**SETTINGS, **one} for one in stages],
        "threat": {"shadows": 6, "targets": 2, "population": 20, **threat},
        "attack": [{"name": name} for name in attacks],
    }


def ran(table, folder, name):
    verbs.run(parse(table, base=folder), folder / name, store=folder / "store", workers=1)
    return folder / name


def auc_rows(folder):
    result = flat(json.loads((folder / "result.json").read_text()))
    return result, {
        one["attack"]: one for one in result["estimates"] if one["metric"] == "auc" and one["group"] is None
    }


@pytest.fixture(scope="module")
def result(texts):
    spike = {"kinds": ["plain"], "count": 4, "copies": [1, 4]}
    settings = {**chain(BASE, TUNE, attacks=READ), "spike": spike}
    return ran(settings, texts, "all")


def test_every_attack_runs_and_finds_the_leak(result):
    whole, found = auc_rows(result)
    assert {one["id"]: one["reason"] for one in whole["attacks"] if one["status"] != "ok"} == {}
    for name in ("loss", "text_loss", "min_k", "base_reference", "ez_mia", "lira online", "learned_ratio"):
        assert found[name]["value"] > 0.75, name
    assert found["count"]["value"] == 0.5
    assert found["text_loss"]["value"] == pytest.approx(found["loss"]["value"], abs=1e-9)
    assert whole["noun"] == "text"
    assert whole["data"]["classes"] is None
    assert whole["data"]["vocabulary"] == 301
    gate = next(one for one in whole["gates"] if one["id"] == "P10")
    assert "class" not in gate["message"]


def test_attacks_on_tokens_judge_canaries_too(result):
    whole, _ = auc_rows(result)
    assert {one["copies"] for one in whole["canaries"]} == {1, 4}
    (folder,) = {path.parent for path in result.rglob("canaries*.npz") if "truth" not in path.parts}
    assert len(list(folder.glob("canaries*.npz"))) == len(whole["attacks"])


@pytest.mark.slow
def test_a_text_is_found_the_surer_the_more_often_it_was_used(texts):
    """Short of training that tells everything: three epochs at a low rate, with canaries 1, 4 and 16 times."""
    spike = {"kinds": ["plain"], "count": 20, "copies": [1, 4, 16]}
    tune = {**TUNE, "rows": "0:240", "epochs": 3, "lr": 0.002}
    settings = {**chain(BASE, tune, attacks=("loss", "base_reference"), targets=4, population=60), "spike": spike}
    whole, _ = auc_rows(ran(settings, texts, "repeated"))
    rows = {one["copies"]: one for one in whole["canaries"]}
    once, four, often = (rows[copies]["tpr"] for copies in (1, 4, 16))
    assert once <= four <= often
    assert often > once + 0.3
    assert rows[16]["auc"] > 0.9


def test_passages_are_counted_beside_their_control(result):
    whole, _ = auc_rows(result)
    found = whole["passages"]
    outputs, truth = (next(result.rglob(name)) for name in ("outputs.npz", "truth.npz"))
    with np.load(outputs) as outputs, np.load(truth) as truth:
        member = truth["member"]
        exact = outputs["continued_tokens"][: len(member), 0, : member.shape[1]] == 10
    for name, counted in (("members", member), ("nonmembers", ~member)):
        assert found[name]["exact"] == (exact & counted).sum()
        assert found[name]["of"] == counted.sum()
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    page = (result / "report.html").read_text("utf-8")
    assert "Word for word" in page
    assert f"{found['members']['exact']:,} of {found['members']['of']:,} used texts" in page
    assert "of every token" in page
    assert "itself was not tested" not in page
    assert "their labels" not in page


def test_forced_scores_of_ez_mia_are_counted_in_result_and_report(result):
    whole, _ = auc_rows(result)
    found = whole["forced"]["ez_mia"]
    outputs, truth = (next(result.rglob(name)) for name in ("outputs.npz", "truth.npz"))
    with np.load(outputs) as outputs, np.load(truth) as truth:
        member = truth["member"]
        there = outputs["token_log_probs"][: len(member), 0, : member.shape[1]] < 0
        right = outputs["token_hits"][: len(member), 0, : member.shape[1]] == 1
    certain = (right | ~there).all(-1)
    for name, counted in (("members", member), ("nonmembers", ~member)):
        assert found[name]["certain"] == (certain & counted).sum()
        assert found[name]["of"] == counted.sum()
    told = sum(found["members"][kind] for kind in ("certain", "not_lowered", "not_raised"))
    assert f"ez_mia sets {told:,} of {found['members']['of']:,} for used texts" in (result / "report.html").read_text()


def test_texts_without_named_attacks_get_those_that_read_texts(texts):
    settings = chain(BASE, TUNE)
    del settings["attack"]
    found = [row.id for row in parse(settings, base=texts).attacks]
    assert found[:6] == ["loss", "min_k", "base_reference", "ez_mia", "wbc", "extraction"]
    assert {"lira online", "lira offline", "learned_ratio", "constant", "count"} <= set(found)
    target = {"task": "language", "model": "gpt", "members": "texts.csv", "nonmembers": "texts.csv"}
    (threat,) = parse({"target": target, "threat": {}}, base=texts).threats
    assert [row.id for row in threat.attacks] == found
    (threat,) = parse({"target": {**target, "task": "classes"}}, base=texts).threats
    assert "influence" in [row.id for row in threat.attacks]


def test_no_text_stands_in_what_is_written(result):
    texts = [text[:40] for text, _ in paragraphs()[:120]]
    for path in (result / "result.json", result / "run.json", result / "report.html"):
        written = path.read_text("utf-8")
        assert [one for one in texts if one in written] == []


def test_the_base_is_the_stage_before_and_adapters_reload(texts):
    pytest.importorskip("peft", reason="needs the extra lora")
    tune = {**TUNE, "transfer": "lora", "lora_rank": 4, "lr": 0.03}
    settings = chain(BASE, tune, attacks=("base_reference", "count"), shadows=2, unit="person")
    whole, found = auc_rows(ran(settings, texts, "lora"))
    assert found["base_reference"]["value"] > 0.6
    assert whole["threat"]["unit"] == "person"


def test_a_folder_of_transformers_is_a_given_base(texts):
    pytest.importorskip("transformers", reason="needs the extra hf")
    torch.manual_seed(0)
    config = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 36}
    causal_lm((36,), 301, config=config).net.save_pretrained(texts / "gpt")
    given = {"task": "language", "name": "base", "model": "causal-lm", "options": {"folder": "gpt"}}
    settings = chain(TUNE, attacks=("base_reference", "count"), shadows=0)
    settings["stage"].insert(0, {**given, "weights": "pretrained"})
    whole, found = auc_rows(ran(settings, texts, "given"))
    assert found["base_reference"]["value"] > 0.6
    keys = [job.key for job in prepared(settings, texts).cases["membership"].jobs.packs]
    file = texts / "gpt" / "model.safetensors"
    kept = file.read_bytes()
    torch.manual_seed(1)
    causal_lm((36,), 301, config=config).net.save_pretrained(texts / "gpt")
    assert [job.key for job in prepared(settings, texts).cases["membership"].jobs.packs] != keys
    file.write_bytes(kept)


def prepared(settings, texts):
    return prepare(parse(settings, base=texts), store=Store(texts / "store"))


def test_the_base_is_asked_about_known_texts_where_an_attack_compares_them(texts):
    settings = chain(BASE, {**TUNE, "rows": "0:160"}, labelled=60)
    (case,) = prepared(settings, texts).cases.values()
    assert case.arena.holdings.texts is None
    settings["attack"] += [{"name": "ez_mia"}, {"name": "simple_shot", "features": "texts-and-base", "shots": 5}]
    (case,) = prepared(settings, texts).cases.values()
    assert case.refusals() == {}
    split = case.split
    wanted = split.pool[np.concatenate([split.candidates, split.known])]
    assert len(split.known) >= 60
    assert case.arena.holdings.texts.rows.tolist() == wanted.tolist()


def refused(settings, texts):
    (case,) = prepared(settings, texts).cases.values()
    return case.refusals()


def test_attacks_that_read_classes_or_lack_a_base_are_refused_before_training(texts):
    alone = {**BASE, "rows": "0:80"}
    attacks = ("modified_entropy", "simple_shot", "gradient_norm", "transductive_tuning", "ez_mia", "loss")
    found = refused(chain(alone, attacks=attacks), texts)
    assert set(found) == {
        "modified_entropy", "simple_shot mended", "gradient_norm", "transductive_tuning mended", "ez_mia"
    }  # fmt: skip
    assert "use simple_shot or laplacian_shot with features = 'texts'" in found["transductive_tuning mended"]
    assert "texts of a language model do not have" in found["modified_entropy"]
    assert "stage 'base' starts from nothing: use transfer 'full' or 'lora' after another stage" in found["ez_mia"]
    short = {**OPTIONS, "length": 20}
    found = refused(chain({**BASE, "data_options": short}, {**TUNE, "data_options": short}, attacks=("wbc",)), texts)
    assert "half have at least 30 tokens after the first, got 19" in found["wbc"]
    found = refused(chain(BASE, TUNE, attacks=("recall", "neighbourhood"), population=0), texts)
    assert "needs 4 texts outside every model, got 0: raise threat.population" in found["recall"]
    assert "needs 1 texts" in found["neighbourhood"]


def test_attacks_on_tokens_are_refused_for_records_with_classes():
    found = prepare(parse({**table(), "attack": [{"name": "min_k"}]}, base=BASE_FOLDER), store=Store(BASE_FOLDER))
    assert "which only task = 'language' has" in found.cases["membership"].refusals()["min_k"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transfer": "head"}, "stage[1].transfer: a language model is trained from scratch, in full or by adapters"),
        ({"augment": ["drop"]}, "stage[1].augment: task 'language' has none, got ['drop']: remove it"),
        ({"task": "classes"}, "stage[1].task: all stages of a chain must have one, got 'classes' after 'language'"),
        ({"defenses": [{"name": "label_smoothing"}]}, "has no classes and no answers to change, got label_smoothing"),
        ({"defenses": [{"name": "rounding"}]}, "stage[1].defenses: task 'language' has no classes and no answers"),
        ({"data_options": {**OPTIONS, "vocabulary": 400}}, "all texts of a chain must have one vocabulary and length"),
        ({"data_options": {**OPTIONS, "text": "words"}}, "needs a column 'words' for the text"),
    ],
)
def test_chains_that_cannot_be_are_refused_in_one_line(changes, message, texts):
    with pytest.raises(AuditError) as caught:
        prepared(chain(BASE, {**TUNE, **changes}), texts)
    assert [line for line in caught.value.problems if message in line]


def test_texts_must_have_the_tokens_that_a_given_model_learned(tmp_path):
    pytest.importorskip("transformers", reason="needs the extra hf")
    world.save_gpt(tmp_path / "gpt", len(world.save_tokenizer(tmp_path / "gpt")))
    world.save_tokenizer(tmp_path / "other", trained_on=slice(0, 40))
    write_texts(tmp_path / "texts.csv", 120)
    given = {"name": "base", "task": "language", "model": "causal-lm", "options": {"folder": "gpt"}}
    given["weights"] = "pretrained"
    cut = {name: {"level": "tokenizer", "tokenizer": name, "length": 36} for name in ("gpt", "other")}
    letters = {"level": "bytes", "length": 36}

    def tried(first, *rest):
        settings = chain(*rest, shadows=0)
        settings["stage"].insert(0, first)
        return prepared(settings, tmp_path)

    tried(given, {**TUNE, "data_options": cut["gpt"]})
    own = r"stage\[0\].options.folder: must be given the tokens that it learned, got "
    with pytest.raises(AuditError, match=own + "a tokenizer that cuts 80 of 80 texts otherwise"):
        tried(given, {**TUNE, "data_options": cut["other"]})
    with pytest.raises(AuditError, match=own + "level 'bytes' beside the tokenizer in 'gpt'"):
        tried(given, {**TUNE, "data_options": letters})
    first = {**SETTINGS, **BASE, "rows": "80:120", "data_options": cut["gpt"]}
    for other, told in (
        (cut["other"], "a tokenizer that cuts"),
        ({**letters, "level": "words", "vocabulary": 399}, "'words'"),
    ):
        with pytest.raises(
            AuditError, match=r"stage\[1\].data: must have the tokens of the stages before, got " + told
        ):
            tried(first, {**TUNE, "data_options": other})


def test_texts_that_are_all_the_same_are_refused_where_halves_set_thresholds(tmp_path):
    (tmp_path / "texts.csv").write_text("text\n" + "the same text again\n" * 120, encoding="utf-8")
    settings = chain({**BASE, "rows": "80:120"}, TUNE, shadows=0)
    with pytest.raises(AuditError, match="copies and whole persons together, got 1 different ones among 60"):
        prepared(settings, tmp_path)


def test_defenses_of_variants_and_supplied_models_are_refused(texts):
    settings = {**chain(BASE, TUNE), "defense": [{"name": "rounding"}]}
    with pytest.raises(AuditError, match=r"defense\[0\]: task 'language' has no classes and no answers to change"):
        parse(settings, base=texts)
    target = {"model": "gpt", "members": "texts.csv", "nonmembers": "texts.csv", "data_options": OPTIONS}
    with pytest.raises(AuditError, match="only texts of a language model have it, got 'words': set task = 'language'"):
        parse({"target": target, "threat": {}}, base=texts)


@pytest.mark.slow
def test_later_stages_and_private_training_run(texts):
    tune = {**TUNE, "defenses": [{"name": "dp_sgd", "epsilon": 20.0}], "epochs": 1}
    pytest.importorskip("opacus", reason="needs the extra dp")
    later = {**TUNE, "name": "later", "rows": "100:140", "epochs": 1}
    settings = chain(BASE, tune, later, attacks=("loss", "extraction", "count"), shadows=0, at_risk="tune")
    whole, found = auc_rows(ran(settings, texts, "later"))
    assert {one["status"] for one in whole["attacks"]} == {"ok"}
    assert found["count"]["value"] == 0.5


BEFORE = {**BASE, "name": "pretrain", "rows": "0:80", "epochs": 12}
AFTER = {**TUNE, "name": "later", "rows": "100:140", "epochs": 1, "lr": 0.003}


def of_pretraining(before=BEFORE, **threat):
    """A chain whose first stage is judged through its last."""
    chosen = [{"name": "tmi", "outputs": "texts"}, {"name": "discriminant", "outputs": "texts"}, {"name": "direct"}]
    settings = chain(before, AFTER, **{"at_risk": "pretrain", "population": 0, "shadows": 6, "targets": 2, **threat})
    return {**settings, "attack": [*chosen, {"name": "lira"}, {"name": "count"}]}


@pytest.mark.slow
@pytest.mark.parametrize("leaks", [True, False])
def test_a_finetuned_model_tells_of_texts_that_it_was_pretrained_on(leaks, texts):
    before = BEFORE if leaks else {**BEFORE, "epochs": 1, "lr": 1e-9}
    settings = of_pretraining(before, shadows=14, targets=4)
    whole, found = auc_rows(ran(settings, texts, f"pretraining {leaks}"))
    assert {one["status"] for one in whole["attacks"]} == {"ok"}
    assert found["count"]["value"] == 0.5
    for name in ("tmi", "discriminant", "direct", "lira online"):
        assert (found[name]["low"] > 0.5) == leaks, name


def test_audits_of_pretraining_texts_have_attacks_of_their_own(texts):
    settings = of_pretraining(shadows=14)
    del settings["attack"]
    found = [row.id for row in parse(settings, base=texts).attacks]
    assert {"tmi", "discriminant", "direct", "lira online", "learned_ratio", "loss"} <= set(found)
    assert set(refused(settings, texts)) == set()
    told = refused({**settings, "attack": [{"name": "adapted_lira"}, {"name": "ez_mia"}]}, texts)
    remedy = "use lira, which reads their tokens, or tmi or discriminant with outputs = 'texts'"
    assert remedy in told["adapted_lira mean"]
    assert "starts from nothing" in told["ez_mia"]


def test_records_with_classes_are_no_texts(texts):
    with pytest.raises(AuditError, match="digits.*: must hold texts, which task = 'language' and the option"):
        prepared(chain({**BASE, "data": "digits", "data_options": {}}, TUNE), texts)


def test_a_plan_says_how_many_texts_reach_the_length(texts):
    notes = prepared(chain(BASE, TUNE), texts).cases["membership"].notes()
    assert any(one.startswith("texts: 80 with ") for one in notes)
    assert any("reach data_options.length, 36; what follows there is not read" in one for one in notes)


def test_a_data_set_of_tokens_alone_has_sizes(texts, monkeypatch):
    (texts / "own_rows.py").write_text(
        "import numpy as np\nfrom dosimeter.data import Dataset\n"
        "def rows(seed):\n"
        "    tokens = np.random.default_rng(0).integers(9, size=(40, 12))\n"
        "    ids = np.arange(40).astype(str)\n"
        "    return Dataset(tokens, np.zeros(40, int), ('text',), ids, vocabulary=10, tokens=True)\n"
    )
    monkeypatch.syspath_prepend(texts)
    stage = {**BASE, "data": "own_rows:rows", "rows": "0:40", "epochs": 1}
    whole, found = auc_rows(ran(chain(stage, attacks=("zlib", "count"), shadows=0, population=4), texts, "tokens"))
    assert 0 <= found["zlib"]["value"] <= 1
    assert whole["data"]["vocabulary"] == 10
