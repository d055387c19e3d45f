"""The first sentences: what they say for given rates."""

from __future__ import annotations

import dataclasses

import pytest

from dosimeter import verdict
from dosimeter.metrics.estimate import Estimate
from dosimeter.metrics.membership import RatePair


def estimate(value: float, low: float, high: float, level: float = 0.975) -> Estimate:
    return Estimate(value, low, high, level, "method", 2880, 360, 16)


@pytest.fixture
def headline() -> verdict.Headline:
    pair = RatePair(
        tpr=estimate(0.42, 0.37, 0.475), fpr=estimate(0.0087, 0.004, 0.016), difference=estimate(0.41, 0.36, 0.46)
    )
    return verdict.Headline(
        door="recipe",
        noun="photo",
        candidates=360,
        members=180,
        shadows=126,
        targets=16,
        fpr=0.01,
        pair=pair,
        rare=estimate(0.33, 0.2, 0.5),
        auc=estimate(0.94, 0.93, 0.95),
    )


def test_what_was_shown_is_said_in_counts_with_the_wrong_accusations(headline):
    assert verdict.shown(headline) == [
        "Of 180 photos used, our strongest attacker, who holds all 360 candidate photos, their labels and the training "
        "recipe, named about 76; he also wrongly named about 2 of the 180 unused ones.",
        "If 1 in 100 of his candidates had been used, about 7 of 10 accusations would be wrong.",
        "Shown: at least 66 of 180; not excluded: up to 86 of 180 (97.5% interval). Counts are averages over 16 models "
        "that took turns as the target.",
    ]


def test_one_target_is_said_to_be_this_model_only(headline):
    assert "this trained model only" in verdict.shown(dataclasses.replace(headline, targets=1))[-1]


def test_a_leak_that_shows_only_in_the_ranking_is_told_so(headline):
    pair = RatePair(tpr=estimate(0.0, 0.0, 0.02), fpr=estimate(0.001, 0.0, 0.01), difference=estimate(0.0, -0.01, 0.02))
    told = verdict.shown(dataclasses.replace(headline, pair=pair))
    assert "named none" in told[0]
    assert "could be chance (0 to 4 of 180" in told[1]
    assert "94% of the time, shown at least 93%" in told[1]
    assert "accusations would be wrong" not in " ".join(told)


def test_no_wrong_accusation_seen_is_not_said_to_be_none(headline):
    told = verdict.shown(dataclasses.replace(headline, rare=estimate(1.0, 0.2, 1.0)))
    assert "fewer than 1 of 10 accusations would be wrong" in told[1]
    told = verdict.shown(dataclasses.replace(headline, rare=estimate(0.05, 0.01, 0.1)))
    assert "nearly all accusations would be wrong" in told[1]


def test_almost_only_wrong_accusations_are_said_to_be_nearly_all(headline):
    told = verdict.shown(dataclasses.replace(headline, rare=estimate(0.03, 0.01, 0.1)))
    assert "nearly all accusations would be wrong" in told[1]


def test_what_was_not_shown_comes_with_what_could_have_been_seen(headline):
    pair = dataclasses.replace(headline.pair, tpr=estimate(0.012, 0.004, 0.03))
    told = " ".join(verdict.not_shown(dataclasses.replace(headline, pair=pair)))
    assert told.startswith("No leak was shown: of 180 photos used")
    assert "126 shadow models, 16 target models and 360 candidates" in told
    assert "up to 6 of 180" in told  # 5.4: "up to 5" would exclude what the interval does not
    assert "not proof" in told


@pytest.mark.parametrize(
    ("noun", "several"), [("photo", "photos"), ("entry", "entries"), ("box", "boxes"), ("day", "days")]
)
def test_plurals(noun, several):
    assert verdict.plural(noun) == several
    assert verdict.plural(noun, 1) == noun
