"""The page's section on planted canaries: one row per grade beside the natural records. Measures nothing."""

from __future__ import annotations

from dataclasses import dataclass

from dosimeter.results import figures, words
from dosimeter.results.figures import CALIBRATED, Bar, Figure, Row, find, leading


@dataclass(frozen=True)
class CanaryRow:
    """One grade of canaries, or the natural records."""

    name: str
    planted: str
    tpr: Figure
    reached: Figure
    excess: Figure
    auc: Figure
    bar: Bar | None


@dataclass(frozen=True)
class CanaryPart:
    """The rows, natural records first, the level of their intervals, and the result of P4."""

    rows: list[CanaryRow]
    level: str
    told: str


def section(result: Row) -> CanaryPart | None:
    """The section on canaries, or None if none were planted."""
    planted = result.get("canaries")
    if not planted:
        return None
    attack = result["verdict"]["attack"]
    natural = find(result, attack, "tpr", fpr=leading(result), threshold=CALIBRATED)
    own = [{**row, "value": row["tpr"]} for row in planted]
    scale = figures.scale_of([natural, *own])
    candidates = words.count(result["data"]["candidates"], "record")
    first = CanaryRow(
        "natural records", candidates, figures.rate(natural), figures.reached(natural), _natural(natural),
        figures.auc(find(result, attack, "auc")), figures.bar(natural, scale),
    )  # fmt: skip
    gate = next((gate["message"] for gate in result["gates"] if gate["id"] == "P4"), "")
    return CanaryPart([first, *(_row(row, scale) for row in own)], words.percent(planted[0]["level"]), gate)


def _row(row: Row, scale: float) -> CanaryRow:
    """The row of one grade."""
    copies = "once" if row["copies"] == 1 else f"{row['copies']} times"
    ok = row["status"] == "ok"
    ranked = {**row, "value": row["auc"], "low": row["auc_low"], "high": row["auc_high"]}
    return CanaryRow(
        name=f"{row['kind']}, {copies}",
        planted=f"{row['n']:,} canaries",
        tpr=figures.rate(row),
        reached=_unused_rate(row) if ok else Figure("", ok=False),
        excess=_excess(row),
        auc=figures.auc(ranked),
        bar=figures.bar(row, scale),
    )


def _unused_rate(row: Row) -> Figure:
    """Rate at which a grade is called where it was not used; results of older releases have no interval for it."""
    if row.get("fpr_low") is None:
        return Figure(words.percent(row["fpr_reached"]))
    return Figure(words.percent(row["fpr_reached"]), words.percent_range(row["fpr_low"], row["fpr_high"]))


def _excess(row: Row) -> Figure:
    """Difference that use makes to the calls of a grade, in percentage points; older results lack it."""
    if row.get("excess") is None:
        return Figure("", ok=False)
    value, low, high = (f"{100 * row[key]:.1f}" for key in ("excess", "excess_low", "excess_high"))
    return Figure(f"{value} points", f"{low} to {high}")


def _natural(row: Row | None) -> Figure:
    """The excess of natural records, without an interval, which P4 gives."""
    if row is None or row.get("fpr_reached") is None or row["value"] is None:
        return Figure("", ok=False)
    return Figure(f"{100 * (row['value'] - row['fpr_reached']):.1f} points")
