"""A supplied language model from the call to the result, on real texts that every Python has."""

import json
import warnings

import language_models as world
import numpy as np
import oracles_language as oracles
import pyarrow.parquet
import pytest
import torch
from flat import flat
from sklearn.metrics import roc_auc_score

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.data import Options
from dosimeter.foundation.errors import AuditError
from dosimeter.pipeline import verbs

READ = (
    "text_loss", "loss", "zlib", "base_reference", "min_k", "min_k_plus_plus", "ez_mia", "wbc", "ht_mia",
    "neighbourhood", "recall", "extraction", "count",
)  # fmt: skip


def asked(folder, model=None, *, base=None, attacks=("text_loss", "count"), **changes):
    """Audits a model of the world; the members are those of `tuned`."""
    own = {
        "members": world.texts()[world.MEMBERS],
        "nonmembers": world.texts()[world.OTHERS],
        "options": world.OPTIONS,
        "attacks": attacks,
    } | changes
    return dosimeter.audit(model or world.tuned(), base=base, out=folder, **own)


def read(folder):
    whole = flat(json.loads((folder / "result.json").read_text()))
    aucs = {one["attack"]: one for one in whole["estimates"] if one["metric"] == "auc" and one["group"] is None}
    return whole, aucs, {one["id"]: one for one in whole["gates"]}


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    folder = tmp_path_factory.mktemp("leaky") / "run"
    asked(folder, base=world.base(), attacks=READ, population=world.texts()[world.POPULATION])
    return folder


def test_every_attack_without_shadows_runs_and_finds_the_leak(leaky):
    whole, found, gates = read(leaky)
    assert {one["id"]: one["reason"] for one in whole["attacks"] if one["status"] != "ok"} == {}
    for name in ("text_loss", "base_reference", "min_k", "ez_mia", "wbc"):
        assert found[name]["low"] > 0.5, name
    assert found["count"]["value"] == pytest.approx(0.5, abs=0.02)
    assert whole["data"]["vocabulary"] == world.VOCABULARY
    assert whole["data"]["classes"] is None
    assert {gates[one]["status"] for one in ("P1", "I1", "I7", "I10", "I11")} == {"pass"}
    assert gates["P12"]["status"] == "warn"
    assert whole["passages"]["members"]["of"] == 100
    assert "36 tokens; what follows there is not read" in gates["I4"]["message"]


def test_scores_are_those_of_a_model_that_is_asked_by_hand(leaky):
    _, found, _ = read(leaky)
    own = world.tokens([*world.texts()[world.MEMBERS], *world.texts()[world.OTHERS]])
    told = [[oracles.statistics(net, row) for row in own] for net in (world.tuned(), world.base())]
    bits = np.arange(200) < 100
    scores = {
        "text_loss": [sum(one[0] for one in rows) / len(rows) for rows in told[0]],
        "ez_mia": [
            oracles.ez([one[0] for one in rows], [one[0] for one in before], [one[4] for one in rows])
            for rows, before in zip(*told, strict=True)
        ],
        "wbc": [
            oracles.wbc([one[0] for one in rows], [one[0] for one in before])
            for rows, before in zip(*told, strict=True)
        ],
    }
    for name, values in scores.items():
        # twins sum in another order, so ties may break another way
        assert found[name]["value"] == pytest.approx(roc_auc_score(bits, values), abs=1e-3), name
    table = pyarrow.parquet.read_table(next(leaky.rglob("scores.parquet"))).to_pandas()
    mine = table[table["attack"] == "text_loss"]["score"].to_numpy(np.float64)
    assert np.allclose(np.sort(mine), np.sort(scores["text_loss"]), atol=1e-4)


