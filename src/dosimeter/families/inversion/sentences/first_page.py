"""The first sentences, for readers who know neither the method nor its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dosimeter.families.inversion.threat import PRINCIPAL
from dosimeter.results import words

ACCESS: Mapping[str, str] = {
    "weights": "has the model",
    "features": "sees the model's features",
    "logits": "sees the model's raw scores",
    "probs": "sees the model's probabilities",
    "topk": "sees the model's best classes with their probabilities",
    "labels": "sees only which class the model names",
}
"""What somebody with each access does."""
BADGES: Mapping[str, str] = {
    "withdrawn": "Withdrawn: a validity check failed",
    "shown": "Leak shown: identities are recognised in what attacks made",
    "not_shown": "Not shown that identities can be recognised",
    "not_resolvable": "Not resolvable: the judge does not recognise the identities",
}
YARDSTICKS: Mapping[str, str] = {
    "PriorBest": "the best of {n} random {nouns}, without any optimisation",
    "NearestPublic": "the {noun} of somebody else that the model takes for them",
}
"""What attacks do that optimise nothing, by their class."""
ADAPTED = "Attacks that adapt to a defense with the pretrained model from which this one was finetuned."
"""What an audit of inversion leaves open unless an attack had those weights."""
NOT_TESTED = (
    "What people would recognise: judges are programs that compare numbers.",
    "Whether single training records can be rebuilt: what is judged is which identity a reconstruction shows.",
    "Identities that are no class of the model, and membership of single records.",
    "Adversaries with more access than the one above.",
)
"""What an audit of inversion leaves open, whatever the prior."""
BETTER = "Attacks with a better notion of what such records look like, such as {} or diffusion models."
"""What it leaves open by its prior."""


def not_tested(prior: str, *, origin: bool = False) -> tuple[str, ...]:
    """What an audit leaves open.

    Args:
        prior: name of the adversary's prior.
        origin: whether an attack had the weights that the model was finetuned from.
    """
    better = BETTER.format("trained generators" if prior == PRINCIPAL else "larger generators")
    return (better, *(() if origin else (ADAPTED,)), *NOT_TESTED)


def sentences(status: str, told: Mapping[str, Any]) -> list[str]:
    """The verdict in words.

    Args:
        status: of the verdict.
        told: `noun`, `access`, `public`, `identities`, `targets`; of the headline attack its `name`, `value`, `low` and
            `high`, and `origin`, whether it had the weights that the model was finetuned from; `limit`, the share that
            would have been shown; `accepted`, the shares that
            the judge takes for the right identity where the answer may be "nobody", of what was `made` and of `real`
            records, or None; `beside`, of each other attack that optimises nothing its class, settings and share;
            `failed`, names of checks that failed; `null_audit`, whether there was one.
    """
    if status == "withdrawn":
        return [f"The numbers of this audit are withdrawn: {', '.join(told['failed'])} failed."]
    noun, n = told["noun"], told["identities"]
    holds = f"holds {told['public']:,} {words.plural(noun)} of other identities"
    has = (
        f"{ACCESS[told['access']]} and the weights that it was finetuned from,"
        if told["origin"]
        else ACCESS[told["access"]]
    )
    who = f"Somebody who {has} and {holds}"
    if status == "not_resolvable":
        return [
            f"Whether somebody could make a {noun} by which an identity of the training data is recognised cannot be "
            f"said: the judge does not recognise even real {words.plural(noun)} of the {n} identities.",
            "That is a limit of this audit. It says nothing in favour of the model.",
        ]
    many = f"{_many(told['value'], n)} of {n}"
    chance = "by chance an attack would get 1 right"
    if status == "shown":
        first = (
            f"{who} can make {words.plural(noun)} in which {many} identities of the training data are recognised; "
            f"{chance}."
        )
    else:
        first = (
            f"It was not shown that {who[0].lower()}{who[1:]} can make {words.plural(noun)} in which identities of the "
            f"training data are recognised: {many} were, and {chance}."
        )
    return [first, *_ends(status, told), *_accepted(told), *_beside(told), _scope(told), *_unchecked(told)]


def _ends(status: str, told: Mapping[str, Any]) -> list[str]:
    """The interval, and what would have been caught."""
    low, high = told["low"], told["high"]
    above = 1 / told["identities"]
    up_to = words.percent(high, spread=high - low, away="up")
    if status == "shown" and low > above:
        least = words.percent(low, spread=high - low, away="down", above=above)
        return [
            f"Of identities like these, at least {least} are shown to be recognised, and up to {up_to} is not excluded."
        ]
    if status == "shown":
        return [
            "That names can be told apart at all is shown; the share of identities like these may be anything up to "
            f"{up_to}."
        ]
    caught = "No attack, however successful, could have been shown with so few identities."
    if told["limit"] < 1:
        caught = (
            f"An attack that makes {words.percent(told['limit'], away='up')} of such identities recognisable would "
            "have been shown in 9 of 10 audits like this one; a smaller leak may be there."
        )
    return [f"Up to {up_to} recognised identities is not excluded.", caught]


def _accepted(told: Mapping[str, Any]) -> list[str]:
    """How alike they are to a judge who need not name anybody: who is recognised in a lineup may look like nobody."""
    shares, nouns = told["accepted"], words.plural(told["noun"])
    if shares is None:
        return []
    return [
        "Recognised means: named among these identities by a judge who must name one. A judge who may also say "
        f"“nobody” takes {_many(shares['made'], told['identities'])} of {told['identities']} for the right identity, "
        f"and {words.percent(shares['real'])} of real {nouns}."
    ]


def _beside(told: Mapping[str, Any]) -> list[str]:
    """What attacks achieve that optimise nothing."""
    found = []
    for one in told["beside"]:
        if one["class"] in YARDSTICKS:
            what = YARDSTICKS[one["class"]].format(
                n=f"{one['settings'].get('samples', 0):,}", noun=told["noun"], nouns=words.plural(told["noun"])
            )
            found.append(f"{_many(one['value'], told['identities'])} are recognised in {what}")
    return [f"For comparison: {'; '.join(found)}."] if found else []


def _scope(told: Mapping[str, Any]) -> str:
    """Which models it is about, and who judged."""
    models = "this trained model only" if told["targets"] == 1 else f"{told['targets']} models that were trained alike"
    nouns = words.plural(told["noun"])
    return (
        f"This is about {models}. The judge knows the identities from other {nouns}, which no attack saw. What makes "
        f"two {nouns} alike it learned on those of other identities."
    )


def _unchecked(told: Mapping[str, Any]) -> list[str]:
    """What could not be checked, since the model could not be trained anew."""
    if told.get("null_audit", True):
        return []
    return [
        "There was no null audit, since nothing could train the model anew: an attack that reads the audit and not the "
        "model would not have been found out, and other models that are trained alike may tell more or less."
    ]


def _many(share: float, identities: int) -> str:
    """A share of identities as their number; a mean over models has a decimal."""
    number = share * identities
    return f"{round(number)}" if abs(number - round(number)) < 1e-6 else f"{number:.1f}"


def failed_names(gates: Sequence[Any]) -> list[str]:
    """Names of the checks that failed, in words."""
    return [gate.name.lower() for gate in gates if gate.status == "fail"]
