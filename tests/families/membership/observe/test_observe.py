"""Signals against independent formulas, the access that is granted, and what a game may hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from audits import gaussian
from scipy.special import logsumexp

from dosimeter.families.membership.observe.saturation import SATURATED
from dosimeter.families.membership.observe.signals import (
    LEAST,
    SIGNALS,
    logit_confidence,
    logit_confidence_t2,
    readable,
    release,
    signals_of,
)
from dosimeter.models.access import Access


def confidence(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The definition, record by record."""
    return np.array([row[k] - logsumexp(np.delete(row, k)) for row, k in zip(z, y, strict=True)])


def test_signals_equal_their_definition():
    rng = np.random.default_rng(0)
    z, y = rng.normal(0, 5, (50, 7)), rng.integers(0, 7, 50)
    logits, labels = torch.from_numpy(z), torch.from_numpy(y)
    np.testing.assert_allclose(logit_confidence(logits, labels).numpy(), confidence(z, y), atol=1e-12)
    np.testing.assert_allclose(logit_confidence_t2(logits, labels).numpy(), confidence(z / 2, y), atol=1e-12)


def by_hand(p: np.ndarray, y: int) -> dict[str, float]:
    """Every other signal of one record, from its probabilities."""
    others = np.delete(p, y)
    top = np.log(np.sort(p)[::-1])
    return {
        "correctness": float(np.argmax(p) == y),
        "entropy": -sum(one * np.log(one) for one in p),
        "modified_entropy": -(1 - p[y]) * np.log(p[y]) - sum(one * np.log(1 - one) for one in others),
        "hinge": np.log(p[y]) - np.log(others.max()),
        **{f"top{rank}": top[rank - 1] for rank in (1, 2, 3)},
    }


def test_the_other_signals_equal_their_definition():
    rng = np.random.default_rng(1)
    z, y = rng.normal(0, 2, (50, 5)), rng.integers(0, 5, 50)
    p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
    found = signals_of([torch.from_numpy(z)], torch.from_numpy(y), tuple(SIGNALS), Access.LOGITS)
    rows = [by_hand(*pair) for pair in zip(p, y.tolist(), strict=True)]
    for name in rows[0]:
        np.testing.assert_allclose(found[name][0].numpy(), [row[name] for row in rows], atol=1e-12)


def test_signals_of_sure_models_keep_their_digits():
    """p = 1 − 2e⁻⁴⁰ rounds to 1 in float64; what is left of it must come from the other classes."""
    logits, labels = torch.tensor([[40.0, 0.0, 0.0], [40.0, 0.0, 0.0]]).double(), torch.tensor([0, 1])
    found = signals_of([logits], labels, tuple(SIGNALS), Access.LOGITS)
    rest = np.exp(-40.0)
    right = 2 * rest * 2 * rest + 2 * rest * rest
    np.testing.assert_allclose(found["modified_entropy"][0], [right, 40 + (40 - np.log(2)) + rest * rest], rtol=1e-9)
    np.testing.assert_allclose(found["entropy"][0], 2 * rest * 41, rtol=1e-9)
    np.testing.assert_allclose(found["hinge"][0], [40.0, -40.0])


@pytest.mark.parametrize("access", [Access.LABELS, Access.TOPK, Access.PROBS, Access.LOGITS])
def test_no_signal_is_nan_whatever_rounds_to_0_and_1(access):
    extremes = [[1000.0, 0, 0, 0], [0, 1000.0, 0, 0], [1000.0, 1000.0, 0, 0], [0, 0, 0, 0], [-1000.0, 0, 0, 0]]
    logits, labels = torch.tensor(extremes).double(), torch.zeros(5, dtype=torch.int64)
    names = readable(SIGNALS, access)
    for name, values in signals_of([logits], labels, names, access).items():
        assert bool(torch.isfinite(values).all()), name
    if Access.PROBS in access.includes:  # a model that answers with probabilities, some of them exactly 0 and 1
        sure = torch.softmax(logits.float(), 1).double().log()
        assert bool(torch.isinf(sure).any())
        for name, values in signals_of([sure], labels, names, access, probabilities=True).items():
            assert bool(torch.isfinite(values).all()), name
            assert float(values.min()) >= SIGNALS[name].low
            assert float(values.max()) <= SIGNALS[name].high


def test_a_model_of_two_classes_has_no_third():
    found = signals_of([torch.tensor([[1.0, 0.0]])], torch.tensor([0]), ("top2", "top3"), Access.LOGITS)
    np.testing.assert_allclose([float(found["top2"]), float(found["top3"])], [-np.log1p(np.e), LEAST], rtol=1e-9)


def test_less_access_gives_fewer_signals_and_no_more_than_they_need():
    labels, top = ("correctness", "predicted_class"), ("top1", "top2", "top3", "scaled_top")
    assert set(readable(SIGNALS, Access.LABELS)) == set(labels)
    assert set(readable(SIGNALS, Access.TOPK)) == {*labels, *top}
    assert set(readable(SIGNALS, Access.PROBS)) == set(SIGNALS) - {"logits"}
    assert set(readable(SIGNALS, Access.LOGITS)) == set(SIGNALS)
    assert readable(["entropy", "nonsense"], Access.LABELS) == ("correctness",)
    assert readable([], Access.LOGITS) == ("logit_confidence",)
    with pytest.raises(ValueError, match="signals must be readable with access LABELS, got entropy"):
        signals_of([torch.zeros(1, 3)], torch.tensor([0]), ("correctness", "entropy"), Access.LABELS)


def test_labels_and_top_classes_hide_the_rest():
    logits = torch.tensor([[3.0, 1.0, 2.0, -1.0, -2.0]])
    p = torch.softmax(logits, 1)[0]
    labels = release(logits, Access.LABELS)[0]
    assert labels.tolist() == [0.0] + [-np.inf] * 4
    top = release(logits, Access.TOPK)[0]
    np.testing.assert_allclose(top[:3], p[:3].double().log(), rtol=1e-5)
    np.testing.assert_allclose(top[3:].exp(), [(p[3] + p[4]) / 2] * 2, rtol=1e-4)
    # a model that answers with probabilities is cut down alike
    for access in (Access.LABELS, Access.TOPK):
        names, y = readable(SIGNALS, access), torch.tensor([0])
        given = signals_of([p.double().log()[None]], y, names, access, probabilities=True)
        for name, values in signals_of([logits], y, names, access).items():
            np.testing.assert_allclose(values, given[name], atol=1e-5)


def test_signals_do_not_saturate_where_float32_probabilities_do():
    logits = torch.tensor([[60.0, 0.0, 0.0], [80.0, 0.0, 0.0]])
    labels = torch.zeros(2, dtype=torch.int64)
    phi = logit_confidence(logits, labels)
    assert float(torch.softmax(logits, 1)[0, 0]) == 1.0
    np.testing.assert_allclose(phi.numpy(), [60 - np.log(2), 80 - np.log(2)], atol=1e-9)


def test_probability_access_hides_confidence_beyond_float32():
    logits = torch.tensor([[3.0, 0.0, 1.0], [60.0, 0.0, 0.0]])
    labels = torch.zeros(2, dtype=torch.int64)
    shown = logit_confidence(release(logits, Access.PROBS), labels).clamp(max=SATURATED)
    full = logit_confidence(release(logits, Access.LOGITS), labels)
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
