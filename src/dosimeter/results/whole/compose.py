"""Puts what is common to a run and the findings of its threats together: the content of result.json, version 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import Findings
from dosimeter.results.schema import VERSION
from dosimeter.results.views import COMMON
from dosimeter.results.whole.ranking import Ranked, lead
from dosimeter.results.words import capital

WORST_FIRST = ("withdrawn", "shown", "not_resolvable", "not_shown")
"""Statuses of a verdict; that of a run is the first that one of its threats has."""
SAID: Mapping[str, str] = {
    "withdrawn": "withdrawn",
    "shown": "shown to leak",
    "not_resolvable": "not resolvable",
    "not_shown": "not shown to leak",
}


LEAKS: Mapping[str, str] = {
    "attribute": "attributes of training records",
    "property": "properties of the training set",
    "membership": "membership",
    "inversion": "model inversion",
    "exchange": "gradients",
    "split": "features at a cut",
}
"""Kinds of leak that are known, by the family that asks about each; some have no family yet."""


def not_asked(families: Iterable[str]) -> str:
    """Sentence about the kinds of leak that no family of a run asks about; empty if there are none.

    Args:
        families: of the run.

    >>> not_asked(["membership"]).rpartition(", ")[2]
    'features at a cut: only membership was.'
    >>> not_asked(["membership", "inversion"]).rpartition(": ")[2]
    'only membership and model inversion were.'
    """
    own = list(dict.fromkeys(families))
    left = ", ".join(words for name, words in LEAKS.items() if name not in own)
    if not left:
        return ""
    asked = [LEAKS.get(name, name) for name in own]
    told = asked[0] if len(asked) == 1 else f"{', '.join(asked[:-1])} and {asked[-1]}"
    return f"{capital(left)}: only {told} {'was' if len(asked) == 1 else 'were'}."


@dataclass(frozen=True)
class ThreatFindings:
    """One threat of a run.

    Attributes:
        id: its name, which no other threat of the run has.
        family: name of its family.
        question: what the adversary asks, as a sentence; `{noun}` stands for what one record is.
        at_risk: the stage, or the part of the data, that it is about.
        findings: what it came to.
    """

    id: str
    family: str
    question: str
    at_risk: str
    findings: Findings

    def to_json(self, noun: str) -> dict[str, Any]:
        """The entry of `threats`."""
        found = self.findings.of_threat(self.id)
        return {
            "id": self.id,
            "family": self.family,
            "question": self.question.replace("{noun}", noun),
            "at_risk": self.at_risk,
            "adversary": dict(found.adversary),
            "data": dict(found.data),
            "attacks": [dict(one) for one in found.attacks],
            "verdict": dict(found.verdict),
            "estimates": [row.to_json() for row in found.estimates],
            "gates": [asdict(gate) for gate in found.gates],
            "gates_not_asked": [dict(one) for one in found.gates_not_asked],
            "null_audit": [asdict(one) for one in found.null_audit],
            "dose": None if found.dose is None else found.dose.to_json(),
            "details": dict(found.details),
            "not_tested": list(found.not_tested),
        }


def compose(
    common: Mapping[str, Any],
    threats: Sequence[ThreatFindings],
    *,
    gates: Sequence[Gate] = (),
    variants: Sequence[Mapping[str, Any]] = (),
    not_tested: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of result.json.

    Args:
        common: audit_key, name, noun, door, chain, and topology if there is one; further keys are left out.
        threats: one or several, with different ids.
        gates: checks of the whole run.
        variants: what was tried besides; `threats` of each says what it did to each threat.
        not_tested: what no threat of the run tested, beside the kinds of leak that none asks about.

    Raises:
        ValueError: no threat, or two with one id.
    """
    ids = [one.id for one in threats]
    if not ids or len(set(ids)) < len(ids):
        raise ValueError(f"threats must be one or more with different ids, got {ids}")
    entries = [one.to_json(str(common["noun"])) for one in threats]
    return {
        "schema": VERSION,
        **{key: common[key] for key in COMMON},
        "topology": common.get("topology"),
        "verdict": _whole_verdict(threats, str(common["noun"])),
        "dose": [{"threat": one["id"], **one["dose"]} for one in entries if one["dose"] is not None],
        "threats": entries,
        "utility": [row.to_json() for one in threats for row in one.findings.of_threat(one.id).utility],
        "gates": [asdict(gate) for gate in gates],
        "variants": [dict(one) for one in variants],
        "not_tested": [*filter(None, [not_asked(one.family for one in threats)]), *not_tested],
    }


def _whole_verdict(threats: Sequence[ThreatFindings], noun: str) -> dict[str, Any]:
    """The worst verdict of all threats; among equals that of the largest share of its ceiling, else the first.

    Of several threats, the first sentence says which stage gives away most, and to whom.
    """

    def badness(one: ThreatFindings) -> tuple[int, float]:
        dose = one.findings.dose
        share = dose.low / dose.ceiling if dose is not None and dose.ceiling > 0 else -1.0
        return -WORST_FIRST.index(one.findings.verdict["status"]), share

    worst = max(threats, key=badness)
    told = list(worst.findings.verdict["sentences"])
    if len(threats) > 1:
        told = [*lead(_ranked(threats), noun), _counted(threats, worst.id), *told]
    return {"status": worst.findings.verdict["status"], "threat": worst.id, "sentences": told}


def _ranked(threats: Sequence[ThreatFindings]) -> list[Ranked]:
    """Threats of which a dose may be quoted."""
    return [
        Ranked(
            one.id,
            one.at_risk,
            one.findings.who,
            str(one.findings.verdict["status"]),
            one.findings.dose,
            one.findings.unit,
        )  # fmt: skip
        for one in threats
        if one.findings.dose is not None
        and one.findings.dose.ceiling > 0
        and one.findings.verdict["status"] != "withdrawn"
    ]


def _counted(threats: Sequence[ThreatFindings], worst: str) -> str:
    """Text: how many threats have which verdict, and whose sentences follow."""
    count = Counter(str(one.findings.verdict["status"]) for one in threats)
    told = ", ".join(f"{count[status]} {SAID[status]}" for status in WORST_FIRST if count[status])
    return f"{len(threats)} threats were tested: {told}. The sentences below are about “{worst}”."
