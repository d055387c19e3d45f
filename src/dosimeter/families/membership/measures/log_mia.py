"""Log-MIA of each attack with its evidence, and the grade of the leak that the audit's own thresholds show.

Regimes A and B take an oracle's threshold, as the paper's code does. The regime "preset" takes the threshold that was
set beforehand, by shadows or by other records, and only there a leak is graded. The headline was chosen without the
labels that are judged, so its grade stands alone at 95 %; those of all other attacks hold together at 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dosimeter.families.membership.measures.baseline import Baseline, measure_baseline
from dosimeter.families.membership.measures.material import Material, Measured
from dosimeter.families.membership.measures.rows import row_of
from dosimeter.families.membership.rates import FPRS
from dosimeter.foundation.arrays import Array
from dosimeter.results.rows import DECIDED, LOG_MIA, ORACLE, Row
from dosimeter.statistics.certify import nonmembers_needed, worth
from dosimeter.statistics.estimate import Estimate, Status
from dosimeter.statistics.evidence import Scores
from dosimeter.statistics.intervals.cells import clusters, exceeds
from dosimeter.statistics.intervals.crossed import rate_from_margins, rate_interval, rate_margins
from dosimeter.statistics.log_mia.counts import Calls, budget, calls_of, log_mia, oracle_thresholds
from dosimeter.statistics.log_mia.grades import (
    MOST_P,
    STRICT_FPR,
    UNDECIDABLE,
    Grade,
    Point,
    grade_of,
    undecidable,
)
from dosimeter.statistics.log_mia.null import Exchange, Null, called_null, exchangeable, oracle_null
from dosimeter.statistics.rates import Randomisation

PRESET = "preset"
"""Regime of the threshold that was set beforehand; the others are "A" and "B"."""
CONFIDENCE = 0.95
"""Level at which the grades of the headline, and those of all other attacks together, hold."""
UNEQUAL = "none: persons with unequally many records cannot change places"
UNMODELLED = "none: members and non-members differ without the model"
Ends = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Standing:
    """What the rest of the audit says about claims.

    Attributes:
        headline: the attack that was chosen without the judged labels, or None.
        p_values: of attacks at the leading rate; empty if the hypothesis that they test is known to be wrong.
        failed: messages of checks that failed.
        baseline: the headline beside classifiers that never ask the model; None without them.
    """

    headline: str | None
    p_values: Mapping[str, Randomisation]
    failed: Sequence[str]
    baseline: Baseline | None

    @property
    def shifted(self) -> bool:
        """Returns whether members and non-members are shown to differ without the model."""
        return self.baseline is not None and self.baseline.shifted


@dataclass(frozen=True)
class Reading:
    """Log-MIA of one attack in one regime.

    Attributes:
        attack: its id.
        regime: "A", "B" or `PRESET`.
        conditions: of its row.
        calls: who was called, pooled over targets.
        allowed: false accusations that the oracle allows in all; None of a preset threshold.
        tpr: true positive rate with its interval, or why there is none.
        fpr: false positive rate with its ends.
        null: what chance gives; None where it is not known.
        law: name of that law, or why there is none.
        grade: of a preset threshold; None in the other regimes.
        grade_level: two-sided level of each interval behind the grade, or None.
        ratio: how many times as often members are called, at least and at most; None for infinite or not known.
    """

    attack: str
    regime: str
    conditions: Mapping[str, Any]
    calls: Calls
    allowed: int | None
    tpr: Estimate
    fpr: Ends
    null: Null | None
    law: str
    grade: Grade | None = None
    grade_level: float | None = None
    ratio: tuple[float | None, float | None] = (None, None)

    @property
    def estimate(self) -> Estimate:
        """Log-MIA with the ends of the true positive rate carried through."""
        tpr, n = self.tpr, self.calls.n
        if tpr.value is None or tpr.low is None or tpr.high is None:
            return tpr
        low, high = (log_mia(min(float(n), end * n), n) for end in (tpr.low, tpr.high))
        return replace(tpr, value=self.calls.value, low=low, high=high, reason=self._told)

    @property
    def _told(self) -> str:
        """Text: the counts and what chance gives."""
        calls, null = self.calls, self.null
        said = f"{calls.tp:,} of {calls.n:,} members and {calls.fp:,} of {calls.m:,} non-members are called"
        if null is None or null.expected is None:
            p = "" if null is None else f", p {null.p:.2g}"
            return f"{said}; what chance gives on average is not known{p} ({self.law})"
        corrected = null.corrected(self.calls.value)
        beyond = "" if corrected is None else f", {corrected:+.3f} corrected for it"
        return f"{said}; chance gives {null.expected:.3f} on average, p {null.p:.2g}{beyond} ({self.law})"

    def row(self, material: Material) -> Row:
        """The row of `estimates`."""
        row, calls = row_of(material, self.attack, LOG_MIA, self.estimate, **self.conditions), self.calls
        n = {**row.n, DECIDED: calls.m, "true_positives": calls.tp, "false_positives": calls.fp}
        grade = self.grade
        shown, upper = (None, None) if grade is None else (grade.shown, grade.not_excluded)
        return replace(row, n=n, grade_shown=shown, grade_not_excluded=upper)

    def to_json(self) -> dict[str, Any]:
        """The entry of `details`."""
        found, calls, null, grade = self.estimate, self.calls, self.null, self.grade
        told = {
            "attack": self.attack, "regime": self.regime, "threshold": self.conditions["threshold"],
            "fpr_aimed": self.conditions.get("fpr"), "tp": calls.tp, "fp": calls.fp, "n": calls.n, "m": calls.m,
            "allowed": self.allowed, "level": found.level, "method": found.method, "status": found.status,
            "value": found.value, "low": found.low, "high": found.high, "tpr": self.tpr.value,
            "tpr_low": self.tpr.low, "tpr_high": self.tpr.high,
            **dict(zip(("fpr", "fpr_low", "fpr_high"), self.fpr, strict=True)),
            "expected": None if null is None else null.expected, "p": None if null is None else null.p,
            "corrected": None if null is None or found.value is None else null.corrected(found.value),
            "null": self.law, "reason": found.reason if found.value is None else "",
        }  # fmt: skip
        if grade is None:
            return told
        shown, upper = self.ratio
        return {
            **told, "ratio_shown": shown, "ratio_not_excluded": upper, "grade_level": self.grade_level,
            "grade_shown": grade.shown, "grade_not_excluded": grade.not_excluded, "grade_reason": grade.reason,
        }  # fmt: skip


def readings(material: Material, measured: Mapping[str, Measured], standing: Standing) -> list[Reading]:
    """All regimes of all attacks, controls included.

    Args:
        material: material of the audit.
        measured: estimates of all attacks.
        standing: what the rest of the audit says about claims.
    """
    found, labels = [], _labels(material)
    for attack in measured:
        found += [_oracle(material, attack, regime, labels) for regime in ("A", "B")]
        found.append(_preset(material, attack, measured, standing, labels))
    return found


def graded_canaries(
    material: Material, attack: str | None, planted: Sequence[Mapping[str, Any]], failed: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of canaries with their own grades: canaries are no natural records, so none counts among those.

    Args:
        material: material of the audit.
        attack: the headline attack.
        planted: rows of `canary_rows`; the grades of all of them hold together at 95 %.
        failed: messages of checks of the audit that failed.
    """
    rows = []
    for one in planted:
        if failed or one["status"] != "ok":
            grade = undecidable(_withdrawn(failed) if failed else str(one["reason"]))
        else:
            grade = _canary_grade(material, str(attack), one, len(planted))
        told = {"grade_shown": grade.shown, "grade_not_excluded": grade.not_excluded, "grade_reason": grade.reason}
        rows.append({**one, **told})
    return rows


