"""Cost and effect of defenses and other settings: the audit itself and each variant, as rows and as points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from dosimeter.results import words
from dosimeter.results.figures import (
    CALIBRATED,
    NOTHING,
    Bar,
    Figure,
    auc,
    bar,
    bits,
    find,
    leading,
    rate,
    reached_by,
    scale_of,
)
from dosimeter.results.page import plots
from dosimeter.results.rows import DOSE, LOG_MIA, Row
from dosimeter.results.views import View

PLACES = {"chain": "trained otherwise", "adversary": "the adversary knows this too"}
"""Words for the part of an audit that a change of settings concerns."""
STOPPED = "early_stopping"
"""Name of the defense that only trains less; other defenses must beat it at equal accuracy."""


@dataclass(frozen=True)
class VariantLine:
    """One model: its defense, its accuracy, and the result of its strongest attack.

    Attributes:
        number: number of its point in the figure.
        name: name of the defense; empty without any.
        about: its settings, place and paper.
        failed: why it has no figures, or empty.
        accuracy: accuracy on the split of the table.
        change: change of the accuracy, percentage points.
        attack: the strongest, chosen in its own calibration.
        tpr: TPR at the leading rate.
        bar: strip of the TPR.
        auc: AUC of the same attack.
        gap: difference of the AUC to that of the audit itself.
        dose: dose of the same attack.
        grade: grade of the same attack, which is ours, by its threshold that was set beforehand.
        canary: rate of the worst canaries, and which they are.
        matched: comparison at equal accuracy.
    """

    number: int
    name: str
    about: str = ""
    failed: str = ""
    accuracy: Figure = NOTHING
    change: Figure = NOTHING
    attack: str = ""
    tpr: Figure = NOTHING
    bar: Bar | None = None
    auc: Figure = NOTHING
    gap: Figure = NOTHING
    dose: Figure = NOTHING
    grade: Figure = NOTHING
    canary: Figure = NOTHING
    matched: str = ""


@dataclass(frozen=True)
class VariantTable:
    """The rows, with the words and the figure around them.

    `settings`: some variant is no defense; `dosed`, `graded`: doses, and grades, are told.
    """

    rows: list[VariantLine]
    split: str
    scale: str
    canaries: bool
    figure: Markup
    settings: bool
    dosed: bool
    graded: bool


@dataclass(frozen=True)
class _Model:
    """The rows of one model in a result."""

    entry: Mapping[str, Any]
    accuracy: Row | None
    change: Row | None
    tpr: Row | None
    reached: Row | None
    auc: Row | None
    gap: Row | None
    dose: Row | None
    graded: Row | None
    names: Mapping[str, str]


def table(view: View, names: Mapping[str, str]) -> VariantTable | None:
    """The table of variants; None if there are none.

    Args:
        view: one threat of a result, with the rows of its variants.
        names: names of the attacks by id.
    """
    listed = view["variants"]
    if not listed:
        return None
    split = "test" if any(row.conditions.get("split") == "test" for row in view["utility"]) else "nonmember"
    own = {"attack": view["verdict"]["attack"], "canaries": view["details"].get("canaries")}
    models = [_model(view, entry, split, names) for entry in [{"id": "none", "status": "ok", **own}, *listed]]
    scale = scale_of(one.tpr for one in models)
    baselines = [models[0], *(one for one in models if one.entry.get("defense") == STOPPED)]
    rows = [_row(number, one, baselines, scale) for number, one in enumerate(models)]
    canaries = any(one.canary.ok for one in rows)
    figure = _figure(models, split, leading(view))
    settings = any(not entry["defense"] for entry in listed)
    dosed, graded = (any(getattr(one, name) is not None for one in models) for name in ("dose", "graded"))
    return VariantTable(rows, words.SPLITS[split], words.percent(scale), canaries, figure, settings, dosed, graded)


def _model(view: View, entry: Mapping[str, Any], split: str, names: Mapping[str, str]) -> _Model:
    """The rows of a variant, or of the undefended model."""
    of = {kind: [row for row in view[kind] if row.variant == entry["id"]] for kind in ("estimates", "utility")}
    own = {**view, "estimates": [replace(row, variant="none") for row in of["estimates"]]}
    fits = {row.metric: row for row in reversed(of["utility"]) if row.conditions.get("split") == split}
    attack, fpr = entry.get("attack"), leading(view)
    tpr = find(own, attack, "tpr", fpr=fpr, threshold=CALIBRATED)
    return _Model(
        entry, fits.get("accuracy"), fits.get("accuracy_change"), tpr, reached_by(own, tpr), find(own, attack, "auc"),
        find(own, attack, "auc_change"), find(own, attack, DOSE), _graded(own, attack), names,
    )  # fmt: skip


def _graded(own: View, attack: str | None) -> Row | None:
    """The graded row of an attack."""
    rows = [row for row in own["estimates"] if row.metric == LOG_MIA and row.attack == attack and row.grade_shown]
    return rows[0] if rows else None


def _grade(row: Row | None) -> Figure:
    """Both ends of a grade."""
    if row is None:
        return Figure("", ok=False)
    return Figure(str(row.grade_shown), f"not excluded: {row.grade_not_excluded}")


def _row(number: int, model: _Model, baselines: Sequence[_Model], scale: float) -> VariantLine:
    """One row of the table."""
    entry = model.entry
    if entry["status"] != "ok":
        return VariantLine(number, entry["id"], about(entry), failed=entry["reason"] or "no reason was given")
    return VariantLine(
        number=number,
        name="" if entry["id"] == "none" else entry["id"],
        about=about(entry),
        accuracy=rate(model.accuracy),
        change=points(model.change),
        attack=model.names.get(str(entry["attack"]), "no attack"),
        tpr=rate(model.tpr, model.reached),
        bar=bar(model.tpr, scale),
        auc=auc(model.auc),
        gap=_gap(model.gap),
        dose=bits(model.dose),
        grade=_grade(model.graded),
        canary=_canary(entry.get("canaries") or ()),
        matched="" if model in baselines or entry.get("place") == "adversary" else _matched(model, baselines),
    )


def about(entry: Mapping[str, Any]) -> str:
    """Settings, place and paper of a defense, or the other change of a variant."""
    if entry["id"] == "none":
        return "as the audit file has it"
    settings = ", ".join(f"{key} {words.setting(value)}" for key, value in sorted(entry["settings"].items()))
    place = f"acts on the {entry['place']}" if entry["defense"] else PLACES.get(entry["place"], "")
    return " · ".join(part for part in (settings, place, words.citation(entry["paper"])) if part)


def _gap(row: Row | None) -> Figure:
    """Gain of the strongest attack over that on the audit itself."""
    if row is None or not row.ok:
        return Figure("", ok=False)
    value, low, high = (f"{end:+.3f}" for end in row.ends)
    return Figure(value, f"{low} to {high}")


def points(row: Row | None) -> Figure:
    """The change of an accuracy, in percentage points."""
    if row is None or not row.ok:
        return Figure("", ok=False)
    value, low, high = (f"{100 * end:+.1f}" for end in row.ends)
    return Figure(f"{value} points", f"{low} to {high}")


def _canary(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """The canaries that are recognised most by use; older results have no rate for unused ones."""
    measured = [row for row in rows if row.get("status", "ok") == "ok" and row.get("tpr") is not None]
    worst = max(measured, key=lambda row: (row.get("excess", 0.0), row["tpr"]), default=None)
    if worst is None:
        return Figure("", ok=False)
    copies = f", {words.number(worst['copies'])} copies" if worst["copies"] != 1 else ""
    unused = "" if worst.get("excess") is None else f", {words.percent(worst['fpr_reached'])} where not used"
    about = f"{worst['kind']}{copies}, n {words.number(worst['n'])}{unused}"
    return Figure(words.percent(worst["tpr"]), words.percent_range(worst["low"], worst["high"]), about)


def _matched(model: _Model, baselines: Sequence[_Model]) -> str:
    """Text that says whether a defense leaks less than less training does, at an accuracy within noise of its own."""
    equal = [one for one in baselines if one is not model and _overlap(model, one)]
    known = [(one.tpr.ends[0], one) for one in equal if one.tpr is not None and one.tpr.status == "ok"]
    if model.tpr is None or model.tpr.status != "ok" or not known:
        return "no undefended model of its accuracy to compare with" if not equal else "no rate to compare"
    best = min(known, key=lambda pair: pair[0])[1]
    name = "the undefended model" if best.entry["id"] == "none" else str(best.entry["id"])
    assert best.tpr is not None
    (_, low, high), (_, best_low, best_high) = model.tpr.ends, best.tpr.ends
    if high < best_low:
        return f"leaks less than {name}"
    if low > best_high:
        return f"leaks more than {name}"
    return f"not shown to leak less than {name}"


def _overlap(first: _Model, second: _Model) -> bool:
    """Returns whether two accuracies are within noise: their paired changes, 0 for the undefended model."""
    if first.accuracy is None or second.accuracy is None:
        return False
    ends = [(0.0, 0.0) if one.change is None else one.change.ends[1:] for one in (first, second)]
    return bool(ends[0][0] <= ends[1][1] and ends[1][0] <= ends[0][1])


def _figure(models: Sequence[_Model], split: str, fpr: float) -> Markup:
    """The figure of utility against leak; empty with fewer than two points."""
    points = [(number, *ends) for number, one in enumerate(models) for ends in _ends(one)]
    if len(points) < 2:
        return Markup("")
    labels = (
        f"accuracy (share of {'test records' if split == 'test' else 'unused records'})",
        f"members recognised at {words.percent(fpr)} false accusations",
    )
    return Markup(plots.scatter(points, labels=labels, title="Leak against accuracy of every variant"))


def _ends(model: _Model) -> Iterator[tuple[Any, ...]]:
    """Accuracy and rate of a model with their intervals, if it has both."""
    rows = [row for row in (model.accuracy, model.tpr) if row is not None and row.status == "ok"]
    if len(rows) == 2:
        yield (*rows[0].ends, *rows[1].ends)
