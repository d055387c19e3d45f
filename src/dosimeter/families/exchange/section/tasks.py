"""The part of the page of a threat about tasks, from a threat of `result.json`. Measures nothing."""

from __future__ import annotations

from dosimeter.families.exchange.section.framed import Frame, dose_of, lines_of, names_of
from dosimeter.families.exchange.section.section import box_of, trains, transfer_of, watches
from dosimeter.families.exchange.sentences.first_page import who
from dosimeter.families.exchange.sentences.tasks import BADGES
from dosimeter.results import words
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
FRAME = Frame("tasks_", BADGES, CONTENTS, GLOSSARY, NULL_AUDIT)


def tasks_section(result: View) -> Section:
    """The part of the page of a threat about tasks.

    Args:
        result: a threat of a valid result.json, without the rows of its variants.
    """
    names = names_of(result)
    context = {
        "box": _box(result), "dose": dose_of(result, noun="task", settles="whether a task was trained on"),
        "facts": _facts(result), "lines": lines_of(result, names, ("task_auc", "task_dose")),
        "transfer": transfer_of(result),
    }  # fmt: skip
    return FRAME.section(result, names, context, who=who(result["adversary"]), leads=("task_auc", {}, "AUC of a task"))


def _box(result: View) -> dict[str, str] | None:
    """The two ends of the headline's number, and what the shared layers tell before the training."""
    box, untrained = box_of(result, 0.5), result["details"]["headline"]["untrained"]
    if box is None:
        return None
    return {**box, "untrained": "" if untrained is None else words.percent(untrained)}


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
