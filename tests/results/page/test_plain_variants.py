"""The table of variants of a family without a leading rate: what it recommends, and how far that is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markupsafe import Markup

from dosimeter.results import words
from dosimeter.results.page.plain_variants import table
from dosimeter.results.page.section import Section
from dosimeter.results.rows import Row

SECTION = Section(
    what="Inversion audit", badge="", first=Markup(""), names={"gmi": "gmi"}, body=Markup(""), contents=(), glossary=(),
    who="", leads=("recognised", {"top": 1}, "Identities recognised"),
)  # fmt: skip
CHANGE = Row(
    threat="inversion", family="inversion", stage="train", variant="last-2", attack="gmi", metric="chosen_change",
    unit="share_difference", value=-0.3, low=-0.5, high=-0.1, method="paired", n={"identities": 20},
    reason="chosen among 3 on the other 20 identities",
)  # fmt: skip
COST = replace(CHANGE, metric="chosen_cost", value=-0.02, low=-0.06, high=0.02)


def view(*rows):
    variant = {
        "id": "last-2", "status": "ok", "attack": "gmi", "defense": "", "settings": {}, "paper": "", "place": "",
        "reason": "",
    }  # fmt: skip
    return {"estimates": list(rows), "utility": [], "variants": [variant], "verdict": {"attack": "gmi"}}


def test_the_recommended_variant_is_told_with_both_changes_and_their_intervals():
    found = table(view(CHANGE, COST), SECTION).chosen
    assert (found.name, found.shown, found.told) == ("last-2", True, CHANGE.reason)
    told = [one.replace(words.SPACE, " ") for one in (found.change.value, found.change.ends, found.cost.value)]
    assert told == ["-30.0 points", "-50.0 to -10.0 points", "-2.0 points"]


@pytest.mark.parametrize("high", [0.0, 0.1])
def test_a_change_that_may_be_none_is_not_called_protection(high):
    assert not table(view(replace(CHANGE, high=high), COST), SECTION).chosen.shown


def test_without_both_numbers_nothing_is_recommended():
    assert table(view(CHANGE), SECTION).chosen is None
    assert table(view(), SECTION).chosen is None