def _canary_grade(material: Material, attack: str, one: Mapping[str, Any], rows: int) -> Grade:
    """The grade of the canaries of one row, by the calls of those that a target did not train on."""
    canaries, lead = material.canaries, material.leading
    assert canaries is not None
    assert lead is not None
    own = canaries.of(one["kind"], one["copies"])
    member = canaries.member[:, own]
    hits = exceeds(canaries.scores[attack][:, own], material.thresholds_of_canaries(attack, lead))
    level = 1 - (1 - CONFIDENCE) / (2 * rows)
    tpr, fpr = _given(hits, member, np.arange(member.shape[1]), level, (None, None))
    return grade_of([Point(tpr, fpr)], one["p"], most_p=MOST_P / rows, canaries=True)


def _labels(material: Material) -> Exchange | None:
    """Labels as they could have been; None where the law is exact, or where no exchange is."""
    truth, drawn = material.truth, material.drawn
    if _lone(material) or not exchangeable(truth.record, drawn=drawn):
        return None
    return Exchange(truth.is_member, truth.record, drawn=drawn, rng=material.rng("log mia"))


def _oracle(material: Material, attack: str, regime: str, labels: Exchange | None) -> Reading:
    """Regime A or B of one attack, with the threshold that the judged labels give."""
    values, truth = material.scores[attack], material.truth
    n, m = truth.is_member.sum(1), (~truth.is_member).sum(1)
    # A target without one of the classes allows nothing, and is refused below.
    sizes = zip(n.tolist(), m.tolist(), strict=True)
    allowed = np.array([0 if regime == "A" or not (a and b) else budget(a, b) for a, b in sizes])
    conditions = {"regime": regime, "threshold": ORACLE}
    if (m <= allowed).any() or not n.all():
        never = calls_of(np.zeros_like(truth.is_member), truth.is_member)
        reason = f"{int(m.min())} non-members and {int(n.min())} members of a target are too few to allow "
        reason += f"{int(allowed.max())} false accusations"
        none = _estimate(material, (None, None, None), CONFIDENCE, "", reason)
        return Reading(attack, regime, conditions, never, int(allowed.sum()), none, (None,) * 3, None, reason)
    hits = exceeds(values, oracle_thresholds(values, truth.is_member, allowed))
    calls, distinct = calls_of(hits, truth.is_member), worth(Scores(truth.ids, values), truth)
    tpr, fpr = (
        rate_interval(
            hits, side, record=truth.record, rng=material.rng(f"{attack} log mia {regime} {of}"), distinct=units
        )
        for of, side, units in zip(("tpr", "fpr"), (truth.is_member, ~truth.is_member), distinct, strict=True)
    )
    method = f"{tpr.method}, oracle threshold taken as given"
    estimate = _estimate(material, tpr[:3], CONFIDENCE, method, "")
    null = None if labels is None else labels.oracle_null(values, allowed, calls.tp)
    if _lone(material):
        null = oracle_null(calls.tp, calls.n, calls.m, int(allowed[0]))
    law = UNEQUAL if null is None else null.method
    return Reading(attack, regime, conditions, calls, int(allowed.sum()), estimate, fpr[:3], null, law)


