"""The pooled discriminant against its formula written out record by record, and what pooling is for."""

import dataclasses

import numpy as np
import pytest
from oracles import auc
from transferred_games import answers, run

from dosimeter.families.membership.attacks import Discriminant, PooledDiscriminant


def by_record(game, shrink=0.3, strength=4.0):
    """The scores of the first target: least squares with rows for the ridge, and the posterior from precisions."""
    rows = game.shadow_outputs["scaled_confidences"].mean(1)
    n, c = rows.shape[1:]
    centre = rows.mean(0)
    flat = np.concatenate([centre - centre.mean(0), np.sqrt(n) * np.eye(c)])

    def aligned(one):
        offset = (one - centre) - (one - centre).mean(0)
        told, *_ = np.linalg.lstsq(flat, np.concatenate([offset, np.zeros((c, c))]), rcond=None)
        return centre + offset - flat[:n] @ told

    rows, own = np.stack([aligned(one) for one in rows]), aligned(game.outputs["scaled_confidences"][0].mean(0))
    order = [np.argsort(-centre[i], kind="stable") for i in range(n)]
    sides = [
        (rows[game.shadow_in[:, i], i][:, order[i]], rows[~game.shadow_in[:, i], i][:, order[i]]) for i in range(n)
    ]
    left = [np.concatenate([side - side.mean(0) for side in both]) for both in sides]
    freedom = len(rows) - 2
    within = sum(one.T @ one for one in left) / (freedom * n)
    diagonal = np.diag(within)
    spread = np.sqrt([((one**2 / diagonal).sum() / c + 8) / (freedom + 8) for one in left])
    within = (1 - shrink) * within + shrink * np.diag(diagonal)
    noise = within * sum(1 / len(side) for side in sides[0])
    seen = np.stack([(a.mean(0) - b.mean(0)) / s for (a, b), s in zip(sides, spread, strict=True)])
    beyond = np.zeros((n, c))
    for i in range(n):
        beyond[i, order[i]] = seen[i] - seen.mean(0)
    mean = np.stack(
        [
            seen.mean(0) + (beyond[game.labels == label].sum(0) / ((game.labels == label).sum() + strength))[order[i]]
            for i, label in enumerate(game.labels)
        ]
    )
    values, vectors = np.linalg.eigh((seen - mean).T @ (seen - mean) / n - noise)
    precision = np.linalg.inv(vectors @ np.diag(np.maximum(values, 1e-3 * np.trace(noise) / c)) @ vectors.T)
    of_noise = np.linalg.inv(noise)
    scores = []
    for i, (a, b) in enumerate(sides):
        effect = np.linalg.solve(precision + of_noise, precision @ mean[i] + of_noise @ seen[i])
        middle = (a.mean(0) + b.mean(0)) / 2
        scores.append((own[i, order[i]] - middle) / spread[i] @ np.linalg.solve(within, effect))
    return np.array(scores)


def test_scores_are_those_of_the_formula_record_by_record():
    game, _ = answers(1, n=60, shadows=12)
    np.testing.assert_allclose(run(PooledDiscriminant(), game)[0], by_record(game), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shadows", [6, 12])
def test_what_all_records_have_in_common_is_found_with_few_chains(shadows):
    game, is_member = answers(2, n=600, shadows=shadows, targets=4, along=2, leak=0.8)
    pooled, alone = (auc(run(one, game).ravel(), is_member.ravel()) for one in (PooledDiscriminant(), Discriminant()))
    assert pooled > alone + 0.05


def test_what_the_records_of_a_class_have_in_common_is_found():
    game, is_member = answers(3, n=600, shadows=6, targets=4, leak=0.0)
    member, n = np.concatenate([is_member, game.shadow_in]), 600
    push = 0.8 * np.eye(6)[game.labels % 6] * member[:, None, :, None]
    outputs = {"scaled_confidences": game.outputs["scaled_confidences"] + push[:4]}
    shadows = {"scaled_confidences": game.shadow_outputs["scaled_confidences"] + push[4:]}
    game = dataclasses.replace(game, outputs=outputs, shadow_outputs=shadows)
    told = auc(run(PooledDiscriminant(), game).ravel(), is_member.ravel())
    mixed = dataclasses.replace(game, labels=np.random.default_rng(0).integers(0, 3, n))
    assert told > auc(run(PooledDiscriminant(), mixed).ravel(), is_member.ravel()) + 0.03


def test_the_order_and_names_of_classes_and_records_change_nothing():
    game, _ = answers(4, n=50, shadows=8)
    order, rows = np.random.default_rng(0).permutation(6), np.random.default_rng(1).permutation(50)

    def turned(signals):
        return {name: values[..., order][:, :, rows] for name, values in signals.items()}

    other = dataclasses.replace(
        game, ids=game.ids[rows], labels=7 - game.labels[rows], shadow_in=game.shadow_in[:, rows],
        outputs=turned(game.outputs), shadow_outputs=turned(game.shadow_outputs),
    )  # fmt: skip
    found = run(PooledDiscriminant(), other)
    np.testing.assert_allclose(found, run(PooledDiscriminant(), game)[:, rows], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("n", "classes"), [(2, 2), (3, 12), (40, 2)])
def test_small_and_degenerate_games_give_finite_scores(n, classes):
    game, _ = answers(5, n=n, shadows=4, classes=classes)
    assert np.isfinite(run(PooledDiscriminant(), game)).all()
    same = {"scaled_confidences": np.ones_like(game.shadow_outputs["scaled_confidences"])}
    assert np.isfinite(run(PooledDiscriminant(), dataclasses.replace(game, shadow_outputs=same))).all()
