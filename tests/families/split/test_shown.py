"""What is shown, on evidence made by hand: at its level, and only beyond what the answers tell."""

import numpy as np
import pytest

from dosimeter.families.split.measures.measured import Measured
from dosimeter.families.split.measures.shown import ALPHA, Decisions
from dosimeter.families.split.stored import Left

ROWS = (("ridge", "input", "features"), ("floor", "input", "answers"), ("pool", "attribute", "features"))
ROWS = (*ROWS, ("output", "attribute", "answers"))


def left(seed, *, features=0.0, answers=0.0, n=60, m=30):
    """What a run would leave whose attacks learn so much from features and from answers."""
    rng = np.random.default_rng(seed)
    value = np.r_[0, 1, rng.integers(2, size=n - 2)]
    evidence = {}
    for name, goal, reads in ROWS:
        told, sources = (features, 2) if reads == "features" else (answers, 1)
        if goal == "input":
            lineup = rng.normal(size=(1, sources, m, m)) + told * np.eye(m)
            evidence[name] = {"lineup": lineup, "mse": np.exp(0.1 * rng.normal(size=(1, sources, n)) - 0.1 * told)}
        else:
            score = rng.normal(size=(1, sources, n)) + told * value
            evidence[name] = {"guesses-0": np.stack([-score, score], -1)}
    summary = {
        "seed": seed, "cuts": [{"name": "a"}, {"name": "b"}], "attributes": [{"name": "coin", "values": ["0", "1"]}],
        "attacks": [{"id": a, "goal": b, "reads": c, "control": False} for a, b, c in ROWS],
        "threat": {"at_risk": "s", "targets": 1},
    }  # fmt: skip
    truth = {"person": np.arange(n), "lineup": np.arange(m), "value-0": value, "prior-0": np.full(2, 0.5)}
    return Measured(Left(summary, truth, evidence, None))


def test_both_secrets_are_shown_where_features_tell_more():
    tests = Decisions(left(0, features=2.0, answers=0.3))
    assert [one.shown for one in (tests.best(None), tests.best(tests.found.attributes[0]))] == [True, True]
    assert tests.headline.told is None
    assert len(tests.all) == 4
    assert tests.choice_level == pytest.approx(1 - ALPHA / 4)
    assert 0.0 < tests.caught()["needed"] < tests.caught()["limit"] < 1.0


def test_what_answers_tell_as_well_is_above_chance_and_not_shown():
    tests = Decisions(left(1, features=2.0, answers=2.0))
    assert all(one.above_chance for one in tests.all)
    assert not any(one.shown for one in tests.all)


def test_without_the_floor_chance_decides():
    found = left(2, features=2.0)
    for name in ("floor", "output"):
        del found.left.evidence[name]
    assert all(one.p_floor is None and one.shown for one in Decisions(found).all)


@pytest.mark.parametrize("audits", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_nothing_is_shown_where_attributes_are_coins_and_features_noise(audits):
    shown = sum(any(one.shown for one in Decisions(left(seed)).all) for seed in range(100, 100 + audits))
    assert shown <= ALPHA * audits


@pytest.mark.slow
def test_level_where_features_tell_as_much_as_answers():
    shown = sum(any(one.shown for one in Decisions(left(seed, features=0.8, answers=0.8)).all) for seed in range(200))
    assert shown <= 0.05 * 200 + 2 * np.sqrt(200 * 0.05 * 0.95)


@pytest.mark.parametrize(("rare", "hopeless"), [(1, True), (8, False)])
def test_an_attribute_that_nothing_could_show_is_said_to_be_one(rare, hopeless):
    """Of 16 people of whom one has a value, even perfect guesses are luck in 1 of 16 audits."""
    found = left(0, n=16, m=5)
    found.left.truth["value-0"] = (np.arange(16) < rare).astype(int)
    (told,) = found.attributes
    tests = Decisions(found)
    assert tests.hopeless(told) == hopeless
    perfect = np.eye(2)[told.truth]
    found.left.evidence["pool"]["guesses-0"] = np.stack([perfect, perfect])[None]
    del found.left.evidence["output"]
    assert any(one.shown for one in Decisions(found).all if one.told) != hopeless
