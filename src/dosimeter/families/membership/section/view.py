"""The rows of the page, selected, ordered and worded from `result.json`. Measures nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dosimeter.results import words
from dosimeter.results.figures import (
    CALIBRATED,
    LADDER,
    NO_VALUE,
    Bar,
    Figure,
    auc,
    bar,
    bits,
    find,
    leading,
    rate,
    reached,
    reached_by,
    same,
    scale_of,
)
from dosimeter.results.rows import DOSE, Row
from dosimeter.results.views import View


@dataclass(frozen=True)
class AttackLine:
    """One attack: its rate at the leading false positive rate, the rate reached, its AUC, its dose."""

    name: str
    mode: str
    paper: str
    settings: str
    control: bool
    headline: bool
    refused: str
    tpr: Figure
    reached: Figure
    auc: Figure
    dose: Figure
    bar: Bar | None


@dataclass(frozen=True)
class Rung:
    """One false positive rate of the ladder."""

    fpr: str
    tpr: Figure
    reached: Figure
    oracle: Figure


@dataclass(frozen=True)
class Wager:
    """Value of an accusation if a given share of the candidates was used."""

    prior: str
    wrong: str
    ends: str
    note: str


def full_name(attack: View) -> str:
    """An attack's name, with its mode if it has one."""
    return f"{attack['name']} ({attack['mode']})" if attack["mode"] else str(attack["name"])


@dataclass(frozen=True)
class AttackTable:
    """Rows, the end of the strips' axis, a remark that would otherwise be in every row, and whether doses are told."""

    rows: list[AttackLine]
    scale: float
    note: str
    dosed: bool


def _settings(attack: View) -> str:
    """Settings of an attack that are not in its name; its id first, if that says more.

    For a choice of other halves: the chosen attacks with their counts.
    """
    if "chosen" in attack:
        halves = sum(attack["chosen"].values())
        return ", ".join(f"{words.visible(k)} in {v} of {halves} halves" for k, v in attack["chosen"].items())
    usual = words.letters(f"{attack['name']}{attack['mode'] or ''}")
    items = [("id", attack["id"])] * (words.letters(attack["id"]) != usual) + sorted(attack["settings"].items())
    return ", ".join(f"{k} {words.setting(v)}" for k, v in items if v is not None and k != "mode")


def attacks(result: View) -> AttackTable:
    """The table of attacks: headline first, controls and refused ones last."""
    fpr = leading(result)
    order = sorted(result["attacks"], key=lambda a: (a["status"] == "refused", a["control"], not a["headline"]))
    tprs = {a["id"]: find(result, a["id"], "tpr", fpr=fpr, threshold=CALIBRATED) for a in order}
    scale = scale_of(tprs.values())
    rows = []
    for attack in order:
        refused = attack["status"] != "ok"
        reason = attack["reason"] or "no reason was given"
        tpr = tprs[attack["id"]]
        rows.append(
            AttackLine(
                name=attack["name"],
                mode=attack["mode"] or "",
                paper=words.citation(attack["paper"]),
                settings=_settings(attack),
                control=attack["control"],
                headline=attack["headline"],
                refused=f"{NO_VALUE.get(attack['status'], attack['status'])}: {reason}" if refused else "",
                tpr=rate(tpr, reached_by(result, tpr)),
                reached=reached(tpr, reached_by(result, tpr)),
                auc=auc(find(result, attack["id"], "auc")),
                dose=bits(find(result, attack["id"], DOSE)),
                bar=bar(tpr, scale),
            )
        )
    dosed = any(row.metric == DOSE for row in result["estimates"])
    notes = {row.tpr.note for row in rows if not row.refused}
    if len(notes) != 1 or len(rows) < 2:
        return AttackTable(rows, scale, "", dosed)
    return AttackTable([replace(row, tpr=replace(row.tpr, note="")) for row in rows], scale, notes.pop(), dosed)


