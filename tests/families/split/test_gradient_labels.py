"""Labels from gradients: exact where theory says so, at chance where gradients tell nothing, and true to the model."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from audits import BASE
from sklearn.metrics import roc_auc_score

from dosimeter.config.audit import parse
from dosimeter.families.split.attacks import GradientLabels
from dosimeter.families.split.game import Auxiliary, Secret, SplitGame
from dosimeter.families.split.play.halves import CutModel
from dosimeter.foundation.errors import DataError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from families.split.games import audit

DRAWS = np.random.default_rng(0)
"""For attacks that draw nothing."""


def softmax_gradients(rng, values, classes, spread=1.0):
    """Gradients of the cross-entropy by features before one linear layer, W (p - y), written out."""
    weight, bias = rng.normal(size=(classes, 6)), np.zeros(classes)
    features = spread * rng.normal(size=(len(values), 6))
    logits = features @ weight.T + bias
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return (odds / odds.sum(1, keepdims=True) - np.eye(classes)[values]) @ weight


def game_of(rng, values, theirs, gradients, labels=20):
    """A game whose features are gradients of victims and auxiliary records."""
    names = tuple("abcdef"[: values.max() + 1])
    n, rows = len(values), np.arange(labels)
    seen = torch.from_numpy(gradients.astype(np.float32))
    side = Auxiliary(seen[n:], torch.zeros(len(theirs), 1), theirs, np.arange(len(theirs)))
    return SplitGame(np.arange(n).astype(str), seen[:n], side, Secret("label", names, rows, theirs[rows]))


def drawn(seed, classes, shares=None, n=120, p=80):
    rng = np.random.default_rng(seed)
    both = rng.choice(classes, n + p, p=shares)
    both[n : n + 2 * classes] = np.repeat(np.arange(classes), 2)  # each class has two labels
    return rng, both[:n], both[n:]


def test_of_two_classes_behind_one_layer_directions_tell_all_labels_from_two_of_each():
    rng, values, theirs = drawn(0, 2)
    gradients = softmax_gradients(rng, np.r_[values, theirs], 2)
    found = GradientLabels().run(game_of(rng, values, theirs, gradients, labels=4), DRAWS).values[0]
    assert (found.argmax(1) == values).all()
    assert np.exp(found).sum(1) == pytest.approx(np.ones(len(values)))


def test_of_several_classes_directions_tell_most_labels():
    rng, values, theirs = drawn(1, 4)
    gradients = softmax_gradients(rng, np.r_[values, theirs], 4)
    found = GradientLabels().run(game_of(rng, values, theirs, gradients, labels=40), DRAWS).values[0]
    assert (found.argmax(1) == values).mean() > 0.8


def test_sizes_tell_which_class_is_rare():
    rng, values, theirs = drawn(2, 2, shares=[0.85, 0.15], n=300)
    rare = np.r_[values, theirs]
    wrong = np.where(rare == 1, 0.8, 0.2) * np.exp(0.3 * rng.normal(size=len(rare)))
    gradients = (wrong * np.where(rare == 1, -1, 1))[:, None] * rng.normal(size=6)
    game = game_of(rng, values, theirs, np.abs(gradients), labels=60)  # signs, and so directions, are gone
    found = GradientLabels("norm").run(game, DRAWS).values[0]
    assert roc_auc_score(values, found[:, 1]) > 0.95


@pytest.mark.parametrize("mode", ["direction", "norm"])
def test_at_chance_where_gradients_tell_nothing(mode):
    areas = []
    for seed in range(20):
        rng, values, theirs = drawn(10 + seed, 2)
        game = game_of(rng, values, theirs, rng.normal(size=(200, 6)))
        areas.append(roc_auc_score(values, GradientLabels(mode).run(game, DRAWS).values[0][:, 1]))
    assert 0.44 < np.mean(areas) < 0.56


def test_gradients_that_rounded_to_zero_and_too_few_labels():
    rng, values, theirs = drawn(3, 2)
    game = game_of(rng, values, theirs, np.zeros((200, 6)))
    for mode in ("direction", "norm"):
        assert np.isfinite(GradientLabels(mode).run(game, DRAWS).values).all()
    few = dataclasses.replace(game, secret=Secret("label", ("a", "b"), np.arange(3), np.array([0, 0, 1])))
    with pytest.raises(DataError, match="2 labels of each value or more, got 1 of 'b'"):
        GradientLabels().run(few, DRAWS)


ROWS = [{"name": "gradient_labels"}, {"name": "label_inference"}, {"name": "mean_input"}]


def test_what_comes_back_is_the_gradient_of_each_record_and_the_class_is_found(tmp_path):
    raw = audit(ROWS, answers="hidden", attributes=["label"], labels=80, cuts=["4"], gradients=True)
    verbs.run(parse(raw, base=BASE), tmp_path / "run", workers=1, store=tmp_path / "store")
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text())["threats"]
    rows = [one for one in threat["estimates"] if one["metric"] == "attribute_auc"]
    assert next(one["low"] for one in rows if one["attack"] == "gradient_labels direction") > 0.8
    (case,) = prepare(parse(raw, base=BASE), store=Store(tmp_path / "store")).cases.values()
    job = case.plays[0].real[0][0][0]
    game, (features, known) = job.game(), job.record.load(0)
    last = CutModel(job.record, 0).graph.program.module.get_submodule("5")
    for seen, sent, labels in (
        (game.seen, features, case.people.victims.labels),
        (game.auxiliary.seen, known, case.people.auxiliary.labels),
    ):
        p = torch.softmax(sent @ last.weight.T + last.bias, 1)
        wanted = (p - torch.eye(4)[torch.from_numpy(labels)]) @ last.weight
        torch.testing.assert_close(seen, wanted.detach(), rtol=1e-4, atol=1e-6)
    assert any(note.startswith("gradients: those that the deployed model would send") for note in case.notes())
    moved = case.plays[0].null[0].game().seen
    torch.testing.assert_close(moved, game.seen[torch.from_numpy(case.moved)])


def test_gradients_must_be_granted(tmp_path):
    raw = audit(ROWS, answers="hidden", attributes=["label"], labels=80, cuts=["4"])
    (case,) = prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases.values()
    assert "threat.gradients is false" in case.refusals()["gradient_labels direction"]
