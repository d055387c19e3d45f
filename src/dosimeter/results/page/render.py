"""Renders result.json and provenance.json to one self-contained HTML file: no scripts, downloads or computations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from dosimeter.results import figures, words
from dosimeter.results.page import variants  # fmt: skip
from dosimeter.results.page.environment import environment
from dosimeter.results.page.section import Section

PROVENANCE_LABELS: Mapping[str, str] = {
    "dosimeter": "dosimeter version",
    "git": "Git revision",
    "started": "Started",
    "finished": "Finished",
    "seconds": "Duration (seconds)",
    "hardware": "Hardware",
    "versions": "Versions",
    "seed": "Seed",
    "seeds": "Seeds",
    "data_sha256": "SHA-256 of the data",
    "target_sha256": "SHA-256 of the target",
    "sources": "SHA-256 of user code",
}
# Shown elsewhere: what was hashed in a part of its own, the audit key at the head.
SHOWN_ELSEWHERE = ("definitions", "hashed", "audit_key")


def render_page(result: Mapping[str, Any], provenance: Mapping[str, Any], section: Section) -> str:
    """The report as one HTML page, the same bytes for the same input.

    Args:
        result: the content of a valid result.json (see `schema.problems`).
        provenance: the content of provenance.json; every key is optional.
        section: what the audit's family puts on the page.
    """
    whole, result = result, variants.without_variants(result)
    nulls = _null_audit(result, section.names)
    context: dict[str, object] = {
        "result": result,
        "section": section,
        "fpr": words.percent(figures.leading(result)),
        "variants": variants.table(whole, section.names),
        "utility": [(words.SPLITS[row["split"]], row, figures.rate(row)) for row in result["utility"]],
        "gates": sorted(result["gates"], key=lambda gate: ("fail", "warn", "pass").index(gate["status"])),
        "passed": [gate for gate in result["gates"] if gate["status"] == "pass"],
        "not_asked": [f"{one['id']} ({one['reason']})" for one in result.get("gates_not_asked", ())],
        "null_audit": nulls,
        "null_failed": any(status != "pass" for *_, status in nulls),
        "glossary": [*section.glossary, *_methods(result)],
        "provenance": provenance_rows(provenance),
        "definitions": _definitions(provenance),
    }
    return environment().get_template("report.html.j2").render(context)


def provenance_rows(provenance: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Known facts about a run, as label and (name, text) pairs: known keys first, then all others.

    >>> provenance_rows({"z": 1, "git": {"revision": "abc"}})
    [('Git revision', [('revision', 'abc')]), ('z', [('', '1')])]
    """
    known = [key for key in PROVENANCE_LABELS if key in provenance]
    others = sorted(key for key in provenance if key not in PROVENANCE_LABELS and key not in SHOWN_ELSEWHERE)
    rows = []
    for key in [*known, *others]:
        value = provenance[key]
        pairs = (
            [(str(k), _plain(value[k])) for k in sorted(value)] if isinstance(value, Mapping) else [("", _plain(value))]
        )
        rows.append((PROVENANCE_LABELS.get(key, key), pairs))
    return rows


def _plain(value: object) -> str:
    """A value of the provenance; integers have no thousands separators, since seeds are copied by hand."""
    if value is None:
        return "not known"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else words.setting(value)


def _definitions(provenance: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """The hashed content, by name, as indented JSON."""
    definitions = provenance.get("definitions") or {}
    items = [*definitions.items()] if isinstance(definitions, Mapping) else [("definitions", definitions)]
    items += [("hashed", provenance["hashed"])] if provenance.get("hashed") else []
    found = []
    for name, value in sorted((str(name), value) for name, value in items):
        text = value if isinstance(value, str) else json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
        found.append((name, Markup("\n").join(escape(words.visible(line)) for line in text.splitlines())))
    return found


def _methods(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Glossary entries for the interval methods that occur."""
    rows = [*result["estimates"], *result["utility"]]
    return [
        (f"Interval: {name}", meaning[:1].upper() + meaning[1:] + ".")
        for name, meaning in words.methods(row["method"] for row in rows)
    ]


def _null_audit(result: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, figures.Figure, str]]:
    """Attack, AUC at a null membership, and status, for each row of the null audit."""
    rows = []
    for row in result["null_audit"]:
        measure = figures.Figure("not measured", ok=False)
        if row["auc"] is not None:
            ends = "" if None in (row["low"], row["high"]) else words.decimal_range(row["low"], row["high"])
            measure = figures.Figure(words.decimal(row["auc"]), ends)
        rows.append((names.get(row["attack"], row["attack"]), measure, row["status"]))
    return rows
