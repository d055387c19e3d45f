"""The same audit with another defense or other settings: each is a run of its own, whose figures join the result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from dosimeter.config.audit import VariantRow
from dosimeter.families.family import CaseFolder
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import AccessError, StoreError, TrainingError
from dosimeter.pipeline.run_folder import read_run
from dosimeter.results.findings import Findings
from dosimeter.results.reading import read_result
from dosimeter.results.rows import ORACLE, Row, is_utility
from dosimeter.results.views import View, doubt_of, views
from dosimeter.training.defending import DefenseRow

logger = logging.getLogger(__name__)

T = TypeVar("T")
FOLDER = "variants"
"""Folder below a run's folder; it holds a complete run for each variant, in a folder with the variant's id."""


def listed(row: DefenseRow | VariantRow, reason: str = "") -> dict[str, Any]:
    """Entry of `run.json` about a variant; `reason` is set if its models could not be trained."""
    return {
        "id": row.id,
        "defense": row.name,
        "settings": row.settings,
        "paper": row.paper,
        "place": row.place,
        "status": "failed" if reason else "ok",
        "reason": reason,
    }


def folder(run: Path, variant: str) -> Path:
    """The folder of a variant's own run."""
    return run / FOLDER / variant


def folders(run: Path, summary: Mapping[str, Any]) -> list[Path]:
    """Folders of the variants that were run."""
    return [folder(run, str(one["id"])) for one in summary.get("variants") or () if one["status"] == "ok"]


def try_variants(
    variants: Sequence[tuple[DefenseRow | VariantRow, T]], run: Callable[[str, T], object]
) -> dict[str, list[dict[str, Any]]]:
    """Runs variants and returns their entries for `run.json`; one that cannot be trained does not stop the others."""
    found = []
    for row, one in variants:
        reason = ""
        try:
            run(row.id, one)
        except (TrainingError, AccessError) as error:
            reason = error.problems[0]
            logger.warning("variant %s: %s", row.id, reason)
        found.append(listed(row, reason))
    return {"variants": found} if found else {}


def join_variants(
    findings: Findings, case: CaseFolder, run: Path, *, threat: str
) -> tuple[Findings, dict[str, dict[str, Any]]]:  # fmt: skip
    """Findings with the figures of the run's variants.

    Args:
        findings: of one threat, without any.
        case: what the run left of it; its summary lists the variants.
        run: the run's folder; its variants are measured.
        threat: id of the threat, here and in the variants.

    Returns:
        The findings with rows of each variant: AUC and TPR at the leading rate of every attack but the controls, the
        AUC's paired difference, and accuracies with theirs; and by variant what it did to this threat.

    Raises:
        StoreError: a variant's folder is missing or damaged.
    """
    tried = [str(one["id"]) for one in case.summary.get("variants") or () if one["status"] == "ok"]
    if not tried:
        return findings, {}
    outcomes: dict[str, dict[str, Any]] = {}
    cases = {"none": case, **{name: _case_of(folder(run, name), threat) for name in tried}}
    changes = FAMILIES[str(case.summary["family"])].compare(cases)
    estimates, utility = list(findings.estimates), list(findings.utility)
    for name in tried:
        place, shown = folder(run, name), f"{FOLDER}/{name}/result.json"
        whole = read_result(place / "result.json", families=FAMILIES, name=shown, absent="run the audit again")
        own = _of_threat(whole, threat, shown)
        verdict, canaries, bounds = own["verdict"], own["details"].get("canaries"), _guarantees(own)
        outcomes[name] = {
            "threat": threat, "attack": verdict["attack"], "verdict": verdict["status"],
            **({"fpr": verdict["fpr"]} if "fpr" in verdict else {}),
            **({"canaries": canaries} if canaries else {}), **({"guarantee": "; ".join(bounds)} if bounds else {}),
        }  # fmt: skip
        doubt = doubt_of(own["gates"])
        estimates += [_of_variant(row, name, doubt) for row in own["estimates"] if _leads(row, own)]
        changed = [row for row in changes if row.variant == name]
        estimates += [row for row in changed if not is_utility(row)]
        for row in own["utility"]:
            utility.append(_of_variant(row, name, doubt))
            utility += [
                replace(one, n=row.n, n_targets=row.n_targets)  # a change is about the records of its accuracy
                for one in changed
                if is_utility(one) and one.conditions == row.conditions
            ]
    return replace(findings, estimates=tuple(estimates), utility=tuple(utility)), outcomes


def listed_variants(
    summary: Mapping[str, Any], outcomes: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:  # fmt: skip
    """What result.json lists as `variants`: each with what it did to each threat, and its guarantees as a setting.

    Args:
        summary: the content of `run.json`.
        outcomes: by variant, in the order of the threats.
    """
    listed = []
    for one in summary.get("variants") or ():
        found = [dict(outcome) for outcome in outcomes.get(str(one["id"]), ())]
        bounds = dict.fromkeys(outcome.pop("guarantee") for outcome in found if "guarantee" in outcome)
        settings = {**one["settings"], **({"guarantee": "; ".join(bounds)} if bounds else {})}
        listed.append({**one, "settings": settings, "threats": found})
    return listed


def _case_of(run: Path, threat: str) -> CaseFolder:
    """What a variant's run left of a threat.

    Raises:
        StoreError: it does not have it.
    """
    cases = read_run(run).cases
    if threat not in cases:
        raise StoreError(f"{run}: must hold threat {threat}, which the run itself has: run the audit again")
    return cases[threat]


def _of_threat(whole: Mapping[str, Any], threat: str, name: str) -> View:
    """The same threat in a variant's result."""
    for view in views(whole):
        if view["id"] == threat:
            return view
    raise StoreError(f"{name}: must hold threat {threat}, which the run itself has: run the audit again")


def _of_variant(row: Row, name: str, doubt: str) -> Row:
    """A row of a variant's own audit, with what that audit's checks say against it."""
    return replace(row, variant=name, doubt="; and ".join(filter(None, [row.doubt, doubt])))


def _guarantees(own: View) -> list[str]:
    """Guarantees of differential privacy, and the stages without one."""
    stages = [stage for stage in own["chain"] if "privacy" in stage["settings"]]
    at_risk = own["at_risk"]
    found = [stage["settings"]["privacy"].replace("this stage", f"stage {stage['stage']}") for stage in stages]
    if stages and at_risk not in [stage["stage"] for stage in stages]:
        found.append(f"no guarantee for records of stage {at_risk}, which are at risk")
    return found


def _leads(row: Row, own: View) -> bool:
    """Returns whether a row is the AUC, or a rate at the leading rate with a preset threshold, over all records."""
    aside = {attack["id"] for attack in own["attacks"] if attack["control"] or attack.get("reference")}
    if row.attack in aside or row.group is not None:
        return False
    if "fpr" not in own["verdict"]:
        return True  # a family without a leading rate leads with all its numbers over all records
    led = row.rate == own["verdict"]["fpr"] and row.threshold != ORACLE
    return row.metric in ("auc", "dose", "log_mia") or (row.metric in ("tpr", "fpr") and led)
