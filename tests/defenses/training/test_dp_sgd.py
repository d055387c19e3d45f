"""DP-SGD through the audit file: what is refused, what is told, what the cache keeps apart."""

import dataclasses
import json
import re
import sys

import numpy as np
import pytest
from audits import BASE, table
from flat import flat, problems

from dosimeter.config.audit import parse
from dosimeter.defenses import DPSGD
from dosimeter.foundation.errors import AuditError, ConfigError, TrainingError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.recipe import Hyperparameters, settle

PRETRAIN = {"name": "pretrain", "data": "digits", "rows": "900:1100", "model": "mlp", "epochs": 2, "lr": 0.05}
HEAD = {"name": "finetune", "data": "digits", "rows": "0:300", "transfer": "head", "epochs": 3, "batch_size": 60}
DP = {"name": "dp_sgd", "noise_multiplier": 1.5}


def settings(*stages, **changes):
    return table(population=20, shadows=4, targets=1) | {
        "stage": list(stages) or [PRETRAIN, HEAD], "attack": [{"name": "loss"}], **changes,
    }  # fmt: skip


def lines(*stages, **changes):
    with pytest.raises(ConfigError) as caught:
        parse(settings(*stages, **changes), base=BASE)
    return list(caught.value.problems)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A private head as a variant, and a private perceptron whose only stage is at risk."""
    home = tmp_path_factory.mktemp("private")
    verbs.run(parse(settings(defense=[DP]), base=BASE), home / "variant", workers=1)
    alone = {**PRETRAIN, "rows": "0:200", "batch_size": 40, "defenses": [{**DP, "delta": 1e-4}]}
    verbs.run(parse(settings(alone), base=BASE), home / "network", workers=1)
    return {name: flat(json.loads((home / name / "result.json").read_text("utf-8"))) for name in ("variant", "network")}


def test_the_result_says_what_was_spent(finished):
    assert problems(finished["variant"]) == problems(finished["network"]) == []
    (variant,) = finished["variant"]["variants"]
    n = finished["variant"]["data"]["members_per_target"]
    privacy = settle(Hyperparameters(epochs=3, batch_size=60, defenses=(DPSGD(noise_multiplier=1.5),)), n).privacy
    stage = finished["variant"]["chain"][-1]["stage"]
    assert variant["settings"]["guarantee"] == str(privacy).replace("this stage", f"stage {stage}")
    assert privacy.steps == 3 * -(-n // 60)
    assert privacy.rate == 60 / n
    assert "privacy" not in finished["variant"]["chain"][1]["settings"]
    (stage,) = finished["network"]["chain"]
    assert re.match(r"epsilon [\d.]+ at delta 0\.0001 for each record of this stage", stage["settings"]["privacy"])


def test_persons_are_told_that_epsilon_is_of_a_record():
    from dosimeter.pipeline.recipe.summary import guarantees

    privacy = settle(Hyperparameters(defenses=(DPSGD(noise_multiplier=2.0),)), 100).privacy
    for persons in (False, True):
        said = guarantees({0: [privacy]}, persons=persons)[0]
        wanted = persons
        assert said.endswith("; somebody with k records has k times epsilon") == wanted


def test_the_bound_is_that_of_the_recipe_and_its_number_of_records():
    hp = Hyperparameters(epochs=5, batch_size=32, defenses=(DPSGD(epsilon=3.0),))
    privacy = settle(hp, 100).privacy
    assert (privacy.steps, privacy.rate, privacy.delta, privacy.clip) == (20, 0.32, 1e-3, 1.0)
    assert 2.97 <= privacy.epsilon <= 3.0
    assert settle(hp, 20).privacy.rate == 1.0
    once = dataclasses.replace(hp, privacy=privacy)
    assert settle(once, 50) is once
    assert settle(Hyperparameters(), 50).privacy is None


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"name": "dp_sgd"}, "exactly one of epsilon and noise_multiplier must be set, got neither"),
        ({**DP, "epsilon": 1.0}, "exactly one of epsilon and noise_multiplier must be set, got both"),
        ({**DP, "accountant": "gdp"}, "accountant: must be one of"),
    ],
)
def test_rows_are_checked(row, line):
    (found,) = lines(defense=[row])
    assert line in found


@pytest.mark.parametrize(
    ("stage", "defenses", "line"),
    [
        (HEAD | {"standardise": True}, [DP], "stage[1].defenses: dp_sgd bounds what a record does, got standardise"),
        (HEAD, [DP, {"name": "hamp"}], "one of them decides the loss, the step or the labels, got dp_sgd and hamp"),
        (HEAD, [DP, {"name": "selena"}], "one of them decides the loss, the step or the labels, got dp_sgd and selena"),
        (HEAD | {"transfer": "full"}, [DP, {"name": "bido"}], "dp_sgd bounds the gradient of the loss alone, got bido"),
        (
            HEAD | {"transfer": "last-k", "bn_mode": "official"},
            [DP],
            "bn_mode = 'official', which moves stored statistics",
        ),
        (HEAD | {"fit": "recipe:fit"}, [DP], "dp_sgd changes the built-in training, got a stage with `fit`"),
        (HEAD | {"transfer": "full", "precision": "bfloat16"}, [DP], "dp_sgd clips and adds noise in float32, got"),
    ],
)
def test_what_does_not_go_with_it_is_refused(stage, defenses, line):
    found = lines(PRETRAIN, {**stage, "defenses": defenses})
    assert any(line in one for one in found), found


def test_a_network_that_cannot_be_private_is_refused_before_training(tmp_path):
    stage = {**PRETRAIN, "model": "private_models:normed", "defenses": [DP]}
    (tmp_path / "private_models.py").write_text(
        "from torch import nn\n\ndef normed(shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, classes))\n"
    )
    try:
        with pytest.raises(
            TrainingError, match=r"stage 'pretrain': defense dp_sgd: layer '2' \(BatchNorm1d\)"
        ) as caught:
            prepare(parse(settings(stage), base=tmp_path), store=Store(tmp_path / "store"))
    finally:
        sys.path[:] = [one for one in sys.path if one != str(tmp_path)]
        sys.modules.pop("private_models", None)
    assert len(caught.value.problems) == 1


def test_without_opacus_an_audit_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus", None)
    row = {**DP, "noise_multiplier": 1.7777}  # that no other test has counted
    with pytest.raises(AuditError, match=r'run pip install "dosimeter\[dp\]"$'):
        _ = prepare(parse(settings(defense=[row]), base=BASE), store=Store(tmp_path)).key


def test_noise_clip_and_accountant_belong_to_the_key(tmp_path):
    rows = [DP, {**DP, "noise_multiplier": 1.6}, {**DP, "clip": 2.0}, {**DP, "accountant": "rdp"}]
    keys = [
        prepare(parse(settings(defense=[row]), base=BASE), store=Store(tmp_path)).variants[0][1].case.jobs.packs[0].key
        for row in rows
    ]
    assert len(np.unique(keys)) == len(rows)


def test_a_delta_that_allows_to_publish_a_record_is_refused():
    recipe = Hyperparameters(epochs=2, batch_size=20)
    assert DPSGD(epsilon=4.0, delta=0.0099).bound(100, recipe).delta == 0.0099
    with pytest.raises(ConfigError, match=r"delta must be below 1 / 100, .* got 0.01: use 0.001 or less"):
        DPSGD(epsilon=4.0, delta=0.01).bound(100, recipe)
