"""Variants: one more defense each under the same audit, from the audit file to the report and the policy."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from audits import BASE, QUICK, gaussian, material, table
from flat import check, flat, parse_policy, problems

from dosimeter import defenses, load
from dosimeter.config.audit import parse
from dosimeter.families.membership.measures.variants import accuracy_changes
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import variants, verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.paired import accuracy_difference
from dosimeter.training import defending, heads

PRETRAIN = {"name": "pretrain", "data": "digits", "rows": "900:1100", "model": "mlp", "epochs": 2, "lr": 0.05}
FINETUNE = {"name": "finetune", "data": "digits", "rows": "0:700", "transfer": "head", "epochs": 8, "lr": 0.5}
ROWS = [
    {"name": "label_smoothing", "epsilon": 0.5},
    {"name": "masking"},
    {"name": "early_stopping", "share": 0.25, "id": "stopped"},
]
ATTACKS = [{"name": "loss"}, {"name": "lira"}, {"name": "constant"}]


def settings(**changes):
    """A head on digits with three variants."""
    whole = table(population=60, shadows=8, targets=2)
    return whole | {"stage": [PRETRAIN, FINETUNE], "attack": ATTACKS, "defense": ROWS, **changes}


def audit(**changes):
    return parse(settings(**changes), base=BASE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with three variants, and a run without any that shares its cache."""
    home = tmp_path_factory.mktemp("variants")
    verbs.run(audit(), home / "with", workers=1)
    verbs.run(audit(defense=[]), home / "without", workers=1)
    return home


def result(folder):
    return flat(json.loads((folder / "result.json").read_text("utf-8")))


def test_the_audit_itself_is_that_without_variants(finished):
    with_, without = (result(finished / name) for name in ("with", "without"))
    assert problems(with_) == problems(without) == []
    assert "variants" not in without
    for key in ("estimates", "utility"):
        assert [row for row in with_[key] if row["variant"] == "none"] == without[key]
    for one in (with_, without):
        assert one["verdict"]["answers"].pop(-2)["id"] == "version"  # it has the key
    same = with_.keys() - {"variants", "estimates", "utility", "audit_key"}
    assert {key: with_[key] for key in same} == {key: without[key] for key in same}


def test_each_variant_is_a_run_of_its_own_whose_figures_join_the_result(finished):
    whole = result(finished / "with")
    assert [one["id"] for one in whole["variants"]] == ["label_smoothing-0.5", "masking", "stopped"]
    for one in whole["variants"]:
        folder = finished / "with" / "variants" / one["id"]
        own = result(folder)
        assert problems(own) == []
        assert (folder / "report.html").is_file()
        assert (one["status"], one["attack"], one["fpr"]) == ("ok", own["verdict"]["attack"], own["verdict"]["fpr"])
        joined = [row for row in whole["estimates"] if row["variant"] == one["id"]]
        assert {(row["attack"], row["metric"]) for row in joined} == {
            (attack, metric) for attack in ("loss", "lira online") for metric in ("auc", "tpr")
        }
        assert all({**row, "variant": "none"} in own["estimates"] for row in joined)


def test_split_matrix_and_records_are_shared(finished):
    truths = [np.load(path) for path in sorted(finished.glob("with/**/truth.npz"))]
    assert len(truths) == 4
    for one in truths[1:]:
        for key in ("ids", "member", "null_member", "rehearsal_in"):
            assert np.array_equal(truths[0][key], one[key])


def test_the_change_of_accuracy_is_paired(finished):
    whole = result(finished / "with")
    before, after = (
        np.load(finished / "with" / place / "threats/membership/truth/truth.npz")
        for place in (".", "variants/label_smoothing-0.5")
    )
    n = before["member"].shape[1]
    right, wrong = after["correct"][:, n:], before["correct"][:, n:]
    (row,) = [
        one for one in whole["utility"] if one["variant"] == "label_smoothing-0.5" and one["split"] == "test"
    ]  # fmt: skip
    assert row["change"] == pytest.approx(right.mean() - wrong.mean(), abs=1e-12)
    (none,) = [one for one in whole["utility"] if one["variant"] == "none" and one["split"] == "test"]
    assert row["value"] - none["value"] == pytest.approx(row["change"], abs=1e-12)
    wanted = accuracy_difference(right, wrong, np.ones_like(right), record=np.arange(right.shape[1]))
    assert (row["change_low"], row["change_high"]) == pytest.approx((wanted.low, wanted.high), abs=1e-11)


