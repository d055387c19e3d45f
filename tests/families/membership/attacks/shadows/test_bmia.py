import dataclasses
import json
from pathlib import Path

import numpy as np
import oracles
import pytest
import torch

from dosimeter.families.membership.attacks import ATTACKS, BMIA, DEFAULT, laplace
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.game import FrozenHead, MembershipGame
from dosimeter.families.membership.observe.signals import logit_confidence, scaled_confidences
from dosimeter.training.heads import train_heads
from dosimeter.training.recipe import Hyperparameters

RECIPE = Hyperparameters(epochs=40, batch_size=16, lr=0.05, momentum=0.9, standardise=True)
TARGETS = 24
ROOT = Path(__file__).parents[5]
STORED = ROOT / "benchmarks" / "results" / "bmia.json"


def fleet(p, d, c, models, targets=4, weight_decay=0.0):
    """Heads on halves of a few clouds: the game of the first of them, and their membership."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, c, p)
    features = rng.normal(size=(p, d)) + 0.8 * rng.normal(size=(c, d))[labels]
    x, y, member = torch.from_numpy(features).float(), torch.from_numpy(labels), membership_matrix(p, models, 0)
    rows = np.stack([np.flatnonzero(row) for row in member])
    heads = train_heads(x, y, rows, RECIPE, classes=c, seeds=list(range(models)), device=torch.device("cpu"))
    answers = [x.double() @ w.double().T + b.double() for w, b in zip(heads.weight, heads.bias, strict=True)]
    tables = {
        "logit_confidence": np.stack([logit_confidence(one, y).numpy() for one in answers])[:, None],
        "scaled_confidences": np.stack([scaled_confidences(one, y).numpy() for one in answers])[:, None],
    }
    head = FrozenHead(x.numpy(), labels, c, np.arange(p), np.full(10, 0.05), 0.9, weight_decay, standardise=True)
    parts = [{name: values[rows] for name, values in tables.items()} for rows in (slice(targets), slice(targets, None))]
    return MembershipGame(np.arange(p), labels, c, *parts, member[targets:], head=head), member[:targets]


@pytest.mark.parametrize("posterior", ["diagonal", "kfac"])
@pytest.mark.parametrize("references", [1, 2])
def test_agrees_with_the_whole_precision_matrix(posterior, references):
    game, _ = fleet(20, 4, 3, 8, weight_decay=0.02)
    some = np.arange(0, 20, 2)  # the other records of the pool are in no game
    game = dataclasses.replace(
        game, ids=some, labels=game.labels[some], shadow_in=game.shadow_in[:, some],
        outputs={name: values[:, :, some] for name, values in game.outputs.items()},
        shadow_outputs={name: values[:, :, some] for name, values in game.shadow_outputs.items()},
        head=dataclasses.replace(game.head, candidates=some),
    )  # fmt: skip
    attack = BMIA(references=references, posterior=posterior, prior=0.5, draws=7)
    found = attack.run(game, np.random.default_rng(3)).values
    exact = oracles.bmia(game, posterior, references, 0.5, 7, np.random.default_rng(3))
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)  # the attack standardises features in float32


def test_the_law_of_two_classes_is_known():
    """There phi is a difference of two logits, so its law is normal with a variance that can be written down."""
    game, _ = fleet(40, 3, 2, 8)
    answers, member = game.shadow_outputs["scaled_confidences"][0, 0], game.shadow_in[0]
    law = laplace.logit_law(game.head, answers, member, "diagonal", 1.0)
    mean, variance = laplace.confidence_moments(law, game.labels, 4000, np.random.default_rng(0))
    exact = (law.scale**2).sum(1)
    phi = game.shadow_outputs["logit_confidence"][0, 0]
    assert (np.abs(mean - phi) < 4.5 * np.sqrt(exact / 4000)).all()
    assert (np.abs(variance / exact - 1) < 4.5 * np.sqrt(2 / 4000)).all()


@pytest.mark.parametrize("posterior", ["diagonal", "kfac"])
def test_the_posterior_shrinks_with_the_prior_and_is_its_law_without_data(posterior):
    game, _ = fleet(40, 5, 3, 8)
    answers, member = game.shadow_outputs["scaled_confidences"][0, 0], game.shadow_in[0]
    wide, narrow = (laplace.logit_law(game.head, answers, member, posterior, prior).scale for prior in (1.0, 1e6))
    assert (narrow < wide).all()
    x = laplace.head_inputs(game.head).astype(float)
    np.testing.assert_allclose(narrow**2, np.tile((x**2).sum(1)[:, None], 3) / (3 * 5 * 1e6), rtol=1e-3)


@pytest.fixture(scope="module")
def heads():
    return fleet(120, 60, 4, TARGETS + 16, TARGETS)


@pytest.mark.parametrize("settings", [{}, {"posterior": "kfac"}, {"references": 8}])
def test_finds_members_and_nobody_where_there_are_none(heads, settings):
    game, member = heads
    scores = BMIA(**settings).run(game, np.random.default_rng(0)).values
    found = [oracles.auc(row, bits) for row, bits in zip(scores, member, strict=True)]
    error = np.sqrt(121 / (12 * 60 * 60) / (TARGETS / 2))
    assert np.mean(found) > 0.5 + 4.5 * error
    nobody = membership_matrix(120, TARGETS, 1)
    chance = [oracles.auc(row, bits) for row, bits in zip(scores, nobody, strict=True)]
    assert abs(np.mean(chance) - 0.5) < 4.5 * error


def test_the_law_lies_about_where_heads_without_the_record_do(heads):
    """Neither a tenth nor ten times as wide as the confidences of sixteen shadows scatter."""
    game, _ = heads
    phi = game.shadow_outputs["logit_confidence"][:, 0]
    truth = np.nanstd(np.where(game.shadow_in, np.nan, phi), axis=0, ddof=1)
    answers, member = game.shadow_outputs["scaled_confidences"][0, 0], game.shadow_in[0]
    law = laplace.logit_law(game.head, answers, member, "diagonal", 1.0)
    _, variance = laplace.confidence_moments(law, game.labels, 200, np.random.default_rng(0))
    assert 0.1 < np.median(np.sqrt(variance) / truth) < 10


def test_the_page_shows_what_was_measured():
    """With its gain over the plain difference, and the ratio of the Laplace's deviation to the true one."""
    page, cases = (ROOT / "docs" / "attacks.md").read_text("utf-8"), json.loads(STORED.read_text("utf-8"))["cases"]
    ordered = [cases[name] for name in ("digits", "badge", "cifar10")]
    shown = {
        "difficulty, 1 reference": "`difficulty`, 1",
        "bmia, 1 reference": "`bmia`, 1",
        "bmia kfac, 1 reference": "`bmia` kfac, 1",
        "lira offline, 8 references": "`lira` offline, 8",
    }
    for name, words in shown.items():
        values = [one["attacks"][name][what] for one in ordered for what in ("auc", "tpr")]
        cells = ["{:.3f} ± {:.3f}".format(*value) for value in values]
        assert f"| {words} | {' | '.join(cells)} |" in page
    gains = [one["attacks"]["bmia, 1 reference"]["gain"][what] for one in ordered for what in ("auc", "tpr")]
    cells = ["{:+.3f} ± {:.3f}".format(*gain).replace("-", "−") for gain in gains]
    assert f"| `bmia` minus `difficulty`, 1, paired | {' | '.join(cells)} |" in page
    for one in ordered:
        ratios = [one["spread"][name]["ratio"] for name in ("bmia", "bmia kfac", "bmia prior 0.01")]
        assert f"| {one['spread']['bmia']['true']:.2f} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |" in page


def test_without_features_or_with_wrong_settings_it_is_refused(heads):
    with pytest.raises(ValueError, match="needs features of a frozen backbone, got none"):
        BMIA().run(dataclasses.replace(heads[0], head=None), np.random.default_rng(0))
    with pytest.raises(ValueError, match="posterior must be known"):
        oracles.unchecked(BMIA, posterior="full")
    with pytest.raises(ValueError, match=r"references must be in \[1, 1024\], got 0"):
        BMIA(references=0)


def test_it_is_in_the_registry_and_does_not_run_by_default():
    assert ATTACKS["bmia"] is BMIA
    assert "bmia" not in DEFAULT
