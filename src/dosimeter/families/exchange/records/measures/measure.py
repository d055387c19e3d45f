"""Findings of a threat about records, from evidence and truth alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

from dosimeter.families.exchange.measures.checks import gain_of, worth_it
from dosimeter.families.exchange.measures.held import held_gate
from dosimeter.families.exchange.measures.utility import utility, worth
from dosimeter.families.exchange.records.measures.checks import controls, directed, nearer, null_audit, null_gate
from dosimeter.families.exchange.records.measures.left import read_rebuilt, worth_of
from dosimeter.families.exchange.records.measures.rebuilt import Rebuilt
from dosimeter.families.exchange.records.measures.shown import Decisions
from dosimeter.families.exchange.sentences.first_page import failed_names
from dosimeter.families.exchange.sentences.records import not_tested, sentences
from dosimeter.families.family import CaseFolder
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import Findings, FoundDose, found_dose


def measure_records(folder: CaseFolder) -> Findings:
    """What a case came to.

    Args:
        folder: what the run left of it.

    Raises:
        StoreError: an array is missing or damaged.
    """
    left = read_rebuilt(folder)
    found, value = Rebuilt(left), worth_of(left)
    tests, nulls = Decisions(found), null_audit(found)
    summary, head = folder.summary, tests.headline
    shown = any(one.shown for one in tests.all)
    gates = (
        worth_it(value), *held_gate(summary, shown=shown), nearer(found), null_gate(nulls), controls(found),
        *directed(found, shown=shown),
    )  # fmt: skip
    status, details = _status(tests, gates), _details(found, tests)
    gain = gain_of(value)
    details["gain"] = None if gain is None else {"value": gain.value, "low": gain.low, "high": gain.high}
    told = {**summary["threat"], "noun": summary["noun"], "failed": failed_names(gates), "details": details,
            "all_failed": all(map(found.failed, found.telling())), "pictures": summary["data"]["pictures"]}  # fmt: skip
    return Findings(
        verdict={"status": status, "attack": head.attack, "sentences": sentences(status, told), "p": head.p},
        estimates=(*found.rows(), *worth(value)),
        attacks=tuple({**one, "headline": one["id"] == head.attack} for one in summary["attacks"]),
        utility=tuple(utility(value)),
        gates=gates,
        null_audit=nulls,
        details=details,
        not_tested=not_tested(summary),
        data=summary["data"],
        adversary=summary["threat"],
        dose=_dose(found, tests) if status in ("shown", "not_shown") else None,
    )


def _status(tests: Decisions, gates: Sequence[Gate]) -> str:
    """Status of the verdict."""
    if any(gate.status == "fail" for gate in gates):
        return "withdrawn"
    if any(one.shown for one in tests.all):
        return "shown"
    return "not_resolvable" if tests.limit >= 1 else "not_shown"


def _details(found: Rebuilt, tests: Decisions) -> dict[str, Any]:
    """What only this question has."""
    head, level = tests.headline, tests.choice_level
    picked, recovered = (found.share(of(head.attack), level) for of in (found.picked, found.recovered))
    return {
        "headline": {
            "attack": head.attack, "channel": found.left.attack(head.attack)["channel"],
            "makes": found.left.attack(head.attack)["makes"], "level": level, "value": picked.value,
            "low": picked.low, "high": picked.high, "method": picked.method, "chance": 1 / found.batches,
            "recovered": {"value": recovered.value, "low": recovered.low, "high": recovered.high},
            "near": found.near(head.attack),
        },
        "tests": [one.to_json() for one in tests.all],
        "limit": tests.limit,
        "mean_error": found.mean_error,
        "pictures": _pictures(found),
    }  # fmt: skip


def _dose(found: Rebuilt, tests: Decisions) -> FoundDose | None:
    """The dose of the headline; whoever knows the classes alone has none of it."""
    return found_dose(tests.headline.attack, found.dose(tests.headline.attack, tests.choice_level))


def _pictures(found: Rebuilt) -> dict[str, Any] | None:
    """Pictures as PNG in base64: records of the first batch, then what each attack made of them.

    None unless the audit asks for them: they are as private as the records.
    """
    left = found.left
    if not left.summary["threat"]["show_records"] or "pictures" not in left.truth:
        return None
    rows = [{"attack": "", "png": [_png(one) for one in left.truth["pictures"]]}]
    for attack, arrays in left.evidence.items():
        if "pictures" in arrays:
            rows.append({"attack": attack, "png": [_png(one) for one in arrays["pictures"]]})
    return {"rows": rows}


def _png(picture: Array) -> str:
    """A small picture `[h w channels]` of bytes as PNG in base64."""
    from PIL import Image  # noqa: PLC0415

    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