def _preset(
    material: Material, attack: str, measured: Mapping[str, Measured], standing: Standing, labels: Exchange | None
) -> Reading:
    """The regime of the threshold that was set beforehand, with its grade."""
    truth, lead = material.truth, material.leading
    aim = lead or FPRS[0]
    pair, hits = measured[attack].pairs[aim], exceeds(material.scores[attack], material.thresholds(attack, aim))
    calls = calls_of(hits, truth.is_member)
    conditions = {"regime": PRESET, "fpr": aim, "threshold": material.calibration.source}
    null, law = _called_law(material, attack, hits, calls, standing, labels)
    reached = (pair.fpr.value, pair.fpr.low, pair.fpr.high)
    one = Reading(attack, PRESET, conditions, calls, None, pair.tpr, reached, null, law)
    if standing.failed:
        return replace(one, grade=undecidable(_withdrawn(standing.failed)))
    if lead is None or pair.tpr.status != "ok":
        return replace(one, grade=undecidable(pair.tpr.reason or "no rate can be certified"))
    rates = [lead, *([STRICT_FPR] if lead > STRICT_FPR and nonmembers_needed(STRICT_FPR) <= material.worth else [])]
    others = measured.keys() - material.beside - {standing.headline}
    together = 1 if attack == standing.headline else max(1, len(others))
    level = 1 - (1 - CONFIDENCE) / (2 * len(rates) * together)  # Bonferroni over two rates, thresholds, attacks
    points = [_point(material, attack, rate, level, ratio=rate == lead) for rate in rates]
    grade = grade_of(
        points,
        None if null is None else null.p,
        most_p=MOST_P / together,
        unclaimed=_unclaimed(material, attack, standing),
    )
    if standing.shifted:
        grade = replace(grade, shown=UNDECIDABLE)  # a leak may be shown all the same, by its gain
    return replace(one, grade=grade, grade_level=level, ratio=_ratio(points[0]))


