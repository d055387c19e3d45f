import numpy as np
import pytest
from oracles import auc
from synthetic import fleet

from dosimeter.families.membership.attacks import reading


def test_log_mean_confidence_matches_plain_probabilities_across_blocks(monkeypatch):
    phi = np.random.default_rng(0).normal(0, 3, (4, 3, 1000))
    plain = np.log((1 / (1 + np.exp(-phi))).mean(axis=(0, 1)))
    np.testing.assert_allclose(reading.log_mean_confidence(phi), plain, rtol=1e-12)
    monkeypatch.setattr(reading, "_BLOCK", 77)
    np.testing.assert_allclose(reading.log_mean_confidence(phi), plain, rtol=1e-12)


def test_log_mean_confidence_keeps_both_ends():
    nearly_sure = reading.log_mean_confidence(np.array([[[50.0]], [[60.0]]]))
    np.testing.assert_allclose(nearly_sure, -(np.exp(-50.0) + np.exp(-60.0)) / 2, rtol=1e-12)
    np.testing.assert_allclose(reading.log_mean_confidence(np.full((2, 1, 1), -900.0)), -900.0, rtol=1e-12)


def test_split_agrees_with_selection_record_by_record():
    game, _ = fleet(0, leakage=1.0, n_views=2, n_records=50)
    values = game.shadow_outputs["logit_confidence"]
    inside, outside = reading.split(values, game.shadow_in)
    for record in range(50):
        bits = game.shadow_in[:, record]
        assert np.array_equal(inside[..., record], values[bits][..., record])
        assert np.array_equal(outside[..., record], values[~bits][..., record])


def test_auc_agrees_with_pairs_and_ties():
    rng = np.random.default_rng(0)
    scores, bits = rng.integers(5, size=(2, 60)).astype(float), rng.random((2, 60)) < 0.5
    assert reading.auc(scores, bits) == pytest.approx(np.mean([auc(*pair) for pair in zip(scores, bits, strict=True)]))


def test_by_class_gives_every_record_once():
    labels = np.random.default_rng(0).integers(7, size=50)
    groups = reading.by_class(labels)
    assert sorted(np.concatenate(groups).tolist()) == list(range(50))
    assert [set(labels[one]) for one in groups] == [{label} for label in sorted(set(labels))]