def test_defenses_of_outputs_reuse_the_models_and_training_defenses_do_not():
    prepared = prepare(audit(), store=Store(BASE / "nowhere"))
    keys = {row.id: [job.key for job in one.case.jobs.packs] for row, one in prepared.variants}
    own = [job.key for job in prepared.case.jobs.packs]
    assert keys["masking"] == own
    assert keys["label_smoothing-0.5"] != own
    assert keys["stopped"] != own
    observed = {
        job.key for one in (prepared, *(one for _, one in prepared.variants)) for job in one.case.jobs.observations
    }
    assert len(observed) == 4


def test_stopping_early_by_a_defense_is_training_with_fewer_epochs():
    """With a constant learning rate; the variant then finds its models in the cache."""
    short = audit(stage=[PRETRAIN, {**FINETUNE, "epochs": 2}], defense=[])
    stage = dict(prepare(audit(), store=Store(BASE / "nowhere")).variants[2][1].system.links[-1].definition)
    wanted = dict(prepare(short, store=Store(BASE / "nowhere")).system.links[-1].definition)
    assert stage["hyperparameters"].pop("share") == 0.25
    assert stage == wanted


def test_measuring_anew_gives_the_same_bytes_from_the_folders_alone(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished / "with", copy)
    before = (copy / "result.json").read_bytes()
    (copy / "result.json").unlink()
    (copy / "variants" / "masking" / "result.json").unlink()
    verbs.measure(copy)
    assert (copy / "result.json").read_bytes() == before


def test_an_interrupted_run_continues_and_gives_the_same_bytes(finished, tmp_path, monkeypatch):
    out, real = tmp_path / "runs" / "with", variants.try_variants
    done = []

    def stops(row_and_prepared, run):
        def counted(name, one):
            done.append(name)
            if len(done) == 2:
                raise KeyboardInterrupt
            return run(name, one)

        return real(row_and_prepared, counted)

    monkeypatch.setattr(variants, "try_variants", stops)
    with pytest.raises(KeyboardInterrupt):
        verbs.run(audit(), out, workers=1)
    assert not (out / "run.json").exists()
    monkeypatch.setattr(variants, "try_variants", real)
    trained = []
    train = heads.train_heads
    monkeypatch.setattr(
        "dosimeter.training.distillation.train_heads", lambda *a, **k: trained.append(1) or train(*a, **k)
    )
    verbs.run(audit(), out, workers=1)
    assert len(trained) == 1  # the stopped variant; the undefended heads and the first variant's are in the cache
    assert (out / "result.json").read_bytes() == (finished / "with" / "result.json").read_bytes()


