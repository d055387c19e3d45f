"""Inversion's part of the page, from a threat of `result.json`. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dosimeter.families.inversion.section.distances import distances
from dosimeter.families.inversion.section.layers import layers
from dosimeter.families.inversion.sentences.first_page import ACCESS, BADGES
from dosimeter.families.inversion.threat import PRINCIPAL, TRAINED
from dosimeter.results import figures, words
from dosimeter.results.page import doses
from dosimeter.results.page.environment import environment
from dosimeter.results.page.section import Section
from dosimeter.results.rows import DOSE
from dosimeter.results.views import View

GLOSSARY = (
    ("Identity", "One class of the model, such as a person whose photos it was trained to recognise."),
    (
        "Lineup",
        "A judge that compares what an attack made with other real records of every identity, and names the most "
        "similar one. What counts as similar it learned on the public records, which show others.",
    ),
    (
        "Classifier",
        "A second judge, trained on other records of the identities to tell them apart. The literature calls the share "
        "that it names right the attack accuracy. It was trained for the same task as the model, so what misleads the "
        "model may mislead it too.",
    ),
    (
        "Confirmed",
        "Named right by the classifier and accepted by the lineup, which may also say that it is nobody. From which "
        "similarity on it accepts is chosen on other people, of whose records it takes 5 % for somebody they do not "
        "show.",
    ),
    (
        "Place",
        "The share of the other identities that a reconstruction is less similar to than to its own; 0.5 by chance.",
    ),
    ("Prior", "What records of this kind look like in general, learned on the public records or known to a generator."),
)
NULL_AUDIT = (
    "Recognised under exchanged names",
    "The same attacks on a model that learned the same records with the names exchanged at random: no more may be "
    "recognised than by chance.",
)
CONTENTS = (("adversary", "Adversary"), ("attacks", "Attacks"), ("identities", "Identities"))
TOP = {"top": 1}
"""Condition of the leading numbers."""


def section(result: View) -> Section:
    """Inversion's part of the page.

    Args:
        result: a threat of a valid result.json, without the rows of its variants.
    """
    names = _names(result["attacks"])
    badge = BADGES[result["verdict"]["status"]]
    context = {
        "result": result, "badge": badge, "box": _box(result), "dose": _dose(result), "facts": _facts(result),
        "attacks": [_attack(result, one, names) for one in result["attacks"]], "names": names,
        "recognised": _recognised(result), "grid": _grid(result, names),
        "layers": (depth := layers(result, names)), "distances": distances(result, names),
    }  # fmt: skip
    templates = environment(Path(__file__).with_name("templates"))
    first, body = (Markup(templates.get_template(f"{name}.html.j2").render(context)) for name in ("first", "body"))
    return Section(
        what="Inversion audit",
        badge=badge,
        first=first,
        names=names,
        body=body,
        contents=CONTENTS if depth is None else (*CONTENTS, ("layers", "Layers")),
        glossary=GLOSSARY,
        who=f"Somebody who {ACCESS[result['adversary']['access']]}, with {result['data']['public']:,} public records",
        null_audit=NULL_AUDIT,
        leads=("recognised", TOP, "Identities recognised"),
    )


def _names(attacks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What each attack is called, by its id: its name and mode, or its id where several rows would be called so."""
    called = {one["id"]: f"{one['name']} {one['mode']}" if one["mode"] else one["name"] for one in attacks}
    return {key: name if list(called.values()).count(name) == 1 else key for key, name in called.items()}


def _box(result: View) -> dict[str, str] | None:
    """The two ends of the headline's share; None where no number is to be quoted."""
    if result["verdict"]["status"] in ("withdrawn", "not_resolvable"):
        return None
    found, spread = (
        result["details"]["headline"],
        result["details"]["headline"]["high"] - result["details"]["headline"]["low"],
    )
    shown = result["verdict"]["status"] == "shown" and found["low"] > result["details"]["chance"]
    first = ("Shown at least", found["low"], "down") if shown else ("Seen", found["value"], None)
    return {
        "first_label": first[0],
        "first": words.percent(first[1], spread=spread, away=first[2]),  # type: ignore[arg-type]
        "second": words.percent(found["high"], spread=spread, away="up"),
        "chance": words.percent(result["details"]["chance"]),
        "level": words.percent(found["level"]),
        "method": found["method"],
    }


