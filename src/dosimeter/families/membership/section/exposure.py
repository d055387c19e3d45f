"""The page's section on exposure: highest ends, a distribution, lists that are ranked apart. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from dosimeter.results import figures, words
from dosimeter.results.figures import Figure
from dosimeter.results.page import plots
from dosimeter.results.rows import Row
from dosimeter.results.views import View
from dosimeter.results.words import plural

ORDER = ("persons", "records", "groups")
ABSENT = Figure("not measured", ok=False)
RANKED = {
    "apart": "One half of the trainings ranks; its adversary had no shadow from the other half, which figures. Both "
    "ways are averaged.",
    "as_given": "One half of the targets ranks and the other figures. The scores were given: if each target's scores "
    "used other targets as shadows, the lists look more exposed than they are.",
    "none": "No list: the attack was not made on one half of the trainings alone, which has too few shadows for it.",
}


@dataclass(frozen=True)
class Highest:
    """The most exposed unit of one kind.

    Attributes:
        kind: what the units are, with how many.
        low: lower end, "shown at least".
        high: upper end, "not excluded up to".
        named: how often the most exposed one was recognised when used.
        unused: how often the most exposed one was recognised when not used.
        shown: how many are shown to be exposed.
    """

    kind: str
    low: str
    high: str
    named: str
    unused: str
    shown: str


@dataclass(frozen=True)
class Listed:
    """A list of the most exposed, ranked by one half of the trainings."""

    name: str
    used: Figure
    unused: Figure
    in_half: str
    average: str


@dataclass(frozen=True)
class Lists:
    """All lists of one kind of unit, and whether the halves agree."""

    kind: str
    rows: list[Listed]
    ranked: str
    stability: str


@dataclass(frozen=True)
class ExposurePart:
    """Content of the section; only `reason` if nothing is measurable."""

    first: str
    reason: str
    models: str
    level: str
    highest: list[Highest]
    lists: list[Lists]
    figures: list[tuple[str, Markup]]
    once: str
    persons: list[tuple[str, Figure]]


def section(result: View) -> ExposurePart | None:
    """The section on exposure, or None for a result of an earlier release."""
    found = result["details"].get("exposure")
    if not found:
        return None
    level = words.percent(found["level"])
    if found["status"] != "ok":
        return ExposurePart("", found["reason"], "", level, [], [], [], "", [])
    noun = str(result["noun"])
    kinds = [(name, found[name]) for name in ORDER if found[name] is not None]
    units = [(_noun(name, noun), part) for name, part in kinds if name != "groups"]
    return ExposurePart(
        first=found["first"] if result["verdict"]["status"] in ("shown", "not_shown") else "",
        reason="",
        models=words.count(found["models"], "training"),
        level=level,
        highest=[_highest(_noun(name, noun), part) for name, part in kinds],
        lists=[_lists(word, part) for word, part in units],
        figures=[(_noun(name, noun), _figure(part, name[:-1])) for name, part in kinds if name != "groups"],
        once=_once(units[0][1]["once"]),
        persons=list(_person_attack(units[0][1]["attack"], result)),
    )


def _noun(kind: str, noun: str) -> str:
    """The noun for one unit."""
    return noun if kind == "records" else kind.removesuffix("s")


def _count(n: int, noun: str) -> str:
    """A number with a noun that the user chose."""
    return f"{n:,}{words.SPACE}{plural(noun, n)}"


def _highest(noun: str, part: View) -> Highest:
    """One row of the table of highest exposures."""
    top = part["highest"]
    shown, spread = part.get("shown"), top["high"] - top["low"]
    return Highest(
        kind=_count(part["n"], noun),
        low=words.percent(top["low"], spread=spread, away="down") if top["low"] else _nothing(part),
        high=words.percent(top["high"], spread=spread, away="up"),
        named=_share(top["value"]),
        unused=_share(top["unused"]),
        shown="" if shown is None else f"{shown:,} of {part['n']:,}",
    )


def _nothing(part: View) -> str:
    """Text for a lower end of 0, also where all units were recognised but there are too few trainings."""
    every = part.get("always", 0) == part["n"] and not part.get("always_unused", 0)
    return "not told by so few trainings" if every else "nothing shown"


def _share(value: float | None) -> str:
    """A share as text, or a remark that there is none."""
    return "not known" if value is None else words.percent(value)


def _lists(noun: str, part: View) -> Lists:
    """The lists of one kind of unit."""
    rows = [
        Listed(
            name=f"the most exposed {noun}" if row["n"] == 1 else f"the {row['n']:,} most exposed {plural(noun)}",
            used=_measure(row, "other_half", "low", "high"),
            unused=_measure(row, "unused", "unused_low", "unused_high"),
            in_half=_share(row["in_half"]),
            average=_share(row["average"]),
        )
        for row in part["top"]
    ]
    stable, told = part["stability"], ""
    if stable:
        told = (
            f"The two halves' lists of {_count(stable['n'], noun)} share {words.percent(stable['jaccard'])} of "
            f"their entries (Jaccard); lists drawn by chance would share {words.percent(stable['chance'])}."
        )
        if stable["spearman"] is not None:
            told += f" Rank correlation of all: {stable['spearman']:.2f}."
    return Lists(plural(noun), rows, RANKED[part["ranking"]], told)


def _measure(row: View, value: str, low: str, high: str) -> Figure:
    """A share with its interval, as a figure."""
    if row[value] is None:
        return ABSENT
    return Figure(words.percent(row[value], spread=row[high] - row[low]), words.percent_range(row[low], row[high]))


def _once(once: View | None) -> str:
    """Text: how often at least one record of a person is recognised."""
    if not once:
        return ""
    return (
        f"At least one of a person's used records was recognised in {words.percent(once['used'])} of all cases; at "
        f"least one of the unused ones in {words.percent(once['unused'])}."
    )


def _person_attack(attack: View | None, result: View) -> Iterator[tuple[str, Figure]]:
    """Text about the attack on whole persons."""
    if attack:
        rows = {name: _row(attack[name], result) for name in ("auc", "tpr", "reached")}
        yield "AUC", figures.auc(rows["auc"])
        yield f"Persons recognised at {words.percent(attack['fpr'])} false accusations", figures.rate(rows["tpr"])
        yield "False accusations reached", figures.rate(rows["reached"])


def _row(number: View, result: View) -> Row:
    """A number of the details as a row."""
    return Row(str(result["id"]), str(result["family"]), str(result["at_risk"]), "none", None, "persons", **number)


def _figure(part: View, kind: str) -> Markup:
    """The distribution of exposure over units; it shows the fixed word `kind`, never a word of the user's.

    A person with several records is recognised in part: the share is of used records, not of trainings.
    """
    bars = part["distribution"]
    if not sum(bars["used"]) or not sum(bars["unused"]):
        return Markup("")
    drawn = {"edges": bars["edges"], "members": bars["used"], "nonmembers": bars["unused"]}
    axis = "mean share of their records recognised" if kind == "person" else "share of trainings that recognise it"
    axes = (axis, f"share of {kind}s")
    return Markup(plots.histogram(drawn, title=f"How often each {kind} is recognised", labels=axes, shares=True))
