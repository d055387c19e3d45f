"""The section on exposure: what it says for an audit, and for one that can measure none."""

import json
import re

import pytest
from example import not_shown, provenance, shown, tiny
from flat import own_view, problems, render

from dosimeter.families.membership.section.exposure import section


def part(n, *, low=0.4, ranking="apart", attack=None, once=None):
    """What a result says of one kind of unit."""
    listed = {
        "n": 10, "share": 10 / n, "in_half": 0.95, "other_half": 0.75, "low": 0.6, "high": 0.9, "unused": 0.02,
        "unused_low": 0.0, "unused_high": 0.1, "average": 0.3,
    }  # fmt: skip
    ranked = ranking != "none"
    return {
        "n": n, "trainings": 16.0, "shown": 3 if low else 0,
        "quantiles": [{"share": 0.5, "value": 0.3}],
        "distribution": {"edges": [0.0, 0.5, 1.0], "used": [n - 4, 4], "unused": [n, 0]},
        "highest": {"value": 0.9, "low": low, "high": 0.97, "unused": None},
        "once": once, "top": [listed] if ranked else [], "ranking": ranking, "attack": attack,
        "stability": {"n": 10, "jaccard": 0.5, "chance": 0.05, "spearman": None} if ranked else None,
    }  # fmt: skip


def with_exposure(result, **more):
    """A result with the key."""
    groups = {"n": 2, "highest": {"value": 0.3, "low": 0.2, "high": 0.4, "unused": 0.01}}
    found = {
        "status": "ok", "reason": "", "attack": "lira-online", "fpr": 0.01, "level": 0.95, "unit": "record",
        "models": 32, "records": part(360), "persons": part(40, once={"used": 0.7, "unused": 0.1}), "groups": groups,
        "first": "Highest exposure of any person: shown at least 40%.", **more,
    }  # fmt: skip
    return {**result, "noun": "entry", "exposure": found}


def words_of(page):
    """The section's text."""
    text = re.search(r'<section id="exposure">.*?</section>', page, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text[0])) if text else None


def test_the_page_tells_highest_lists_and_stability():
    result = with_exposure(shown())
    assert problems(json.loads(json.dumps(result))) == []
    page = render(result, provenance())
    text = words_of(page)
    assert "40\xa0persons".replace("\xa0", " ") in text.replace("\xa0", " ")
    for told in ("not known", "Lists of entries", "the 10 most exposed entries", "3 of 360", "(Jaccard)", "no proof"):
        assert told in text
    assert page.count("Highest exposure of any person: shown at least 40%.") == 1
    assert page.index("Highest exposure of any person: shown") < page.index('id="adversary"')
    assert 'href="#exposure"' in page
    assert 'aria-label="How often each person is recognised"' in page
    assert 'aria-label="How often each record is recognised"' in page


def test_every_interval_stands_beside_its_number():
    found = section(own_view(with_exposure(shown())))
    (listed,) = found.lists[0].rows
    assert (listed.used.value, listed.used.ends) == ("75\xa0%", "60 to 90\xa0%")
    assert (listed.unused.value, listed.unused.ends) == ("2\xa0%", "0 to 10\xa0%")
    assert [row.kind for row in found.highest] == ["40\xa0persons", "360\xa0entries", "2\xa0groups"]


def test_nothing_shown_and_no_lists():
    result = with_exposure(shown(), records=part(360, low=0.0, ranking="none"), persons=None, groups=None)
    text = words_of(render(result, {}))
    assert "nothing shown" in text
    assert "No list: the attack was not made on one half" in text


def test_given_scores_are_said_to_be_given():
    assert "The scores were given" in words_of(
        render(with_exposure(shown(), records=part(360, ranking="as_given")), {})
    )


def test_the_attack_on_persons_has_its_table():
    estimate = {"value": 0.8, "low": 0.7, "high": 0.9, "level": 0.95, "method": "delong", "status": "ok", "reason": ""}
    attack = {"rule": "mean", "fpr": 0.1, "auc": estimate, "tpr": estimate, "reached": estimate}
    text = words_of(render(with_exposure(shown(), unit="person", persons=part(40, attack=attack)), {}))
    assert "Was any of this person" in text
    assert "0.800" in text


@pytest.mark.parametrize("status", ["withdrawn", "not_resolvable"])
def test_the_first_page_is_silent_where_no_number_may_be_believed(status):
    result = with_exposure(shown())
    result["verdict"] = {**result["verdict"], "status": status}
    assert section(own_view(result)).first == ""


def test_what_is_not_measurable_says_why():
    nothing = {"status": "not_measurable", "reason": "one training says nothing", "records": None, "persons": None,
               "groups": None, "first": ""}  # fmt: skip
    text = words_of(render(with_exposure(tiny(), **nothing), {}))
    assert "Not measurable: one training says nothing." in text


def test_results_of_earlier_releases_have_no_section():
    assert section(own_view(shown())) is None
    page = render(shown(), {})
    assert words_of(page) is None
    assert "#exposure" not in page


def test_a_person_with_several_records_is_recognised_in_part():
    page = render(with_exposure(shown()), {})
    assert "mean share of their records recognised" in page
    assert "of a person, it is the mean share of their records" in words_of(page)
    alone = render(with_exposure(shown(), persons=None), {})
    assert "of a person" not in words_of(alone)
    assert "mean share of their records" not in alone


def test_without_shadows_the_page_does_not_count_none():
    result = not_shown()
    result["door"], result["threat"] = "model", {**result["threat"], "shadows": 0}
    page = render(result, {})
    assert "Not shown with no shadow model and" in page
    assert "0 shadow models" not in page.replace("\xa0", " ")
