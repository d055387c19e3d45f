"""The part of the page of a threat about tasks, from a threat of `result.json`. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dosimeter.families.exchange.section.section import box_of, trains, transfer_of, watches
from dosimeter.families.exchange.sentences.first_page import who
from dosimeter.families.exchange.sentences.tasks import BADGES
from dosimeter.results import figures, words
from dosimeter.results.figures import NOTHING
from dosimeter.results.page import doses
from dosimeter.results.page.environment import environment
from dosimeter.results.page.section import Section
from dosimeter.results.views import View

GLOSSARY = (
    ("Joint training", "Organisations train one model together; no record leaves its owner, but messages do."),
    ("Shared layers", "The layers that all share. Each organisation has a last layer of its own, which is not sent."),
    ("Victim", "The organisation whose training is the secret here."),
    ("Task", "All records with one value of the property, such as those of one person."),
    ("AUC", "Of a task that was trained on and one that was left out, how often an attack tells which is which."),
    ("Whitening", "Embeddings are made uncorrelated, with the help of records of tasks that nobody asks about."),
)  # fmt: skip
NULL_AUDIT = (
    "Where nothing is to be found",
    "The same attacks on trainings in which no task was left out, judged by random halves all the same: they must be "
    "at chance.",
)
CONTENTS = (("adversary", "Adversary"), ("tasks", "Tasks"), ("transfer", "Transfer"))


def tasks_section(result: View) -> Section:
    """The part of the page of a threat about tasks.

    Args:
        result: a threat of a valid result.json, without the rows of its variants.
    """
    names = {one["id"]: " ".join([one["name"], *([one["mode"]] if one["mode"] else [])]) for one in result["attacks"]}
    badge = BADGES[result["verdict"]["status"]]
    context = {
        "result": result, "badge": badge, "box": _box(result), "dose": _dose(result), "facts": _facts(result),
        "lines": lines_of(result, names), "transfer": transfer_of(result),
    }  # fmt: skip
    templates = environment(Path(__file__).with_name("templates"))
    first, body = (
        Markup(templates.get_template(f"tasks_{name}.html.j2").render(context)) for name in ("first", "body")
    )
    return Section(
        what="Exchange audit",
        badge=badge,
        first=first,
        names=names,
        body=body,
        contents=CONTENTS,
        glossary=GLOSSARY,
        who=who(result["adversary"]),
        null_audit=NULL_AUDIT,
        leads=("task_auc", {}, "AUC of a task"),
    )


def _box(result: View) -> dict[str, str] | None:
    """The two ends of the headline's number, and what the shared layers tell before the training."""
    box, untrained = box_of(result, 0.5), result["details"]["headline"]["untrained"]
    if box is None:
        return None
    return {**box, "untrained": "" if untrained is None else words.percent(untrained)}


def _dose(result: View) -> str:
    """The dose in words; empty where no number is to be quoted."""
    if _box(result) is None or result["dose"] is None:
        return ""
    shown = result["verdict"]["status"] == "shown"
    return doses.sentences(result["dose"], noun="task", settles="whether a task was trained on", shown=shown)


def _facts(result: View) -> list[tuple[str, str]]:
    """Who trains, who watches, what they hold, each with a sentence."""
    data, told = result["data"], result["adversary"]
    nouns, each = words.plural(result["noun"]), words.count(told["targets"], "training")
    return [
        ("Who trains", trains(result)),
        ("Who watches", watches(result)),
        (
            "What they hold",
            f"The shared layers, {data['probes']:,} {nouns} of their own of the tasks, and {data['pool']:,} of others.",
        ),
        (
            "The secret",
            f"On which half of {data['tasks']} values of {told['property']} {told['victim']} trains. {each}, each with "
            "another half.",
        ),
    ]


def lines_of(
    result: View, names: Mapping[str, str], metrics: tuple[str, str] = ("task_auc", "task_dose")
) -> list[dict[str, Any]]:  # fmt: skip
    """A line for each attack.

    Args:
        result: a threat of a valid result.json.
        names: of its attacks, by id.
        metrics: of the AUC and of the dose.
    """
    shown, lines = {one["attack"]: one["shown"] for one in result["details"]["tests"]}, []
    for one in result["attacks"]:
        if one["reason"]:
            continue
        auc, dose = (figures.find(result, one["id"], metric) for metric in metrics)
        yardstick = "control, must be at chance" if one["control"] else ""
        lines.append(
            {
                "name": names[one["id"]], "control": one["control"], "headline": one["headline"],
                "about": words.citation(one["paper"]),
                "yardstick": "yardstick: before the training" if one.get("reference") else yardstick,
                "shown": "" if one["id"] not in shown else "shown" if shown[one["id"]] else "not shown",
                "auc": figures.auc(auc), "dose": NOTHING if dose is None else figures.bits(dose),
            }
        )  # fmt: skip
    return lines
