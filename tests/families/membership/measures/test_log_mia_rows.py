"""Log-MIA of attacks on membership: evidence at every door, grades, and what withdraws or forbids them."""

from dataclasses import replace

import numpy as np
import pytest
from audits import attacks, gaussian
from audits import material as audited
from flat import composed, problems
from scipy.stats import hypergeom

from dosimeter.families.membership.design.canaries import CanaryScores
from dosimeter.families.membership.measures.baseline import Baseline, measure_baseline
from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import CrossFit, halvings
from dosimeter.families.membership.measures.log_mia import (
    UNEQUAL,
    UNMODELLED,
    Standing,
    graded_canaries,
    readings,
)
from dosimeter.families.membership.measures.material import CHOICE, Material, choose_headline, measure_attacks
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.intervals.cells import exceeds
from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.statistics.log_mia.counts import Calls, calls_of, log_mia
from dosimeter.statistics.log_mia.null import oracle_null


def table(
    seed, shifts, *, n=400, m=400, targets=1, person=1, kind="split", drawn=False, leading=0.1, sizes=None, blind=None
):
    """An audit with one attack for each shift of members' scores, with thresholds of other records or of halves."""
    rng = np.random.default_rng(seed)
    record = np.repeat(np.arange(len(sizes)), sizes) if sizes else np.arange(n + m) // person
    units = int(record.max()) + 1
    rows = []
    for _ in range(-(-targets // 2)):
        own = (rng.permutation(units) < round(units * n / (n + m)))[record]
        rows += [own, ~own]
    member = np.stack(rows[:targets])
    level = rng.normal(size=units)[record] * (0.0 if person == 1 and not sizes else 1.0)
    scores = {name: level + rng.normal(size=member.shape) + shift * member for name, shift in shifts.items()}
    truth = Truth(np.arange(len(record)), member, record)
    if kind == "halves":
        given = CrossFit(member, record, scores, halvings(record, member, rng))
    else:
        known = rng.random((1, 4000)) < 0.5
        own = {name: [rng.normal(size=known.shape) + shift * known] for name, shift in shifts.items()}
        given = Calibration("shadow" if drawn else "split", np.zeros(targets, int), [known], own)
    summary = {
        "door": "recipe" if drawn else "scores", "attacks": [{"id": name, "control": False} for name in shifts],
        "seed": seed, "leading_fpr": leading, "threat": {"at_risk": "s"},
    }  # fmt: skip
    return Material(summary, truth, scores, given, {}, None, None, None, None, (), blind=blind)


def read(material, *, headline=None, failed=(), baseline=None):
    """All readings, by attack and regime."""
    measured = measure_attacks(material)
    headline = headline or next(iter(material.scores))
    found = readings(material, measured, Standing(headline, {}, failed, baseline))
    return {(one.attack, one.regime): one for one in found}


def test_one_target_has_the_exact_law_and_its_own_counts():
    one = table(1, {"a": 1.5}, n=300, m=200)
    found = read(one)
    values, bits = one.scores["a"], one.truth.is_member
    for regime, allowed in (("A", 0), ("B", 6)):
        got = found["a", regime]
        cut = np.sort(values[~bits])[::-1][allowed]
        calls = Calls(int((values > cut)[bits].sum()), allowed, 300, 200)
        assert (got.calls, got.allowed, got.grade) == (calls, allowed, None)
        assert got.null == oracle_null(calls.tp, 300, 200, allowed)
        low, high = clopper_pearson(calls.tp, 300)
        assert (got.estimate.value, got.estimate.low, got.estimate.high) == pytest.approx(
            (log_mia(calls.tp, 300), log_mia(low * 300, 300), log_mia(high * 300, 300))
        )
        assert got.fpr[2] == pytest.approx(clopper_pearson(allowed, 200)[1])
        assert got.conditions == {"regime": regime, "threshold": "oracle"}
    preset = found["a", "preset"]
    calls = calls_of(exceeds(values, one.thresholds("a", 0.1)), bits)
    assert (preset.calls, preset.allowed) == (calls, None)
    assert preset.conditions == {"regime": "preset", "fpr": 0.1, "threshold": "split"}
    assert preset.null.p == pytest.approx(hypergeom.sf(calls.tp - 1, 500, 300, calls.tp + calls.fp), rel=1e-6)
    assert preset.grade.shown == "moderate"
    ends = clopper_pearson(calls.tp, 300, level=0.975), clopper_pearson(calls.fp, 200, level=0.975)
    assert preset.ratio == pytest.approx((ends[0][0] / ends[1][1], ends[0][1] / ends[1][0]))
    assert preset.grade_level == 0.975


@pytest.mark.parametrize("kind", ["split", "halves"])
@pytest.mark.parametrize(("targets", "drawn"), [(1, False), (4, False), (1, True), (4, True), (8, True)])
@pytest.mark.parametrize("person", [1, 4])
def test_a_leak_is_graded_at_every_door_and_nothing_is_not(kind, targets, drawn, person):
    if drawn and kind == "halves":
        kind = "split"
    one = table(2, {"a": 2.0, "none": 0.0}, targets=targets, drawn=drawn, person=person, kind=kind, n=600, m=600)
    found = read(one)
    leak, nothing = found["a", "preset"], found["none", "preset"]
    assert leak.grade.shown in ("weak", "moderate")
    assert leak.null.p <= 0.001 + 1e-9
    assert nothing.grade.shown == "no evidence"
    assert nothing.grade.not_excluded in ("weak", "moderate")
    assert leak.null.corrected(leak.calls.value) > nothing.null.corrected(nothing.calls.value)
    for regime in "AB":
        assert found["a", regime].null.p < found["none", regime].null.p + 1e-9
        assert found["none", regime].null.p > 0.001
    exact = targets == 1 and person == 1
    assert all(("exact" in one.law) == exact for one in found.values())
    if not exact:
        word = "exchange with the complement" if drawn else "permutation"
        assert all(word in one.law for one in found.values())
    assert leak.calls.n == one.truth.is_member.sum()


def test_decisions_of_several_targets_are_pooled_and_no_logarithm_is_averaged():
    one = table(3, {"a": 1.0}, targets=4, drawn=True, n=100, m=100)
    got = read(one)["a", "B"]
    tp = 0
    for row, bits in zip(one.scores["a"], one.truth.is_member, strict=True):
        cut = np.sort(row[~bits])[::-1][6]
        tp += int((row > cut)[bits].sum())
    assert (got.calls, got.allowed) == (Calls(tp, 24, 400, 400), 24)
    assert got.estimate.value == pytest.approx(np.log1p(tp) / np.log(401))


def test_persons_with_unequally_many_records_have_no_law_but_a_p_value_at_the_preset_threshold():
    sizes = [1, 2, 3, 6] * 60
    found = read(table(4, {"a": 2.5}, sizes=sizes, n=1, m=1))
    for regime in "AB":
        assert (found["a", regime].null, found["a", regime].law) == (None, UNEQUAL)
        assert "not known" in found["a", regime].estimate.reason
        assert found["a", regime].to_json()["expected"] is None
    preset = found["a", "preset"]
    assert preset.null.expected is None
    assert preset.null.p < 0.01
    assert "inversion" in preset.law
    assert preset.grade.shown in ("weak", "moderate")
    assert "p " in preset.estimate.reason


def test_few_non_members_certify_nothing():
    found = read(table(5, {"a": 4.0}, n=15, m=15))
    preset = found["a", "preset"]
    assert (preset.grade.shown, preset.grade.not_excluded) == ("undecidable", "severe")
    assert "needs 29 distinct non-members, got 15" in preset.grade.reason
    assert preset.estimate.value is None
    assert found["a", "A"].null.expected == pytest.approx(0.178, abs=1e-3)
    assert found["a", "B"].null.expected == pytest.approx(0.588, abs=1e-3)
    assert found["a", "A"].null.p < 0.01


def test_too_few_non_members_for_a_budget_are_told():
    one = table(5, {"a": 1.0}, n=10, m=2)
    found = read(one)
    assert found["a", "B"].estimate.status == "not_resolvable"
    assert "too few to allow 2 false accusations" in found["a", "B"].estimate.reason
    assert found["a", "B"].to_json()["value"] is None
    assert found["a", "A"].estimate.status == "ok"


def test_failed_checks_withdraw_every_grade():
    found = read(table(6, {"a": 3.0, "b": 1.0}), failed=["this failed"])
    for name in "ab":
        grade = found[name, "preset"].grade
        assert (grade.shown, grade.not_excluded) == ("undecidable", "severe")
        assert "withdrawn" in grade.reason


def test_the_headline_stands_alone_and_the_others_together():
    shifts = {name: 1.2 for name in "abcdef"}
    found = read(table(7, shifts), headline="a")
    assert found["a", "preset"].grade_level == 0.975
    assert found["b", "preset"].grade_level == pytest.approx(1 - 0.05 / 10)
    assert found["b", "preset"].grade.shown in ("weak", "moderate")
    one = table(7, {**shifts, "a": 0.45}, n=300, m=300)
    alone, among = read(one, headline="a")["a", "preset"], read(one, headline="b")["a", "preset"]
    assert alone.grade.shown == "weak"  # the same counts show less where five attacks share the chance of an error
    assert among.grade.shown == "no evidence"
    quiet = read(table(7, dict.fromkeys("abcdef", 0.0)), headline="a")
    assert quiet["a", "preset"].grade.reason.endswith("is above 0.05")
    assert quiet["b", "preset"].grade.reason.endswith("is above 0.01")


def test_at_many_non_members_the_strict_rate_is_asked_too():
    one = table(8, {"a": 3.5}, n=6000, m=6000, leading=0.01)
    preset = read(one)["a", "preset"]
    assert preset.grade_level == pytest.approx(0.9875)
    assert preset.grade.shown == "high"
    points = [
        calls_of(exceeds(one.scores["a"], one.thresholds("a", fpr)), one.truth.is_member) for fpr in (0.01, 0.001)
    ]
    assert clopper_pearson(points[1].tp, 6000, level=0.9875)[0] > 0.1
    few = read(table(8, {"a": 3.5}, n=300, m=300, leading=0.01))["a", "preset"]
    assert few.grade_level == 0.975


def blind_scores(one, shift):
    """Scores of classifiers that never ask the model."""
    rng = np.random.default_rng(0)
    return rng.normal(size=one.truth.is_member.shape[1]) + shift * one.truth.is_member[0]


def baseline_of(one, attack):
    calls = exceeds(one.scores[attack], one.thresholds(attack, 0.1))
    found = measure_baseline(
        one.blind, one.scores[attack], one.truth, rng=np.random.default_rng(0), calls=calls, fpr=0.1
    )
    assert isinstance(found, Baseline)
    return found


def test_a_difference_that_needs_no_model_is_no_grade():
    """The attack reads the same difference of the records as the blind classifiers do."""
    base = table(9, {"a": 0.0, "b": 0.0})
    blind = blind_scores(base, 2.0)
    one = replace(base, blind=blind, scores={"a": blind[None] + 0.0, "b": blind[None] * 2})
    found = read(one, baseline=baseline_of(one, "a"))
    for name in "ab":
        got = found[name, "preset"]
        assert (got.grade.shown, got.law, got.null) == ("undecidable", UNMODELLED, None)
        assert "differ without the model" in got.grade.reason


def test_an_attack_that_tells_no_more_than_blind_classifiers_claims_nothing():
    base = table(10, {"a": 0.6, "b": 2.5})
    one = replace(base, blind=blind_scores(base, 0.0))
    weak = blind_scores(base, 0.0)[None] + np.random.default_rng(1).normal(size=one.truth.is_member.shape)
    one = replace(one, scores={**one.scores, "a": weak})
    head = baseline_of(one, "a")
    assert not head.shifted
    found = read(one, baseline=head)
    assert not head.exceeded
    assert found["a", "preset"].grade.shown in ("no evidence", "undecidable")
    assert found["b", "preset"].grade.shown == "moderate"  # this one tells more than they do, on its own


def test_the_choice_of_other_halves_is_graded_as_an_attack_of_its_own():
    for seed in range(30):
        one, name = choose_headline(table(seed, {"a": 0.7, "b": 0.7, "c": 0.0}, kind="halves", n=200, m=200))
        if name == CHOICE:
            break
    assert name == CHOICE
    found = read(one, headline=name)
    parts = [found[attack, "preset"] for attack in one.choice[name]]
    got = found[name, "preset"]
    assert got.grade_level == 0.975
    assert got.ratio[1] is not None
    assert all(part.calls.tp <= got.calls.n for part in parts)


def test_infinite_and_tied_scores_count_against_the_attack():
    one = table(11, {"a": 0.0})
    flat = replace(one, scores={"a": np.zeros_like(one.scores["a"])})
    found = read(flat)
    assert [found["a", regime].calls.tp for regime in "AB"] == [0, 0]
    assert [found["a", regime].null.p for regime in "AB"] == [1.0, 1.0]
    high = one.scores["a"].copy()
    high[0, np.flatnonzero(~one.truth.is_member[0])[0]] = np.inf
    assert read(replace(one, scores={"a": high}))["a", "A"].calls.tp == 0
    low = np.where(one.truth.is_member, -np.inf, one.scores["a"])
    assert read(replace(one, scores={"a": low}))["a", "B"].calls.tp == 0


def test_nan_and_one_class_are_refused():
    one = table(12, {"a": 0.0})
    with pytest.raises(ValueError, match="no NaN"):
        read(replace(one, scores={"a": np.where(one.truth.is_member, np.nan, one.scores["a"])}))
    bits = np.ones_like(one.truth.is_member)
    with pytest.raises(ValueError, match="both classes"):
        read(replace(one, truth=Truth(one.truth.ids, bits, one.truth.record)))


def canaried(called, n=6000, targets=2):
    """An audit with one kind of canaries, of which shares are called where they were used and where not."""
    one = table(13, {"a": 1.0}, targets=targets, drawn=True, n=400, m=400)
    member = np.stack([np.arange(n) % 2 == turn % 2 for turn in range(targets)])
    ranked = np.arange(n)[None].repeat(targets, 0) // 2 / (n // 2)
    values = np.where(ranked < np.where(member, *called), 99.0, -99.0)
    scores = CanaryScores(np.full(n, "noise"), np.ones(n, int), member, member[:0], {"a": values}, {})
    return replace(one, canaries=scores)


ROW = {"kind": "noise", "copies": 1, "status": "ok", "reason": "", "p": 0.0001}


@pytest.mark.parametrize(("called", "shown"), [
    ((0.9, 0.0), "severe"), ((0.4, 0.0), "high"), ((0.6, 0.01), "high"), ((0.35, 0.1), "moderate"),
    ((0.1, 0.1), "no evidence"),
])  # fmt: skip
def test_canaries_are_graded_apart_and_by_their_own_rule(called, shown):
    """Severe takes half of the canaries at a certified rate, where a tenth of natural records would do."""
    one = canaried(called)
    (found,) = graded_canaries(one, "a", [ROW], [])
    assert found["grade_shown"] == shown
    if shown not in ("no evidence", "moderate"):
        (doubted,) = graded_canaries(one, "a", [{**ROW, "p": 0.06}], [])
        assert doubted["grade_shown"] == "undecidable"
        assert "p 0.06 is above 0.05" in doubted["grade_reason"]
    (withdrawn,) = graded_canaries(one, "a", [ROW], ["failed"])
    assert (withdrawn["grade_shown"], withdrawn["grade_not_excluded"]) == ("undecidable", "severe")


def test_grades_of_several_canaries_share_the_chance_of_an_error():
    one = canaried((0.9, 0.0))
    first, refused = graded_canaries(one, "a", [{**ROW, "p": 0.03}, {**ROW, "status": "refused", "reason": "no"}], [])
    assert "p 0.03 is above 0.025" in first["grade_reason"]
    assert (refused["grade_shown"], refused["grade_reason"]) == ("undecidable", "no")
    assert graded_canaries(one, "a", [], []) == []
    few = canaried((0.9, 0.0), n=16)
    assert graded_canaries(few, "a", [ROW], [])[0]["grade_not_excluded"] == "severe"


@pytest.mark.parametrize(("targets", "leakage"), [(1, 1.5), (4, 1.5), (4, 0.0)])
def test_rows_of_a_whole_audit_are_valid_and_controls_claim_nothing(targets, leakage):
    found = composed(audited(*gaussian(1, leakage=leakage, shadows=8, targets=targets), seed=1, rows=attacks()))
    assert problems(found) == []
    (entry,) = found["threats"]
    rows = [row for row in entry["estimates"] if row["metric"] == "log_mia"]
    names = [one["id"] for one in entry["attacks"] if one["status"] == "ok"]
    assert len(rows) == 3 * len(names) == len(entry["details"]["log_mia"])
    for row, told in zip(rows, entry["details"]["log_mia"], strict=True):
        assert (row["attack"], row["conditions"]["regime"]) == (told["attack"], told["regime"])
        assert (row["value"], row["low"], row["high"]) == (told["value"], told["low"], told["high"])
        counts = {
            name: row["n"][name] for name in ("members", "nonmember_decisions", "true_positives", "false_positives")
        }
        assert list(counts.values()) == [told["n"], told["m"], told["tp"], told["fp"]]
        assert ("grade_shown" in row) == (told["regime"] == "preset")
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    controls = {one["id"] for one in entry["attacks"] if one["control"]}
    graded = {row["attack"]: row for row in rows if "grade_shown" in row}
    assert all(graded[one]["grade_shown"] in ("no evidence", "undecidable") for one in controls)
    head = graded[entry["verdict"]["attack"]]
    shown = entry["verdict"]["status"] == "shown"
    assert (head["grade_shown"] not in ("no evidence", "undecidable")) == shown
    tpr = next(row for row in entry["estimates"] if row["metric"] == "tpr" and row["attack"] == head["attack"]
               and row["conditions"] == {key: head["conditions"][key] for key in ("fpr", "threshold")})  # fmt: skip
    assert head["low"] == pytest.approx(log_mia(tpr["low"] * head["n"]["members"], head["n"]["members"]))