def ladder(result: View) -> list[Rung]:
    """The headline attack at falling false positive rates."""
    attack = result["verdict"]["attack"]
    extra = {row.rate for row in result["estimates"] if row.attack == attack and row.metric == "tpr"}
    rates = [*LADDER, *(f for f in extra if f is not None and not any(same(f, known) for known in LADDER))]
    rungs = []
    for fpr in sorted(rates, reverse=True):
        row = find(result, attack, "tpr", fpr=fpr, threshold=CALIBRATED)
        fpr_row = reached_by(result, row)
        oracle = rate(find(result, attack, "tpr", fpr=fpr, threshold="oracle"))
        if row is not None and oracle.note == row.reason:
            oracle = replace(oracle, note="")
        if row is not None and row.status == "not_resolvable":
            distinct = row.n["nonmembers"]
            least = words.percent(words.certifiable(distinct))
            note = (
                row.reason or f"{words.count(distinct, 'distinct unused record')} can certify {least} at the smallest"
            )
            tpr = Figure("not resolvable", note=note, ok=False)
        else:
            tpr = rate(row, fpr_row)
        rungs.append(Rung(words.percent(fpr), tpr, reached(row, fpr_row), oracle))
    return rungs


@dataclass(frozen=True)
class GroupRow:
    """One group of records under the headline attack."""

    name: str
    records: str
    tpr: Figure
    reached: Figure
    auc: Figure
    bar: Bar | None


def groups(result: View) -> list[GroupRow]:
    """The groups, the most exposed by AUC first; empty if none were declared."""
    attack = result["verdict"]["attack"]
    own: dict[str, dict[str, Row]] = {}
    for row in result["estimates"]:
        if row.group is not None and row.attack == attack:
            own.setdefault(row.group, {})[row.metric] = row
    own = {name: one for name, one in own.items() if {"auc", "tpr"} <= one.keys()}
    scale = scale_of(one["tpr"] for one in own.values())
    ranked = sorted(own, key=lambda name: (-(own[name]["auc"].value or 0.0), name))
    return [
        GroupRow(
            name,
            words.count(own[name]["auc"].n["nonmembers"], "unused record"),
            rate(own[name]["tpr"], own[name].get("fpr")),
            reached(own[name]["tpr"], own[name].get("fpr")),
            auc(own[name]["auc"]),
            bar(own[name]["tpr"], scale),
        )
        for name in ranked
    ]


def wagers(result: View) -> list[Wager]:
    """Wrong accusations of the headline attack at the leading rate, one entry per prior, the highest prior first."""
    attack, fpr = result["verdict"]["attack"], leading(result)
    priors = {
        float(row.conditions["prior"])
        for row in result["estimates"]
        if row.attack == attack and row.metric == "precision"
    }
    found = []
    for prior in sorted(priors, reverse=True):
        row = find(result, attack, "precision", prior=prior, fpr=fpr) or find(result, attack, "precision", prior=prior)
        if row is None or row.status != "ok":
            status = "not_resolvable" if row is None else row.status
            found.append(Wager(words.one_in(prior), "", "", f"{NO_VALUE[status]}. {row.reason if row else ''}"))
            continue
        value, low, high = row.ends
        ends = words.percent_range(1 - high, 1 - low)
        found.append(Wager(words.one_in(prior), words.wrong_of(value), ends, row.reason))
    return found


def plotted_attacks(result: View) -> list[View]:
    """Attacks whose curves are drawn: the headline, the next two by AUC, one control last; empty without a headline."""
    curves = result["details"]["curves"]

    def by_auc(attack: View) -> float:
        row = find(result, attack["id"], "auc")
        return -1.0 if row is None or row.value is None else float(row.value)

    have = [a for a in result["attacks"] if a["id"] in curves and len(curves[a["id"]]["fpr"])]
    first = [a for a in have if a["id"] == result["verdict"]["attack"]]
    others = [a for a in sorted(have, key=by_auc, reverse=True) if not a["control"] and a not in first]
    return [*first, *others[:2], *[a for a in have if a["control"] and a not in first][:1]] if first else []


def smallest_fpr(result: View) -> float | None:
    """The smallest rate that can be resolved for the headline attack; the plot's axes begin there."""
    attack = result["verdict"]["attack"]
    rates = [
        row.rate
        for row in result["estimates"]
        if row.attack == attack and row.metric == "tpr" and row.status == "ok" and row.rate
    ]
    return max(LADDER[-1], min(rates)) if rates and min(rates) < 1 else None
