"""The dose of attacks on membership: known answers, nothing where nothing is, and what a threat says of it."""

from dataclasses import replace

import numpy as np
import pytest
from audits import attacks, gaussian
from audits import material as audited
from flat import composed, problems
from scipy.integrate import quad
from scipy.stats import binomtest, norm

from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import CrossFit, halvings
from dosimeter.families.membership.measures.dose import APART, dose_rows, doses_of, of_headline
from dosimeter.families.membership.measures.material import CHOICE, Material, choose_headline, measure_attacks
from dosimeter.statistics.evidence import Truth


def true_dose(shift):
    """Bits that a score tells whose law is normal, shifted for members."""

    def told(x):
        yes, no = norm.pdf(x - shift), norm.pdf(x)
        return (yes * np.log2(2 * yes / (yes + no)) + no * np.log2(2 * no / (yes + no))) / 2

    return quad(told, -12, 12 + shift)[0]


def bits_of(rng, targets, n):
    """Membership of complementary pairs, or of one target."""
    rows = [rng.permutation(n) < n // 2 for _ in range(-(-targets // 2))]
    return np.stack([row for pair in rows for row in (pair, ~pair)])[:targets]


def material(seed, shifts, *, targets=4, n=600, kind="shadow", controls=(), person=1):
    """An audit with one attack for each shift; a record's own level is in all of its scores."""
    rng = np.random.default_rng(seed)
    record, member = np.arange(n) // person, bits_of(rng, targets, n // person)[:, np.arange(n) // person]
    rehearsed = bits_of(rng, 4, n // person)[:, record]
    level = rng.normal(size=n // person)[record] / 2

    def draw(bits, shift):
        return level + np.sqrt(3) / 2 * rng.normal(size=bits.shape) + shift * bits

    scores = {name: draw(member, shift) for name, shift in shifts.items()}
    if kind == "halves":
        given = CrossFit(member, record, scores, halvings(record, member, rng))
    else:
        blocks = [rehearsed] * -(-targets // 2)
        known = {name: [draw(one, shift) for one in blocks] for name, shift in shifts.items()}
        given = Calibration("shadow" if kind == "shadow" else "split", np.arange(targets) // 2, blocks, known)
    listed = [{"id": name, "control": name in controls} for name in shifts]
    summary = {"door": "scores", "attacks": listed, "seed": seed, "leading_fpr": 0.1, "threat": {"at_risk": "s"}}
    return Material(summary, Truth(np.arange(n), member, record), scores, given, {}, None, None, None, None, ())


@pytest.mark.parametrize("kind", ["shadow", "split", "halves"])
@pytest.mark.parametrize("targets", [1, 4, 8])
def test_a_normal_shift_has_its_dose_within_the_interval(kind, targets):
    found = doses_of(material(3, {"a": 1.0, "none": 0.0}, targets=targets, n=1200, kind=kind))
    assert found["a"].low <= true_dose(1.0) <= found["a"].high
    assert found["a"].value == pytest.approx(true_dose(1.0), abs=0.035)
    assert found["a"].low > 0.05
    assert found["none"].low == 0.0
    assert found["none"].high < 0.03
    said = {"shadow": "read by rehearsals", "split": APART, "halves": "read by halves of the records"}
    assert found["a"].method.endswith(said[kind])


@pytest.mark.parametrize("kind", ["shadow", "halves"])
def test_a_monotone_change_of_scores_changes_no_dose(kind):
    one = material(4, {"a": 0.7}, kind=kind)

    def change(values):
        return np.exp(values / 3) - 5

    given = one.calibration
    if kind == "halves":
        given = given.with_scores("a", change(one.scores["a"]))
    else:
        given = replace(given, scores={"a": [change(own) for own in given.scores["a"]]})
    assert doses_of(replace(one, scores={"a": change(one.scores["a"])}, calibration=given)) == doses_of(one)


def test_a_dose_has_a_generator_of_its_own_and_depends_on_the_seed_of_the_halves_alone():
    one = material(5, {"a": 0.5, "b": 0.2}, kind="halves")
    assert doses_of(one) == doses_of(one)
    assert doses_of(replace(one, scores={"b": one.scores["b"], "a": one.scores["a"]})) == doses_of(one)
    other = doses_of(replace(one, summary={**one.summary, "seed": 6}))
    assert other["a"].value == pytest.approx(doses_of(one)["a"].value, abs=0.01)


def test_constant_scores_and_counts_tell_nothing():
    one = material(6, {"a": 1.0, "constant": 0.0}, controls=("constant",))
    flat = {"constant": np.zeros_like(one.scores["a"])}
    known = {"constant": [np.zeros_like(own) for own in one.calibration.scores["a"]]}
    given = replace(one.calibration, scores={**one.calibration.scores, **known})
    found = doses_of(replace(one, scores={**one.scores, **flat}, calibration=given))["constant"]
    assert found.printed == found.low == 0.0
    assert found.high < 0.02


def choosing(seed, shifts, **more):
    """An audit whose halves choose different attacks, and the name of that choice; None if they agree."""
    one, name = choose_headline(material(seed, shifts, kind="halves", **more))
    return one, name if name == CHOICE else None


def test_the_choice_of_the_other_halves_chooses_for_its_dose_too():
    for seed in range(20):
        one, name = choosing(seed, {"a": 0.8, "b": 0.8, "c": 0.0}, n=400)
        if name:
            break
    found = doses_of(one)
    fused = true_dose(0.8 / np.sqrt(0.25 + 0.75 / 2))  # of the mean of both: halvings that choose differently add up
    assert true_dose(0.8) - 0.03 < found[name].value < fused + 0.03
    assert found[name].low <= fused
    assert found[name].high >= max(found["a"].high, found["b"].high)


def shown_of_nothing(seeds, kind, **more):
    """Audits without a leak whose headline has a dose above 0, how many there were, and those of all attacks."""
    count = claims = every = 0
    for seed in seeds:
        one, headline = choose_headline(material(seed, {"a": 0.0, "b": 0.0, "c": 0.0}, kind=kind, **more))
        found = doses_of(one)
        claims += found[headline].low > 0
        every += sum(dose.low > 0 for dose in found.values())
        count += 1
    return claims, count, every


@pytest.mark.parametrize("kind", ["shadow", "halves"])
def test_a_few_audits_of_nothing_have_no_dose(kind):
    claims, _, every = shown_of_nothing(range(12), kind, n=200)
    assert claims <= 1
    assert every <= 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shadow", "split", "halves"])
@pytest.mark.parametrize("more", [{"targets": 1}, {"targets": 4}, {"targets": 8}, {"targets": 2, "person": 4}])
def test_audits_of_nothing_have_no_dose(kind, more, record_figure):
    claims, count, every = shown_of_nothing(range(300), kind, n=240, **more)
    record_figure(f"dose of nothing, {kind}, {more}", n=count, claims=claims, every=every)
    assert binomtest(claims, count, 0.05, alternative="greater").pvalue > 0.05


def test_rows_of_a_whole_audit_hold_doses_and_controls_tell_nothing():
    found = composed(audited(*gaussian(1, leakage=1.5, shadows=8, targets=4), seed=1, rows=attacks()))
    assert problems(found) == []
    (entry,) = found["threats"]
    rows = {row["attack"]: row for row in entry["estimates"] if row["metric"] == "dose"}
    assert rows.keys() == {one["id"] for one in entry["attacks"] if one["status"] == "ok"}
    controls = {one["id"] for one in entry["attacks"] if one["control"]}
    assert len(controls) == 2
    for name, row in rows.items():
        assert (row["unit"], row["conditions"], row["group"], row["status"]) == ("bits", {}, None, "ok")
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
        assert row["value"] == row["low"] == 0 or name not in controls
    own = rows[entry["verdict"]["attack"]]
    assert found["dose"] == [{"threat": "membership", **entry["dose"]}]
    dose = entry["dose"]
    assert (dose["shown"], dose["not_excluded"], dose["value"]) == (own["low"], own["high"], own["value"])
    assert (dose["floor"], dose["ceiling"], dose["chance_before"]) == (0.0, 1.0, 0.5)
    assert dose["chance_after"] == pytest.approx(2 ** (dose["value"] - 1))
    assert dose["shown"] > 0.01


def test_without_usable_halves_a_row_says_why_and_the_threat_has_no_dose():
    member = np.array([[True, True, True, False, False, False]])
    record = np.array([0, 0, 0, 1, 1, 1])
    scores = {"a": np.arange(6.0)[None]}
    given = CrossFit(member, record, scores, np.zeros((0, 6), bool))
    base = material(0, {"a": 0.0})
    one = replace(base, truth=Truth(np.arange(6), member, record), scores=scores, calibration=given)
    found = doses_of(one)
    assert of_headline(one, "a", found, None) is None
    assert found["a"].reason == "2 clusters of records are too few for halves that know every value"
    (row,) = dose_rows(one, {"a": measure_attacks(base)["a"]}, found)
    assert (row.status, row.value, row.low, row.high) == ("not_resolvable", None, None, None)
    assert row.reason == found["a"].reason
    assert of_headline(one, None, found, None) is None


def test_calibration_scores_of_one_class_give_no_dose():
    one = material(7, {"a": 0.5})
    given = replace(one.calibration, is_member=[np.ones_like(bits) for bits in one.calibration.is_member])
    assert doses_of(replace(one, calibration=given))["a"].reason.endswith("lack members or non-members")
