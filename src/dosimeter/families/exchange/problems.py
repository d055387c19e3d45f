"""What is wrong with a threat of exchange, seen without data."""

from __future__ import annotations

from collections.abc import Sequence

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.threat import READ_BY, ExchangeThreat
from dosimeter.families.family import Surroundings

REQUIRED = {
    "victim": "name the party whose batches are the secret",
    "adversary": "name the party that watches, or 'coordinator'",
    "property": "name an attribute of the victim's records, out of data_options.attributes",
    "auxiliary": "name a [data.NAME] with records of the adversary's own that have the property",
}
"""Keys that have no default, with the remedy."""
READING = {"records": "dense_inversion", "tasks": "task_inference", "distribution": "distribution_inference"}
"""Of each question but that of a property an attack that reads messages."""
LEAST_TARGETS = 16
"""Fewest trainings of the question of a distribution: the worlds of 8 pairs can be exchanged in 256 ways."""


def problems_of(threat: ExchangeThreat, attacks: Sequence[NamedAttack], around: Surroundings) -> list[str]:
    """Problems with a threat, one line each, as the tail of its place."""
    if not around.draws and not around.recorded:
        return [
            ".family: exchange needs a stage that parties train here, got another model: write a [[stage]] with "
            "a joint transfer, such as 'fedsgd' or 'coral', and `parties`, or give what was recorded as `transcript`"
        ]
    problems = [
        f".{key}: is required and missing: {remedy}"
        for key, remedy in REQUIRED.items()
        if getattr(threat, key) is None and threat.question in READ_BY.get(key, (threat.question,))
    ]
    if threat.victim is not None and threat.victim == threat.adversary:
        problems.append(
            f".adversary: must be another than the victim, got {threat.victim!r} twice: name another party, or "
            "'coordinator'"
        )
    if threat.active and threat.adversary == "coordinator":
        problems.append(
            ".active: must be a party, which adds a loss to its own, got adversary 'coordinator', which has none: name "
            "a party, or remove active"
        )
    if around.transferred:
        problems.append(
            f".at_risk: must be the last stage, which the parties train together, got {threat.at_risk!r}: remove "
            "at_risk, or end the chain there"
        )
    of_question = _of_attacks(attacks) if threat.question == "property" else _of_reading(threat, attacks)
    if around.recorded:
        problems += _of_recorded(threat)
    if threat.question == "distribution":
        problems += _of_distribution(threat)
    return [*problems, *_of_question(threat), *_of_mixtures(threat), *(_of_others(threat, attacks) or of_question)]


def _of_question(threat: ExchangeThreat) -> list[str]:
    """Keys that were given and that the question does not read."""
    return [
        f".{key}: is read for question = {' or '.join(map(repr, questions))} alone, got {getattr(threat, key)!r}: "
        "remove it, or ask that"
        for key, questions in READ_BY.items()
        if threat.question not in questions and key in threat.model_fields_set
    ]


def _of_others(threat: ExchangeThreat, attacks: Sequence[NamedAttack]) -> list[str]:
    """Attacks that answer another question."""
    return [
        f".question: is {threat.question!r}, which attack {row.id!r} does not answer: give its [[attack]] "
        f"`threats` with question = {row.attack.needs.question!r}, or remove it"
        for row in attacks
        if row.attack.needs.question != threat.question
    ]


def _of_reading(threat: ExchangeThreat, attacks: Sequence[NamedAttack]) -> list[str]:
    """Problems with the attacks of another question than that of a property."""
    if not attacks or any(row.attack.needs.channel is not None for row in attacks):
        return []
    names = ", ".join(row.id for row in attacks)
    return [
        f".family: exchange needs an attack that reads messages, got {names}: add [[attack]] with name = "
        f"{READING[threat.question]!r}"
    ]


def _of_distribution(threat: ExchangeThreat) -> list[str]:
    """Problems with the trainings of a threat about a distribution."""
    problems = []
    if threat.targets < LEAST_TARGETS or threat.targets % 2:
        problems.append(
            f".targets: must be an even number of {LEAST_TARGETS} or more for question = 'distribution', since "
            f"trainings come in pairs, one of each world, got {threat.targets}: choose one, or remove targets"
        )
    if threat.shadows % 2:
        problems.append(
            f".shadows: must be an even number, half of each world, got {threat.shadows}: choose one, or remove shadows"
        )
    if len(threat.mixtures) > 1:
        problems.append(
            f".mixtures: must be one pair of shares, those of the two worlds, for question = 'distribution', got "
            f"{len(threat.mixtures)}: write a [[threat]] for each"
        )
    if threat.adversary == "coordinator":
        problems.append(
            ".adversary: must be a party, which has a last layer to ask the shared layers by, got 'coordinator', which "
            "has none: name a party"
        )
    return problems


def _of_recorded(threat: ExchangeThreat) -> list[str]:
    """Problems with a threat on a training that ran elsewhere."""
    if threat.question != "property":
        return [
            f".question: must be 'property' of a training that ran elsewhere, got {threat.question!r}: remove it, or "
            "write the [[stage]] that its parties train"
        ]
    problems = [
        f".{key}: the recorded training has its own, got {getattr(threat, key)}: remove it"
        for key in ("steps", "targets")
        if key in threat.model_fields_set
    ]
    if threat.active:
        problems.append(
            ".active: nothing can be added to a training that was recorded, got true: remove it, or write the "
            "[[stage]] that its parties train"
        )
    if len(threat.mixtures) > 1:
        problems.append(
            f".mixtures: one training was recorded, in which a batch is of one of two sides, got "
            f"{len(threat.mixtures)} mixtures: keep one"
        )
    return problems


def _of_mixtures(threat: ExchangeThreat) -> list[str]:
    """Problems with the shares of records with the property."""
    problems = []
    for index, (high, low) in enumerate(threat.mixtures):
        if not 0 <= low < high <= 1:
            problems.append(
                f".mixtures[{index}]: must be two shares in [0, 1], the larger one first, got [{high:g}, {low:g}]: "
                "write for example [0.7, 0.3]"
            )
    if len(set(threat.mixtures)) < len(threat.mixtures):
        problems.append(".mixtures: must be distinct, got one twice: remove it")
    return problems


def _of_attacks(attacks: Sequence[NamedAttack]) -> list[str]:
    """Problems with the attacks that are named together with the threat."""
    if not attacks:
        return []
    names = ", ".join(row.id for row in attacks)
    if any(row.attack.needs.channel is not None for row in attacks):
        return []
    return [
        f".family: exchange needs an attack that reads messages, got {names}: add [[attack]] with name = "
        "'batch_property'"
    ]
