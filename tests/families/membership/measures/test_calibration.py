"""Thresholds and strength from scores with known bits, and the halves of a split."""

import numpy as np
import pytest
from oracles import auc

from dosimeter.families.membership.measures.calibration import Calibration, halve


@pytest.fixture
def calibration():
    rng = np.random.default_rng(0)
    bits = [rng.random(400) < 0.5, rng.random((2, 150)) < 0.3]
    return Calibration("shadow", np.array([0, 1, 1]), bits, {"a": [rng.normal(b.astype(float)) for b in bits]})


def test_each_target_gets_the_threshold_of_its_block(calibration):
    found = calibration.thresholds("a", 0.05)
    assert found.shape == (3,)
    assert found[1] == found[2] != found[0]
    for threshold, values, bits in zip(found[:2], calibration.scores["a"], calibration.is_member, strict=True):
        assert (values[~bits] > threshold).mean() <= 0.05


def test_strength_is_the_mean_over_blocks(calibration):
    tpr, found = calibration.strength("a", 0.05)
    cuts = calibration.thresholds("a", 0.05)[:2]
    pairs = list(zip(calibration.scores["a"], calibration.is_member, cuts, strict=True))
    assert tpr == pytest.approx(np.mean([(values > cut)[bits].mean() for values, bits, cut in pairs]))
    assert found == pytest.approx(np.mean([auc(values.ravel(), bits.ravel()) for values, bits, _ in pairs]))


def test_halves_are_disjoint_keep_clusters_whole_and_members_in_proportion():
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(200), rng.integers(1, 4, 200))
    is_member = np.isin(cluster, np.arange(50))[None]
    first, second = halve(cluster, is_member, np.random.default_rng(2))
    assert np.array_equal(np.sort(np.concatenate([first, second])), np.arange(len(cluster)))
    assert not set(cluster[first]) & set(cluster[second])
    assert len(set(cluster[first]) & set(range(50))) == 25
    assert len(set(cluster[first]) - set(range(50))) == 75


def test_halves_come_from_the_generator_alone():
    cluster, is_member = np.arange(40), np.arange(40)[None] < 10
    draws = [halve(cluster, is_member, np.random.default_rng(seed))[0].tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
