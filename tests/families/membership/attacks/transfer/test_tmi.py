import dataclasses

import numpy as np
import pytest
import torch
from oracles import auc
from torch import nn
from transferred_games import answers, run

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.attacks import TMI, AdaptedLiRA, Discriminant
from dosimeter.families.membership.attacks.transfer.metaclassifiers import Recipe, _Draws, member_odds


def one_by_one(known, member, asked, recipe, seed):
    """The classifier of one record with two outputs, PyTorch's autograd and Adam, and the same draws."""
    draws = _Draws.of(recipe, *known.shape, np.random.default_rng(seed))
    first, last = nn.Parameter(draws.first.clone()), nn.Parameter(draws.outputs.clone())
    optimiser = torch.optim.Adam([first, last], lr=recipe.lr, weight_decay=recipe.weight_decay)
    share = member.float().mean()
    weight = torch.where(member, 0.5 / share, 0.5 / (1 - share))
    for step, (rows, mask) in enumerate(zip(draws.batches, draws.masks, strict=True)):
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * 0.9 ** (step // recipe.decays)
        x = torch.cat([known[rows], torch.ones(len(rows), 1)], 1)
        hidden = torch.relu(x @ first.T) * mask.T
        logits = torch.cat([hidden, torch.ones(len(rows), 1)], 1) @ last.T
        loss = nn.functional.cross_entropy(logits, member[rows].long(), reduction="none")
        optimiser.zero_grad()
        (loss * weight[rows] / weight[rows].sum()).sum().backward()
        optimiser.step()
    with torch.no_grad():
        x = torch.cat([asked, torch.ones(len(asked), 1)], 1)
        logits = torch.cat([torch.relu(x @ first.T), torch.ones(len(asked), 1)], 1) @ last.T
        return (logits[:, 1] - logits[:, 0]).numpy()


@pytest.mark.parametrize("batch", [64, 5])
def test_classifiers_are_those_that_are_trained_one_by_one(batch):
    rng = np.random.default_rng(0)
    known = torch.from_numpy(rng.normal(size=(7, 12, 4)).astype(np.float32))
    member = torch.from_numpy(np.tile([True, False, False], (7, 4)))
    asked = [torch.from_numpy(rng.normal(size=(7, 3, 4)).astype(np.float32)) for _ in range(2)]
    recipe = Recipe(60, batch=batch, decays=20)
    found = member_odds(known, member, asked, recipe, np.random.default_rng(3)).numpy()
    for record in range(7):
        for target in range(2):
            slow = one_by_one(known[record], member[record], asked[target][record], recipe, 3)
            np.testing.assert_allclose(found[target, record], slow, atol=2e-3, rtol=2e-3)


def test_records_do_not_meet():
    """Another record's answers change nothing, to the last bit."""
    game, _ = answers(0)
    rest = {name: values.copy() for name, values in game.shadow_outputs.items()}
    rest["scaled_confidences"][:, :, 50:] += 5.0
    other = run(TMI(updates=20), dataclasses.replace(game, shadow_outputs=rest))
    assert np.array_equal(run(TMI(updates=20), game)[:, :48], other[:, :48])


def test_the_number_of_updates_depends_on_neither_shadows_nor_views():
    few, many = ({"shadows": 8, "views": 1}, {"shadows": 32, "views": 3})
    for size in (few, many):
        game, _ = answers(1, n=20, **size)
        rows = size["shadows"] * size["views"]
        draws = _Draws.of(Recipe(TMI().updates), rows, 6, np.random.default_rng(0))
        assert len(draws.batches) == 160
        assert np.isfinite(run(TMI(), game)).all()


def test_a_direction_of_each_record_is_found_by_all_of_the_answer():
    game, is_member = answers(2, n=400, shadows=32, targets=4)
    found = {
        type(one).__name__: auc(run(one, game).ravel(), is_member.ravel())
        for one in (TMI(), AdaptedLiRA(), Discriminant())
    }
    assert found["TMI"] > 0.85
    assert found["Discriminant"] > 0.85
    assert found["AdaptedLiRA"] < found["TMI"] - 0.05


def test_two_classes_have_no_direction():
    game, _ = answers(3, classes=2)
    assert np.array_equal(run(TMI(unit=True), game), run(TMI(unit=False), game))


def test_short_vectors_keep_their_length():
    game, _ = answers(4)
    small = {name: values / 100 for name, values in game.shadow_outputs.items()}
    own = {name: values / 100 for name, values in game.outputs.items()}
    game = dataclasses.replace(game, outputs=own, shadow_outputs=small)
    assert np.array_equal(run(TMI(unit=True, updates=5), game), run(TMI(unit=False, updates=5), game))


def test_compat_stretches_each_target_and_trains_by_passes():
    game, is_member = answers(5, shadows=32)
    scores = run(TMI(compat=True), game)
    assert scores.min(1).tolist() == [0.0, 0.0]
    assert scores.max(1).tolist() == [1.0, 1.0]
    assert auc(scores[0], is_member[0]) > 0.7


def test_a_full_covariance_needs_more_chains_than_views():
    game, _ = answers(6, shadows=8, views=3)
    with pytest.raises(ValueError, match="needs at least 5 in-shadows per record, got 4: train 10 shadows"):
        run(AdaptedLiRA("views"), game)
    game, _ = answers(6, shadows=10, views=3)
    assert np.isfinite(run(AdaptedLiRA("views"), game)).all()


def test_full_covariance_is_that_of_scipy():
    from scipy.stats import multivariate_normal

    game, _ = answers(7, n=5, shadows=24)
    found = run(AdaptedLiRA("views"), game)
    values, own = game.shadow_outputs["scaled_confidences"], game.outputs["scaled_confidences"]
    for target in range(2):
        for record in range(5):
            best = own[target, :, record].argmax(1)
            z = own[target, range(2), record, best]
            shadows = values[:, range(2), record, best]
            inside = game.shadow_in[:, record]
            logs = [
                multivariate_normal(one.mean(0), np.cov(one.T)).logpdf(z) for one in (shadows[inside], shadows[~inside])
            ]
            assert found[target, record] == pytest.approx(logs[0] - logs[1], abs=1e-3)


def test_the_discriminant_is_fishers_where_nothing_is_shrunk():
    game, _ = answers(8, n=1, shadows=40, views=1)
    found = run(Discriminant(shrink=0.0, count=0.0), game)
    rows, inside = game.shadow_outputs["scaled_confidences"][:, 0, 0], game.shadow_in[:, 0]
    a, b = rows[inside].mean(0), rows[~inside].mean(0)
    residuals = np.concatenate([rows[inside] - a, rows[~inside] - b])
    own = game.outputs["scaled_confidences"][:, 0, 0]
    expected = (own - (a + b) / 2) @ np.linalg.solve(residuals.T @ residuals / 38, a - b)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-9)


def test_settings_say_what_two_classes_switch_off():
    row, public = NamedAttack("tmi", "tmi", TMI()), NamedAttack("tmi", "tmi", TMI(compat=True))
    assert row.settings_for(3) == row.settings
    assert row.settings_for(2) == {**row.settings, "unit": "off, two classes"}
    assert public.settings_for(2) == public.settings
