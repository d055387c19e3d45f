"""Computes findings from evidence and truth: every number of the report, once, without any model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from dosimeter.families.membership.gates.all_gates import Found, all_gates, find, unasked_checks
from dosimeter.families.membership.gates.canaries import beside_average
from dosimeter.families.membership.gates.null import NullResult
from dosimeter.families.membership.measures import exposure
from dosimeter.families.membership.measures.canaries import canary_rows
from dosimeter.families.membership.measures.detection_limit import POWER, detect
from dosimeter.families.membership.measures.dose import dose_rows, doses_of, of_headline
from dosimeter.families.membership.measures.groups import group_rows, too_many_groups
from dosimeter.families.membership.measures.log_mia import Reading, Standing, graded_canaries, readings
from dosimeter.families.membership.measures.material import Material, Measured, choose_headline, measure_attacks
from dosimeter.families.membership.measures.rows import curve_of, histogram_of, rows_of, utility_rows
from dosimeter.families.membership.rates import FPRS, PRIORS
from dosimeter.families.membership.sentences import first_page, verdict
from dosimeter.families.membership.sentences.not_tested import not_tested
from dosimeter.results import words
from dosimeter.results.findings import Findings, Null
from dosimeter.results.rows import Row
from dosimeter.results.upgrade import exposure_rows
from dosimeter.statistics.certify import distinct_nonmembers, nonmembers_needed
from dosimeter.statistics.dose.dose import Dose
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.rates import Randomisation, RatePair


def measure(material: Material) -> Findings:
    """What an audit of membership came to.

    Args:
        material: material of a finished run.
    """
    material, headline = choose_headline(material)
    measured = measure_attacks(material)
    found, utility = find(material, measured, headline), utility_rows(material)
    planted = canary_rows(material, headline) if headline else []
    gates, nulls = all_gates(material, measured, found, utility)
    if material.drawn:
        natural = measured[headline].pairs[material.leading].difference if headline and material.leading else None
        gates.append(beside_average(material, planted, headline, natural))
    failed = [gate.message for gate in gates if gate.status == "fail"]
    told, limit = _verdict(material, measured, found, failed)
    read = readings(material, measured, Standing(headline, found.p_values, failed, found.baseline))
    planted = graded_canaries(material, headline, planted, failed)
    summary, groups = material.summary, group_rows(material, headline) if headline else []
    data, exposed = {**summary["data"], "candidates": len(material.truth.ids)}, exposure.row(material, headline, groups)
    real, doses = [attack for attack in measured if attack not in material.aside], doses_of(material)
    findings = Findings(
        verdict=told,
        estimates=_rows(material, measured, doses, read, [*groups, *_exposures(material, exposed, data)]),
        utility=tuple(utility),
        gates=tuple(gates),
        gates_not_asked=tuple(unasked_checks(gates)),
        null_audit=tuple(_null(one) for one in nulls),
        details={
            **({} if limit is None else {"detection_limit": limit}),
            **({"canaries": planted} if planted else {}),
            "blind": None if found.baseline is None else found.baseline.row,
            "exposure": exposed,
            "log_mia": [one.to_json() for one in read],
            "curves": {attack: curve_of(material, attack) for attack in real},
            "histograms": {attack: histogram_of(material, attack) for attack in real},
            **{name: summary[name] for name in ("passages", "forced", "resources") if name in summary},
        },
        not_tested=(*too_many_groups(material), *not_tested(summary, planted=bool(planted))),
        attacks=tuple({**attack, "headline": attack["id"] == headline} for attack in summary["attacks"]),
        data=data,
        adversary={key: value for key, value in summary["threat"].items() if key != "at_risk"},
        dose=of_headline(material, headline, doses, found.baseline),
        who=_who(summary["threat"].get("access")),
    )
    return _answered(findings, material, alike=found.unclear)


def _who(access: str | None) -> str:
    """The adversary as it stands within a sentence; empty where only scores are known."""
    return f"somebody who sees {' and '.join(words.access(access))}" if access else ""


def _answered(findings: Findings, material: Material, *, alike: bool) -> Findings:
    """The findings with the answers of the first page, which are made of them."""
    gates = [dataclasses.asdict(gate) for gate in findings.gates]
    view = {**material.summary, **vars(findings), "at_risk": material.summary["threat"]["at_risk"], "gates": gates}
    answers = first_page.answers(view, members=_members(material), alike=alike)
    told = {**findings.verdict, "answers": [dataclasses.asdict(one) for one in answers]}
    return dataclasses.replace(findings, verdict=told)


def _rows(
    material: Material,
    measured: Mapping[str, Measured],
    doses: Mapping[str, Dose],
    read: Sequence[Reading],
    more: Sequence[Row],
) -> tuple[Row, ...]:
    """All estimates: those of each attack, `more` of them, doses, Log-MIA."""
    own = (row for attack in measured for row in rows_of(material, attack, measured[attack]))
    return (*own, *more, *dose_rows(material, measured, doses), *(one.row(material) for one in read))


def _exposures(material: Material, exposed: dict[str, Any], data: dict[str, Any]) -> tuple[Row, ...]:
    """Rows of the highest exposures."""
    threat = material.summary["threat"]
    return tuple(exposure_rows(exposed, data, stage=str(threat["at_risk"]), targets=int(threat["targets"])))


def _null(null: NullResult) -> Null:
    """The row of one attack in the null audit."""
    return Null(null.attack, null.auc.value, null.auc.low, null.auc.high, "pass" if null.at_chance else "fail")


def _members(material: Material) -> int:
    """Judged records that each target used, on average."""
    return round(float(material.truth.is_member.sum(1).mean()))


def _verdict(
    material: Material, measured: Mapping[str, Measured], found: Found, failed: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The verdict: status, first sentences, and the detection limit if no leak is shown."""
    headline = found.headline
    base: dict[str, Any] = {"attack": headline, "fpr": material.leading, "p_auc": None, "p_tpr": None}
    base |= {"scope": None, "these_models": None}
    if failed:
        return {**base, "status": "withdrawn", "sentences": verdict.withdrawal_sentences(failed)}, None
    if headline is None or material.leading is None:
        distinct = distinct_nonmembers(material.truth)
        noun = str(material.summary["noun"])
        named = material.summary["data"]["persons"] is not None
        sentences = verdict.too_small_sentences(
            distinct, nonmembers_needed(FPRS[0]), noun, worth=material.worth, named=named
        )
        if headline is None:
            sentences = ["No attack could be run under this threat model; the table below says why."]
        return {**base, "status": "not_resolvable", "sentences": sentences}, None
    one, p, lead_rate = measured[headline], found.p_values.get(headline), material.leading
    base |= {} if p is None else {"p_auc": p.p_auc, "p_tpr": p.p_tpr}
    area, pair = found.given or (one.auc, one.pairs[lead_rate])
    told = dataclasses.replace(_told(material, one, p), auc=area, pair=pair, scope=found.scope)
    base |= {"scope": found.scope, "these_models": None if found.given is None else _ends(area, pair)}
    if found.shifted:
        blind = found.shifted.row
        large, sentences = verdict.gain_lead(blind), verdict.gain_sentences(told, blind)
        return {**base, "status": "shown", "sentences": sentences, "lead": dataclasses.asdict(large)}, None
    base["lead"] = dataclasses.asdict(verdict.lead(told, is_shown=found.shown))
    if found.shown:
        return {**base, "status": "shown", "sentences": verdict.leak_sentences(told)}, None
    limit = detect(material, one, headline, found.baseline)
    caught = verdict.limit_sentence(told, limit.tpr, limit.auc, POWER, planted=limit.source == "canaries")
    sentences = verdict.no_leak_sentences(told, alike=found.unclear, limit=caught)
    return {**base, "status": "not_shown", "sentences": sentences}, limit.row(caught)


def _told(material: Material, one: Measured, p: Randomisation | None) -> verdict.Headline:
    """Numbers for the first sentences."""
    lead = material.leading
    assert lead is not None
    return verdict.Headline(
        door=str(material.summary["door"]),
        noun=str(material.summary["noun"]),
        candidates=len(material.truth.ids),
        members=_members(material),
        shadows=int(material.summary["threat"]["shadows"] or 0),
        targets=len(material.truth.is_member),
        fpr=lead,
        pair=one.pairs[lead],
        rare=one.precisions[PRIORS[-1]],
        auc=one.auc,
        p_auc=None if p is None else p.p_auc,
        p_tpr=None if p is None else p.p_tpr,
    )


def _ends(area: Estimate, pair: RatePair) -> dict[str, float | None]:
    """The ends of both intervals."""
    return {"auc_low": area.low, "auc_high": area.high, "tpr_low": pair.tpr.low, "tpr_high": pair.tpr.high}
