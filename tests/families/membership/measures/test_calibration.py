"""Thresholds and strength from scores with known bits, and the halves of a split."""

from dataclasses import replace

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


def test_the_strongest_has_the_highest_rate_and_among_equals_the_highest_area(calibration):
    """Rates and areas are means over blocks; the same with ranks by another library."""
    rng, blocks = np.random.default_rng(3), calibration.is_member
    laws = {name: [rng.normal(shift * bits) for bits in blocks] for name, shift in (("b", 0.5), ("c", 2.0))}
    # as "c", but for the non-members below every threshold, which moves the area alone
    low = [np.where(~bits & (own < np.median(own)), own - 9, own) for own, bits in zip(laws["c"], blocks, strict=True)]
    found = replace(calibration, scores={**calibration.scores, **laws, "low": low})

    def strength(attack):
        cuts = found.thresholds(attack, 0.05)[:2]
        pairs = list(zip(found.scores[attack], blocks, cuts, strict=True))
        rates = [(values > cut)[bits].mean() for values, bits, cut in pairs]
        return np.mean(rates), np.mean([auc(values.ravel(), bits.ravel()) for values, bits, _ in pairs])

    names = ["a", "b", "c", "low"]
    assert strength("c")[0] == strength("low")[0]
    assert found.strongest(names, 0.05) == max(names, key=strength) == "low"
    assert found.strongest(["b", "a"], 0.05) == max(["b", "a"], key=strength)


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
