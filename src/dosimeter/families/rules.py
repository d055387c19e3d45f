"""From what an adversary sees to the attacks that it allows: one table, with the papers that show each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AtRisk = Literal["queries", "training", "model"]
"""Whose: records that pass through a deployed model, records that a stage is trained on, or the model's owner."""


@dataclass(frozen=True)
class Rule:
    """One way to learn something.

    Attributes:
        name: names the rule.
        family: family of attacks, or None if none is planned.
        sees: what it takes, any of these; see `sights.Seen`.
        learns: what the adversary learns.
        at_risk: about what.
        source: paper that shows it.
        active: whether it takes a party that departs from the protocol.
        auxiliary: key of a `[[threat]]` that must name the adversary's own data, or empty.
        last: whether attacks of this release judge the last stage of a chain alone.
        untested: why no attack of this release tests it although its family is there, or empty.
        seeks: what an attack must be after to test it, of a family whose attacks differ in that; else empty.
    """

    name: str
    family: str | None
    sees: tuple[str, ...]
    learns: str
    at_risk: AtRisk
    source: str
    active: bool = False
    auxiliary: str = ""
    last: bool = False
    untested: str = ""
    seeks: Literal["", "input", "attribute"] = ""


OUT = ("logits", "probabilities", "labels")
RULES = (
    Rule("records", None, ("inputs",), "the records themselves", "queries", "follows from the topology"),
    Rule(
        "reconstruction", "split", ("features",), "the input", "queries",
        "He, Zhang, Lee, 2019, https://doi.org/10.1145/3359789.3359824", auxiliary="auxiliary", last=True,
        seeks="input",
    ),
    Rule(
        "attributes", "split", ("features",), "private attributes", "queries",
        "Song, Shmatikov, 2020, https://arxiv.org/abs/1905.11742", auxiliary="auxiliary", last=True, seeks="attribute",
    ),
    Rule(
        "attributes-of-answers", "split", OUT, "private attributes", "queries",
        "Malekzadeh, Borovykh, Gunduz, 2021, https://arxiv.org/abs/2105.12049",
        untested="answers are attacked beside features alone: `output_only` is the floor of a threat of family split",
    ),
    Rule(
        "hidden-labels", "split", ("features", "gradients"), "the labels", "queries",
        "Liu, Lyu, 2022, https://arxiv.org/abs/2203.05222", auxiliary="auxiliary", last=True, seeks="attribute",
    ),
    Rule("labels", None, ("true labels",), "the labels themselves", "queries", "follows from the topology"),
    Rule(
        "gradients", "exchange", ("gradients",), "inputs and labels of a batch", "queries",
        "Zhu, Liu, Han, 2019, https://arxiv.org/abs/1906.08935",
        untested="gradients that an edge sends are no joint stage: records are sought in those of a [[stage]] with "
        "`parties`, by a threat of family exchange with question = 'records'",
    ),
    Rule(
        "steering", "split", ("features",), "the input, in training", "queries",
        "Pasquini, Ateniese, Bernaschi, 2021, https://arxiv.org/abs/2012.02670", active=True, auxiliary="auxiliary",
        last=True, seeks="input",
    ),
    Rule(
        "updates", "exchange", ("weights",), "properties of training records", "training",
        "Melis, Song, De Cristofaro, Shmatikov, 2019, https://arxiv.org/abs/1805.04049",
        untested="weights that an edge sends are no joint stage: a threat of family exchange is asked of a [[stage]] "
        "with `parties`",
    ),
    Rule(
        "membership", "membership", ("weights", *OUT, "features"), "whose records the model was trained on", "training",
        "Shokri, Stronati, Song, Shmatikov, 2017, https://arxiv.org/abs/1610.05820",
    ),
    Rule(
        "inversion", "inversion", ("weights", *OUT), "what a class looks like", "training",
        "Fredrikson, Jha, Ristenpart, 2015, https://doi.org/10.1145/2810103.2813677", auxiliary="public", last=True,
    ),
    Rule(
        "copy", None, OUT, "the model, by imitation", "model",
        "Tramer, Zhang, Juels, Reiter, Ristenpart, 2016, https://arxiv.org/abs/1609.02943",
    ),
)  # fmt: skip
"""All rules on models and what passes through them, in the order in which a table shows them."""
MESSAGES = Rule(
    "messages", "exchange", ("gradients", "weights", "features"), "private attributes of batches", "training",
    "Melis, Song, De Cristofaro, Shmatikov, 2019, https://arxiv.org/abs/1805.04049", auxiliary="auxiliary",
)  # fmt: skip
"""The rule on what crosses between parties that train a stage together."""
