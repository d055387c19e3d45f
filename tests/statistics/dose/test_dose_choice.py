"""A reader of large samples on cells of near ranks, and the dose of a choice that halves make for each other."""

import numpy as np
import pytest
from dose_laws import LAWS

from dosimeter.statistics.dose import bits as reading
from dosimeter.statistics.dose.bits import fit_bits, place
from dosimeter.statistics.dose.measure import dose_of_bits, dose_of_choice


@pytest.mark.parametrize("name", LAWS)
def test_cells_of_near_ranks_read_as_single_ranks_do(name, monkeypatch):
    scores, bits = LAWS[name].draw(np.random.default_rng(0), 15_000)
    scores = scores.round(3)  # with ties
    cells = fit_bits(scores, bits, 0.5)
    monkeypatch.setattr(reading, "MANY", 10**9)
    single = fit_bits(scores, bits, 0.5)
    assert abs(cells.probability(scores) - single.probability(scores)).max() < 1e-4
    assert cells.loss == pytest.approx(single.loss, abs=1e-5)


def test_places_are_mid_ranks_in_any_order():
    rng = np.random.default_rng(1)
    known = np.sort(rng.integers(0, 30, 200).astype(float))
    asked = np.r_[rng.integers(-2, 33, 50), [-np.inf, np.inf]].reshape(4, 13)
    expected = [((known < one).sum() + (known == one).sum() / 2 + 0.5) / 201 for one in asked.ravel()]
    assert place(asked, known).ravel() == pytest.approx(np.array(expected))


def test_halves_choose_the_attack_that_they_read_best():
    rng = np.random.default_rng(2)
    good, bits = LAWS["normal, shift 1"].draw(rng, 500)
    scores = np.stack([rng.normal(size=bits.size), good, np.zeros(bits.size)])[:, None]
    chosen = dose_of_choice(scores, bits[None], np.arange(bits.size), rng=np.random.default_rng(3))
    alone = dose_of_bits(scores[1], bits[None], np.arange(bits.size), rng=np.random.default_rng(3))
    assert chosen == alone


def test_a_choice_refuses_what_one_attack_refuses():
    bits, record, rng = np.arange(20)[None] < 10, np.arange(20), np.random.default_rng(0)
    with pytest.raises(ValueError, match="NaN"):
        dose_of_choice(np.full((2, 1, 20), np.nan), bits, record, rng=rng)
    with pytest.raises(ValueError, match="both classes"):
        dose_of_choice(np.zeros((2, 1, 20)), bits | True, record, rng=rng)