def test_a_variant_that_cannot_be_trained_is_told_and_the_others_run(tmp_path, monkeypatch):
    from dosimeter.defenses import LabelSmoothing

    def fails(*_):
        raise TrainingError("loss must be finite")

    monkeypatch.setattr(LabelSmoothing, "loss", fails)
    verbs.run(audit(), tmp_path / "run", workers=1)
    found = result(tmp_path / "run")
    assert problems(found) == []
    status = {one["id"]: one["status"] for one in found["variants"]}
    assert status == {"label_smoothing-0.5": "failed", "masking": "ok", "stopped": "ok"}
    assert "must be finite" in found["variants"][0]["reason"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "not trained:" in page


def test_the_report_has_one_row_for_each_variant_and_a_figure(finished):
    page = (finished / "with" / "report.html").read_text("utf-8")
    section = page.split('<section id="variants">')[1].split("</section>")[0]
    for name in ("undefended", "label_smoothing-0.5", "masking", "stopped"):
        assert len(re.findall(rf'attack-name">{name}<', section)) == 1
    assert section.count("<svg") == 1
    assert "At equal accuracy:" in section
    assert 'href="#variants"' in page
    assert "What stopping it costs" not in (finished / "without" / "report.html").read_text("utf-8")


def test_a_policy_names_a_variant_and_is_about_none_by_default(finished):
    whole = result(finished / "with")
    limit = {"metric": "tpr", "fpr": whole["verdict"]["fpr"], "attack": "headline", "max": 0.99}
    for variant, wanted in ((None, "none"), ("masking", "masking")):
        policy = parse_policy({"limit": [limit | ({"variant": variant} if variant else {})]})
        (outcome,) = check(whole, policy).outcomes
        assert outcome.row.key.variant == wanted
    entry = {one["id"]: one for one in whole["variants"]}["masking"]
    assert outcome.row.key.attack == entry["attack"]
    every = check(whole, parse_policy({"limit": [limit | {"variant": "*"}]})).outcomes
    assert {one.row.key.variant for one in every} == {"none", *(one["id"] for one in whole["variants"])}


def test_python_tells_the_variant_of_a_row(finished):
    found = load(finished / "with")
    assert {one.variant for one in found.estimates} == {"none", "label_smoothing-0.5", "masking", "stopped"}


def test_the_plan_counts_variants_and_finds_what_is_cached(finished, tmp_path, even_clock):
    fresh = verbs.plan(audit(), store=tmp_path / "store", workers=1)
    stages = {stage.how.split(":")[0]: (stage.models, stage.cached) for stage in fresh.stages[2:]}
    assert stages == {
        "variant label_smoothing-0.5": (10, 0), "variant masking": (10, 10), "variant stopped": (10, 0),
    }  # fmt: skip
    cached = verbs.plan(audit(), store=finished / ".store", workers=1)
    assert all(stage.models == stage.cached for stage in cached.stages)
    alone = verbs.plan(audit(defense=[]), store=tmp_path / "store", workers=1)
    assert fresh.seconds > alone.seconds
    assert fresh.key != alone.key


def test_defenses_of_the_stage_itself_are_under_every_variant():
    stage = {**FINETUNE, "defenses": [{"name": "dropout", "rate": 0.5}]}
    prepared = prepare(audit(stage=[PRETRAIN, stage]), store=Store(BASE / "nowhere"))
    kinds = [type(one).__name__ for one in prepared.system.links[-1].hyperparameters.defenses]
    assert kinds == ["Dropout"]
    inner = prepared.variants[0][1].system.links[-1].hyperparameters.defenses
    assert [type(one).__name__ for one in inner] == ["Dropout", "LabelSmoothing"]


def test_keys_without_defenses_say_nothing_of_them():
    link = prepare(audit(defense=[]), store=Store(BASE / "nowhere")).system.links[-1]
    assert not {"defenses", "share"} & link.definition["hyperparameters"].keys()
    assert "code of defenses" not in link.definition


BAD = [
    ({"defense": [{"name": "lable_smoothing"}]}, "defense[0].name: unknown defense 'lable_smoothing', did you mean"),
    ({"defense": [{"epsilon": 0.1}]}, "defense[0].name: is required and missing"),
    ({"defense": [{"name": "l2", "weight": 1}]}, "defense[0].weight: unknown key, did you mean 'weight_decay'?"),
    ({"defense": [{"name": "l2", "weight_decay": "1"}]}, "defense[0].weight_decay: must be a number, got '1'"),
    ({"defense": [{"name": "l2", "id": "none"}]}, "defense[0].id: must be 1 to 64 letters"),
    ({"defense": [{"name": "l2", "id": "../x"}]}, "defense[0].id: must be 1 to 64 letters"),
    ({"defense": [{"name": "l2"}] * 2}, "defense: ids must be distinct, got 'l2' 2 times: give each row an `id`"),
    ({"defense": [{"name": "json:dumps"}]}, "defense[0].name: must name a frozen dataclass with a method `recipe`"),
    (
        {"stage": [PRETRAIN, {**FINETUNE, "defenses": [{"name": "hamp"}, {"name": "selena"}]}], "defense": []},
        "stage[1].defenses: one of them decides the loss, the step or the labels, got hamp and selena: keep one",
    ),
    (
        {"stage": [PRETRAIN, {**FINETUNE, "defenses": [{"name": "hamp"}]}], "defense": [{"name": "relax_loss"}]},
        "defense[0]: one of them decides the loss, the step or the labels, got hamp and relax_loss: keep one",
    ),
    (
        {"stage": [PRETRAIN, {**FINETUNE, "fit": "mine:fit"}], "defense": [{"name": "dropout"}, {"name": "top_k"}]},
        "defense[0]: dropout changes the built-in training, got a stage with `fit`: write it into `fit`",
    ),
    (
        {"defense": [{"name": "mid"}]},
        "defense[0]: mid acts on hidden layers that are trained, got transfer = 'head', which trains the last",
    ),
    (
        {"stage": [PRETRAIN, {**FINETUNE, "transfer": "lora"}], "defense": [{"name": "mid"}]},
        "defense[0]: mid trains a layer of its own before the last one, got transfer = 'lora'",
    ),
    (
        {"stage": [PRETRAIN, {**FINETUNE, "transfer": "full"}], "defense": [{"name": "bido", "measure": "hsick"}]},
        "defense[0].measure: must be one of 'hsic', 'coco', got 'hsick'",
    ),
    (
        {"stage": [{**PRETRAIN, "defenses": [{"name": "masking"}]}, FINETUNE], "defense": []},
        "stage[0].defenses: masking changes answers, which only the deployed model gives: move it to the last stage",
    ),
    (
        {"threat": {"access": "weights"}, "defense": [{"name": "rounding"}]},
        "defense[0]: rounding changes answers, but threat.access = 'weights' gives the model itself",
    ),
]


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message for _, message in BAD])
def test_what_is_wrong_is_told_in_one_line(changes, message):
    with pytest.raises(ConfigError) as caught:
        audit(**changes)
    (line,) = caught.value.problems
    assert line.startswith(message), line


