"""From which similarity on a lineup accepts a record: the promised rate on people it never saw, and no threshold for a
few."""

from __future__ import annotations

import numpy as np
import pytest

from dosimeter.training.learners.judges import accepts_from, fit_lineup, impostors, linear, parts_of, threshold


def people(identities, each, seed, d=12):
    """Records that lie round each identity's place, some directions wider than others."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), each)
    spread = np.linspace(0.2, 1.5, d)
    return rng.normal(size=(identities, d))[labels] * 3 + rng.normal(size=(len(labels), d)) * spread, labels


def test_the_threshold_is_that_which_a_share_of_impostors_passes():
    drawn = np.random.default_rng(0).permutation(np.arange(1000.0))
    assert (drawn > threshold(drawn, 0.05)).mean() == pytest.approx(0.05, abs=0.002)
    assert (drawn > threshold(drawn, 0.2)).mean() == pytest.approx(0.2, abs=0.002)
    assert np.isnan(threshold(np.empty(0)))


def test_on_people_it_never_saw_it_accepts_few_impostors_and_most_others():
    wrong, right = [], []
    for seed in range(4):
        others, known, asked = people(40, 6, seed), people(25, 6, 100 + seed), people(25, 6, 100 + seed)
        first = np.arange(len(known[1])) % 6 < 4
        least = accepts_from(*others, 4, np.random.default_rng(seed))
        lineup = fit_lineup(others, (known[0][first], known[1][first]))
        similarity, truth = lineup.similarity(asked[0][~first]), asked[1][~first]
        own = truth[:, None] == np.arange(25)
        right.append((similarity[own] > least).mean())
        wrong.append((similarity[~own] > least).mean())
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.03)
    assert np.mean(right) > 0.9


def test_few_people_give_no_threshold_and_parts_are_apart():
    few, rng = people(3, 5, 0), np.random.default_rng(0)
    assert np.isnan(accepts_from(*few, 3, rng))
    parts = parts_of(people(11, 2, 0)[1], rng)
    assert sorted(np.concatenate(parts).tolist()) == list(range(11))
    assert min(map(len, parts)) >= 2


def test_impostors_are_compared_with_others_alone():
    records, labels = people(4, 3, 1)
    found = impostors(
        lambda x, y: linear(records, labels, x, y), records, labels, np.arange(4), 2, np.random.default_rng(0)
    )
    assert found.shape == (4 * 3,)  # one record of each identity, beside the three others
