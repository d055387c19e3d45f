"""Membership's part of the page, from a threat of `result.json`. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dosimeter.families.membership.section import adversary, canaries, exposure, lead, log_mia, resources, view
from dosimeter.families.membership.sentences.first_page import add_date
from dosimeter.results import figures, words
from dosimeter.results.page import doses, plots
from dosimeter.results.page.environment import environment
from dosimeter.results.page.section import Section
from dosimeter.results.views import View

NULL_AUDIT = (
    "AUC under made-up membership",
    "The same attacks, the same outputs, and a made-up membership that no model was trained on: every AUC must be near "
    "0.5.",
)


def section(result: View, provenance: Mapping[str, Any]) -> Section:
    """Membership's part of the page.

    Args:
        result: a threat of a valid result.json, without the rows of its variants.
        provenance: the content of provenance.json; every key is optional.
    """
    names = {attack["id"]: view.full_name(attack) for attack in result["attacks"]}
    context = {
        "result": result,
        "badge": lead.badge(result),
        **_first(result, provenance, names),
        **_body(result, names),
        "resources": resources.table(result, provenance, names),
        **_figures(result, names),
    }
    templates = environment(Path(__file__).with_name("templates"))
    first, body, rest = (
        Markup(templates.get_template(f"{name}.html.j2").render(context)) for name in ("first", "body", "rest")
    )
    optional = [("log-mia", "Log-MIA")] if context["log_mia"] else []
    optional += [(name, name.capitalize()) for name in ("groups", "exposure", "canaries") if context[name]]
    used = [("resources", "Resources")] if context["resources"] else []
    return Section(
        what="Membership audit",
        badge=lead.badge(result),
        first=first,
        body=body,
        rest=rest,
        contents=(("adversary", "Adversary"), ("attacks", "Attacks"), ("ladder", "Rates"), *used, *optional),
        more_contents=(("precision", "Accusations"), ("curves", "Curves")),
        glossary=(*adversary.GLOSSARY, *(log_mia.TERMS if context["log_mia"] else ())),
        names=names,
        who=adversary.who(result),
        null_audit=NULL_AUDIT,
    )


def _first(result: Mapping[str, Any], provenance: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, object]:
    """Content of the first card."""
    verdict, by = result["verdict"], words.THRESHOLDS[figures.source(result)]
    noun, box = result["noun"], lead.box(result, names.get(verdict["attack"], "no attack"), by)
    shown = verdict["status"] == "shown"
    dose = doses.sentences(result["dose"] or {}, noun=noun, settles=f"whether one {noun} was used", shown=shown)
    return {
        "box": box,
        "dose": dose if box else "",
        "no_number": lead.no_number(result),
        "answers": add_date(verdict.get("answers", ()), provenance),
        "p_values": [
            (name, f"{verdict[key]:.2g}")
            for name, key in (("members recognised", "p_tpr"), ("AUC", "p_auc"))
            if verdict[key] is not None
        ],
        "by": by,
    }


def _body(result: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, object]:
    """Content of the parts after the first card."""
    table, attack = view.attacks(result), result["verdict"]["attack"]
    main = figures.find(result, attack, "tpr", fpr=figures.leading(result), threshold=figures.CALIBRATED)
    return {
        "stages": adversary.chain(result),
        "facts": adversary.facts(result),
        "attacks": table.rows,
        "attacks_note": table.note,
        "dosed": table.dosed,
        "scale": words.percent(table.scale),
        "fpr": words.percent(figures.leading(result)),
        "attack_name": names.get(attack, "no attack"),
        "basis": figures.basis(main) if main is not None else "",
        "ladder": view.ladder(result),
        "groups": view.groups(result),
        "exposure": exposure.section(result),
        "canaries": canaries.section(result),
        "log_mia": log_mia.section(result, names),
        "wagers": view.wagers(result),
    }


def _figures(result: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, object]:
    """ROC with its legend, and histograms; empty if there is nothing to draw."""
    attacks, smallest, main = view.plotted_attacks(result), view.smallest_fpr(result), result["verdict"]["attack"]
    roc, legend = Markup(""), []
    if attacks and smallest is not None:
        control = bool(attacks[-1]["control"]) and len(attacks) > 1
        curves = [result["details"]["curves"][attack["id"]] for attack in attacks]
        title = "ROC: members recognised against false accusations"
        roc = Markup(plots.roc(curves, smallest=smallest, control=control, title=title))
        for index, attack in enumerate(attacks):
            series = 0 if attack["control"] and index else index + 1
            auc = figures.auc(figures.find(result, attack["id"], "auc"))
            legend.append((series, names[attack["id"]], f"AUC {auc.value}" if auc.ok else ""))
    bars = result["details"]["histograms"].get(main)
    histogram = Markup("")
    if bars and sum(bars["members"]) and sum(bars["nonmembers"]):
        histogram = Markup(plots.histogram(bars, title="Scores of members and non-members"))
    begin = words.percent(smallest) if smallest is not None else ""
    return {"roc": roc, "legend": legend, "histogram": histogram, "axes_begin": begin}
