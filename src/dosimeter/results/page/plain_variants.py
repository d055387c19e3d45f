"""Variants of a family that has no leading false positive rate: each with the number that its family leads with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dosimeter.results import words
from dosimeter.results.figures import NOTHING, Figure, bits, find, rate
from dosimeter.results.page.section import Section
from dosimeter.results.page.sweeps import Swept, sweep
from dosimeter.results.page.variants import about, points
from dosimeter.results.rows import DOSE, Row, exact, figure
from dosimeter.results.views import View

PERTURBED = "perturbed_accuracy"
"""Metric of the accuracy under small changes of the records."""


@dataclass(frozen=True)
class PlainLine:
    """One model: how well it does its task, and what its strongest attack reaches.

    Attributes:
        name: id of the variant; empty for the audit itself.
        about: what was changed.
        failed: why it has no figures, or empty.
        accuracy: on the split of the table.
        change: of the accuracy, in points.
        attack: the strongest.
        leads: the number that the family leads with.
        gap: its paired difference to the audit itself.
        dose: of the same attack.
        perturbed: accuracy under small changes of the records.
        perturbed_change: of it, in points.
    """

    name: str
    about: str
    failed: str = ""
    accuracy: Figure = NOTHING
    change: Figure = NOTHING
    attack: str = ""
    leads: Figure = NOTHING
    gap: Figure = NOTHING
    dose: Figure = NOTHING
    perturbed: Figure = NOTHING
    perturbed_change: Figure = NOTHING


@dataclass(frozen=True)
class Chosen:
    """The recommended variant.

    Attributes:
        name: its id.
        change: of the leading number.
        cost: change of the accuracy.
        told: how it was chosen.
        shown: whether it is shown to leak less.
    """

    name: str
    change: Figure
    cost: Figure
    told: str
    shown: bool


@dataclass(frozen=True)
class PlainTable:
    """The lines, with what stands above and below them.

    Attributes:
        rows: the lines.
        split: of accuracies, in words.
        heading: of the leading number.
        epsilon: size of the small changes, in words; empty where no accuracy under them was measured.
        weakened: names of the variants whose models leak less and also stay right less often under small changes.
        chosen: which variant to take, on records that had no part in its choice; None where none was chosen.
        swept: leak against gain where variants change one setting step by step; None where none does.
    """

    rows: Sequence[PlainLine]
    split: str
    heading: str
    epsilon: str
    weakened: Sequence[str]
    chosen: Chosen | None
    swept: Swept | None = None


def table(view: View, section: Section) -> PlainTable | None:
    """The table of variants; None without variants, or for a family that has a leading rate.

    Args:
        view: one threat of a result, with the rows of its variants.
        section: what its family puts on the page.
    """
    if section.leads is None or not view["variants"]:
        return None
    split = "test" if any(row.conditions.get("split") == "test" for row in view["utility"]) else "nonmember"
    itself = {"id": "none", "status": "ok", "attack": view["verdict"]["attack"]}
    entries = [itself, *view["variants"]]
    rows = [_line(view, entry, split, section) for entry in entries]
    sizes = [float(row.conditions["epsilon"]) for row in view["utility"] if row.metric == PERTURBED]
    largest = exact("share", max(sizes)) if sizes else ""
    weakened = [str(entry["id"]) for entry in entries if _weakened(view, entry, section)]
    chosen, swept = _chosen(view), sweep(view, section)
    return PlainTable(rows, words.SPLITS[split], section.leads[2], largest, weakened, chosen, swept)


def _chosen(view: View) -> Chosen | None:
    """The variant that its family recommends, from its two rows."""
    found = {row.metric: row for row in view["estimates"] if row.metric in ("chosen_change", "chosen_cost") and row.ok}
    if len(found) < 2:
        return None
    change, cost = found["chosen_change"], found["chosen_cost"]
    plain = [_change(replace(one, reason="")) for one in (change, cost)]
    return Chosen(change.variant, plain[0], plain[1], change.reason, change.ends[2] < 0)


def _line(view: View, entry: Mapping[str, Any], split: str, section: Section) -> PlainLine:
    """One line."""
    assert section.leads is not None
    (metric, conditions, _), told = section.leads, about(entry)
    if entry["status"] != "ok":
        return PlainLine(entry["id"], told, failed=entry["reason"] or "no reason was given")
    of = {kind: [row for row in view[kind] if row.variant == entry["id"]] for kind in ("estimates", "utility")}
    own = {**view, "estimates": [replace(row, variant="none") for row in of["estimates"]]}
    fits = {row.metric: row for row in reversed(of["utility"]) if row.conditions.get("split") == split}
    attack = entry["attack"]
    return PlainLine(
        name="" if entry["id"] == "none" else entry["id"],
        about=told,
        accuracy=rate(fits.get("accuracy")),
        change=points(fits.get("accuracy_change")),
        attack=section.names.get(str(attack), "no attack"),
        leads=rate(find(own, attack, metric, **conditions)),
        gap=_change(find(own, attack, f"{metric}_change", **conditions)),
        dose=bits(find(own, attack, DOSE)),
        perturbed=rate(_perturbed(of["utility"], PERTURBED)),
        perturbed_change=points(_perturbed(of["utility"], f"{PERTURBED}_change")),
    )


def _perturbed(rows: Sequence[Row], metric: str) -> Row | None:
    """The number under the largest of the small changes."""
    found = [row for row in rows if row.metric == metric]
    return max(found, key=lambda row: float(row.conditions["epsilon"]), default=None)


def _weakened(view: View, entry: Mapping[str, Any], section: Section) -> bool:
    """Returns whether a variant is shown to leak less, and also to stay right less often under small changes."""
    assert section.leads is not None
    metric, conditions, _ = section.leads
    rows = [row for kind in ("estimates", "utility") for row in view[kind] if row.variant == entry["id"]]
    own = {**view, "estimates": [replace(row, variant="none") for row in rows]}
    found = (
        find(own, entry.get("attack"), f"{metric}_change", **conditions),
        _perturbed(rows, f"{PERTURBED}_change"),
    )
    return all(row is not None and row.ok and row.ends[2] < 0 for row in found)


def _change(row: Row | None) -> Figure:
    """A paired difference in its unit, with a remark on what is compared."""
    if row is None or not row.ok:
        return Figure("", ok=False)
    value, low, high = (figure(row.unit, end) for end in row.ends)
    return Figure(value, f"{low.removesuffix(' points')} to {high}", row.reason)
