"""The first sentences: what they say for given rates."""

from __future__ import annotations

import dataclasses

import pytest

from dosimeter.families.membership.sentences import verdict
from dosimeter.results import words
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.rates import RatePair


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
        scope="recipe",
    )


def plain(told):
    """Sentences with every space alike."""
    return [one.replace("\xa0", " ") for one in told]


def test_what_was_shown_is_said_in_counts_with_the_wrong_accusations(headline):
    assert plain(verdict.leak_sentences(headline)) == [
        "Of 180 photos used, our strongest attacker recognised about 76 as training data; they also wrongly accused "
        "about 2 of the 180 unused ones.",
        "If 1 in 100 of their candidates had been used, about 7 of 10 accusations would be wrong (50 to 80 %).",
        "Shown: at least 66 of 180; not excluded: up to 86 of 180 (97.5 % interval). Counts are averages over 16 "
        "models that took turns as the target.",
        "Shown for the recipe too: on average, models that are trained again in this way would leak as well.",
    ]
    assert verdict.lead(headline, is_shown=True) == verdict.Lead("tpr", True, 0.42, 0.37, 0.475, 0.975, 0.016)


def test_of_a_table_the_attack_is_no_person(headline):
    told = verdict.leak_sentences(dataclasses.replace(headline, door="scores"))
    assert "the strongest attack of the table recognised about 76 as training data; it also wrongly accused" in told[0]
    assert "of the candidates" in told[1]


def test_one_target_is_said_to_be_this_model_only(headline):
    told = verdict.leak_sentences(dataclasses.replace(headline, targets=1, scope="models"))
    assert "this trained model only" in told[-2]
    assert told[-1].startswith("Shown for this trained model; whether training again would leak too was not tested")


@pytest.mark.parametrize(("targets", "why"), [(2, "2 trainings are too few"), (8, "8 trainings differ too much")])
def test_a_leak_of_some_models_is_not_said_to_be_one_of_their_recipe(headline, targets, why):
    told = plain(verdict.leak_sentences(dataclasses.replace(headline, targets=targets, scope="models")))
    assert f"(97.5 % interval, of these {targets} models)" in told[-2]
    wanted = f"Shown for these {targets} trained models; whether training again would leak too is not shown: {why}."
    assert told[-1] == wanted
    stated = dataclasses.replace(headline, targets=targets, scope="models", door="scores")
    assert "of these" not in " ".join(verdict.leak_sentences(stated))
    assert "again" not in " ".join(verdict.leak_sentences(stated))


@pytest.mark.parametrize(("low", "least"), [(0.02, "0.8"), (0.0151, "0.6"), (0.03, "1")])
def test_a_lower_end_is_never_told_as_none(headline, low, least):
    pair = RatePair(tpr=estimate(0.1, low, 0.2), fpr=estimate(0.0, 0.0, 0.005), difference=estimate(0.1, low, 0.2))
    told = plain(verdict.leak_sentences(dataclasses.replace(headline, pair=pair, members=40, candidates=80)))
    assert f"Shown: at least {least} of 40;" in told[2]


RANKS = RatePair(tpr=estimate(0.0, 0.0, 0.02), fpr=estimate(0.001, 0.0, 0.01), difference=estimate(0.0, -0.01, 0.02))


def test_a_leak_that_shows_only_in_the_ranking_is_told_by_its_auc(headline):
    ranked = dataclasses.replace(headline, pair=RANKS)
    told = plain(verdict.leak_sentences(ranked))
    assert "94.0 % of the time (AUC 0.940); guessing gives 50 %" in told[0]
    assert told[1] == "Shown: an AUC of at least 0.930; not excluded: up to 0.950 (97.5 % interval)."
    assert "recognised none as training data" in told[2]
    assert "0 to 4 of 180 (97.5 % interval) may be as many as guessing gives" in told[2]
    assert "accusations would be wrong" not in " ".join(told)
    assert verdict.lead(ranked, is_shown=True) == verdict.Lead("auc", True, 0.94, 0.93, 0.95, 0.975, 0.5)


def test_a_rate_whose_p_value_is_large_leaves_the_ranks(headline):
    assert dataclasses.replace(headline, p_tpr=0.03, p_auc=0.001).shown_by == "ranks"
    assert dataclasses.replace(headline, p_tpr=0.02, p_auc=0.001).shown_by == "rate"


