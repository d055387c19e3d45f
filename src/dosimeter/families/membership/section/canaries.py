"""The page's section on planted canaries: one row per grade beside the natural records. Measures nothing."""

from __future__ import annotations

from dataclasses import dataclass

from dosimeter.families.membership.section.log_mia import grade
from dosimeter.results import figures, words
from dosimeter.results.figures import CALIBRATED, Bar, Figure, find, leading, reached_by
from dosimeter.results.rows import Row
from dosimeter.results.views import View


@dataclass(frozen=True)
class CanaryRow:
    """One grade of canaries, or the natural records."""

    name: str
    planted: str
    tpr: Figure
    reached: Figure
    excess: Figure
    auc: Figure
    grade: Figure
    bar: Bar | None


@dataclass(frozen=True)
class CanaryPart:
    """The rows, natural records first, the level of their intervals, the result of P4, and whether there are grades."""

    rows: list[CanaryRow]
    level: str
    told: str
    graded: bool


def section(result: View) -> CanaryPart | None:
    """The section on canaries, or None if none were planted."""
    planted = result["details"].get("canaries")
    if not planted:
        return None
    attack = result["verdict"]["attack"]
    natural = find(result, attack, "tpr", fpr=leading(result), threshold=CALIBRATED)
    fpr = reached_by(result, natural)
    own = [(one, _as_row(one, ("tpr", "low", "high"))) for one in planted]
    scale = figures.scale_of([natural, *(row for _, row in own)])
    candidates = words.count(result["data"]["candidates"], "record")
    first = CanaryRow(
        "natural records", candidates, figures.rate(natural, fpr), figures.reached(natural, fpr),
        _natural(natural, fpr), figures.auc(find(result, attack, "auc")), _natural_grade(result),
        figures.bar(natural, scale),
    )  # fmt: skip
    gate = next((gate["message"] for gate in result["gates"] if gate["id"] == "P4"), "")
    level = words.percent(planted[0]["level"])
    rows = [first, *(_row(one, row, scale) for one, row in own)]
    return CanaryPart(rows, level, gate, any(row.grade.ok for row in rows))


def _natural_grade(result: View) -> Figure:
    """The grade of the natural records under the headline attack; older results have none."""
    preset = find(result, result["verdict"]["attack"], "log_mia", regime="preset")
    return Figure("", ok=False) if preset is None else grade(vars(preset))


def _as_row(grade: View, names: tuple[str, str, str]) -> Row:
    """A number of a grade as a row."""
    value, low, high = (grade.get(name) for name in names)
    return Row(
        "", "", "", "none", grade["attack"], names[0], conditions={"fpr": grade["fpr"]}, value=value, low=low,
        high=high, level=grade["level"], method=grade["method"], status=grade["status"], reason=grade["reason"],
    )  # fmt: skip


def _row(row: View, tpr: Row, scale: float) -> CanaryRow:
    """The row of one grade."""
    copies = "once" if row["copies"] == 1 else f"{row['copies']} times"
    ok = row["status"] == "ok"
    return CanaryRow(
        name=f"{row['kind']}, {copies}",
        planted=f"{row['n']:,} canaries",
        tpr=figures.rate(tpr, _as_row(row, ("fpr_reached", "fpr_low", "fpr_high"))),
        reached=_unused_rate(row) if ok else Figure("", ok=False),
        excess=_excess(row),
        auc=figures.auc(_as_row(row, ("auc", "auc_low", "auc_high"))),
        grade=grade(row),
        bar=figures.bar(tpr, scale),
    )


def _unused_rate(row: View) -> Figure:
    """Rate at which a grade is called where it was not used; results of older releases have no interval for it."""
    if row.get("fpr_low") is None:
        return Figure(words.percent(row["fpr_reached"]))
    return Figure(words.percent(row["fpr_reached"]), words.percent_range(row["fpr_low"], row["fpr_high"]))


def _excess(row: View) -> Figure:
    """Difference that use makes to the calls of a grade, in percentage points; older results lack it."""
    if row.get("excess") is None:
        return Figure("", ok=False)
    value, low, high = (f"{100 * row[key]:.1f}" for key in ("excess", "excess_low", "excess_high"))
    return Figure(f"{value} points", f"{low} to {high}")


def _natural(row: Row | None, fpr: Row | None) -> Figure:
    """The excess of natural records, without an interval, which P4 gives."""
    if row is None or fpr is None or fpr.value is None or row.value is None:
        return Figure("", ok=False)
    return Figure(f"{100 * (row.value - fpr.value):.1f} points")
