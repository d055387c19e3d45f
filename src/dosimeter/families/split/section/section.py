"""Split's part of the page, from a threat of `result.json`. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dosimeter.families.split.section.cuts import cut_table
from dosimeter.families.split.sentences.first_page import KNOWS, unmeasured
from dosimeter.families.split.sentences.first_page import badge as badge_of
from dosimeter.results import figures, words
from dosimeter.results.figures import NOTHING, Figure
from dosimeter.results.page import doses
from dosimeter.results.page.environment import environment
from dosimeter.results.page.section import Section
from dosimeter.results.rows import DOSE, Row
from dosimeter.results.views import View

GLOSSARY = (
    ("Cut", "The layer after which the device stops and the server goes on."),
    ("Features", "The numbers that cross the cut in place of the record."),
    ("Victims", "The records that pass through the model in this audit. No attack sees them, but only their features."),
    ("Lineup", "Some victims, one of each person. Which of them did an attack's reconstruction come from?"),
    (
        "Place",
        "The share of the other records of the lineup that a reconstruction is less similar to than to its own; 0.5 by "
        "chance.",
    ),
    (
        "SSIM",
        "How similar two pictures are in structure, from about 0 to 1 for the same picture. Below 0.3 people hardly "
        "recognise a picture, but a program may.",
    ),
    (
        "Class recognised",
        "Whether a classifier, which learned on the adversary's records and not on the model, names the right class of "
        "what an attack made. Answers alone often tell the class too.",
    ),
    ("AUC", "Of two people who differ in an attribute, how often an attack tells which is which; 0.5 by chance."),
    ("Answers alone", "What an attack finds in the model's answers, which the server learns wherever the cut lies."),
    ("Pareto set", "Cuts that no other cut beats: as good in everything and better in something."),
    (
        "dFIL",
        "Fisher information that noisy features have about a record, for each of its numbers. It bounds only attacks "
        "without bias; attacks that know what records look like do far better.",
    ),
    (
        "Leakage index",
        "Of what the inputs themselves would tell beyond the answers, the share that features tell; 0 is best.",
    ),
)  # fmt: skip
STEERED = (
    "They may decide what comes back to the device in training, in place of the gradients of its task. An attack that "
    "does so needs nothing of the first half; it trains it anew, on the records below. The others read the model that "
    "is trained by the protocol."
)
"""What a malicious server does, where the threat grants it."""
NULL_AUDIT = (
    "Where nothing is to be found",
    "The same attacks on victims that were exchanged with each other, with attributes by coin: they must be at chance.",
)
CONTENTS = (("adversary", "Adversary"), ("inputs", "Inputs"), ("attributes", "Attributes"), ("cuts", "Cuts"))
OF_INPUT = ("identified", "input_place", "recognised_class", "ssim", "psnr", "mse", DOSE)
INFORMATION = ("fisher_information", "mse_unbiased", "mse_predicted", "channel")
OF_ATTRIBUTE = ("attribute_auc", "attribute_accuracy", "leakage_index", DOSE)


def section(result: View) -> Section:
    """Split's part of the page.

    Args:
        result: a threat of a valid result.json, without the rows of its variants.
    """
    names = {one["id"]: f"{one['name']} {one['mode']}" if one["mode"] else one["name"] for one in result["attacks"]}
    judged = result["adversary"]["answers"] == "seen" and not unmeasured(result["details"].get("best", []))
    badge = badge_of(result["verdict"]["status"], judged=judged)
    context = {
        "result": result, "badge": badge, "box": _box(result), "dose": _dose(result), "facts": _facts(result),
        "inputs": _inputs(result, names), "attributes": _attributes(result, names), "cuts": cut_table(result, names),
        "releases": result["details"]["releases"], "information": _information(result),
        "refused": [(names[one["id"]], one["reason"]) for one in result["attacks"] if one["reason"]],
        "pictures": _pictures(result, names), "recogniser": _recogniser(result),
        "in_training": _in_training(result),
    }  # fmt: skip
    templates = environment(Path(__file__).with_name("templates"))
    first, body = (Markup(templates.get_template(f"{name}.html.j2").render(context)) for name in ("first", "body"))
    headline = result["details"]["headline"]
    condition = {"top": 1} if headline["attribute"] is None else {"attribute": headline["attribute"]}
    heading = "Inputs picked out" if headline["attribute"] is None else f"AUC of {headline['attribute']}"
    return Section(
        what="Split audit",
        badge=badge,
        first=first,
        names=names,
        body=body,
        contents=tuple(one for one in CONTENTS if one[0] != "attributes" or context["attributes"]),
        glossary=GLOSSARY,
        who=f"Somebody who sees what leaves the device and {KNOWS[result['adversary']['knows']]}",
        null_audit=NULL_AUDIT,
        leads=(headline["metric"], {**condition, "cut": result["details"]["headline_cut"]}, heading),
    )


def _box(result: View) -> dict[str, str] | None:
    """The two ends of the headline's number; None where none is to be quoted."""
    if result["verdict"]["status"] in ("withdrawn", "not_resolvable"):
        return None
    found = result["details"]["headline"]
    spread = found["high"] - found["low"]
    shown = result["verdict"]["status"] == "shown" and found["low"] > found["chance"]
    first = ("Shown at least", found["low"], "down") if shown else ("Seen", found["value"], None)
    what = (
        "Inputs picked out of the lineup" if found["attribute"] is None else f"Pairs told apart by {found['attribute']}"
    )
    return {
        "first_label": first[0],
        "first": words.percent(first[1], spread=spread, away=first[2]),  # type: ignore[arg-type]
        "second": words.percent(found["high"], spread=spread, away="up"),
        "what": what,
        "chance": words.percent(found["chance"]),
        "level": words.percent(found["level"]),
        "method": found["method"],
        "cut": result["details"]["headline_cut"],
    }


