"""What a finetuned head tells of pretraining points: the whole audit on a world in which everything is known.

66 chains, 60 of them target, 300 points: 18,000 decisions. The bars are of the pilot that first measured this world.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tmi_world
from flat import flat
from oracles import auc

from dosimeter.config.audit import parse
from dosimeter.families.membership.attacks import ATTACKS, TMI, AdaptedLiRA, Discriminant, PooledDiscriminant
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tmi_world")]
PAIRS = 6
NAMES = {kind: name for name, kind in ATTACKS.items()}


class World:
    """A folder with the world, and the audits that were run in it."""

    def __init__(self, folder):
        self.folder, self.done = folder, {}
        tmi_world.write(folder)
        shutil.copy(Path(tmi_world.__file__), folder)

    def audit(self, task, **changes):
        """A parsed audit."""
        return parse(tmi_world.table(task, **changes), base=self.folder)

    def result(self, task, **changes):
        """`result.json` of an audit; each is run once."""
        name = "-".join([task, *map(str, changes)])
        if name not in self.done:
            verbs.run(self.audit(task, **changes), self.folder / name, store=self.folder / "store", workers=1)
            self.done[name] = flat(json.loads((self.folder / name / "result.json").read_text("utf-8")))
        return self.done[name]

    def row(self, task, attack, metric="auc", **changes):
        """One estimate; TPR is that at 1 % FPR, over all thresholds."""
        (row,) = (
            one
            for one in self.result(task, **changes)["estimates"]
            if (one["attack"], one["metric"], one["group"]) == (attack, metric, None)
            and (metric == "auc" or (one["fpr"], one["threshold"]) == (0.01, "oracle"))
        )
        return row


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Nothing is trained before it is asked for."""
    return World(tmp_path_factory.mktemp("world"))


def kept(record_figure, name, row):
    """The row, after it was recorded."""
    record_figure(
        name, **{key: row[key] for key in ("value", "low", "high", "n_members", "n_nonmembers") if key in row}
    )
    return row


def test_the_finetuned_head_tells_of_pretraining_points(world, record_figure):
    row = kept(record_figure, "tmi coarse auc", world.row("coarse", "tmi"))
    assert row["value"] >= 0.60
    assert row["low"] > 0.55
    assert kept(record_figure, "tmi coarse tpr", world.row("coarse", "tmi", "tpr"))["value"] >= 0.03


def test_a_membership_that_no_chain_was_trained_on_is_not_told(world, record_figure):
    for null in world.result("coarse")["null_audit"]:
        record_figure(f"null {null['attack']}", auc=null["auc"], low=null["low"], high=null["high"])
        assert 0.47 < null["auc"] < 0.53, null


def test_all_of_the_answer_tells_more_than_one_class_where_the_task_is_another(world, record_figure):
    close = [
        kept(record_figure, f"{one} coarse", world.row("coarse", one))["value"] for one in ("tmi", "adapted_lira mean")
    ]
    far = [
        kept(record_figure, f"{one} other", world.row("other", one))["value"] for one in ("tmi", "adapted_lira mean")
    ]
    assert close[0] >= close[1] - 0.01
    assert far[0] > far[1] + 0.02


def test_a_closer_task_tells_more_and_the_pretrained_model_itself_most(world, record_figure):
    coarse, other = (world.row(task, "tmi")["value"] for task in ("coarse", "other"))
    assert coarse > other + 0.03
    assert kept(record_figure, "direct", world.row("coarse", "direct"))["value"] >= 0.9


def test_noise_while_finetuning_hides_some_of_it(world, record_figure):
    noisy = {"lr": 0.05, "defenses": [{"name": "dp_sgd", "noise_multiplier": 10.0, "delta": 1e-4}]}
    private = kept(record_figure, "tmi coarse, noise multiplier 10", world.row("coarse", "tmi", **noisy))
    assert world.row("coarse", "tmi")["value"] > private["value"] + 0.05


def test_a_model_that_remembers_nothing_tells_nothing(world, record_figure):
    early = {"pretrain": {"epochs": 1, "schedule": "constant", "lr": 0.01}}
    seen, unseen = (
        next(one["value"] for one in world.result("coarse", **early)["utility"] if one["split"] == split)
        for split in ("train", "nonmember")
    )
    assert abs(seen - unseen) < 0.03
    row = kept(record_figure, "tmi coarse, one epoch of pretraining", world.row("coarse", "tmi", **early))
    assert row["value"] < 0.53


@pytest.fixture(scope="module", params=["coarse", "other"])
def curves(world, request):
    """By attack and number of shadows, the mean AUC of the first targets, a pair at a time; and the task."""
    prepared = prepare(world.audit(request.param), store=Store(world.folder / "store"))
    world.result(request.param)
    observed, design, found = prepared.case.jobs.answers().load().signals, prepared.case.design, {}
    for attack in (TMI(), AdaptedLiRA(), Discriminant(), PooledDiscriminant()):
        signals = {name: observed[name] for name in attack.signals}
        for shadows in (8, 16, 32, 64):
            each = []
            for pair in range(PAIRS):
                own = np.arange(2 * pair, 2 * pair + 2)
                others = np.delete(np.arange(len(design.member)), own)[:shadows]
                scores = attack.run(design.before(own, others, signals), np.random.default_rng(0)).values
                each += [auc(row, bits) for row, bits in zip(scores, design.member[own], strict=True)]
            found[NAMES[type(attack)], shadows] = float(np.mean(each))
    return found, request.param


def test_more_chains_tell_more(curves, record_figure):
    found, task = curves
    for (name, shadows), value in found.items():
        record_figure(f"{task}, {name}, {shadows} shadows", auc=value, targets=2 * PAIRS)
    assert found["tmi", 64] > found["tmi", 16]


def test_the_pooled_discriminant_keeps_most_of_the_power_with_few_chains(curves):
    """16 shadows give at least 80 % of what the best of all attacks has over chance with 32."""
    found, _ = curves
    best = max(value for (_, shadows), value in found.items() if shadows == 32)
    assert found["pooled_discriminant", 16] - 0.5 >= 0.8 * (best - 0.5)
