"""Exchange's part of the page, from a threat of `result.json`. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.exchange.section.framed import Frame, dose_of
from dosimeter.families.exchange.sentences.first_page import BADGES
from dosimeter.results import figures, words
from dosimeter.results.figures import NOTHING, Figure
from dosimeter.results.page.section import Section
from dosimeter.results.rows import DOSE, Row
from dosimeter.results.views import View
from dosimeter.training.joint.methods import SHOWING

GLOSSARY = (
    ("Joint training", "Organisations train one model together; no record leaves its owner, but messages do."),
    ("Trunk", "The layers that all share. Each organisation has a last layer of its own, which is not sent."),
    ("Victim", "The organisation whose batches are the secret here."),
    ("Batch", "The records of one step of the training."),
    ("Side", "Whether a batch has many or few records with the property. Here a coin decides it at each step."),
    ("AUC", "Of a batch of each side, how often an attack tells which is which; 0.5 by chance."),
    (
        "Classes alone",
        "What somebody could tell who was told how often each class is in the batch. No message holds that.",
    ),
    ("Channel", "Which messages an attack reads."),
    (
        "Gradient",
        "By how much each weight of the trunk should change for a batch. With two parties, each can work out the "
        "other's from how the trunk moves.",
    ),
    ("Representations", "What the trunk makes of each record of a batch."),
    ("Alignment gradient", "By how much each representation should change so that both organisations' become alike."),
)  # fmt: skip
NULL_AUDIT = (
    "Where nothing is to be found",
    "The same attacks on trainings in which no coin chose a batch, judged by coins all the same: they must be at "
    "chance.",
)
CONTENTS = (("adversary", "Adversary"), ("messages", "Messages"), ("transfer", "Transfer"))
FRAME = Frame("", BADGES, CONTENTS, GLOSSARY, NULL_AUDIT)
COLUMNS = ("property_auc", "beyond_labels", DOSE)
METHODS: Mapping[str, str] = {
    "fedsgd": "Each step the parties send gradients of a shared trunk, and their mean moves it.",
    "hard": "Each step the parties send gradients of a shared trunk, and their sum moves it.",
    "l2-sp": "The parties send gradients of a shared trunk, whose mean moves it; it stays near where it began.",
    "fedavg": "Each round the parties take steps of their own; the mean of what these add to the trunk moves it.",
    "soft": "Each party has a trunk of its own and sends it; each moves by its own loss and towards the other's.",
    "dann": "The source sends representations; the receiver trains to tell both parties' apart, and they become alike.",
    "dsn": "As with dann; each party also has an encoder of its own for what the other has not, which it keeps.",
    "coral": "The source sends representations, and the covariances of both parties' representations are aligned.",
    "mmd": "The source sends representations, and both parties' representations are aligned by a kernel distance.",
}


def section(result: View) -> Section:
    """Exchange's part of the page.

    Args:
        result: a threat of a valid result.json, without the rows of its variants.
    """
    names, head = {one["id"]: named(one) for one in result["attacks"]}, result["details"]["headline"]
    context = {
        "box": _box(result), "dose": dose_of(result, noun="batch", settles="which side a batch is of"),
        "facts": _facts(result), "blocks": _blocks(result, names), "transfer": transfer_of(result),
    }  # fmt: skip
    adversary = result["adversary"]["adversary"]
    who = "The coordinator of the joint training" if adversary == "coordinator" else f"The party “{adversary}”"
    leads = ("property_auc", {"mixture": head["mixture"], "channel": head["channel"]}, "AUC of a batch's side")
    return FRAME.section(result, names, context, who=who, leads=leads)


def named(one: Mapping[str, Any]) -> str:
    """Name of an attack with its channel."""
    return str(one["name"]) if one["channel"] is None else f"{one['name']} {one['channel'].replace('_', ' ')}"


def box_of(result: View, chance: float) -> dict[str, str] | None:
    """The two ends of the headline's number; None where none is to be quoted.

    Args:
        result: a threat of a valid result.json.
        chance: what the number is by chance.
    """
    if result["verdict"]["status"] in ("withdrawn", "not_resolvable"):
        return None
    found = result["details"]["headline"]
    spread = found["high"] - found["low"]
    shown = result["verdict"]["status"] == "shown" and found["low"] > chance
    label, value, away = ("Shown at least", found["low"], "down") if shown else ("Seen", found["value"], None)
    return {
        "first_label": label,
        "first": words.percent(value, spread=spread, away=away),  # type: ignore[arg-type]
        "second": words.percent(found["high"], spread=spread, away="up"),
        "level": words.percent(found["level"]),
        "method": found["method"],
    }


def _box(result: View) -> dict[str, str] | None:
    """The two ends of the headline's number, and what the classes alone tell."""
    box, found = box_of(result, 0.5), result["details"]["headline"]
    if box is None:
        return None
    labels = "" if found["labels"] is None else words.percent(found["labels"])
    return {**box, "labels": labels, "mixture": _mixture(found["mixture"])}


def _mixture(name: str) -> str:
    """A mixture in words."""
    return " against ".join(words.percent(float(one)) for one in name.split("/"))


