"""Findings from evidence and truth: every number of the report, once, without any model."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dosimeter.families.directions import says_alike
from dosimeter.families.family import CaseFolder
from dosimeter.families.inversion.measures.accepted import acceptance, accepted_rows, accepted_share
from dosimeter.families.inversion.measures.checks import (
    blind_judge,
    controls,
    directed,
    judges,
    marks,
    null_audit,
    null_gate,
)
from dosimeter.families.inversion.measures.distances import distance_rows, yardsticks
from dosimeter.families.inversion.measures.identified import Measured
from dosimeter.families.inversion.measures.information import information
from dosimeter.families.inversion.measures.utility import utility
from dosimeter.families.inversion.sentences.first_page import ACCESS, failed_names, not_tested, sentences
from dosimeter.families.inversion.stored import read_left
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import Findings, found_dose
from dosimeter.results.rows import Row
from dosimeter.statistics.identification import would_show

RESTS_ON: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("recognised", "placed", "dose", "accepted", "knn_distance", "feature_distance"), ("lineup",)),
    "classified": ("classifier",),
    **dict.fromkeys(("confirmed", "rejected"), ("lineup", "classifier")),
}  # fmt: skip
"""Judges on whom each number rests."""
SHOWN_PICTURES = 24
"""Most identities whose pictures a report shows."""


def measure(folder: CaseFolder) -> Findings:
    """What a case came to.

    Args:
        folder: what the run left of it.

    Raises:
        StoreError: an array is missing or damaged.
    """
    found = Measured(read_left(folder))
    nulls = null_audit(found)
    gates = (judges(found), *_collected(folder.summary), null_gate(nulls), controls(found), *directed(found))
    status = _status(found, gates)
    summary, rate = folder.summary, found.headline_rate
    details = _details(found)
    told = {
        "noun": summary["noun"], "access": summary["threat"]["access"], "public": summary["data"]["public"],
        "origin": found.headline in summary["threat"].get("origin", ()),
        "identities": found.identities, "targets": summary["threat"]["targets"], "value": rate.value,
        "low": rate.low, "high": rate.high, "limit": details["limit"], "failed": failed_names(gates),
        "null_audit": bool(nulls), "accepted": accepted_share(found, found.headline),
        "beside": [
            {"class": one["name"], "settings": one["settings"], "value": float(found.hits(one["id"]).mean())}
            for one in summary["attacks"] if one["id"] in found.attackers and one["id"] != found.headline
        ],
    }  # fmt: skip
    return Findings(
        verdict={
            "status": status,
            "attack": found.headline,
            "sentences": sentences(status, told),
            "p_recognised": found.test.p_recognised,
            "p_placed": found.test.p_placed,
        },
        estimates=_marked(found, [*found.rows(), *accepted_rows(found), *distance_rows(found)]),
        attacks=tuple({**one, "headline": one["id"] == found.headline} for one in summary["attacks"]),
        utility=tuple(utility(found)),
        gates=gates,
        null_audit=nulls,
        details=details,
        not_tested=not_tested(summary["threat"]["prior"], origin=bool(summary["threat"].get("origin"))),
        data=summary["data"],
        adversary=summary["threat"],
        dose=found_dose(found.headline, found.headline_dose) if status in ("shown", "not_shown") else None,
        who=f"somebody who {ACCESS[summary['threat']['access']]}",
        unit="identity",
    )


def _marked(found: Measured, rows: Sequence[Row]) -> tuple[Row, ...]:
    """Rows with a remark where a judge on whom they rest names too few real records right.

    A lineup that does not recognise real records recognises nothing else either, so that its rows have no numbers: a
    low rate would be the judge's, and would meet any limit. Other remarks keep a number from meeting one.
    """
    weak = marks(found)
    none: dict[str, Any] = {"status": "not_resolvable", "value": None, "low": None, "high": None}
    told = {metric: "; ".join(weak[one] for one in judges if one in weak) for metric, judges in RESTS_ON.items()}
    alike = {one for one in found.attackers if says_alike(found.left.lineup(one))}

    def doubt(row: Row) -> str:
        """Why a number meets no limit; empty where nothing says so."""
        return "the attack made the same of everyone (P8)" if row.attack in alike else told.get(row.metric, "")

    blind = {metric for metric, judges in RESTS_ON.items() if "lineup" in judges} if blind_judge(found) else set()
    return tuple(
        replace(row, reason=told.get(row.metric, ""), **(none if row.metric in blind else {"doubt": doubt(row)}))
        if row.ok
        else row
        for row in rows
    )


def _collected(summary: Mapping[str, Any]) -> list[Gate]:
    """Checks that were decided when the run was collected."""
    return [Gate(**{key: one[key] for key in ("id", "name", "status", "value", "message")}) for one in summary["gates"]]


def _status(found: Measured, gates: Sequence[Gate]) -> str:
    """Status of the verdict."""
    if any(gate.status == "fail" for gate in gates):
        return "withdrawn"
    if blind_judge(found):
        return "not_resolvable"
    return "shown" if found.test.shown else "not_shown"


def _details(found: Measured) -> dict[str, Any]:
    """What only this family has."""
    rate, left = found.headline_rate, found.left
    needed = found.test.needed
    return {
        "headline": {
            "value": rate.value, "low": rate.low, "high": rate.high, "level": found.choice_level, "method": rate.method,
        },
        "chance": 1 / found.identities,
        "needed": min(needed, 1.0) if needed <= 1 else None,
        "limit": would_show(found.identities, needed),
        "identities": _named(found),
        "beside": found.beside(),
        "judges": {name: float(np.mean(left.truth[f"{name}_right"])) for name in ("lineup", "classifier")},
        "acceptance": acceptance(found),
        "distances": yardsticks(found),
        "queries": {one: int(np.max(arrays["queries"])) for one, arrays in left.evidence.items()},
        "pictures": _pictures(found),
        "fisher": information(found),
    }  # fmt: skip


def _named(found: Measured) -> list[dict[str, Any]] | None:
    """Each identity by name with the share of models from which it is recognised; None unless the audit asks for it."""
    left = found.left
    if not left.summary["threat"]["show_records"]:
        return None
    hits, names = found.hits(found.headline).mean(0).tolist(), left.truth["names"].tolist()
    return [{"name": name, "recognised": hit} for name, hit in zip(names, hits, strict=True)]


def _pictures(found: Measured) -> dict[str, Any] | None:
    """Pictures as PNG in base64, by what they are: a real one of each identity, then what each attack made.

    None unless the audit asks for them: what is made of people in the training data is as private as their records.
    """
    left = found.left
    if not left.summary["threat"]["show_records"] or left.faces is None:
        return None
    names = left.truth["names"][:SHOWN_PICTURES].tolist()
    rows = {"": left.faces, **{one: arrays["pictures"] for one, arrays in left.evidence.items()}}
    return {
        "identities": names,
        "rows": [{"attack": one, "png": [_png(each) for each in made[:SHOWN_PICTURES]]} for one, made in rows.items()],
    }


def _png(picture: Array) -> str:
    """A small picture `[h w channels]` of bytes as PNG in base64."""
    from PIL import Image  # noqa: PLC0415

    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
