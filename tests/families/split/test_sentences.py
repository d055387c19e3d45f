"""The first sentences of a split audit."""

import pytest

from dosimeter.families.split.sentences.first_page import (
    BADGES,
    FAILED,
    KNOWS,
    NOT_TESTED,
    REPEATS,
    STEERS,
    UNMEASURED,
    WEIGHTS,
    badge,
    not_tested,
    sentences,
)


def told(**changes):
    one = {"attribute": None, "attack": "ridge", "cut": "conv1", "value": 0.25, "floor": 0.05, "ceiling": None,
           "shown": True, "above_chance": True}  # fmt: skip
    sex = {**one, "attribute": "sex", "attack": "pool", "value": 0.8, "floor": 0.65, "ceiling": 0.9}
    return {"noun": "photo", "answers": "seen", "knows": "queries", "auxiliary": 1500, "targets": 1, "failed": [],
            "lineup": 40, "limit": 0.2, "input": one, "attributes": [sex], **changes}  # fmt: skip


def test_a_leak_in_plain_words():
    first, second, third, last = sentences("shown", told())
    assert first == (
        "Somebody who sees what leaves the device, can run records of their own through the first half of the model "
        "and holds 1,500 photos of others learns more of the photo itself and the attribute “sex” than the model's "
        "answer must tell."
    )
    assert "picked out of 40 in 10 of 40 cases" in second
    assert second.endswith("by chance it would be 1, 2 from the answer alone.")
    plain = third.replace("\u202f", " ").replace("\xa0", " ")
    assert "in 80 % of pairs, in 65 % with the answer alone and in 90 % with the input itself" in plain
    assert "this trained model only" in last


def test_only_what_is_shown_is_said_to_be_learned():
    one = told()
    one["input"] |= {"shown": False}
    lines = sentences("shown", one)
    assert "learns more of the attribute “sex” than" in lines[0]
    assert any("would have been above chance in 9 of 10 audits" in line for line in lines)


def test_what_is_not_shown_is_no_proof():
    one = told()
    one["input"] |= {"shown": False}
    one["attributes"][0] |= {"shown": False, "above_chance": False}
    lines = sentences("not_shown", one)
    assert lines[0].startswith("It was not shown that somebody who sees what leaves the device")
    assert lines[2].endswith("That it is better than by chance is not shown.")
    assert "a smaller leak may be there, and a better attack may find more." in lines[3]
    hopeless = sentences("not_shown", {**one, "limit": 1.0})
    assert any(line.startswith("No attack on the input, however successful") for line in hopeless)
    failed = sentences("not_shown", {**one, "all_failed": True})
    assert [line for line in failed if line not in lines] == [FAILED]


def test_withdrawn_numbers_are_not_told_and_every_word_has_a_text():
    assert sentences("withdrawn", told(failed=["null audit"])) == [
        "The numbers of this audit are withdrawn: null audit failed."
    ]
    assert BADGES.keys() == {"withdrawn", "shown", "not_shown", "not_resolvable"}
    assert KNOWS.keys() == {"weights", "queries", "nothing"}
    assert "2 models that were trained alike" in sentences("shown", told(targets=2))[-1]


@pytest.mark.parametrize("floor", [None, 0.05])
def test_a_floor_that_was_not_run_is_not_told(floor):
    one = told(attributes=[])
    one["input"] |= {"floor": floor}
    assert ("from the answer alone" in sentences("shown", one)[1]) == (floor is not None)
    # Nor is it said that features tell more than answers of which nobody knows what they tell.
    first = sentences("shown", one)[0]
    assert ("learns more of the photo itself than the model's answer" in first) == (floor is not None)
    assert first.endswith(UNMEASURED) == (floor is None)


def test_without_answers_nothing_is_compared_with_them():
    one = told(answers="hidden", input=None)
    assert sentences("shown", one)[0].endswith("learns something of the attribute “sex”, of which they see no answer.")
    one["attributes"][0] |= {"shown": False}
    assert "learns anything of the attribute “sex”" in sentences("not_shown", one)[0]
    assert badge("shown", judged=False) == "Leak shown: what leaves the device tells something"
    assert badge("withdrawn", judged=False) == badge("withdrawn", judged=True) == BADGES["withdrawn"]


def test_what_was_run_is_not_listed_as_open():
    attacks = [{"name": "WhiteBox", "status": "ok"}, {"name": "FSHA", "status": "ok", "active": True}]
    run = {"attacks": attacks, "threat": {"repeats": 4}}
    assert not_tested(run) == NOT_TESTED
    left = not_tested({"attacks": [{**one, "status": "refused"} for one in attacks], "threat": {}})
    assert left == (*NOT_TESTED, STEERS, WEIGHTS, REPEATS)