def _facts(result: View) -> list[tuple[str, str]]:
    """Who trains, who watches, what they hold, each with a sentence."""
    data, told = result["data"], result["adversary"]
    nouns = words.plural(result["noun"])
    guarantee = next((one["settings"].get("privacy") for one in result["chain"] if one["at_risk"]), None)
    return [
        ("Who trains", trains(result)),
        ("Who watches", watches(result)),
        (
            "What they hold",
            f"All messages that they sent or received, and {data['auxiliary']:,} {nouns} of their own, of which they "
            f"know {told['property']} ({data['auxiliary_having']:,} are “{told['value']}”).",
        ),
        ("The secret", _secret(result, nouns)),
        (
            "Property and task",
            f"Among the {_whose(result, nouns)} the property goes with the classes by "
            f"Cramér's V {data['correlation']:.2f}, where 0 is not at all and 1 is wholly.",
        ),
        *(
            []
            if guarantee is None
            else [("Guarantee", f"By the defenses of the joint training, whatever is asked: {guarantee}.")]
        ),
    ]


def trains(result: View) -> str:
    """Who trains, with which records, and how."""
    nouns, told = words.plural(result["noun"]), result["adversary"]
    parties = ", ".join(f"{name} with {count:,} {nouns}" for name, count in result["data"]["parties"].items())
    parties = parties or f"{' and '.join(told['parties'])}, elsewhere"
    return f"{parties}. {METHODS[told['method']]}"


def watches(result: View) -> str:
    """Who watches."""
    adversary = result["adversary"]["adversary"]
    if adversary == "coordinator":
        return "The coordinator, who keeps the trunk and follows the protocol."
    if result["adversary"].get("active"):
        told = result["adversary"]["property"]
        return (
            f"{adversary}, who takes part and departs from the protocol: it adds a loss to its own, by which the "
            f"shared layers are to tell {told}, and sends the gradient of both. Coins of the null audit, and accuracy, "
            "are of trainings with this adversary too."
        )
    return f"{adversary}, who takes part and follows the protocol."


def _secret(result: View, nouns: str) -> str:
    """What is secret: coins of the audit, or the batches of a training that ran elsewhere."""
    told = result["adversary"]
    having = f"{told['property']} “{told['value']}”"
    if recorded := told.get("recorded"):
        return (
            f"Whether many or few of {told['batch_size']} {nouns} in a batch of {told['victim']} had {having}, at "
            f"{recorded['judged']:,} of {told['steps']:,} recorded steps; batches in between are not judged."
        )
    return (
        f"At each of {told['steps']:,} steps a coin decides how many of {told['batch_size']} {nouns} in the batch of "
        f"{told['victim']} have {having}. {words.count(told['targets'], 'training')} for each mixture."
    )


def _whose(result: View, nouns: str) -> str:
    """The records among which the property and the classes were compared."""
    if result["adversary"].get("recorded"):
        return f"{result['data']['auxiliary']:,} {nouns} of the adversary"
    return f"{result['data']['records']:,} {nouns} of {result['adversary']['victim']}"


def _signed(row: Row | None) -> Figure:
    """A difference of AUCs with its interval, as a figure."""
    if row is None or row.status != "ok":
        return NOTHING
    value, low, high = row.ends
    return Figure(f"{value:+.3f}", f"{low:+.3f} to {high:+.3f}")


def _blocks(result: View, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """A block for each mixture, with a line for each attack."""
    shown = {(one["attack"], one["mixture"]): one for one in result["details"]["tests"]}
    head, blocks = result["details"]["headline"], []
    for high, low in result["adversary"]["mixtures"]:
        name = f"{high:g}/{low:g}"
        lines = []
        for one in result["attacks"]:
            if one["reason"]:
                continue
            rows = {metric: figures.find(result, one["id"], metric, mixture=name) for metric in COLUMNS}
            test = shown.get((one["id"], name))
            lines.append(
                {
                    "name": names[one["id"]], "control": one["control"], "yardstick": _yardstick(one),
                    "headline": one["headline"] and name == head["mixture"], "about": words.citation(one["paper"]),
                    "shown": "" if test is None else "shown" if test["shown"] else "not shown",
                    "auc": figures.auc(rows["property_auc"]), "beyond": _signed(rows["beyond_labels"]),
                    "dose": NOTHING if rows[DOSE] is None else figures.bits(rows[DOSE]),
                }
            )  # fmt: skip
        blocks.append({"title": f"Batches with {_mixture(name)}", "lines": lines})
    return blocks


def _yardstick(one: Mapping[str, Any]) -> str:
    """What an attack is that reads no messages."""
    if one["control"]:
        return "control, must be at chance"
    return "yardstick: classes alone" if one["reads"] == "labels" else ""


def transfer_of(result: View) -> dict[str, Any]:
    """What the exchange is worth."""
    joint = next((one for one in result["utility"] if one.metric == "accuracy"), None)
    alone, gain = (figures.find(result, None, metric) for metric in ("accuracy_alone", "transfer_gain"))
    return {
        "joint": NOTHING if joint is None else figures.rate(joint),
        "alone": NOTHING if alone is None else figures.rate(alone),
        "gain": _signed(gain),
        "receiver": result["adversary"]["receiver"],
        "alone_is": "trained on its own records by the same steps"
        if result["adversary"]["method"] not in SHOWING
        else f"trained on the labels of {result['adversary']['parties'][0]} by the same steps, without alignment",
    }
