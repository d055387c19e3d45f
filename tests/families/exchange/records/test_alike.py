"""Batches that share no record and have equal classes at the same places."""

from __future__ import annotations

import numpy as np
import pytest

from dosimeter.families.exchange.records.alike import alike_batches
from dosimeter.foundation.errors import DataError


def test_batches_share_no_record_and_have_the_same_class_at_each_place():
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 400, p=[0.5, 0.3, 0.15, 0.05])
    rows, others = alike_batches(labels, 10, 16, rng, "'source'")
    assert (rows.shape, others.shape) == ((10, 16), (10,))
    assert len(np.unique(np.concatenate([rows.ravel(), others]))) == 170
    assert (labels[rows] == labels[rows[0]]).all()
    assert len(np.unique(labels[others])) == 1


def test_classes_come_as_often_as_among_the_records():
    labels = np.repeat([0, 1], [3000, 1000])
    drawn = [
        labels[alike_batches(labels, 5, 20, np.random.default_rng(seed), "'source'")[0][0]].mean() for seed in range(60)
    ]
    assert abs(np.mean(drawn) - 0.25) < 0.04  # 60 batches of 20: a standard error of 0.0125


def test_too_few_records_are_one_line():
    with pytest.raises(
        DataError, match=r"'source' must hold 10 batches of 16 .* got 170 records, enough for 1[0-9] in"
    ):
        alike_batches(np.arange(170) % 4, 10, 16, np.random.default_rng(0), "'source'")
