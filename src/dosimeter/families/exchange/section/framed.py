"""What the parts of the page of all questions have in common: their frame, and lines of attacks on whole parties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dosimeter.results import figures, words
from dosimeter.results.figures import NOTHING
from dosimeter.results.page import doses
from dosimeter.results.page.environment import environment
from dosimeter.results.page.section import Section
from dosimeter.results.views import View


@dataclass(frozen=True)
class Frame:
    """What a question always says on its part of the page.

    Attributes:
        templates: what the names of its templates begin with.
        badges: by status of the verdict.
        contents: anchors and titles of its parts.
        glossary: words and their meanings.
        null_audit: title and sentence of the null audit.
    """

    templates: str
    badges: Mapping[str, str]
    contents: tuple[tuple[str, str], ...]
    glossary: tuple[tuple[str, str], ...]
    null_audit: tuple[str, str]

    def section(
        self, result: View, names: Mapping[str, str], context: Mapping[str, Any], *, who: str,
        leads: tuple[str, Mapping[str, Any], str],
    ) -> Section:  # fmt: skip
        """The part of the page.

        Args:
            result: a threat of a valid result.json, without the rows of its variants.
            names: of its attacks, by id.
            context: what the templates print of this question.
            who: the adversary, in words.
            leads: metric, conditions and heading of the number by which variants are compared.
        """
        badge, refused = self.badges[result["verdict"]["status"]], [one for one in result["attacks"] if one["reason"]]
        told = {
            "result": result, "badge": badge, "nouns": words.plural(result["noun"]),
            "refused": [(names[one["id"]], one["reason"]) for one in refused], **context,
        }  # fmt: skip
        templates = environment(Path(__file__).with_name("templates"))
        first, body = (
            Markup(templates.get_template(f"{self.templates}{name}.html.j2").render(told)) for name in ("first", "body")
        )
        return Section(
            what="Exchange audit", badge=badge, first=first, names=names, body=body, contents=self.contents,
            glossary=self.glossary, who=who, null_audit=self.null_audit, leads=leads,
        )  # fmt: skip


def dose_of(result: View, *, noun: str, settles: str) -> str:
    """The dose in words; empty where no number is to be quoted."""
    status = result["verdict"]["status"]
    if status in ("withdrawn", "not_resolvable") or result["dose"] is None:
        return ""
    return doses.sentences(result["dose"], noun=noun, settles=settles, shown=status == "shown")


def names_of(result: View) -> dict[str, str]:
    """Names of the attacks of a question on whole parties, by id."""
    return {one["id"]: " ".join([one["name"], *([one["mode"]] if one["mode"] else [])]) for one in result["attacks"]}


def lines_of(result: View, names: Mapping[str, str], metrics: tuple[str, str]) -> list[dict[str, Any]]:
    """A line for each attack of a question on whole parties.

    Args:
        result: a threat of a valid result.json.
        names: of its attacks, by id.
        metrics: of the AUC and of the dose.
    """
    shown, lines = {one["attack"]: one["shown"] for one in result["details"]["tests"]}, []
    for one in result["attacks"]:
        if one["reason"]:
            continue
        auc, dose = (figures.find(result, one["id"], metric) for metric in metrics)
        yardstick = "control, must be at chance" if one["control"] else ""
        lines.append(
            {
                "name": names[one["id"]], "control": one["control"], "headline": one["headline"],
                "about": words.citation(one["paper"]),
                "yardstick": "yardstick: before the training" if one.get("reference") else yardstick,
                "shown": "" if one["id"] not in shown else "shown" if shown[one["id"]] else "not shown",
                "auc": figures.auc(auc), "dose": NOTHING if dose is None else figures.bits(dose),
            }
        )  # fmt: skip
    return lines
