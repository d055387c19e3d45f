"""Renders result.json and provenance.json to one self-contained HTML file: no scripts, downloads or computations."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from dosimeter.results import figures, words
from dosimeter.results.page import doses, plain_variants, variants
from dosimeter.results.page.environment import environment
from dosimeter.results.page.section import Section
from dosimeter.results.page.shares import side_by_side
from dosimeter.results.page.topology import topology_page
from dosimeter.results.rows import Row, exact
from dosimeter.results.views import View, own_rows, views

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
BADGES: Mapping[str, str] = {
    "withdrawn": "Withdrawn: a validity check failed",
    "shown": "Leak shown",
    "not_resolvable": "Not resolvable with this much data",
    "not_shown": "No leak shown",
}
# Shown elsewhere: what was hashed in a part of its own, the audit key at the head.
SHOWN_ELSEWHERE = ("definitions", "hashed", "audit_key", "work")


def render_page(result: Mapping[str, Any], provenance: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """The report as one HTML page, the same bytes for the same input.

    Args:
        result: the content of a valid result.json.
        provenance: the content of provenance.json; every key is optional.
        sections: what each threat's family puts on the page, in the order of the threats.
    """
    listed = list(zip(views(result), sections, strict=True))
    several = len(listed) > 1
    threats = [_threat(view, one, result, number if several else 0) for number, (view, one) in enumerate(listed, 1)]
    terms = dict.fromkeys(entry for one in sections for entry in one.glossary)
    context: dict[str, object] = {
        "result": result,
        "threats": threats,
        "shares": (shares := side_by_side(result, listed)),
        "tested": any(one.accuracy.ok or one.gain.ok for one in shares),
        "topology": topology_page(result),
        "what": "Privacy audit" if several else sections[0].what,
        "badge": _whole_badge(result) if several else sections[0].badge,
        "glossary": [*terms, *([doses.TERM] if result["dose"] else []), *_methods(view for view, _ in listed)],
        "provenance": provenance_rows(provenance),
        "definitions": _definitions(provenance),
    }
    return _with_own_ids(environment().get_template("report.html.j2").render(context))


def _with_own_ids(html: str) -> str:
    """The page with an own name for every mark that figures define: equal figures define equal ones."""
    count = itertools.count(1)

    def renamed(figure: re.Match[str]) -> str:
        return re.sub(r'(\sid="|\shref="#|url\(#)', rf"\g<1>figure-{next(count)}-", figure[0])

    return re.sub(r"<svg.*?</svg>", renamed, html, flags=re.DOTALL)


def _whole_badge(result: Mapping[str, Any]) -> str:
    """The verdict on several threats in a few words: the worst one, and whose it is."""
    status, worst = result["verdict"]["status"], result["verdict"]["threat"]
    return f"{BADGES[status]} (“{worst}”), of {len(result['threats'])} threats"


def _threat(view: View, section: Section, result: Mapping[str, Any], number: int) -> dict[str, Any]:
    """One threat on the page, and its line in the table; `number` is 0 if it is the only one."""
    own = own_rows(view)
    nulls = _null_audit(own, section.names)
    contents = [*section.contents, *([("variants", "Costs")] if view["variants"] else []), *section.more_contents]
    contents += [("utility", "Utility"), ("validity", "Validity"), ("not-tested", "Not tested")]
    contents += [("topology", "Topology")] if result["topology"] and not number else []
    contents += [] if number else [("reading", "How to read"), ("provenance", "Provenance"), ("signature", "Signature")]
    block = (
        environment()
        .get_template("threat.html.j2")
        .render(
            section=section,
            contents=contents,
            of=f" of threat {view['id']}" if number else "",
            fpr=words.percent(figures.leading(own)),
            variants=None if section.leads else variants.table(view, section.names),
            plain=plain_variants.table(view, section),
            utility=[_utility(row) for row in own["utility"]],
            gates=sorted(own["gates"], key=lambda gate: ("fail", "warn", "pass").index(gate["status"])),
            passed=[gate for gate in own["gates"] if gate["status"] == "pass"],
            not_asked=[f"{one['id']} ({one['reason']})" for one in own["gates_not_asked"]],
            null_audit=nulls,
            null_head=section.null_audit[0],
            null_intro=section.null_audit[1],
            null_failed=any(status != "pass" for *_, status in nulls),
            not_tested=[*view["not_tested"], *result["not_tested"]],
        )
    )
    return {
        "id": view["id"], "question": view["question"], "who": section.who, "badge": section.badge,
        "dose": doses.figure(None if view["verdict"]["status"] == "withdrawn" else view["dose"]),
        "status": view["verdict"]["status"], "anchor": f"threat-{number}",
        "block": Markup(apart(block, f"threat-{number}-") if number else block),
    }  # fmt: skip


def _utility(row: Row) -> tuple[str, Row, figures.Figure, int]:
    """A line of the table of utilities: its records, the row, the number, how many."""
    split, epsilon = words.SPLITS.get(str(row.conditions.get("split")), "all records"), row.conditions.get("epsilon")
    if epsilon is not None:
        split += f", every number changed by up to {exact('share', float(epsilon))} of its range"
    return split, row, figures.rate(row), row.counted[0]


def apart(block: str, prefix: str) -> str:
    """A part of a page with anchors of its own, and with headings below that of the page.

    Args:
        block: HTML whose texts are escaped, so that a quotation mark stands only round attributes.
        prefix: what every id in it, and every link within it, begins with.

    >>> apart('<h1 id="a">A</h1><a href="#a">x</a>', "b-")
    '<h2 class="lead" id="b-a">A</h2><a href="#b-a">x</a>'
    """
    named = re.sub(r'(\s(?:id|aria-labelledby)=")', rf"\g<1>{prefix}", block)
    linked = re.sub(r'(\shref="#|url\(#)', rf"\g<1>{prefix}", named)
    return linked.replace("<h1 ", '<h2 class="lead" ').replace("</h1>", "</h2>")


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


def _methods(found: Iterable[View]) -> list[tuple[str, str]]:
    """Glossary entries for the interval methods that occur."""
    rows = [row for view in map(own_rows, found) for row in (*view["estimates"], *view["utility"])]
    return [
        (f"Interval: {name}", meaning[:1].upper() + meaning[1:] + ".")
        for name, meaning in words.methods(row.method for row in rows if row.metric != "fpr")
    ]


def _null_audit(view: View, names: Mapping[str, str]) -> list[tuple[str, figures.Figure, str]]:
    """Attack, its number where there is nothing to find, and status, for each row of the null audit."""
    rows = []
    for row in view["null_audit"]:
        measure = figures.Figure("not measured", ok=False)
        if row["value"] is not None:
            ends = "" if None in (row["low"], row["high"]) else words.decimal_range(row["low"], row["high"])
            measure = figures.Figure(words.decimal(row["value"]), ends)
        rows.append((names.get(row["attack"], row["attack"]), measure, row["status"]))
    return rows