def test_a_brought_model_takes_no_defense():
    target = {"model": "mine:build", "members": "a.npz", "nonmembers": "b.npz"}
    with pytest.raises(ConfigError, match="defense: a supplied model is not trained here"):
        parse({"target": target, "defense": [{"name": "masking"}]}, base=BASE)


OWN = '''
from dataclasses import dataclass
from typing import ClassVar

import torch


@dataclass(frozen=True)
class Halved:
    """Halve the logits' loss."""

    paper: ClassVar[str] = ""
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple] = ()
    factor: float = 0.5

    def loss(self, logits, labels, epoch):
        """Mean cross-entropy of scaled logits."""
        log_p = torch.log_softmax(logits * self.factor, -1)
        return -log_p.gather(-1, labels[..., None])[..., 0].mean(-1)
'''


def test_a_defense_of_the_users_is_configured_like_ours_and_its_source_is_hashed(tmp_path):
    (tmp_path / "own_defense.py").write_text(OWN)
    given = settings(defense=[{"name": "own_defense:Halved", "factor": 0.25}])
    (row,) = parse(given, base=tmp_path).variants
    assert (row.id, row.settings) == ("Halved-0.25", {"factor": 0.25})
    first = prepare(parse(given, base=tmp_path), store=Store(tmp_path / "store")).variants[0][1]
    assert "own_defense:Halved" in first.system.links[-1].sources
    (tmp_path / "own_defense.py").write_text(OWN + "\n# changed\n")
    second = prepare(parse(given, base=tmp_path), store=Store(tmp_path / "store")).variants[0][1]
    assert first.case.jobs.packs[0].key != second.case.jobs.packs[0].key
    verbs.run(parse(given, base=tmp_path), tmp_path / "run", workers=1)
    assert result(tmp_path / "run")["variants"][0]["status"] == "ok"


