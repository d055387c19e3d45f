"""The part of the page on layers: where the information of the attack's loss and of the task's lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from dosimeter.results import words
from dosimeter.results.page import plots
from dosimeter.results.views import View

KINDS: Mapping[str, str] = {
    "made": "the attack's loss on what it made",
    "held_out": "the task's loss on held-out {nouns}",
    "train": "the task's loss on training {nouns}",
    "prior": "control: cross-entropy on random {nouns} of the prior",
    "noise": "control: cross-entropy on noise",
}
"""Losses in words; the first three are drawn."""
DRAWN = 3


def layers(result: View, names: Mapping[str, str]) -> dict[str, Any] | None:
    """What the page shows of `details.fisher`; None where the audit does not ask for it.

    Args:
        result: a threat of a valid result.json.
        names: display name of each attack, by id.
    """
    found = result["details"].get("fisher")
    if found is None or found["reason"]:
        return found and {"reason": found["reason"]}
    curves = {one["of"]: one for one in found["curves"]}
    ratios = {one["beside"]: one for one in found["ratios"]}
    told = {kind: text.format(nouns=words.plural(result["noun"])) for kind, text in KINDS.items()}
    drawn = [curves[kind]["mean"]["shares"] for kind in list(KINDS)[:DRAWN]]
    return {
        "reason": "",
        "attack": names[found["attack"]],
        "sentence": _sentence(ratios),
        "layers": [f"{one['name']} ({one['parameters']:,})" for one in found["layers"]],
        "figure": Markup(
            plots.by_layer(drawn, share="the information", title="Share of the Fisher information by layer")
        ),
        "legend": [told[kind] for kind in list(KINDS)[:DRAWN]],
        "rows": [_row(text, curves[kind], ratios.get(kind)) for kind, text in told.items()],
    }


def _sentence(ratios: Mapping[str, Mapping[str, Any]]) -> str:
    """What the slopes of the log-ratio say; both kinds of records of the task must agree."""
    slopes = [ratios[kind]["slope"] for kind in ("train", "held_out")]
    if all(one["high"] < 0 for one in slopes):
        return "What the attack made depends on earlier layers than the task does."
    if all(one["low"] > 0 for one in slopes):
        return "What the attack made depends on later layers than the task does."
    return "It is not shown that what the attack made depends on earlier or on later layers than the task does."


def _row(text: str, curve: Mapping[str, Any], ratio: Mapping[str, Any] | None) -> dict[str, str]:
    """One loss: where its information lies by both ways to add up, and the attack's beside it."""
    return {
        "text": text,
        "records": f"{curve['records']:,}",
        "mean": _place(curve["mean"]["centre"]),
        "sum": _place(curve["sum"]["centre"]),
        "slope": _number(ratio["slope"]) if ratio else "",
    }


def _place(band: Mapping[str, Any]) -> str:
    """A centre of mass as the number of a layer; layers count from 1 on the page."""
    return _number({end: value + 1 for end, value in band.items()})


def _number(band: Mapping[str, Any]) -> str:
    """An estimate with its interval."""
    return f"{band['value']:.2f} ({band['low']:.2f} to {band['high']:.2f})"
