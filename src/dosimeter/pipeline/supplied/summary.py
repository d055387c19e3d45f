"""What `run.json` says of a supplied model."""

from __future__ import annotations

from typing import Any

from dosimeter.pipeline.supplied.prepared import PreparedSupplied, Supplied


def about_supplied(prepared: PreparedSupplied) -> dict[str, Any]:
    """Noun and chain of a supplied model."""
    supplied = prepared.audit
    noun = supplied.report.noun or supplied.first.noun
    return {"noun": noun, "chain": [_given(prepared)]}


def _given(prepared: PreparedSupplied) -> dict[str, Any]:
    """The supplied model as the only stage of its chain."""
    supplied, adapted = prepared.audit, prepared.system.adapted
    trained = {} if not supplied.trains else {"fit of shadows": supplied.fit_name}
    return {
        "stage": "target",
        "data": _parts(supplied),
        "model": supplied.model_name,
        "transfer": "given",
        "given": True,
        "at_risk": True,
        "settings": {"kind": adapted.kind, "output": adapted.output, **trained},
    }


def _parts(supplied: Supplied) -> str:
    """Number of records in each part, with the part's name if it has one."""
    said = []
    for part, data in (supplied.parts or supplied.data).items():
        named = supplied.named.get(part)
        word = "non-members" if part == "nonmembers" else part
        said.append(f"{len(data):,} {word}" + (f" ({named})" if named else ""))
    return ", ".join(said)
