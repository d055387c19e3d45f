"""The rows of a result with what its readers say beside them: whose each is, and whether it is a control's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dosimeter.results.rows import EXPOSURE, HEADLINE, Key, Row, clean
from dosimeter.results.views import views


@dataclass(frozen=True)
class Line:
    """One row of a result.

    Attributes:
        row: the number.
        who: attack, and variant, group, stage and threat where they say more than the default.
        fpr_high: upper end of the false positive rate that was reached, where it is known.
        control: of a control, which must stay at chance, or of a reference that no adversary can run.
        withdrawn: whether a check of the audit that gave it failed: of its threat, or of the variant's own.
        of: the class of the attack, as results name it; empty without an attack.
    """

    row: Row
    who: str
    fpr_high: float | None = None
    control: bool = False
    withdrawn: bool = False
    of: str = ""

    @property
    def key(self) -> Key:
        """Identity of the row."""
        return self.row.key


def lines(result: Mapping[str, Any]) -> list[Line]:
    """All estimates and all utilities, threat by threat.

    Args:
        result: the content of a valid result.json.
    """
    found, several = [], len(result["threats"]) > 1
    for view in views(result):
        aside = {attack["id"] for attack in view["attacks"] if attack["control"] or attack.get("reference")}
        classes = {str(attack["id"]): str(attack["name"]) for attack in view["attacks"]}
        broken = {str(one["id"]) for one in view["variants"] if one.get("verdict") == "withdrawn"}
        failed = view["verdict"]["status"] == "withdrawn"
        reached = {row.key: row.high for row in view["estimates"] if row.metric == "fpr"}
        for row in (*view["estimates"], *view["utility"]):
            who = named(row, str(view["at_risk"]), view["id"] if several else None)
            high = reached.get(replace(row.key, metric="fpr")) if row.metric == "tpr" else None
            found.append(
                Line(
                    row, who, high, row.attack in aside, failed or row.variant in broken,
                    "" if row.attack is None else classes.get(row.attack, ""),
                )
            )  # fmt: skip
    return found


def named(row: Row, at_risk: str, threat: str | None = None) -> str:
    """The attack, and what else distinguishes the row from others of its metric.

    Args:
        row: the number.
        at_risk: the stage at risk of its threat.
        threat: id of its threat, where the result has several.
    """
    text = "the model" if row.attack is None else row.attack
    if row.metric == EXPOSURE:
        text = HEADLINE if row.attack is None else f"{row.attack} ({HEADLINE})"
        text += f" on the most exposed {row.conditions['unit']}" if "unit" in row.conditions else ""
    text += f", variant {row.variant}" if row.variant != "none" else ""
    text += f", group {row.group}" if row.group is not None else ""
    text += f", stage {row.stage}" if row.stage != at_risk else ""
    text += f", threat {threat}" if threat is not None else ""
    return clean(text)