def _dose(result: View) -> str:
    """The dose in words; empty where no number is to be quoted."""
    if _box(result) is None or result["dose"] is None:
        return ""
    n, shown = int(result["data"]["identities"]), result["verdict"]["status"] == "shown"
    settles = f"which of {n} identities a class of the model stands for"
    return doses.sentences(result["dose"], noun="identity", settles=settles, shown=shown)


def _facts(result: View) -> list[tuple[str, str]]:
    """The adversary, the records and the judges, each with a sentence."""
    data, adversary, noun = result["data"], result["adversary"], result["noun"]
    judges = {name: words.percent(share) for name, share in result["details"]["judges"].items()}
    nouns = words.plural(noun)
    return [
        ("What they see", f"Somebody who {ACCESS[adversary['access']]}."),
        (
            "What they hold",
            f"{data['public']:,} {nouns} of {data['public_identities']:,} other identities, and no {noun} of those at "
            f"risk. {_prior(adversary)}{_origin(adversary)}",
        ),
        (
            "Who is at risk",
            f"{data['identities']:,} identities with {data['trained']:,} {nouns} that "
            f"{words.count(adversary['targets'], 'model')} learned in stage {result['at_risk']}.",
        ),
        (
            "Who judges",
            f"A lineup that knows the identities from {data['known']:,} other {nouns}; of {data['tested']:,} real ones "
            f"it names {judges['lineup']} right. A classifier, which names {judges['classifier']} right. The attacks "
            f"see neither.{_acceptance(result)}",
        ),
    ]


def _acceptance(result: View) -> str:
    """How the lineup does where it may say that a record shows nobody."""
    found = result["details"].get("acceptance")
    if not found:
        return ""
    return (
        f" Where the lineup may say that it is nobody, it accepts {words.percent(found['right'])} of real "
        f"{words.plural(result['noun'])} as the right identity, and {words.percent(found['wrong'])} as a wrong one."
    )


def _prior(adversary: Mapping[str, Any]) -> str:
    """What the adversary knows of such records in general."""
    name, latent = adversary["prior"], words.count(adversary["latent"], "number")
    if name == PRINCIPAL:
        return f"From them they learn a prior of {latent} at most."
    if name in TRAINED:
        return f"On them they train a generator ({name}, {adversary['steps']:,} steps) with latents of {latent}."
    return f"They have a generator ({name}) with latents of {latent}."


def _origin(adversary: Mapping[str, Any]) -> str:
    """Which attacks have the weights that the model was finetuned from; empty if none has."""
    listed = ", ".join(f"“{one}”" for one in adversary.get("origin", ()))
    return f" For {listed} they also have the weights that the model was finetuned from." if listed else ""


def _attack(result: View, one: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """One attack with its numbers."""
    found = {
        metric: figures.find(result, one["id"], metric, **(TOP if metric in ("recognised", "classified") else {}))
        for metric in ("recognised", "classified", "placed", DOSE)
    }
    sure = {metric: figures.find(result, one["id"], metric) for metric in ("confirmed", "rejected")}
    settings = ", ".join(
        f"{key} {words.setting(value)}" for key, value in sorted(one["settings"].items()) if key != "mode"
    )
    queries = result["details"]["queries"].get(one["id"], 0)
    asked = f"the model was asked {words.number(queries)} times" if queries else ""
    return {
        "name": names[one["id"]], "headline": one["headline"], "control": one["control"], "refused": one["reason"],
        "about": " · ".join(part for part in (words.citation(one["paper"]), settings, asked) if part),
        "recognised": figures.rate(found["recognised"]), "bar": figures.bar(found["recognised"], 1.0),
        "classified": figures.rate(found["classified"]), "placed": figures.auc(found["placed"]),
        "dose": figures.bits(found[DOSE]), "confirmed": figures.rate(sure["confirmed"]),
        "rejected": figures.rate(sure["rejected"]),
    }  # fmt: skip


def _recognised(result: View) -> list[tuple[str, str]]:
    """Each identity with the share of models from which it is recognised; none unless the audit asks for them."""
    return [(one["name"], words.percent(one["recognised"])) for one in result["details"]["identities"] or ()]


def _grid(result: View, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of pictures; none unless the audit asks for them."""
    pictures = result["details"]["pictures"]
    if pictures is None:
        return []
    titles = {"": f"a real {result['noun']} of the training data", **names}
    return [
        {"title": titles[row["attack"]], "cells": list(zip(pictures["identities"], row["png"], strict=True))}
        for row in pictures["rows"]
    ]
