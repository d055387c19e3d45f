"""The recommended variant: chosen where it leaks least at little cost, and told of others alone."""

from __future__ import annotations

import numpy as np
import pytest

from dosimeter.families.inversion.measures.identified import Measured
from dosimeter.families.inversion.measures.recommended import recommended
from dosimeter.families.inversion.stored import Left


def case(hits, right, seed=3):
    """A variant in which some identities are recognised and some held-out records are answered right."""
    n = len(hits)
    labels, trained = np.repeat(np.arange(n), 5), np.arange(0, 5 * n, 5)
    correct = np.ones((1, 5 * n), bool)
    correct[0, np.setdiff1d(np.arange(5 * n), trained)] = right
    lineup = np.zeros((n, n))
    lineup[np.arange(n), np.arange(n)] = np.where(hits, 1.0, -1.0)
    summary = {
        "seed": seed, "threat": {"at_risk": "train"}, "data": {"identities": n},
        "attacks": [{"id": "gmi", "control": False}],
    }  # fmt: skip
    truth = {"labels": labels, "trained": trained, "correct": correct}
    return Measured(Left(summary, truth, {"gmi": {"lineup": lineup[None, :, None]}}, None))


def rows(**cases):
    return {row.metric: row for row in recommended(cases)}


def test_the_least_leak_among_those_that_cost_little_is_chosen():
    n, right = 40, np.ones(160, bool)
    poor = right.copy()
    poor[::4] = False  # a quarter of the accuracy
    found = rows(
        none=case(np.ones(n, bool), right), safe=case(np.arange(n) % 4 == 0, right),
        dear=case(np.zeros(n, bool), poor), half=case(np.arange(n) % 2 == 0, right),
    )  # fmt: skip
    assert {row.variant for row in found.values()} == {"safe"}
    assert found["chosen_change"].value == pytest.approx(-0.75, abs=0.2)
    assert found["chosen_change"].high < 0
    assert found["chosen_cost"].value == 0
    assert found["chosen_change"].n == {"identities": 20}
    assert "on the other 20 identities" in found["chosen_change"].reason


def test_nothing_is_recommended_where_nothing_leaks_less_or_identities_are_few():
    right = np.ones(160, bool)
    assert not rows(none=case(np.zeros(40, bool), right), other=case(np.zeros(40, bool), right))
    assert not rows(none=case(np.ones(8, bool), right[:32]), other=case(np.zeros(8, bool), right[:32]))


def test_a_choice_among_equals_shows_nothing_on_the_identities_that_did_not_choose():
    shown, changes = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        names = ("none", "a", "b", "c", "d")
        cases = {name: case(rng.random(40) < 0.5, np.ones(160, bool), seed) for name in names}
        if row := rows(**cases).get("chosen_change"):
            shown += row.high < 0
            changes.append(row.value)
    assert len(changes) > 40
    assert shown <= 6
    assert abs(np.mean(changes)) < 0.08
