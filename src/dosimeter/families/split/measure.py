"""Findings from evidence and truth: every number of the report, once, without any model."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from dosimeter.families.family import CaseFolder
from dosimeter.families.split.measures.checks import (
    apart,
    controls,
    directed,
    knowing,
    null_audit,
    null_gate,
    of_these_persons,
    tellable,
    trained_enough,
)
from dosimeter.families.split.measures.choice import Cuts, choice
from dosimeter.families.split.measures.in_training import in_training
from dosimeter.families.split.measures.informed import information
from dosimeter.families.split.measures.measured import LEVEL, Measured
from dosimeter.families.split.measures.shown import Decision, Decisions
from dosimeter.families.split.measures.utility import utility
from dosimeter.families.split.sentences.first_page import KNOWS, failed_names, not_tested, sentences
from dosimeter.families.split.stored import read_left
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.results import words
from dosimeter.results.findings import Findings, FoundDose, found_dose
from dosimeter.statistics.identification import rate_of, recognised
from dosimeter.statistics.leakage.attributes import auc_of


def measure(folder: CaseFolder) -> Findings:
    """What a case came to.

    Args:
        folder: what the run left of it.

    Raises:
        StoreError: an array is missing or damaged.
    """
    found = Measured(read_left(folder))
    tests, nulls = Decisions(found), null_audit(found)
    checks = (
        trained_enough(found), tellable(found), apart(found), knowing(found), of_these_persons(found), null_gate(nulls),
        controls(found), *directed(found, tests.all),
    )  # fmt: skip
    gates = (*_collected(folder.summary), *(one for one in checks if one is not None))
    summary, head, caught = folder.summary, tests.headline, tests.caught()
    bests = [one for one in (tests.best(told) for told in (None, *found.attributes)) if one is not None]
    hopeless = [(test.told, tests.hopeless(test.told)) for test in bests if not test.shown]
    without = [told.name for told, one in hopeless if one and told is not None]
    status = _status(tests, gates, hopeless=all(one for _, one in hopeless))
    cuts = Cuts(found, tests)
    table = cuts.table()
    told = {
        "noun": summary["noun"], "answers": summary["threat"].get("answers", "seen"),
        "knows": summary["threat"]["knows"], "auxiliary": summary["data"]["auxiliary"],
        "targets": summary["threat"]["targets"], "failed": failed_names(gates), "steered": found.steered,
        "lineup": summary["data"]["lineup"], "limit": None if caught is None else caught["limit"],
        "input": _reached(found, tests.best(None)),
        "attributes": [one for one in (_reached(found, tests.best(told)) for told in found.attributes) if one],
        "hopeless": without, "all_failed": found.all_failed,
    }  # fmt: skip
    return Findings(
        verdict={"status": status, "attack": head.attack, "sentences": sentences(status, told), "p": head.p},
        estimates=(*found.rows(), *information(found)),
        attacks=tuple({**one, "headline": one["id"] == head.attack} for one in summary["attacks"]),
        utility=tuple(utility(found)),
        gates=gates,
        null_audit=nulls,
        details={**_details(found, tests, caught), "cuts": table, "choice": choice(cuts, table)},
        not_tested=(*_left_out(summary), *not_tested(summary)),
        data=summary["data"],
        adversary=summary["threat"],
        dose=_dose(found, tests) if status in ("shown", "not_shown") else None,
        who=f"somebody who sees what leaves the device and {KNOWS[summary['threat']['knows']]}"
        + (", or decides what comes back in training" if found.steered else ""),
    )


def _collected(summary: Mapping[str, Any]) -> list[Gate]:
    """Checks that were decided when the model was asked."""
    return [Gate(**{key: one[key] for key in ("id", "name", "status", "value", "message")}) for one in summary["gates"]]


def _left_out(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence about cuts of "all" that were not tested."""
    left = int(summary.get("cuts_left_out", 0))
    return (f"{words.count(left, 'more place')} at which the model could be cut.",) if left else ()


def _status(tests: Decisions, gates: Sequence[Gate], *, hopeless: bool) -> str:
    """Status of the verdict; `hopeless` says that nothing could have been shown of any secret that is not shown."""
    if any(gate.status == "fail" for gate in gates):
        return "withdrawn"
    if any(one.shown for one in tests.all):
        return "shown"
    return "not_resolvable" if hopeless else "not_shown"