def test_a_defense_of_the_users_that_raises_is_told_in_one_line(tmp_path):
    (tmp_path / "own_defense.py").write_text(OWN.replace("log_p = ", "raise KeyError('gamma')\n        log_p = "))
    stage = {**FINETUNE, "defenses": [{"name": "own_defense:Halved"}]}
    given = settings(stage=[PRETRAIN, stage], defense=[])
    with pytest.raises(TrainingError, match=r"raised KeyError: 'gamma'.*: correct the defense Halved") as caught:
        verbs.run(parse(given, base=tmp_path), tmp_path / "run", workers=1)
    assert len(caught.value.problems) == 1


RECIPE = '''
from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True)
class Mine:
    """A recipe of the user's."""

    paper: ClassVar[str] = ""
    place: ClassVar[str] = "recipe"
    ladder: ClassVar[tuple] = ()

    def recipe(self, hp):
        """Another one."""
        return BODY
'''


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("hp.nothing", "raised AttributeError: 'Hyperparameters' object has no attribute 'nothing'"),
        ("None", "must give Hyperparameters, got NoneType: return replace(hp, ...)"),
        ("replace(hp, epochs=0)", "gave a recipe that cannot be trained, epochs must be in [1, "),
        ("replace(hp, lr=-1.0)", "gave a recipe that cannot be trained, lr must be in (0, "),
    ],
)
def test_a_recipe_of_the_users_is_checked_before_training(body, line, tmp_path):
    name = "own_recipe_" + re.sub(r"\W", "", body)
    (tmp_path / f"{name}.py").write_text(RECIPE.replace("BODY", body))
    prepared = prepare(
        parse(settings(defense=[{"name": f"{name}:Mine"}]), base=tmp_path), store=Store(tmp_path / "store")
    )
    with pytest.raises(ConfigError) as caught:
        _ = prepared.variants
    (problem,) = caught.value.problems
    assert problem.startswith(f"defense 'Mine': `recipe` {line}"), problem


def test_changes_of_accuracy_are_those_of_whole_persons_where_persons_are_members():
    """Persons of four records that are right or wrong together; the test records are nobody's."""
    rng, person = np.random.default_rng(0), np.repeat(np.arange(50), 4)
    whole = rng.random((2, 4, 50)) < 0.7
    correct = [np.concatenate([one[:, person], one[:, :30]], axis=1) for one in whole]
    member = (rng.random((4, 50)) < 0.5)[:, person]
    some = material(*gaussian(0, leakage=0.0, n=40, z=0), rows=QUICK[:1])
    truth = Truth(np.arange(200).astype(str), member, person)
    after, before = (dataclasses.replace(some, correct=one, truth=truth, test_correct=None) for one in correct)
    found = accuracy_changes(after, before)
    for split, counted in (("train", member), ("nonmember", ~member)):
        wanted = accuracy_difference(correct[0][:, :200], correct[1][:, :200], counted, record=person)
        assert found[split] == wanted
    wanted = accuracy_difference(*(one[:, 200:] for one in correct), np.ones((4, 30), bool), record=np.arange(30))
    assert found["test"] == wanted


def test_a_network_under_every_kind_of_training_defense(tmp_path):
    stage = {"name": "train", "data": "digits", "rows": "0:400", "model": "mlp", "options": {"width": 8}, "epochs": 2}
    rows = [{"name": "dropout"}, {"name": "selena", "submodels": 3, "out": 1}, {"name": "hamp"}]
    verbs.run(audit(stage=[stage], defense=rows), tmp_path / "run", workers=1)
    found = result(tmp_path / "run")
    assert {one["id"]: one["status"] for one in found["variants"]} == {
        "dropout": "ok",
        "selena-3-1": "ok",
        "hamp": "ok",
    }
    definitions = [one for _, one in Store(tmp_path / ".store").definitions() if one.get("kind") == "models"]
    assert len(definitions) == 4 * 10


def test_the_methods_of_a_defense_are_those_of_the_protocols():
    assert all(any(hasattr(kind, name) for name in defending.METHODS) for kind in defenses.DEFENSES.values())
    assert Path(variants.folder(Path("a"), "b")) == Path("a/variants/b")
