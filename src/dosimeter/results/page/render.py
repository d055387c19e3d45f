"""result.json and provenance.json in, one self-contained HTML file out: no script, nothing fetched or computed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from dosimeter.families.membership.section import adversary, canaries, exposure, lead, view
from dosimeter.families.membership.sentences.first_page import dated
from dosimeter.foundation.errors import StoreError
from dosimeter.foundation.package import ROOT
from dosimeter.results import figures, reading, words
from dosimeter.results.page import plots, variants  # fmt: skip

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
APART = ("definitions", "hashed", "audit_key")


def write_report(folder: Path) -> Path:
    """Render a run folder's result.json, with its provenance.json if there is one, to report.html.

    Args:
        folder: run folder; the file is replaced in one step, so that a reader never meets half a report.

    Returns:
        The path of report.html.

    Raises:
        StoreError: result.json is missing, of an unknown version or broken; or a file cannot be read or written.
    """
    result = reading.read_result(folder / "result.json", name="result.json", absent="run `dosimeter measure` first")
    page = render_folder(folder, result)
    report, partial = folder / "report.html", folder / f".report.html.{os.getpid()}"
    try:
        partial.write_text(page, encoding="utf-8", newline="\n")
        partial.replace(report)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"report.html: could not be written: {error.strerror}") from error
    return report


def render_folder(folder: Path, result: Mapping[str, Any]) -> str:
    """The page of a run's result, with its provenance.json if there is one.

    Raises:
        StoreError: provenance.json is broken.
    """
    path = folder / "provenance.json"
    provenance = reading.read_json(path, "remove the file") if path.exists() else {}
    if not isinstance(provenance, Mapping):
        raise StoreError("provenance.json: must be object, got something else: remove the file or run again")
    return render(result, provenance)


def render(result: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """The report as one HTML page, the same bytes for the same input.

    Args:
        result: the content of a valid result.json (see `schema.problems`).
        provenance: the content of provenance.json; every key is optional.
    """
    whole, result = result, variants.undefended(result)
    table = view.attacks(result)
    names = {attack["id"]: view.full_name(attack) for attack in result["attacks"]}
    main = figures.find(
        result, result["verdict"]["attack"], "tpr", fpr=figures.leading(result), threshold=figures.CALIBRATED
    )
    by = words.THRESHOLDS[figures.source(result)]
    nulls = _null_audit(result, names)
    context: dict[str, object] = {
        "result": result,
        "badge": lead.badge(result),
        "box": lead.box(result, names.get(result["verdict"]["attack"], "no attack"), by),
        "no_number": lead.no_number(result),
        "answers": dated(result["verdict"].get("answers", ()), provenance),
        "p_values": [
            (name, f"{result['verdict'][key]:.2g}")
            for name, key in (("members recognised", "p_tpr"), ("AUC", "p_auc"))
            if result["verdict"][key] is not None
        ],
        "by": by,
        "stages": adversary.chain(result),
        "facts": adversary.facts(result),
        "attacks": table.rows,
        "attacks_note": table.note,
        "scale": words.percent(table.scale),
        "fpr": words.percent(figures.leading(result)),
        "attack_name": names.get(result["verdict"]["attack"], "no attack"),
        "basis": figures.basis(main) if main is not None else "",
        "ladder": view.ladder(result),
        "groups": view.groups(result),
        "exposure": exposure.section(result),
        "canaries": canaries.section(result),
        "wagers": view.wagers(result),
        "variants": variants.table(whole, names),
        "utility": [(words.SPLITS[row["split"]], row, figures.rate(row)) for row in result["utility"]],
        "gates": sorted(result["gates"], key=lambda gate: ("fail", "warn", "pass").index(gate["status"])),
        "passed": [gate for gate in result["gates"] if gate["status"] == "pass"],
        "not_asked": [f"{one['id']} ({one['reason']})" for one in result.get("gates_not_asked", ())],
        "null_audit": nulls,
        "null_failed": any(status != "pass" for *_, status in nulls),
        "glossary": [*adversary.GLOSSARY, *_methods(result)],
        "provenance": provenance_rows(provenance),
        "definitions": _definitions(provenance),
        **_figures(result, names),
    }
    return _environment().get_template("report.html.j2").render(context)


def provenance_rows(provenance: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What is known about a run, as label and (name, text) pairs: known keys first, then the others, none left out.

    >>> provenance_rows({"z": 1, "git": {"revision": "abc"}})
    [('Git revision', [('revision', 'abc')]), ('z', [('', '1')])]
    """
    known = [key for key in PROVENANCE_LABELS if key in provenance]
    others = sorted(key for key in provenance if key not in PROVENANCE_LABELS and key not in APART)
    rows = []
    for key in [*known, *others]:
        value = provenance[key]
        pairs = (
            [(str(k), _plain(value[k])) for k in sorted(value)] if isinstance(value, Mapping) else [("", _plain(value))]
        )
        rows.append((PROVENANCE_LABELS.get(key, key), pairs))
    return rows


def _plain(value: object) -> str:
    """A value of the provenance: integers without thousands, as seeds are copied by hand."""
    if value is None:
        return "not known"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else words.setting(value)


def _definitions(provenance: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """What was hashed, by name, as indented JSON."""
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


def _null_audit(result: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, figures.Measure, str]]:
    """Attack, AUC at a made-up membership, status."""
    rows = []
    for row in result["null_audit"]:
        measure = figures.Measure("not measured", ok=False)
        if row["auc"] is not None:
            ends = "" if None in (row["low"], row["high"]) else words.decimal_range(row["low"], row["high"])
            measure = figures.Measure(words.decimal(row["auc"]), ends)
        rows.append(
            (names.get(row["attack"], row["attack"]), measure, "pass" if row["status"] == "ok" else row["status"])
        )
    return rows


def _figures(result: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, object]:
    """ROC with its legend, and histograms; empty where there is nothing to draw."""
    attacks, smallest, main = view.drawn(result), view.smallest_fpr(result), result["verdict"]["attack"]
    roc, legend = Markup(""), []
    if attacks and smallest is not None:
        control = bool(attacks[-1]["control"]) and len(attacks) > 1
        curves = [result["curves"][attack["id"]] for attack in attacks]
        title = "ROC: members recognised against false accusations"
        roc = Markup(plots.roc(curves, smallest=smallest, control=control, title=title))
        for index, attack in enumerate(attacks):
            series = 0 if attack["control"] and index else index + 1
            auc = figures.auc(figures.find(result, attack["id"], "auc"))
            legend.append((series, names[attack["id"]], f"AUC {auc.value}" if auc.ok else ""))
    bars = result["histograms"].get(main)
    histogram = Markup("")
    if bars and sum(bars["members"]) and sum(bars["nonmembers"]):
        histogram = Markup(plots.histogram(bars, title="Scores of members and non-members"))
    begin = words.percent(smallest) if smallest is not None else ""
    return {"roc": roc, "legend": legend, "histogram": histogram, "axes_begin": begin}


MEMBERSHIP = ROOT / "families" / "membership" / "section" / "templates"


@cache
def _environment() -> Environment:
    """Templates with escaping always on; a missing name or an absent value is an error, never a blank or a "None"."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).with_name("templates"), MEMBERSHIP]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(visible=words.visible, percent=words.percent)
    return environment


def _printable(value: object) -> object:
    """What a template may print: text with hidden characters spelled out, numbers, markup of our own; never None."""
    if value is None:
        raise ValueError("the report must not print an absent value, got None")
    if isinstance(value, str) and not isinstance(value, Markup):
        return words.visible(value)
    return value