def _dose(result: View) -> str:
    """The dose in words; empty where no number is to be quoted."""
    if _box(result) is None or result["dose"] is None:
        return ""
    attribute, shown = result["details"]["headline"]["attribute"], result["verdict"]["status"] == "shown"
    settles = (
        f"which of {result['data']['lineup']} records crossed the cut"
        if attribute is None
        else f"the value of {attribute}"
    )
    return doses.sentences(result["dose"], noun=result["noun"], settles=settles, shown=shown)


def _facts(result: View) -> list[tuple[str, str]]:
    """The adversary, the records and the model, each with a sentence."""
    data, adversary = result["data"], result["adversary"]
    nouns = words.plural(result["noun"])
    labels = adversary["labels"]
    known = "" if not adversary["attributes"] else (
        f" Of {'all' if labels is None else f'{labels:,}'} of them they know {', '.join(adversary['attributes'])}."
    )  # fmt: skip
    often = (
        "" if adversary["repeats"] == 1 else f" Each is sent {adversary['repeats']:,} times, and they take the mean."
    )
    persons = "" if data["persons"] is None else f" of {words.count(data['persons'], 'person')}"
    return [
        (
            "What they see",
            "Somebody who sees the numbers that cross the cut, "
            + ("and the model's answers." if adversary["answers"] == "seen" else "but no answers of the model."),
        ),
        ("What they know", f"Somebody who {KNOWS[adversary['knows']]}."),
        *([("What they do", STEERED)] if adversary.get("active") else []),
        ("What they hold", f"{data['auxiliary']:,} {nouns} of others.{known}"),
        ("Whose records", f"{data['records']:,} {nouns}{persons} that pass through the model.{often}"),
        ("Which model", _model(result)),
    ]


def _model(result: View) -> str:
    """The model in a sentence."""
    trained, nouns = result["data"]["trained"], words.plural(result["noun"])
    if result["door"] == "transcript":
        return "A model elsewhere, whose traffic was recorded."
    if result["door"] == "model":
        on = "" if trained is None else f", and {trained:,} of its training {nouns}"
        return f"A model that was supplied{on}."
    return (
        f"{words.count(result['adversary']['targets'], 'model')} of stage {result['at_risk']}, trained on {trained:,} "
        f"{nouns}."
    )


def _number(row: Row | None, digits: int) -> Figure:
    """A plain number with its interval, as a figure."""
    if row is None or row.status != "ok":
        return figures.rate(row)
    value, low, high = row.ends
    return Figure(f"{value:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}")


SHOWN: Mapping[str, Callable[[Row | None], Figure]] = {
    "identified": figures.rate, "recognised_class": figures.rate, "input_place": figures.auc,
    "attribute_auc": figures.auc, "attribute_accuracy": figures.rate, "leakage_index": figures.rate, DOSE: figures.bits,
    "ssim": lambda row: _number(row, 2), "psnr": lambda row: _number(row, 1), "mse": lambda row: _number(row, 4),
}  # fmt: skip


def _figures(result: View, attack: str, metrics: tuple[str, ...], **where: Any) -> dict[str, Figure]:
    """Numbers of one attack at one cut."""
    found = {}
    for metric in metrics:
        own = {**where, **({"top": 1} if metric == "identified" else {})}
        if metric == DOSE and "attribute" not in own:
            own["attribute"] = None
        row = figures.find(result, attack, metric, **own)
        found[metric] = NOTHING if row is None else SHOWN[metric](row)
    return found


