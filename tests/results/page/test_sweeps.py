"""Leak against gain: which settings are swept, what is said of them, and what is not judged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markupsafe import Markup

from dosimeter.results import words
from dosimeter.results.page.environment import environment
from dosimeter.results.page.plain_variants import table
from dosimeter.results.page.section import Section
from dosimeter.results.page.sweeps import sweep
from dosimeter.results.rows import Row

MIXTURE = {"mixture": "0.7/0.3"}
SECTION = Section(
    what="Exchange audit", badge="", first=Markup(""), names={"reads": "reads"}, body=Markup(""), contents=(),
    glossary=(), who="", leads=("property_auc", {**MIXTURE, "channel": "gradient"}, "AUC of a batch's side"),
)  # fmt: skip
LEAK = Row(
    threat="exchange", family="exchange", stage="joint", variant="none", attack="reads", metric="property_auc",
    unit="auc", value=0.8, low=0.7, high=0.9, method="crossed", n={"batches": 200},
    conditions={**MIXTURE, "channel": "gradient"},
)  # fmt: skip
GAIN = replace(LEAK, attack=None, metric="transfer_gain", unit="share_difference", conditions={})
CHAIN = [
    {"stage": "before", "settings": {"options": {"width": 64, "depth": 2}}},
    {"stage": "joint", "settings": {"alignment": 1.0, "frozen": 0}},
]


def rows(variant, leak, gain, channel="gradient"):
    """Leak and gain of one training."""
    return (
        replace(LEAK, variant=variant, value=leak, low=leak - 0.1, high=leak + 0.1,
                conditions={**MIXTURE, "channel": channel}),
        replace(GAIN, variant=variant, value=gain, low=gain - 0.01, high=gain + 0.01),
    )  # fmt: skip


def entry(name, verdict="shown", **settings):
    """A variant with its change, and its outcome."""
    return {
        "id": name, "status": "ok", "attack": "reads", "defense": "", "settings": settings, "paper": "",
        "place": "chain", "reason": "", "verdict": verdict,
    }  # fmt: skip


VARIANTS = (
    (entry("much", **{"joint.alignment": 3.0}), rows("much", 0.85, 0.08)),
    (entry("little", **{"joint.alignment": 0.1}), rows("little", 0.75, 0.01, channel="moments")),
    (entry("fixed", "withdrawn", **{"joint.frozen": 1}), rows("fixed", 0.6, -0.02)),
    (entry("thin", **{"before.options": "width 8 depth 2"}), rows("thin", 0.65, 0.03)),
    (entry("other", **{"joint.lr": "fast"}), rows("other", 0.5, 0.5)),
    (entry("both", **{"joint.alignment": 9.0, "joint.frozen": 1}), rows("both", 0.5, 0.5)),
    ({**entry("signs", how="sign"), "defense": "compress", "place": "joint"}, rows("signs", 0.5, 0.5)),
)


def view(*variants, base=(0.8, 0.05)):
    """A threat with what was tried."""
    found = [*rows("none", *base), *(row for _, own in variants for row in own)]
    verdict = {"attack": "reads", "status": "shown" if base[1] > 0 else "withdrawn"}
    return {"estimates": found, "utility": [], "variants": [one for one, _ in variants], "verdict": verdict,
            "chain": CHAIN}  # fmt: skip


def test_a_line_for_each_setting_that_is_one_number_with_the_audit_itself_on_each():
    found = sweep(view(*VARIANTS), SECTION)
    assert found.knobs == [
        ("joint.alignment", "0.1, 1, 3"), ("joint.frozen", "0, 1"), ("before.options.width", "8, 64"),
    ]  # fmt: skip
    assert found.left_out == []
    assert found.unjudged == 1
    told = found.sentence.replace(words.SPACE, " ")
    assert told == (
        "Of 5 trainings, 4 make a better model than one without the exchange. Most is gained by joint.alignment = 3: "
        "+8.0 points (+7.0 to +9.0), AUC of a batch's side 85 % (75 to 95 %). Least of these by joint.alignment = "
        "0.1: +1.0 points (+0.0 to +2.0), AUC of a batch's side 75 % (65 to 85 %)."
    )
    fit = replace(GAIN, variant="much", metric="accuracy", unit="share", value=0.9, low=0.8, high=0.95,
                  conditions={"split": "test"})  # fmt: skip
    told = sweep(view(*VARIANTS) | {"utility": [fit]}, SECTION).sentence.replace(words.SPACE, " ")
    assert "joint.alignment = 3: +8.0 points (+7.0 to +9.0) to an accuracy of 90 %, AUC of" in told
    assert found.figure.count("<svg") == 1
    assert "gain in accuracy (percentage points)" in found.figure
    assert "AUC of a batch&#x27;s side" in found.figure or "AUC of a batch's side" in found.figure


def test_where_nothing_is_gained_nothing_is_said_of_leaks():
    found = sweep(view(VARIANTS[2], base=(0.8, -0.05)), SECTION)
    assert found.unjudged == 2
    assert found.sentence.startswith("None of 2")
    assert "%" not in found.sentence


@pytest.mark.parametrize("kept", [VARIANTS[4:], ()])
def test_without_a_swept_setting_there_is_no_figure(kept):
    assert sweep(view(*kept), SECTION) is None


def test_without_a_gain_there_is_no_figure():
    without = view(*VARIANTS)
    without["estimates"] = [row for row in without["estimates"] if row.metric != "transfer_gain"]
    assert sweep(without, SECTION) is None


def test_further_settings_are_named_and_the_page_says_what_hollow_marks_are():
    fourth = (entry("slow", **{"joint.lr": 0.01}), rows("slow", 0.7, 0.02))
    fourth[0]["settings"] = {"joint.lr": 0.01}
    chain = [CHAIN[0], {"stage": "joint", "settings": {**CHAIN[1]["settings"], "lr": 0.1}}]
    found = view(*VARIANTS[:4], fourth) | {"chain": chain}
    assert sweep(found, SECTION).left_out == ["joint.lr"]
    page = environment().get_template("plain_variants.html.j2").render(plain=table(found, SECTION))
    assert "Hollow marks gain nothing" in page
    assert "Not drawn: <bdi>joint.lr</bdi>" in page
    assert page.count('class="swatch') == 3
