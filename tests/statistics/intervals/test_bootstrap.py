"""The bootstrap of targets and records draws the same whichever way its sums are made."""

import numpy as np
import pytest

from dosimeter.statistics.intervals.bootstrap import bootstrap_variance
from dosimeter.statistics.intervals.margins import place_pairs, ratio_of

DRAWS = 60


def twin(terms, rng):
    """Every draw by itself in double precision."""
    rows, k = terms[0][1].num.shape
    by_target = rng.multinomial(rows, np.full(rows, 1 / rows), size=DRAWS)
    coins = np.frombuffer(rng.bytes(DRAWS * -(-k // 8)), np.uint8).reshape(DRAWS, -1)
    values = []
    for w, row in zip(by_target, coins, strict=True):
        weights = w[:, None] * np.unpackbits(row, count=k)
        with np.errstate(invalid="ignore"):
            values.append(sum(sign * (weights * one.num).sum() / (weights * one.den).sum() for sign, one in terms))
    return np.nanvar(values)


def terms_of(kind, records, persons):
    rng = np.random.default_rng(0)
    is_member = rng.random((9, records)) < 0.5
    values, record = rng.normal(size=is_member.shape) + is_member, np.arange(records) // persons
    hits = values > 1
    rates = [ratio_of(hits & side, side, record) for side in (is_member, ~is_member)]
    return {
        "rate": [(1.0, rates[0])],
        "difference": [(1.0, rates[0]), (-1.0, rates[1])],
        "area": place_pairs(values, is_member, record).terms,
        "both kinds": [(1.0, rates[0]), (-1.0, ratio_of(values * is_member, is_member, record))],
    }[kind]


@pytest.mark.parametrize("persons", [1, 3])
@pytest.mark.parametrize("records", [30, 5003])
@pytest.mark.parametrize("kind", ["rate", "difference", "area", "both kinds"])
def test_sums_are_those_of_every_draw_by_itself(kind, records, persons):
    terms = terms_of(kind, records, persons)
    found = bootstrap_variance(terms, DRAWS, np.random.default_rng(1))
    assert found == pytest.approx(twin(terms, np.random.default_rng(1)), rel=1e-5)


@pytest.mark.parametrize("kind", ["rate", "both kinds"])
def test_bits_that_cannot_be_counted_are_added(kind, monkeypatch):
    terms = terms_of(kind, 500, 1)
    counted = bootstrap_variance(terms, DRAWS, np.random.default_rng(1))
    monkeypatch.delattr(np, "bitwise_count")
    assert bootstrap_variance(terms, DRAWS, np.random.default_rng(1)) == pytest.approx(counted, rel=1e-5)