def _called_law(
    material: Material, attack: str, hits: Array, calls: Calls, standing: Standing, labels: Exchange | None
) -> tuple[Null | None, str]:  # fmt: skip
    """What chance gives if the calls are given, and the name of the law; else the p-value is that of the verdict."""
    if standing.shifted:
        return None, UNMODELLED
    if _lone(material):
        null = called_null(calls.tp, calls.fp, calls.n, calls.m)
        return null, null.method
    known = standing.p_values.get(attack) or material.p_values(attack, material.leading or FPRS[0])
    if labels is None:
        return Null(None, known.p_tpr, UNEQUAL), f"{UNEQUAL}; p by inversion of the interval of TPR - FPR"
    test, null = "randomisation" if material.drawn else "permutation", labels.called_null(hits, calls.tp)
    return replace(null, p=known.p_tpr), f"mean by {null.method}; p by the {test} test of TPR - FPR"


def _point(material: Material, attack: str, fpr: float, level: float, *, ratio: bool) -> Point:
    """Intervals of both rates at a preset threshold, of these models: several targets are taken as given.

    The p-value is about these models too, and so are the intervals of one target. The upper end of a choice of other
    halves is no lower than those of the attacks it is made of, as elsewhere.
    """
    truth, values = material.truth, material.scores[attack]
    hits = exceeds(values, material.thresholds(attack, fpr))
    tpr, reached = _given(hits, truth.is_member, truth.record, level, worth(Scores(truth.ids, values), truth))
    among = [_point(material, one, fpr, level, ratio=ratio).tpr[1] for one in material.choice.get(attack, ())]
    return Point((tpr[0], max([tpr[1], *among])), reached, ratio=ratio)


def _given(
    hits: Array, member: Array, record: Array, level: float, worths: tuple[float | None, float | None]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of the true and of the false positive rate, with several targets taken as given."""
    sides = member, ~member
    if len(hits) == 1:
        unused = np.random.default_rng(0)  # one target has no bootstrap
        tpr, fpr = (
            rate_interval(hits, side, record=record, rng=unused, level=level, distinct=distinct)
            for side, distinct in zip(sides, worths, strict=True)
        )
    else:
        margins = rate_margins(hits, member, record)[:2]
        tpr, fpr = (
            rate_from_margins(
                int(hits[side].sum()), int(side.sum()), replace(own, given=True), level=level, distinct=distinct
            )
            for side, own, distinct in zip(sides, margins, worths, strict=True)
        )
    return (tpr.low, tpr.high), (fpr.low, fpr.high)


def _ratio(point: Point) -> tuple[float | None, float | None]:
    """How many times as often members are called, at least and at most; None where it is infinite."""
    (low, high), (least, most) = point.tpr, point.fpr
    return (low / most if most else None, high / least if least else None)


def _unclaimed(material: Material, attack: str, standing: Standing) -> str:
    """Text: why classifiers that never ask the model forbid a claim; empty if they do not."""
    blind, lead = material.blind, material.leading
    if blind is None or standing.baseline is None or lead is None:
        return ""
    if standing.shifted:
        return "members and non-members differ without the model, so the rates do not speak of the model alone"
    found = standing.baseline
    if attack != standing.headline:
        calls = exceeds(material.scores[attack], material.thresholds(attack, lead))
        own = measure_baseline(
            blind, material.scores[attack], material.truth, rng=material.rng("blind"), calls=calls, fpr=lead
        )
        assert own is not None  # both classes were judged blindly, as the headline's baseline shows
        found = own
    return "" if found.exceeded else "it is not shown to tell more than classifiers that never ask the model"


def _withdrawn(failed: Sequence[str]) -> str:
    """Text: the audit is withdrawn, and how many checks say so."""
    return f"the audit is withdrawn, since {len(failed)} of its own checks failed"


def _lone(material: Material) -> bool:
    """Returns whether there is one target whose records are their own clusters."""
    record = material.truth.record
    return len(material.truth.is_member) == 1 and clusters(record)[1] == len(record)


def _estimate(material: Material, ends: Ends, level: float, method: str, reason: str) -> Estimate:
    """A rate as an estimate, with the counts of the audit."""
    truth = material.truth
    distinct = clusters(truth.record[~truth.is_member.all(0)])[1] if not truth.is_member.all() else 0
    status: Status = "ok" if ends[0] is not None else "not_resolvable"
    members = int(truth.is_member.sum())
    return Estimate(*ends, level, method, members, distinct, len(truth.is_member), status, reason)
