"""The stored simulation of `benchmarks/log_mia.py`: grades claim no more than known laws do, and the page says so."""

import json
import re
from pathlib import Path

import pytest
from scipy.stats import binomtest

ROOT = Path(__file__).parents[3]
CELLS = json.loads((ROOT / "benchmarks" / "results" / "log_mia.json").read_text("utf-8"))["cells"]


def total(kind):
    """Sums over the cells of a kind."""
    found = {}
    for name, counts in CELLS.items():
        if name.startswith(kind):
            for key, count in counts.items():
                found[key] = found.get(key, 0) + count
    return found


@pytest.mark.parametrize("kind", ["null", "leak"])
def test_there_are_a_thousand_tables_of_each_kind(kind):
    found = total(kind)
    assert found["tables"] == 1000
    assert found["graded"] >= 900
    assert found["others"] == 400


@pytest.mark.parametrize("name", CELLS)
def test_no_set_up_claims_more_than_five_of_a_hundred(name):
    counts = CELLS[name]
    for key, of in (("over", "graded"), ("under", "graded"), ("others_over", "others")):
        if counts.get(of):
            assert counts[key] <= 0.05 * counts[of], (name, key)


@pytest.mark.parametrize("kind", ["null", "leak"])
def test_the_shown_grade_exceeds_the_true_one_in_at_most_five_of_a_hundred_by_its_upper_end_too(kind):
    found = total(kind)
    for key in ("over", "under"):
        assert binomtest(int(found[key]), int(found["graded"])).proportion_ci(0.95).high <= 0.05


def test_leaks_are_found_and_the_auc_misgrades_more():
    found = total("leak")
    shown = sum(found.get(f"shown {grade}", 0) for grade in ("weak", "moderate", "high", "severe"))
    assert shown > 0.6 * found["graded"]
    assert found["band_over"] > 0.2 * found["graded"]
    assert found["band_right"] < found["right"]
    assert found["sacro_missed"] > 0.1 * found["moderate or worse"]


def test_the_page_says_what_is_stored():
    page = (ROOT / "docs" / "log-mia.md").read_text("utf-8")
    rows = {
        cells[0].strip(): [re.search(r"\d+", cell) for cell in cells[1:3]]
        for cells in (line.strip("|\n").split("|") for line in page.splitlines() if line.startswith("| "))
        if len(cells) == 3
    }
    null, leak = total("null"), total("leak")
    wanted = {
        "our shown grade is worse than the true one": (null["over"], leak["over"]),
        "the grade that we do not exclude is milder than the true one": (null["under"], leak["under"]),
        "any shown grade of the other attacks is worse (simultaneous claim)": (
            null["others_over"],
            leak["others_over"],
        ),
        "our shown grade is the true one": (null["right"], leak["right"]),
        "our shown grade is undecidable": (null["undecidable"], leak["undecidable"]),
        "AuditML: vulnerable": (null["auditml"], leak["auditml_missed"]),
        "SACRO-ML: speaks against a release": (null["sacro"], leak["sacro_missed"]),
        "bands on the AUC: worse than the true grade": (null["band_over"], leak["band_over"]),
        "bands on the AUC: milder than the true grade": (null["band_under"], leak["band_under"]),
        "bands on the AUC: the true grade": (null["band_right"], leak["band_right"]),
    }
    for name, counts in wanted.items():
        assert [int(found.group()) for found in rows[name]] == [int(count) for count in counts], name
    assert f"{int(leak['graded'])}" in page
    assert f"{int(leak['moderate or worse'])}" in page
    assert f"in {int(leak['shown no evidence'])} of {int(leak['graded'])}" in page
