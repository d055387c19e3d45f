"""The first sentences in every verdict: whole, plain, and never more than was shown."""

from __future__ import annotations

from typing import get_args

import pytest

from dosimeter.families.inversion.sentences.first_page import ACCESS, BADGES, not_tested, sentences
from dosimeter.families.threat import AccessName
from dosimeter.results import words

TOLD = {
    "noun": "photo", "access": "weights", "public": 1200, "identities": 20, "targets": 1, "value": 0.7, "low": 0.45,
    "high": 0.89, "limit": 0.36, "failed": [], "origin": False, "accepted": None,
    "beside": [
        {"class": "PriorBest", "settings": {"samples": 1000}, "value": 0.5},
        {"class": "GMI", "settings": {}, "value": 0.6},
        {"class": "NearestPublic", "settings": {}, "value": 0.25},
    ],
}  # fmt: skip


def told(status, **more):
    return [one.replace(words.SPACE, " ") for one in sentences(status, {**TOLD, **more})]


def test_a_leak_is_told_in_counts_with_both_ends_and_yardsticks():
    first, ends, beside, scope = told("shown")
    assert first == (
        "Somebody who has the model and holds 1,200 photos of other identities can make photos in which 14 of 20 "
        "identities of the training data are recognised; by chance an attack would get 1 right."
    )
    assert ends == "Of identities like these, at least 45 % are shown to be recognised, and up to 89 % is not excluded."
    assert beside == (
        "For comparison: 10 are recognised in the best of 1,000 random photos, without any optimisation; 5 are "
        "recognised in the photo of somebody else that the model takes for them."
    )
    assert "this trained model only" in scope


def test_recognised_in_a_lineup_is_not_said_to_look_like_somebody():
    _, _, accepted, *_ = told("shown", accepted={"made": 0.0, "real": 0.8})
    assert accepted.startswith("Recognised means: named among these identities by a judge who must name one.")
    assert accepted.endswith("“nobody” takes 0 of 20 for the right identity, and 80 % of real photos.")


def test_who_has_the_weights_before_finetuning_is_said_so_and_then_it_is_not_left_open():
    first, *_ = told("shown", origin=True)
    assert first.startswith(
        "Somebody who has the model and the weights that it was finetuned from, and holds 1,200 photos of other "
        "identities can make photos"
    )
    assert len(set(not_tested("vae")) - set(not_tested("vae", origin=True))) == 1


def test_a_lower_end_that_chance_reaches_is_not_called_shown():
    _, ends, *_ = told("shown", low=0.04)
    assert "at least" not in ends
    assert "anything up to 89 %" in ends


def test_what_is_not_shown_says_what_would_have_been_and_claims_nothing():
    first, high, caught, *_ = told("not_shown", value=0.1, low=0.01, high=0.38, beside=[])
    assert first.startswith("It was not shown that somebody who has the model")
    assert "2 of 20 were, and by chance an attack would get 1 right" in first
    assert high == "Up to 38 % recognised identities is not excluded."
    assert "makes 36 % of such identities recognisable would have been shown in 9 of 10 audits" in caught
    assert "No attack, however successful" in told("not_shown", limit=1.0)[2]


def test_withdrawn_and_unresolved_audits_tell_no_number():
    (only,) = told("withdrawn", failed=["null audit", "controls"])
    assert only == "The numbers of this audit are withdrawn: null audit, controls failed."
    first, second = told("not_resolvable")
    assert "does not recognise even real photos of the 20 identities" in first
    assert second == "That is a limit of this audit. It says nothing in favour of the model."


def test_a_mean_over_models_has_a_decimal():
    assert "13.5 of 20" in told("shown", value=0.675, targets=2)[0]
    assert "2 models that were trained alike" in told("shown", targets=2)[-1]


@pytest.mark.parametrize("access", get_args(AccessName))
def test_every_access_has_words(access):
    assert told("shown", access=access)[0].startswith(f"Somebody who {ACCESS[access]} and holds")


def test_no_words_promise_proof():
    texts = [
        *not_tested("principal"),
        *not_tested("vae"),
        *BADGES.values(),
        *(one for status in BADGES for one in told(status, failed=["x"])),
    ]
    assert not [one for one in texts if any(word in one.lower() for word in ("proof", "prove", "safe", "guarantee"))]
