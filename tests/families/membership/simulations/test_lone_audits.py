"""Supplied models that leak nothing, whose halves differ or hold copies, and one that knows a few records surely."""

from __future__ import annotations

import numpy as np
import pytest
from lone_audits import confidences, noisier_outside, records, statuses, surely_known, with_copies
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from dosimeter.families.membership.measures.blind import blind_scores

LEVEL = 0.001
"""Of the test of a rate of false claims above 5 %."""


def test_noisier_labels_outside_are_seen_without_the_model():
    inputs, labels, bits, scores = noisier_outside(0, n=600, share=0.4)
    found = blind_scores(inputs, labels, bits, np.arange(600), seed=0)
    seen, attack = roc_auc_score(bits[found.rows], found.scores), roc_auc_score(bits, scores)
    assert attack > 0.6
    assert seen > attack - 0.06


def test_one_audit_of_each():
    assert statuses(lambda seed: noisier_outside(seed, share=0.5), [0]) == ["withdrawn"]
    assert statuses(with_copies, [0]) == ["not_shown"]
    assert statuses(surely_known, [0]) == ["shown"]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_a_model_that_saw_neither_half_is_not_said_to_leak_where_labels_outside_are_noisier(share, record_figure):
    found = statuses(lambda seed: noisier_outside(seed, share=share), range(400))
    claims, seen = found.count("shown"), found.count("withdrawn")
    record_figure("noisier labels outside", share=share, n=len(found), shown=claims, withdrawn=seen)
    assert binomtest(claims, len(found), 0.05, alternative="greater").pvalue > LEVEL


@pytest.mark.slow
def test_copies_within_a_half_neither_withdraw_nor_show(record_figure):
    found = statuses(with_copies, range(400))
    claims, withdrawn = found.count("shown"), found.count("withdrawn")
    record_figure("copies within a half, beside a model", n=len(found), shown=claims, withdrawn=withdrawn)
    assert binomtest(claims, len(found), 0.05, alternative="greater").pvalue > LEVEL
    assert binomtest(withdrawn, len(found), 0.05, alternative="greater").pvalue > LEVEL


@pytest.mark.slow
@pytest.mark.parametrize(("share", "part"), [(0.06, 0.65), (0.08, 0.85), (0.1, 0.9)])
def test_a_few_records_that_are_surely_known_are_shown_beside_a_model_too(share, part, record_figure):
    """Against a table of the same scores, which has no classifiers to exceed: their own variance costs some power.

    In a pilot of 25 each 18 of 23 at 6 % and 23 of 24 at 8 %; by the AUC alone 2 and 5 were shown.
    """
    found = {
        door: statuses(lambda seed: surely_known(seed, share=share), range(100), door=door).count("shown")
        for door in ("scores", "model")
    }
    record_figure("few records surely known", share=share, n=100, **found)
    assert found["model"] >= part * found["scores"]


def test_the_model_of_these_audits_saw_none_of_the_records():
    rng = np.random.default_rng(0)
    inputs, labels = records(2000, rng)
    found = confidences(inputs, labels, rng)
    assert abs(roc_auc_score(np.arange(2000) < 1000, found) - 0.5) < 0.05