def test_at_least_never_stands_beside_a_guess_that_is_as_good(headline):
    near = RatePair(
        tpr=estimate(0.05, 0.02, 0.09), fpr=estimate(0.01, 0.0, 0.03), difference=estimate(0.04, 0.004, 0.08)
    )
    close = dataclasses.replace(headline, pair=near)
    assert verdict.lead(close, is_shown=True) == verdict.Lead("difference", True, 0.04, 0.004, 0.08, 0.975, 0.0)
    told = plain(verdict.leak_sentences(close))[-2]
    assert "at least +0.4 points above the share of unused ones" in told
    assert "of 180" not in told
    assert not verdict.lead(close, is_shown=False).shown


def test_a_leak_that_only_the_exact_test_shows_has_no_lower_end(headline):
    pair = RatePair(tpr=estimate(0.2, 0.0, 0.5), fpr=estimate(0.01, 0.0, 0.1), difference=estimate(0.19, -0.1, 0.5))
    ranked = estimate(0.6, 0.45, 0.75)
    alone = dataclasses.replace(headline, pair=pair, auc=ranked, scope="models", p_tpr=0.001, p_auc=0.3)
    told = plain(verdict.leak_sentences(alone))
    assert "An exact test shows that the measured models leak (p at most 0.001), but not how much: 0 to 90" in told[-2]
    assert "Shown: at least" not in " ".join(told)
    assert not verdict.lead(alone, is_shown=True).shown


@pytest.mark.parametrize(
    ("value", "told"),
    [(1.0, "fewer than 1 of 1,000 accusations would be wrong (50 to 80 %)"), (0.0, "nearly all accusations would be")],
)
def test_wrong_accusations_are_said_as_in_the_table_and_with_their_interval(headline, value, told):
    assert told in plain(verdict.leak_sentences(dataclasses.replace(headline, rare=estimate(value, 0.2, 0.5))))[1]


BLIND = {
    "auc": 0.63, "low": 0.6, "high": 0.66, "level": 0.95, "attack_auc": 1.0, "gain": 0.37, "gain_low": 0.3416,
    "gain_high": 0.4, "n": 360, "shifted": True,
}  # fmt: skip


def test_a_total_leak_behind_a_shift_is_told_by_what_the_attack_reaches(headline):
    told = plain(verdict.gain_sentences(headline, BLIND))
    assert "ranks a used photo above an unused one always (AUC 1.000)" in told[0]
    assert "somebody who never asks the model does so 63.0 % of the time (AUC 0.630)" in told[0]
    assert "adds at least 34.1 points of AUC; not excluded: up to 40.0 points (95 % interval)" in told[1]
    assert verdict.gain_lead(BLIND).measure == "gain"


def test_a_gain_that_only_the_rate_shows_is_told_by_the_rate(headline):
    rate = {"rate_gain": 0.2, "rate_gain_low": 0.1, "rate_gain_high": 0.3, "exceeded_by": ["rate"]}
    blind = {**BLIND, "gain_low": -0.01, **rate}
    assert verdict.gain_lead(blind) == verdict.Lead("rate_gain", True, 0.2, 0.1, 0.3, 0.95, 0.0)
    assert "at least 10.0 points of used photos recognised" in verdict.gain_sentences(headline, blind)[1]


def test_what_was_not_shown_comes_with_what_could_have_been_seen(headline):
    pair = dataclasses.replace(headline.pair, tpr=estimate(0.012, 0.004, 0.03))
    told = " ".join(plain(verdict.no_leak_sentences(dataclasses.replace(headline, pair=pair))))
    assert told.startswith("No leak was shown: of 180 photos used")
    assert "126 shadow models, 16 target models and 360 candidates" in told
    assert "up to 6 of 180" in told  # 5.4: "up to 5" would exclude what the interval does not
    assert "not proof" in told


@pytest.mark.parametrize(
    ("p", "told"),
    [(0.41, "which chance explains"), (0.06, "cannot tell from chance"), (0.012, "cannot tell from chance")],
)
def test_chance_explains_only_what_has_a_large_p_value(headline, p, told):
    (first, *_) = verdict.no_leak_sentences(dataclasses.replace(headline, p_auc=p, p_tpr=0.7))
    assert told in first


def test_the_detection_limit_is_of_new_audits(headline):
    told = verdict.limit_sentence(headline, 0.1712, 0.5801, 0.9).replace("\xa0", " ")
    assert told.startswith("A new audit of this size would show with a probability of 90 % a leak by which 31 of 180")
    assert "(TPR 18 % at 1 % FPR)" in told  # rounded up, for a smaller one is not promised
    assert "from an AUC of 0.581 on" in told
    assert "the interval tells what this one found" in told


@pytest.mark.parametrize(
    ("noun", "several"), [("photo", "photos"), ("entry", "entries"), ("box", "boxes"), ("day", "days")]
)
def test_plurals(noun, several):
    assert words.plural(noun) == several
    assert words.plural(noun, 1) == noun