def test_no_text_stands_in_what_is_written(leaky):
    parts = [text[:40] for text in world.texts()[world.MEMBERS]]
    files = [path for path in leaky.parent.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        written = path.read_bytes()
        assert [one for one in parts if one.encode() in written] == [], path.name


def test_nothing_is_shown_of_a_model_that_saw_neither_half(tmp_path):
    attacks = ("text_loss", "ez_mia", "wbc", "min_k")
    result = asked(tmp_path / "run", world.innocent(), base=world.base(), attacks=attacks)
    whole, found, gates = read(tmp_path / "run")
    assert [one["id"] for one in whole["attacks"] if found[one["id"]]["low"] > 0.5] == []
    assert gates["P1"]["status"] == "pass"
    assert result.status == "not_shown"


@pytest.mark.parametrize(("model", "leaks"), [(world.tuned, True), (world.innocent, False)], ids=["leaky", "innocent"])
def test_few_texts_of_known_membership_tell_of_the_others(model, leaks, tmp_path):
    attacks = [{"name": name, "features": "texts", "episodes": 20} for name in ("simple_shot", "laplacian_shot")]
    attacks.append({"name": "simple_shot", "features": "texts-and-base", "episodes": 20, "id": "beside the base"})
    asked(tmp_path / "run", model(), base=world.base(), threats=[{"labelled": 44}], attacks=attacks)
    whole, found, _ = read(tmp_path / "run")
    assert {one["status"] for one in whole["attacks"]} == {"ok"}
    assert whole["data"]["candidates"] == 156
    for one in ("simple_shot mended", "laplacian_shot mended", "beside the base"):
        assert (found[one]["low"] > 0.5) == leaks
        assert leaks or found[one]["high"] >= 0.5


def test_texts_of_one_person_are_one_piece_of_evidence(tmp_path):
    for name, rows in (("in", world.MEMBERS), ("out", world.OTHERS)):
        own = [(text.replace('"', "'"), f"{name} {row // 4}") for row, text in enumerate(world.texts()[rows][:48])]
        table = "\n".join(["text,person", *(f'"{text}",{person}' for text, person in own)])
        (tmp_path / f"{name}.csv").write_text(table, encoding="utf-8")
    read_by = ("text_loss", "extraction", "count")
    asked(tmp_path / "run", members=tmp_path / "in.csv", nonmembers=tmp_path / "out.csv", attacks=read_by)
    whole, found, gates = read(tmp_path / "run")
    assert (whole["data"]["candidates"], whole["data"]["persons"]) == (96, 24)
    assert "I9" in gates
    given = whole["passages"]["members"]
    assert given["persons"]["of"] == 12
    assert (given["persons"]["exact"] > 0) == (given["exact"] > 0)
    assert given["persons"]["exact"] <= given["exact"]
    assert "of 12 persons." in (tmp_path / "run" / "report.html").read_text("utf-8")
    asked(tmp_path / "alone", members=world.texts()[world.MEMBERS][:48], nonmembers=world.texts()[world.OTHERS][:48])
    _, single, _ = read(tmp_path / "alone")
    assert found["text_loss"]["value"] == pytest.approx(single["text_loss"]["value"], abs=0.01)


DATED = {
    "another year": lambda text: f"In 2031, it was said that {text}",
    "another language": lambda text: " ".join(f"{word}ung" for word in text.split()),
}


@pytest.mark.parametrize("change", DATED)
def test_texts_that_differ_without_the_model_show_nothing(change, tmp_path):
    others = [DATED[change](text) for text in world.texts()[world.OTHERS]]
    model, attacks = world.innocent(), ("text_loss", "ez_mia")
    result = asked(tmp_path / "run", model, base=world.base(), attacks=attacks, nonmembers=others)
    _, found, gates = read(tmp_path / "run")
    assert found["text_loss"]["low"] > 0.5  # members are old and others new, and any score tells them apart
    assert gates["P1"]["status"] == "fail"
    assert gates["I11"]["status"] == "warn"
    assert result.status == "withdrawn"


class Pooling(torch.nn.Module):
    """A model that reads what comes later."""

    def __init__(self):
        super().__init__()
        self.tokens = torch.nn.Embedding(world.VOCABULARY, world.VOCABULARY)

    def forward(self, x):
        return self.tokens(x) + self.tokens(x).mean(1, keepdim=True)


class Last(torch.nn.Module):
    """A model that answers for a text and not for its tokens."""

    def __init__(self):
        super().__init__()
        self.tokens = torch.nn.Embedding(world.VOCABULARY, world.VOCABULARY)

    def forward(self, x):
        return self.tokens(x)[:, -1]


def other_width():
    return world.transformer((36,), world.VOCABULARY, width=32, depth=1)


def other_depth():
    return world.transformer((36,), world.VOCABULARY, width=16, depth=2)


class Answers(torch.nn.Module):
    """A model of the world whose answers something was done to."""

    def __init__(self, change):
        super().__init__()
        self.net, self.change = world.tuned(), change

    def forward(self, x):
        return self.change(self.net(x))


def without(logits):
    return logits.index_fill(-1, torch.tensor([7]), -torch.inf)


WRONG = [
    ({"base": lambda: world.fit(world.fresh(5), world.tokens(world.texts()[world.OF_BASE]), 1)}, "base: must be the "
     "model that finetuning started from, got weights that correlate by -?0.0"),
    ({"base": world.tuned}, "base: must be the model before its finetuning, got the very weights"),
    ({"base": other_width}, "base: .* must have the shape of the finetuned model's"),
    ({"base": other_depth}, "base: must have the architecture of the finetuned model"),
    ({"base": lambda: "nowhere"}, "base: must be a folder, got 'nowhere'"),
    ({"model": Pooling}, "model: must predict each token from those before it"),
    ({"model": Last}, "model: must return logits of shape"),
    ({"model": lambda: Answers(without)}, "model: must return finite logits, got 50 of "),
    ({"model": lambda: Answers(lambda z: z.softmax(-1))}, "model: must return logits, got probabilities"),
    ({"model": lambda: Answers(torch.nn.functional.dropout)}, "model: must answer alike if it is asked twice"),
    ({"model": lambda: len}, "model: must be a causal language model, as torch.nn.Module or a folder"),
    ({"members": lambda: ["a text", ""]}, "members: a text must have at least one token, got none in row 1"),
    ({"members": lambda: (["secret words", "b"], [0, 1])}, "members: must be texts, .* got list in row 0"),
    ({"members": lambda: [1, 2]}, "members: must be texts, which the option level asks for, got int in row 0"),
    ({"members": list}, "members: must be texts, .* got none"),
    ({"options": lambda: Options(level="words", length=36, vocabulary=900)}, "model: must map tokens .* and "
     "texts by its own tokenizer"),
    ({"options": Options, "base": world.base}, "data_options.level: must say what a token of this model is"),
    ({"tokenizer": lambda: "tok"}, "tokenizer: must be said once"),
    ({"options": Options, "tokenizer": lambda: "tok"}, "tokenizer must be a folder"),
    ({"options": Options, "tokenizer": lambda: 5}, "tokenizer must be one of transformers or its folder, got int"),
    ({"population": lambda: world.texts()[world.MEMBERS][:4]}, "population: must be outside of members and nonmembers, "
     "got 4 of 4 records"),
    ({"members": lambda: "a secret\nof two lines"}, "members: must be a list of texts, or a file, got one text of 21 "),
    ({"fit": lambda: {"epochs": 1, "lr": 0.1}}, "fit: settings say how the base is finetuned, got no base"),
    ({"output": lambda: "probs"}, "output: a language model returns logits, got 'probs'"),
    ({"threats": lambda: [{"family": "inversion", "public": "p"}], "data": lambda: {"p": world.texts()[:40]},
      "attacks": lambda: None}, "family: asks of records with classes, got 'inversion' beside texts"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[one[1][:40] for one in WRONG])
def test_what_could_mislead_is_refused_in_one_line(changes, message, tmp_path):
    given = {name: make() for name, make in changes.items()}
    with pytest.raises(AuditError, match=message) as caught:
        asked(tmp_path / "run", given.pop("model", None), **given)
    assert all("\n" not in line for line in caught.value.problems)
    assert "secret" not in str(caught.value)


def test_population_texts_that_are_judged_can_be_left_out(tmp_path):
    given = world.texts()[world.POPULATION]
    found = [
        asked(tmp_path / name, population=given + more, duplicates="exclude", attacks=("recall",)).content["threats"][0]
        for name, more in (("few", ()), ("more", world.texts()[world.OTHERS][:3]))
    ]
    assert found[0]["estimates"] == found[1]["estimates"]


def test_attacks_that_lack_something_are_refused_with_the_reason(tmp_path):
    attacks = ("text_loss", "ez_mia", "lira", "recall", "modified_entropy", "simple_shot")
    asked(tmp_path / "run", attacks=attacks, members=world.texts()[0:40:2], nonmembers=world.texts()[1:40:2])
    whole, _, gates = read(tmp_path / "run")
    refused = {one["id"]: one["reason"] for one in whole["attacks"] if one["status"] != "ok"}
    assert "none is given: name it as base" in refused["ez_mia"]
    assert "needs shadow models: give `base`, and as `fit` the settings" in refused["lira online"]
    assert "needs 4 texts outside every model, got 0: give a population" in refused["recall"]
    assert "texts of a language model do not have" in refused["modified_entropy"]
    assert not {"I10", "I11"} & set(gates)


def test_a_very_long_text_is_cut_and_said_to_be(tmp_path):
    long = [" ".join(f"word{number % 977}" for number in range(30_000)), *world.texts()[2:40:2]]
    asked(tmp_path / "run", members=long, nonmembers=world.texts()[1:40:2])
    whole, _, _ = read(tmp_path / "run")
    told = [one["message"] for one in whole["gates"] if one["id"] == "I4"]
    assert any("texts of members reach data_options.length, 36 tokens" in one for one in told)


def test_texts_of_a_stranger_to_the_tokens_are_told(tmp_path):
    """Another order of the vocabulary stands for another tokenizer: the model guesses worse than at random."""
    order = torch.randperm(world.VOCABULARY - 1, generator=torch.manual_seed(0))

    class Renumbered(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = world.fit(world.base(), world.tokens(world.texts()[world.OF_BASE]), 40)

        def forward(self, x):
            told = torch.cat([order, torch.tensor([world.VOCABULARY - 1])])
            return self.net(told[x])

    result = asked(tmp_path / "run", Renumbered())
    _, _, gates = read(tmp_path / "run")
    assert gates["I7"]["status"] == "fail"
    assert "another tokenizer" in gates["I7"]["message"]
    assert result.status == "withdrawn"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of a tokenizer with a base of GPT-2's kind, and of a model finetuned from it."""
    folder = tmp_path_factory.mktemp("folders")
    fast = world.save_tokenizer(folder / "base")
    options = Options(level="tokenizer", tokenizer=str(folder / "base"), length=36)
    net = world.fit(
        world.save_gpt(folder / "base", len(fast)), world.tokens(world.texts()[world.OF_BASE], options), epochs=8
    )
    net.net.save_pretrained(folder / "base")
    tuned = world.fit(net, world.tokens(world.texts()[world.MEMBERS], options), 14, lr=0.003)
    tuned.net.save_pretrained(folder / "tuned")
    fast.save_pretrained(folder / "tuned")
    for name, rows in (("members", world.MEMBERS), ("others", world.OTHERS)):
        lines = [text.replace('"', "'") for text in world.texts()[rows]]
        (folder / f"{name}.csv").write_text("text\n" + "\n".join(f'"{one}"' for one in lines), encoding="utf-8")
    return folder


def settings(**changes):
    target = {
        "task": "language", "model": "tuned", "base": "base", "members": "members.csv", "nonmembers": "others.csv",
        "data_options": {"length": 36},
    }  # fmt: skip
    target = {key: one for key, one in {**target, **changes}.items() if one is not None}
    return {"name": "letters", "target": target, "attack": [{"name": "ez_mia"}, {"name": "count"}]}


def test_an_audit_file_names_folders_and_a_plan_has_a_price(folders, tmp_path):
    audit = parse(settings(), base=folders)
    plan = verbs.plan(audit, store=tmp_path / "store")
    assert 0 < plan.seconds < 600
    assert any(one.startswith("texts: 200 with ") for one in plan.notes)
    assert {one.id: one.refused for one in plan.attacks} == {"ez_mia": "", "count": "", "constant": ""}
    verbs.run(audit, tmp_path / "run", store=tmp_path / "store", workers=1)
    whole, found, gates = read(tmp_path / "run")
    assert found["ez_mia"]["low"] > 0.5
    assert whole["data"]["vocabulary"] == 400
    assert gates["I10"]["status"] in ("pass", "warn")
    assert whole["chain"][0]["settings"]["kind"] == "causal language model GPT2LMHeadModel"


def planned(folders, **changes):
    return verbs.plan(parse(settings(**changes), base=folders), store=folders / "store")


def test_a_foreign_tokenizer_is_refused(folders):
    world.save_tokenizer(folders / "foreign", trained_on=slice(0, 20), size=400)
    foreign = {"length": 36, "tokenizer": "foreign"}
    with pytest.raises(AuditError, match=r"model: must have the tokenizer that cut the texts, got one in 'tuned' that"):
        planned(folders, data_options=foreign)
    with pytest.raises(AuditError, match="model: must be asked with the tokens that it learned, got bytes or words"):
        planned(folders, data_options={"length": 36, "level": "bytes"})


def test_texts_beyond_the_context_are_refused(folders):
    with pytest.raises(AuditError, match="model: must take texts of 50 tokens, got a context of 40"):
        planned(folders, data_options={"length": 50})


def test_an_adapter_needs_its_base(folders):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_pretrained(folders / "base")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft reads what transformers has renamed
        adapter = get_peft_model(net, LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    for name, one in adapter.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(one, std=0.3)
    own = world.tokens(world.texts()[:4], Options(level="tokenizer", tokenizer=str(folders / "base"), length=36))
    adapter.save_pretrained(folders / "adapter")
    told = {"length": 36, "tokenizer": "base"}
    with pytest.raises(AuditError, match="model: 'adapter' holds an adapter, which is no model without its base"):
        planned(folders, model="adapter", base=None, data_options=told)
    assert planned(folders, model="adapter", data_options=told).seconds > 0
    (folders / "adapter" / "adapter_config.json").write_text(
        (folders / "adapter" / "adapter_config.json").read_text().replace(str(folders / "base"), "/models/elsewhere")
    )
    said = planned(folders, model="adapter", data_options=told).notes
    assert any(
        "The adapter says that it was trained on 'elsewhere', and the base given is 'base'" in one for one in said
    )
    from dosimeter.models.language.given import read_finetuned

    found = read_finetuned(folders / "adapter", folders / "base", texts=own, vocabulary=400)
    with torch.no_grad():
        assert torch.allclose(found.net(own), adapter(input_ids=own.clamp(min=0)).logits, atol=1e-4)
        mine = read_finetuned(adapter, folders / "base", texts=own, vocabulary=400)
        assert torch.allclose(found.net(own), mine.net(own), atol=1e-4)


def test_pickled_weights_are_read_only_if_they_are_trusted(folders):
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_pretrained(folders / "tuned")
    (folders / "pickled").mkdir()
    net.config.save_pretrained(folders / "pickled")
    torch.save(net.state_dict(), folders / "pickled" / "pytorch_model.bin")
    told = {"length": 36, "tokenizer": "base"}
    with pytest.raises(AuditError, match=r"model: pickled must hold its weights as .safetensors, got none"):
        planned(folders, model="pickled", data_options=told)
    audit = parse(settings(model="pickled", data_options=told), base=folders)
    assert any("I2" in one or "pickle" in one for one in verbs.plan(
        audit, store=folders / "store", trust_pickle=True).notes)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "classes"}, "target.base: only texts of a language model have it, got 'base'"),
        ({"fit": "recipe"}, "target.fit: must be package.module:function, got 'recipe'"),
        ({"output": "probs"}, "target.output: a language model returns logits"),
        ({"weights": "x.safetensors"}, "target.weights: must not be given beside a folder"),
        ({"base": "nowhere"}, "target.base: must be a folder as model is, got 'nowhere'"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(changes, message, folders):
    with pytest.raises(AuditError, match=message):
        planned(folders, **changes)


def test_own_architectures_take_their_weights_from_files(folders):
    from safetensors.torch import save_file

    for name, net in (("tuned", world.tuned()), ("base", world.base())):
        save_file({key: one.contiguous() for key, one in net.state_dict().items()}, folders / f"{name}.safetensors")
    own = {
        "model": "transformer", "options": {"width": 16, "depth": 1}, "weights": "tuned.safetensors",
        "base": "base.safetensors", "data_options": {"level": "words", "length": 36, "vocabulary": 300},
    }  # fmt: skip
    plan = planned(folders, **own)
    assert {one.id: one.refused for one in plan.attacks} == {"ez_mia": "", "count": "", "constant": ""}
