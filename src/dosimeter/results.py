"""From evidence and truth to `result.json`: every number of the report, computed once, without any model."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dosimeter import exposure, first_page, validity, verdict
from dosimeter._canary_rows import beside_average, canary_rows
from dosimeter._gating import Findings, all_gates, find, not_asked
from dosimeter._material import Material as Material  # other modules take these from here
from dosimeter._material import Measured as Measured
from dosimeter._material import choose_headline as choose_headline
from dosimeter._material import measure_attacks as measure_attacks
from dosimeter.config import FPRS, PRIORS
from dosimeter.detection import POWER, detect
from dosimeter.games import Scores, Truth
from dosimeter.metrics.certify import distinct_nonmembers, nonmembers_needed
from dosimeter.metrics.estimate import Estimate
from dosimeter.metrics.membership import Randomisation, RatePair, auc, histogram, roc, tpr_at_threshold
from dosimeter.metrics.utility import accuracy
from dosimeter.not_tested import not_tested

logger = logging.getLogger(__name__)

SCHEMA = 2
"""Version of `result.json`."""
MOST_GROUPS = 50
"""Groups that get numbers of their own."""


def result(material: Material) -> dict[str, Any]:
    """The content of `result.json`.

    Args:
        material: of a finished run.
    """
    material, headline = choose_headline(material)
    measured = measure_attacks(material)
    real = [attack for attack in measured if attack not in material.aside]
    found, utility = find(material, measured, headline), _utility(material)
    planted = canary_rows(material, headline) if headline else []
    gates, nulls = all_gates(material, measured, found, utility)
    if material.summary["door"] == "recipe":
        natural = measured[headline].pairs[material.leading].difference if headline and material.leading else None
        gates.append(beside_average(material, planted, headline, natural))
    told, limit = _verdict(material, measured, found, gates)
    summary, groups = material.summary, _group_rows(material, headline) if headline else []
    content = {
        "schema": SCHEMA,
        **{key: summary[key] for key in ("audit_key", "door", "name", "noun", "chain", "threat")},
        "data": {**summary["data"], "candidates": len(material.truth.ids)},
        "attacks": [{**attack, "headline": attack["id"] == headline} for attack in summary["attacks"]],
        "verdict": told,
        **({} if limit is None else {"detection_limit": limit}),
        **({"canaries": planted} if planted else {}),
        "blind": None if found.baseline is None else found.baseline.row,
        "estimates": [
            *(row for attack in measured for row in _rows(material, attack, measured[attack])),
            *groups,
        ],
        "exposure": exposure.row(material, headline, groups),
        "utility": utility,
        "gates": [dataclasses.asdict(gate) for gate in gates],
        "gates_not_asked": not_asked(gates),
        "null_audit": [_null_row(null) for null in nulls],
        "curves": {attack: _curve(material, attack) for attack in real},
        "histograms": {attack: _histogram(material, attack) for attack in real},
        "not_tested": [
            *_too_many_groups(material),
            *not_tested(
                str(summary["door"]),
                planted=bool(planted),
                persons=summary["threat"].get("unit") == "person",
            ),
        ],
    }
    told["answers"] = [
        dataclasses.asdict(one) for one in first_page.answers(content, members=_members(material), alike=found.unclear)
    ]
    return content


def _null_row(null: validity.NullResult) -> dict[str, Any]:
    """An attack of the null audit."""
    ends = {"auc": null.auc.value, "low": null.auc.low, "high": null.auc.high}
    return {"attack": null.attack, **ends, "status": "pass" if null.at_chance else "fail"}


def _members(material: Material) -> int:
    """Judged records that each target used, on average."""
    return round(float(material.truth.is_member.sum(1).mean()))


def _row(material: Material, attack: str, metric: str, estimate: Estimate, **more: Any) -> dict[str, Any]:
    """One estimate as a row."""
    keys = ("fpr", "prior", "group", "threshold", "fpr_reached", "fpr_low", "fpr_high")
    base = {"family": "membership", "stage": material.summary["threat"]["at_risk"], "variant": "none", "attack": attack}
    return {**base, "metric": metric, **dict.fromkeys(keys), **dataclasses.asdict(estimate), **more}


def _reached(pair: RatePair) -> dict[str, float | None]:
    """The false positive rate of a pair."""
    return {"fpr_reached": pair.fpr.value, "fpr_low": pair.fpr.low, "fpr_high": pair.fpr.high}


def _rows(material: Material, attack: str, measured: Measured) -> list[dict[str, Any]]:
    """The estimates of one attack as rows."""
    row, source = functools.partial(_row, material, attack), material.calibration.source
    rows = [row("auc", measured.auc)]
    for fpr, pair in measured.pairs.items():
        rows.append(row("tpr", pair.tpr, fpr=fpr, threshold=source, **_reached(pair)))
        rows.append(row("tpr", measured.oracles[fpr], fpr=fpr, threshold="oracle"))
    lead = material.leading or FPRS[0]
    rows += [
        row("precision", estimate, fpr=lead, prior=prior, threshold=source)
        for prior, estimate in measured.precisions.items()
    ]
    return rows


def _group_rows(material: Material, attack: str) -> list[dict[str, Any]]:
    """The headline attack on each group's records, at the thresholds of all; intervals hold for all groups together.

    Groups of one class, and all groups if there are more than `MOST_GROUPS`, have no rows.
    """
    names = _groups(material)
    if not 1 < len(names) <= MOST_GROUPS:
        return []
    lead, rows = material.leading or FPRS[0], []
    thresholds, truth = material.thresholds(attack, lead), material.truth
    for name in names:
        mask = material.groups == name
        part = Truth(truth.ids[mask], truth.is_member[:, mask], truth.record[mask])
        if part.is_member.all() or not part.is_member.any():
            continue
        scores = Scores(part.ids, material.scores[attack][:, mask])
        share = 0.05 / len(names)  # Bonferroni over the groups
        found = auc(scores, part, rng=material.rng(f"{attack} auc group {name}"), level=1 - share)
        own = thresholds[:, mask] if thresholds.ndim == 2 else thresholds
        rng = material.rng(f"{attack} tpr group {name}")
        pair = tpr_at_threshold(scores, part, thresholds=own, fpr=lead, rng=rng, level=1 - share / 2)
        rows.append(_row(material, attack, "auc", found, group=str(name)))
        more = {"fpr": lead, "threshold": material.calibration.source, "group": str(name)}
        rows.append(_row(material, attack, "tpr", pair.tpr, **more, **_reached(pair)))
    return rows


def _too_many_groups(material: Material) -> list[str]:
    """The sentence about groups that have no numbers."""
    count = len(_groups(material))
    if count <= MOST_GROUPS:
        return []
    told = (
        f"Single groups: there are {count:,}, and numbers that hold for all together are given for up to {MOST_GROUPS}"
    )
    return [f"{told}; merge groups to have them."]


def _groups(material: Material) -> list[str]:
    """The different groups."""
    return [] if material.groups is None else sorted(set(material.groups.tolist()))


def _verdict(
    material: Material, measured: Mapping[str, Measured], found: Findings, gates: Sequence[validity.Gate]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Status and first sentences, and the detection limit if no leak is shown."""
    headline = found.headline
    base: dict[str, Any] = {"attack": headline, "fpr": material.leading, "p_auc": None, "p_tpr": None}
    base |= {"scope": None, "these_models": None}
    failed = [gate.message for gate in gates if gate.status == "fail"]
    if failed:
        return {**base, "status": "withdrawn", "sentences": verdict.withdrawn(failed)}, None
    if headline is None or material.leading is None:
        distinct = distinct_nonmembers(material.truth)
        noun = str(material.summary["noun"])
        named = material.summary["data"]["persons"] is not None
        sentences = verdict.not_resolvable(
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
        large, sentences = verdict.gain_lead(blind), verdict.gained(told, blind)
        return {**base, "status": "shown", "sentences": sentences, "lead": dataclasses.asdict(large)}, None
    base["lead"] = dataclasses.asdict(verdict.lead(told, is_shown=found.shown))
    if found.shown:
        return {**base, "status": "shown", "sentences": verdict.shown(told)}, None
    limit = detect(material, one, headline, found.baseline)
    caught = verdict.caught(told, limit.tpr, limit.auc, POWER, planted=limit.source == "canaries")
    sentences = verdict.not_shown(told, alike=found.unclear, limit=caught)
    return {**base, "status": "not_shown", "sentences": sentences}, limit.row(caught)


def _told(material: Material, one: Measured, p: Randomisation | None) -> verdict.Headline:
    """What the first sentences are made of."""
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
    """Both intervals."""
    return {"auc_low": area.low, "auc_high": area.high, "tpr_low": pair.tpr.low, "tpr_high": pair.tpr.high}


def _utility(material: Material) -> list[dict[str, Any]]:
    """Accuracy of the targets on members, non-members, and records outside every model."""
    if material.correct is None:
        return []
    member = material.truth.is_member
    n = member.shape[1]
    inside, outside = material.correct[:, :n], material.correct[:, n:]
    splits = [("train", inside, member, material.truth.record), ("nonmember", inside, ~member, material.truth.record)]
    tested = outside if material.test_correct is None else material.test_correct
    if tested.shape[1]:
        splits.append(("test", tested, np.ones_like(tested), np.arange(tested.shape[1])))
    rows = []
    for split, correct, counted, record in splits:
        estimate = accuracy(correct, counted, record=record, rng=material.rng(f"accuracy {split}"))
        kept = {key: getattr(estimate, key) for key in ("value", "low", "high", "level", "method", "n_targets")}
        rows.append({"variant": "none", "metric": "accuracy", "split": split, "n": estimate.n_nonmembers, **kept})
    return rows


def _curve(material: Material, attack: str) -> dict[str, list[float]]:
    """The pooled oracle ROC of an attack."""
    curve = roc(Scores(material.truth.ids, material.scores[attack]), material.truth)
    return {name: [float(x) for x in getattr(curve, name)] for name in ("fpr", "tpr", "low", "high")}


def _histogram(material: Material, attack: str) -> dict[str, list[float]]:
    """Score counts of members and non-members."""
    found = histogram(material.scores[attack], material.truth.is_member)
    return {name: [float(x) for x in getattr(found, name)] for name in ("edges", "members", "nonmembers")}


def rounded(value: Any) -> Any:
    """Floats to 12 significant digits, so that files compare byte by byte; anything not finite becomes a string."""
    if isinstance(value, Mapping):
        return {str(key): _edges(item) if key == "edges" else rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    if isinstance(value, (np.floating, float)):
        number = float(value)
        return float(f"{number:.12g}") if np.isfinite(number) else str(number)
    return value.item() if isinstance(value, np.generic) else value


def _edges(values: list[float]) -> list[float]:
    """Edges of bins to 12 digits, or to all of them where 12 would move an edge visibly within its bin."""
    short: list[float] = rounded(values)
    with np.errstate(over="ignore"):
        narrowest = np.diff(values).min() if len(values) > 1 else np.inf
    return short if np.abs(np.subtract(short, values)).max() <= narrowest / 1000 else [float(one) for one in values]