def _reached(found: Measured, test: Decision | None) -> dict[str, Any] | None:
    """What the best attack on a secret reached, beside the yardsticks; None without any attack."""
    if test is None:
        return None
    goal = "input" if test.told is None else "attribute"
    ceiling = next(iter(found.of(goal, "inputs")), None)

    def value(attack: str, source: int) -> float:
        if test.told is None:
            return float(recognised(found.lineup(attack, source)).mean())
        return auc_of(found.guesses(attack, test.told, source), test.told.truth, test.told.unit).value

    return {
        "attribute": None if test.told is None else test.told.name, "attack": test.attack, "cut": test.cut,
        "value": value(test.attack, test.source),
        "floor": max((value(*one) for one in found.floors(goal, test.source)), default=None),
        "ceiling": None if ceiling is None else value(ceiling, 0),
        "shown": test.shown, "above_chance": test.above_chance,
        "active": bool(found.left.attack(test.attack).get("active")),
    }  # fmt: skip


def _details(found: Measured, tests: Decisions, caught: Mapping[str, float] | None) -> dict[str, Any]:
    """What only this family has."""
    head = tests.headline
    return {
        "headline": _headline(found, tests),
        "tests": [one.to_json() for one in tests.all],
        "best": [one for one in (_reached(found, tests.best(told)) for told in (None, *found.attributes)) if one],
        "headline_cut": head.cut,
        "caught": None if caught is None else dict(caught),
        "releases": list(found.left.summary.get("releases", [])),
        "attributes": list(found.left.summary["attributes"]),
        "recogniser": _recogniser(found),
        "in_training": in_training(found),
        "pictures": _pictures(found),
    }


def _headline(found: Measured, tests: Decisions) -> dict[str, Any]:
    """The headline's share or AUC, at a level that allows for the choice among all tests."""
    head, level = tests.headline, tests.choice_level
    if head.told is None:
        hits = recognised(found.lineup(head.attack, head.source))
        rate, chance = rate_of(hits, rng=found.rng("headline"), level=level), 1 / hits.shape[1]
        return {"metric": "identified", **_ends(rate, level), "chance": chance, "attribute": None}
    guesses = found.guesses(head.attack, head.told, head.source)
    rate = auc_of(guesses, head.told.truth, head.told.unit, level=level)
    return {"metric": "attribute_auc", **_ends(rate, level), "chance": 0.5, "attribute": head.told.name}


def _recogniser(found: Measured) -> dict[str, Any] | None:
    """How often the classifier names the class of the true inputs; None where there is no classifier."""
    right = found.left.truth.get("recognised")
    return None if right is None else _ends(found.shares(right[None]), LEVEL)


def _ends(one: Any, level: float) -> dict[str, Any]:
    """An interval as a result holds it."""
    return {"value": one.value, "low": one.low, "high": one.high, "level": level, "method": one.method}


def _dose(found: Measured, tests: Decisions) -> FoundDose | None:
    """The dose of the headline, with that of the answers as its floor."""
    head, level = tests.headline, tests.choice_level
    floors = found.floors("input" if head.told is None else "attribute", head.source)

    def of(attack: str, source: int) -> Any:
        if head.told is None:
            return found.dose_of_input(attack, source, level)
        return found.dose_of_attribute(attack, head.told, source, level)

    least = max((of(*one).value or 0.0 for one in floors), default=0.0)
    return found_dose(head.attack, of(head.attack, head.source), max(0.0, least))


def _pictures(found: Measured) -> dict[str, Any] | None:
    """Pictures as PNG in base64: inputs of some victims, then what each attack made of them after each cut.

    None unless the audit asks for them: they are as private as the records.
    """
    left = found.left
    if not left.summary["threat"]["show_records"] or left.faces is None:
        return None
    rows = [{"attack": "", "cut": None, "png": [_png(one) for one in left.faces]}]
    for attack, arrays in left.evidence.items():
        if "pictures" in arrays:
            rows += [
                {"attack": attack, "cut": cut, "png": [_png(one) for one in arrays["pictures"][source]]}
                for source, cut in enumerate(found.sources(attack))
                if not found.released or source < len(found.cuts)
            ]
    return {"rows": rows}


def _png(picture: Array) -> str:
    """A small picture `[h w channels]` of bytes as PNG in base64."""
    from PIL import Image  # noqa: PLC0415

    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
