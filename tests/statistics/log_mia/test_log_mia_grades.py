"""Grades of a leak: the rules, both ends, what forbids a claim, and that they cover the grade of known rates."""

import numpy as np
import pytest

from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.statistics.log_mia.grades import GRADES, Grade, Point, grade_of, log_ratio, rank_of, undecidable
from dosimeter.statistics.log_mia.null import called_null


def graded(tp, fp, n, m, **more):
    """The grade of counts of one target at one threshold."""
    point = Point(clopper_pearson(tp, n), clopper_pearson(fp, m))
    return grade_of([point], called_null(tp, fp, n, m).p, **more)


@pytest.mark.parametrize(("tpr", "fpr", "grade"), [
    (0.0, 0.0, "no evidence"), (0.05, 0.05, "no evidence"), (0.02, 0.05, "no evidence"), (0.0501, 0.05, "weak"),
    (0.0271, 0.01, "weak"), (0.0272, 0.01, "moderate"), (0.2, 0.01, "moderate"), (0.201, 0.01, "high"),
    (0.009, 0.001, "moderate"), (0.01, 0.001, "high"), (0.099, 0.001, "high"), (0.1, 0.001, "severe"),
    (1.0, 0.0, "severe"), (0.001, 0.0, "high"), (0.5, 0.0011, "high"), (1.0, 0.5, "weak"),
])  # fmt: skip
def test_the_grade_of_known_rates(tpr, fpr, grade):
    assert GRADES[rank_of(tpr, fpr)] == grade


def test_canaries_need_half_of_them_to_be_severe_and_the_strict_rule_alone_ignores_ratios():
    assert GRADES[rank_of(0.49, 0.001, canaries=True)] == "high"
    assert GRADES[rank_of(0.5, 0.001, canaries=True)] == "severe"
    assert rank_of(0.9, 0.002, ratio=False) == 0
    assert rank_of(0.02, 0.001, ratio=False) == 3


def test_grades_rise_with_recognised_members_and_fall_with_false_accusations():
    rates = np.concatenate([[0.0], np.geomspace(1e-5, 1, 60)])
    for canaries in (False, True):
        table = np.array([[rank_of(tpr, fpr, canaries=canaries) for fpr in rates] for tpr in rates])
        assert (np.diff(table, axis=0) >= 0).all()
        assert (np.diff(table, axis=1) <= 0).all()


@pytest.mark.parametrize(("tp", "fp", "n", "ratio", "shown"), [
    (30, 0, 1000, 1.71, "moderate"), (550, 0, 25_000, 4.92, "high"), (2100, 25, 25_000, 4.00, "high"),
])  # fmt: skip
def test_worked_examples(tp, fp, n, ratio, shown):
    low, high = clopper_pearson(tp, n)[0], clopper_pearson(fp, n)[1]
    assert log_ratio(low, high) == pytest.approx(ratio, abs=6e-3)
    assert graded(tp, fp, n, n).shown == shown


def test_small_tables_decide_nothing():
    found = graded(3, 0, 15, 15)
    assert (found.shown, found.not_excluded) == ("undecidable", "severe")
    assert "p 0.11" in found.reason
    assert "more records" in found.reason


def test_no_evidence_needs_that_nothing_bad_is_left():
    few = graded(1, 1, 100, 100)
    assert (few.shown, few.not_excluded) == ("undecidable", "high")
    found = graded(100, 100, 1000, 1000)
    assert (found.shown, found.not_excluded) == ("no evidence", "weak")
    assert "chance explains it" in found.reason


def test_the_p_value_decides_and_not_the_interval():
    """Both intervals lie apart, but a claim among many attacks needs a smaller p-value."""
    point = Point((0.2, 0.3), (0.09, 0.11))
    assert grade_of([point], 0.04).shown == "weak"
    assert grade_of([point], 0.04, most_p=0.01).shown == "no evidence"
    assert grade_of([point], None).reason == "no p-value is known"
    overlapping = Point((0.1, 0.3), (0.09, 0.11))
    assert grade_of([overlapping], 0.001).shown == "no evidence"


def test_what_classifiers_explain_is_not_claimed():
    point = Point((0.2, 0.3), (0.09, 0.11))
    found = grade_of([point], 0.001, unclaimed="classifiers explain it")
    assert (found.shown, found.not_excluded, found.reason) == ("no evidence", "moderate", "classifiers explain it")
    worse = grade_of([Point((0.8, 0.9), (0.0, 0.01))], 0.001, unclaimed="classifiers explain it")
    assert (worse.shown, worse.not_excluded) == ("undecidable", "severe")


def test_the_worst_point_counts_and_a_strict_one_only_by_its_rule():
    lead, strict = Point((0.2, 0.3), (0.05, 0.1)), Point((0.02, 0.05), (0.0002, 0.0009), ratio=False)
    assert grade_of([lead], 0.001).shown == "weak"
    assert grade_of([lead, strict], 0.001).shown == "high"
    loose = Point((0.02, 0.05), (0.0002, 0.0011), ratio=False)
    assert grade_of([lead, loose], 0.001) == Grade("weak", "high")


def test_without_points_there_is_no_grade():
    with pytest.raises(ValueError, match="at least one"):
        grade_of([], 0.5)
    assert undecidable("why") == Grade("undecidable", "severe", "why")


@pytest.mark.parametrize("n", [30, 300, 3000])
@pytest.mark.parametrize("rates", [(0.05, 0.05), (0.06, 0.05), (0.14, 0.05), (0.12, 0.01), (0.3, 0.01), (0.2, 0.0009)])
def test_both_ends_cover_the_grade_of_known_rates(n, rates):
    """Binomial counts: the share of draws that miss on either side is at most 5 %, beyond four standard errors."""
    rng, true = np.random.default_rng(int(1e4 * sum(rates)) + n), rank_of(*rates)
    draws = 400
    counts = zip(rng.binomial(n, rates[0], draws), rng.binomial(n, rates[1], draws), strict=True)
    found = [graded(int(tp), int(fp), n, n) for tp, fp in counts]
    known = [one for one in found if one.shown != "undecidable"]
    over = sum(GRADES.index(one.shown) > true for one in known)
    under = sum(GRADES.index(one.not_excluded) < true for one in found)
    most = draws * 0.05 + 4 * np.sqrt(draws * 0.05 * 0.95)
    assert over <= most
    assert under <= most
