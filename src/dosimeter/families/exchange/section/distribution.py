"""The part of the page of a threat about a distribution, from a threat of `result.json`. Measures nothing."""

from __future__ import annotations

from dosimeter.families.exchange.section.framed import Frame, dose_of, lines_of, names_of
from dosimeter.families.exchange.section.section import box_of, trains, transfer_of, watches
from dosimeter.families.exchange.sentences.distribution import BADGES
from dosimeter.families.exchange.sentences.first_page import who
from dosimeter.results import words
from dosimeter.results.page.section import Section
from dosimeter.results.views import View

GLOSSARY = (
    ("Joint training", "Organisations train one model together; no record leaves its owner, but messages do."),
    ("Joint model", "The shared layers at the end of the training, with a last layer that the adversary has."),
    ("Victim", "The organisation whose records are the secret here."),
    ("World", "What share of the victim's records has the property: one of two shares, which a coin chooses."),
    ("AUC", "Of a training of each world, how often an attack tells which is which."),
    ("Shadow", "A joint training that the adversary plays with records of its own in the victim's place."),
)  # fmt: skip
NULL_AUDIT = (
    "Where nothing is to be found",
    "The same attacks on trainings whose records were drawn without regard to the property, judged by coins all the "
    "same: they must be at chance.",
)
CONTENTS = (("adversary", "Adversary"), ("distribution", "Distribution"), ("transfer", "Transfer"))
FRAME = Frame("distribution_", BADGES, CONTENTS, GLOSSARY, NULL_AUDIT)


def distribution_section(result: View) -> Section:
    """The part of the page of a threat about a distribution.

    Args:
        result: a threat of a valid result.json, without the rows of its variants.
    """
    names = names_of(result)
    first, second = (words.percent(one) for one in result["adversary"]["mixtures"][0])
    context = {
        "box": box_of(result, 0.5), "dose": dose_of(result, noun="training", settles="which world a training is of"),
        "facts": _facts(result), "lines": lines_of(result, names, ("distribution_auc", "distribution_dose")),
        "transfer": transfer_of(result), "worlds": f"{first} and one with {second}",
    }  # fmt: skip
    leads = ("distribution_auc", dict[str, object](), "AUC of a training's world")
    return FRAME.section(result, names, context, who=who(result["adversary"]), leads=leads)


def _facts(result: View) -> list[tuple[str, str]]:
    """Who trains, who watches, what they hold, each with a sentence."""
    data, told, nouns = result["data"], result["adversary"], words.plural(result["noun"])
    first, second = (words.percent(one) for one in told["mixtures"][0])
    having = f"{told['property']} “{told['value']}”"
    return [
        ("Who trains", trains(result)),
        ("Who watches", watches(result)),
        (
            "What they hold",
            f"All messages, the joint model at the end, and {data['auxiliary']:,} {nouns} of their own, of which they "
            f"know {told['property']}. {data['probes']:,} of these the model is asked about; with the others the "
            f"adversary plays {told['shadows']} joint trainings, {data['own']:,} {nouns} in each.",
        ),
        (
            "The secret",
            f"Whether {first} or {second} of {data['drawn']:,} {nouns} that {told['victim']} trains on have {having}. "
            f"{told['targets']} trainings in pairs, one of each share; pairs have no {result['noun']} in common, and "
            f"both of a pair have equally many {nouns} of every class.",
        ),
        (
            "Property and task",
            f"Among the {data['records']:,} {nouns} of {told['victim']} the property goes with the classes by "
            f"Cramér's V {data['correlation']:.2f}, where 0 is not at all and 1 is wholly; it does not count.",
        ),
    ]