def _blocks(result: View, names: Mapping[str, str], goal: str, metrics: tuple[str, ...], **where: Any) -> list[Any]:
    """One block for each cut, then one for the yardsticks; each with a line for each attack."""
    own = [one for one in result["attacks"] if one["goal"] == goal and not one["reason"]]
    blocks = []
    for title, cut in [*((f"Cut after “{cut}”", cut) for cut in result["adversary"]["cuts"]), ("For comparison", None)]:
        lines = [
            {
                "name": names[one["id"]], "control": one["control"], "yardstick": _yardstick(one, answers),
                "headline": one["headline"] and not answers and cut == result["details"]["headline_cut"],
                "about": words.citation(one["paper"]),
                "numbers": _figures(
                    result, one["id"], metrics, cut=cut, **where,
                    reads="answers" if answers and cut is not None else None,
                ),
            }
            for answers in (False, True)
            for one in own
            if _stands(result, one, cut, answers)
        ]  # fmt: skip
        if lines:
            blocks.append({"title": title, "lines": lines})
    return blocks


def _stands(result: View, one: Mapping[str, Any], cut: str | None, answers: bool) -> bool:
    """Returns whether an attack's numbers belong to a block; behind defenses of the cut each has answers of its own."""
    if answers and (one["reads"] != "features" or not one.get("counterpart")):
        return False
    of_answers = answers or one["reads"] == "answers"
    at_cuts = bool(result["details"]["releases"]) if of_answers else one["reads"] == "features"
    return at_cuts == (cut is not None)


def _yardstick(one: Mapping[str, Any], answers: bool) -> str:
    """What an attack is that reads no features, or of which no finding is made."""
    if one["control"]:
        return "control, must be at chance"
    if answers:
        return "the same attack on answers alone"
    if not one.get("adaptive", True):
        return "naive: learned without the defense"
    if one["reads"] == "features":
        if one.get("active"):
            return "decides what comes back in training"
        return "yardstick: no finding is made of it" if one.get("reference") else ""
    return {"answers": "answers alone", "inputs": "the inputs themselves"}.get(one["reads"], "")


def _inputs(result: View, names: Mapping[str, str]) -> list[Any]:
    """Attacks on the input by cut."""
    return _blocks(result, names, "input", OF_INPUT)


def _attributes(result: View, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Attacks on each attribute by cut."""
    return [
        {
            "name": one["name"], "values": ", ".join(one["values"]),
            "blocks": _blocks(result, names, "attribute", OF_ATTRIBUTE, attribute=one["name"]),
        }
        for one in result["details"]["attributes"]
    ]  # fmt: skip


def _recogniser(result: View) -> str:
    """How often the classifier is right about the true inputs, in words; empty without one."""
    found = result["details"]["recogniser"]
    if found is None:
        return ""
    share = words.percent(found["value"], spread=found["high"] - found["low"])
    return (
        f"“Class recognised”: a classifier that learned on the adversary's {words.plural(result['noun'])} names the "
        f"class of {share} of the true ones."
    )


def _in_training(result: View) -> list[str]:
    """What the adversaries of the training can do at its end beside fresh ones, a sentence for each aim."""
    found = []
    for one in result["details"]["in_training"]:
        told, name = ("AUC", one["attribute"]) if one["metric"] == "attribute_auc" else ("error (MSE)", "the input")
        digits = 3 if told == "AUC" else 4
        fresh = "" if one["fresh"] is None else f" The strongest fresh attack has {one['fresh']:.{digits}f}."
        found.append(
            f"At the cut after “{one['cut']}” their {told} on {name} is {one['value']:.{digits}f} "
            f"({one['low']:.{digits}f} to {one['high']:.{digits}f}).{fresh}"
        )
    return found


def _information(result: View) -> list[dict[str, Any]]:
    """What noise lets through at each cut; nothing without defenses of the cut."""
    if not result["details"]["releases"]:
        return []
    found = []
    for cut in result["adversary"]["cuts"]:
        rows = {name: figures.find(result, None, name, cut=cut) for name in INFORMATION}
        accuracy = next(
            (one for one in result["utility"] if one.metric == "accuracy" and one.conditions.get("cut") == cut), None
        )
        found.append(
            {
                "cut": cut, "accuracy": figures.rate(accuracy) if accuracy else NOTHING,
                "numbers": {
                    name: figures.bits(row) if name == "channel" else _number(row, 4) for name, row in rows.items()
                },
                "reason": next((row.reason for row in rows.values() if row and row.status == "refused"), ""),
            }
        )  # fmt: skip
    return found


def _pictures(result: View, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of pictures; none unless the audit asks for them."""
    found = result["details"]["pictures"]
    if found is None:
        return []
    rows = []
    for one in found["rows"]:
        title = f"{words.plural(result['noun'])} as they are" if not one["attack"] else names[one["attack"]]
        rows.append({"title": title + (f", cut after “{one['cut']}”" if one["cut"] else ""), "png": one["png"]})
    return rows
