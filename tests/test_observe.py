"""Signals against independent formulas, the access that is granted, and what a game may hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from audits import gaussian
from scipy.special import logsumexp

from dosimeter.games import Access
from dosimeter.observe import SATURATED, logit_confidence, logit_confidence_t2, released


def confidence(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The definition, record by record."""
    return np.array([row[k] - logsumexp(np.delete(row, k)) for row, k in zip(z, y, strict=True)])


def test_signals_equal_their_definition():
    rng = np.random.default_rng(0)
    z, y = rng.normal(0, 5, (50, 7)), rng.integers(0, 7, 50)
    logits, labels = torch.from_numpy(z), torch.from_numpy(y)
    np.testing.assert_allclose(logit_confidence(logits, labels).numpy(), confidence(z, y), atol=1e-12)
    np.testing.assert_allclose(logit_confidence_t2(logits, labels).numpy(), confidence(z / 2, y), atol=1e-12)


def test_signals_do_not_saturate_where_float32_probabilities_do():
    logits = torch.tensor([[60.0, 0.0, 0.0], [80.0, 0.0, 0.0]])
    labels = torch.zeros(2, dtype=torch.int64)
    phi = logit_confidence(logits, labels)
    assert float(torch.softmax(logits, 1)[0, 0]) == 1.0
    np.testing.assert_allclose(phi.numpy(), [60 - np.log(2), 80 - np.log(2)], atol=1e-9)


def test_probability_access_hides_confidence_beyond_float32():
    logits = torch.tensor([[3.0, 0.0, 1.0], [60.0, 0.0, 0.0]])
    labels = torch.zeros(2, dtype=torch.int64)
    shown = logit_confidence(released(logits, Access.PROBS), labels).clamp(max=SATURATED)
    full = logit_confidence(released(logits, Access.LOGITS), labels)
    np.testing.assert_allclose(float(shown[0]), float(full[0]), atol=1e-5)
    assert float(shown[1]) == pytest.approx(SATURATED)
    assert float(full[1]) > 50


def test_a_game_holds_neither_its_targets_rows_nor_their_complements():
    design, observations = gaussian(0, leakage=1.0, n=20, z=6, shadows=6, targets=3)
    assert [list(fold) for fold in design.folds] == [[0, 1], [2]]
    assert design.rehearsal_rows.tolist() == [4, 5, 6, 7]
    for fold, rows in enumerate(design.folds):
        game = design.game(fold, observations.signals)
        pair = [2 * fold, 2 * fold + 1]
        np.testing.assert_array_equal(game.shadow_in, np.delete(design.member, pair, axis=0))
        phi = observations.signals["logit_confidence"]
        np.testing.assert_array_equal(game.outputs["logit_confidence"], phi[rows][..., :20])
        np.testing.assert_array_equal(game.shadow_outputs["logit_confidence"], np.delete(phi, pair, axis=0)[..., :20])
        assert game.population is not None
        np.testing.assert_array_equal(game.population.outputs["logit_confidence"], phi[rows][..., 20:])
        assert game.n_targets == len(rows)


def test_rehearsal_gives_the_adversarys_own_bits_and_two_shadows_fewer():
    design, observations = gaussian(0, leakage=1.0, n=20, z=6, shadows=6, targets=2)
    game = design.game(0, observations.signals)
    trial, bits = game.rehearse(1)
    np.testing.assert_array_equal(bits, design.member[4:6])
    assert trial.n_shadows == 4
    np.testing.assert_array_equal(trial.outputs["logit_confidence"], game.shadow_outputs["logit_confidence"][2:4])
