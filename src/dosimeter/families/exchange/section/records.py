"""The part of the page of a threat about records, from a threat of `result.json`. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.exchange.section.framed import Frame, dose_of
from dosimeter.families.exchange.section.section import box_of, named, trains, transfer_of, watches
from dosimeter.families.exchange.sentences.first_page import who
from dosimeter.families.exchange.sentences.records import BADGES
from dosimeter.results import figures, words
from dosimeter.results.figures import NOTHING, Figure
from dosimeter.results.page.section import Section
from dosimeter.results.rows import DOSE, Row
from dosimeter.results.views import View

GLOSSARY = (
    ("Joint training", "Organisations train one model together; no record leaves its owner, but messages do."),
    ("Trunk", "The layers that all share. Each organisation has a last layer of its own, which is not sent."),
    ("Victim", "The organisation whose batches are the secret here."),
    ("Batch", "The records of one message of the victim."),
    (
        "Gradient",
        "By how much each weight of the trunk should change for a batch. With two parties, each can work out the "
        "other's from how the trunk moves.",
    ),
    (
        "Made again",
        "A record for which an attack has one that is almost the same: the mean squared error of its numbers is below "
        "a thousandth for pictures, and for others below a hundredth of the spread of each number.",
    ),
    (
        "Picked out",
        "Each record of a batch is hidden among records of its class from the other batches; the one that is nearest "
        "to something that the attack made of the batch is taken for it.",
    ),
    ("Place", "The share of these other records that are further from what the attack made; 0.5 by chance."),
    (
        "PSNR",
        "How near a picture is to the true one, in decibels: above 25 it is hard to tell them apart, and about 10 to "
        "13 is what the mean picture has.",
    ),
)  # fmt: skip
NULL_AUDIT = (
    "Where nothing is to be found",
    "The same attacks, judged by records that were in none of the batches: they must be at chance.",
)
CONTENTS = (("adversary", "Adversary"), ("records", "Records"), ("transfer", "Transfer"))
FRAME = Frame("records_", BADGES, CONTENTS, GLOSSARY, NULL_AUDIT)
COLUMNS = ("recovered", "identified", "record_place", "psnr", "mse", DOSE)


def records_section(result: View) -> Section:
    """The part of the page of a threat about records.

    Args:
        result: a threat of a valid result.json, without the rows of its variants.
    """
    names, told = {one["id"]: named(one) for one in result["attacks"]}, result["adversary"]
    settles = f"which of {told['batches']} {words.plural(result['noun'])} of a class was in a batch"
    context = {
        "box": _box(result), "dose": dose_of(result, noun=result["noun"], settles=settles), "facts": _facts(result),
        "lines": _lines(result, names), "transfer": transfer_of(result), "columns": _columns(result),
        "pictures": _pictures(result, names),
    }  # fmt: skip
    leads = ("recovered", {"channel": result["details"]["headline"]["channel"]}, "Records made again")
    return FRAME.section(result, names, context, who=who(told), leads=leads)


def _box(result: View) -> dict[str, str] | None:
    """The two ends of the share that is picked out, and what it is by chance."""
    chance = result["details"]["headline"]["chance"]
    box = box_of(result, chance)
    return None if box is None else {**box, "chance": words.percent(chance)}


def _facts(result: View) -> list[tuple[str, str]]:
    """Who trains, who watches, what they hold, each with a sentence."""
    data, told = result["data"], result["adversary"]
    nouns = words.plural(result["noun"])
    size = told["batch_size"] * told["local_steps"]
    each = words.count(told["targets"], "training")
    head = " and the victim's last layer with its gradient, as if it were shared too" if told["head"] == "seen" else ""
    return [
        ("Who trains", trains(result)),
        ("Who watches", watches(result)),
        ("What they hold", f"All messages that they sent or received{head}, and {data['auxiliary']:,} {nouns}."),
        (
            "The secret",
            f"The {nouns} in {told['batches']} batches of {size} of {told['victim']}, spread over {told['steps']:,} "
            f"steps. {each}. The batches share no {result['noun']} and have equal classes, so that classes tell "
            "nothing of which is which.",
        ),
    ]


def _columns(result: View) -> list[tuple[str, str]]:
    """Metrics of the table with their heads."""
    nearness = ("psnr", "PSNR (dB)") if result["data"]["pictures"] else ("mse", "MSE")
    return [
        ("recovered", "Made again"), ("identified", "Picked out"), ("record_place", "Place"), nearness,
        (DOSE, "Dose (bits)"),
    ]  # fmt: skip


def _lines(result: View, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """A line for each attack."""
    shown = {one["attack"]: one["shown"] for one in result["details"]["tests"]}
    lines = []
    for one in result["attacks"]:
        if one["reason"]:
            continue
        rows = {metric: figures.find(result, one["id"], metric) for metric in COLUMNS}
        lines.append(
            {
                "name": names[one["id"]], "control": one["control"], "headline": one["headline"],
                "about": words.citation(one["paper"]), "yardstick": _yardstick(one),
                "shown": "" if one["id"] not in shown else "shown" if shown[one["id"]] else "not shown",
                "recovered": figures.rate(rows["recovered"]), "identified": figures.rate(rows["identified"]),
                "record_place": figures.auc(rows["record_place"]), "psnr": _number(rows["psnr"], 1),
                "mse": _number(rows["mse"], 3), DOSE: NOTHING if rows[DOSE] is None else figures.bits(rows[DOSE]),
            }
        )  # fmt: skip
    return lines


def _yardstick(one: Mapping[str, Any]) -> str:
    """What an attack is that reads no messages, or makes no record."""
    if one["control"]:
        return "control, must be at chance"
    if one.get("reference"):
        return "yardstick: the mean record"
    return "features, not records" if one["makes"] == "features" else ""


def _number(row: Row | None, digits: int) -> Figure:
    """A number with its interval, as a figure."""
    if row is None or row.status != "ok":
        return NOTHING
    value, low, high = row.ends
    return Figure(f"{value:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}")


def _pictures(result: View, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of pictures; none unless the audit asks for them."""
    found = result["details"]["pictures"]
    if found is None:
        return []
    plain = f"{words.plural(result['noun'])} of the first batch"
    return [{"title": names[one["attack"]] if one["attack"] else plain, "png": one["png"]} for one in found["rows"]]
