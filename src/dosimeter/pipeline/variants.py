"""The same audit with another defense or other settings: each is a run of its own, whose figures join the result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dosimeter.config.audit import VariantRow
from dosimeter.families.membership.measures.material import Material
from dosimeter.families.membership.stored import material_of, read_case
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AccessError, TrainingError
from dosimeter.pipeline.run_folder import RunFolder, read_run
from dosimeter.results.reading import read_result
from dosimeter.statistics.paired import accuracy_difference, auc_difference
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


def join_variants(content: Mapping[str, Any], left: RunFolder, run: Path) -> dict[str, Any]:
    """A result with the figures of its variants.

    Args:
        content: content of `result.json` without any.
        left: what the run left; its summary lists the variants.
        run: its folder; its variants are measured.

    Returns:
        The result with `variants`, and with rows of each in `estimates` and `utility`: AUC and TPR at the leading rate
        of every attack but the controls, and accuracies with their paired difference to those of the audit itself.

    Raises:
        StoreError: a variant's folder is missing or damaged.
    """
    variants = left.summary.get("variants") or []
    if not variants:
        return dict(content)
    material = material_of(read_case(next(iter(left.cases.values()))))
    described, estimates, utility = [], list(content["estimates"]), list(content["utility"])
    for one in variants:
        if one["status"] != "ok":
            described.append(dict(one))
            continue
        place = folder(run, str(one["id"]))
        own = read_result(place / "result.json", name=f"{FOLDER}/{one['id']}/result.json", absent="run the audit again")
        verdict = own["verdict"]
        bounds = _guarantees(own)
        settings = {**one["settings"], **({"guarantee": "; ".join(bounds)} if bounds else {})}
        found = {**one, "attack": verdict["attack"], "fpr": verdict["fpr"], "verdict": verdict["status"]}
        found["settings"] = settings
        described.append({**found, **({"canaries": own["canaries"]} if own.get("canaries") else {})})
        estimates += [{**row, "variant": one["id"]} for row in own["estimates"] if _leads(row, own)]
        after = material_of(read_case(next(iter(read_run(place).cases.values()))))
        described[-1] |= _leak(after, material, (verdict["attack"], content["verdict"]["attack"]))
        changes = _changes(after, material)
        utility += [{**row, "variant": one["id"], **changes.get(row["split"], {})} for row in own["utility"]]
    return {**content, "variants": described, "estimates": estimates, "utility": utility}


def _guarantees(result: Mapping[str, Any]) -> list[str]:
    """Guarantees of differential privacy, and the stages without one."""
    stages = [stage for stage in result["chain"] if "privacy" in stage["settings"]]
    at_risk = result["threat"]["at_risk"]
    found = [stage["settings"]["privacy"].replace("this stage", f"stage {stage['stage']}") for stage in stages]
    if stages and at_risk not in [stage["stage"] for stage in stages]:
        found.append(f"no guarantee for records of stage {at_risk}, which are at risk")
    return found


def _leads(row: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Returns whether a row is the AUC, or the TPR at the leading rate with a preset threshold, over all records."""
    aside = {attack["id"] for attack in result["attacks"] if attack["control"] or attack.get("reference")}
    if row["attack"] in aside or row["group"] is not None:
        return False
    led = row["fpr"] == result["verdict"]["fpr"] and row["threshold"] != "oracle"
    return bool(row["metric"] == "auc" or (row["metric"] == "tpr" and led))


def _leak(after: Material, before: Material, attacks: tuple[str | None, str | None]) -> dict[str, float]:
    """AUC of the strongest attack on a variant minus that on the audit itself, on the same records."""
    first, second = after.scores.get(str(attacks[0])), before.scores.get(str(attacks[1]))
    if first is None or second is None:
        return {}
    change = auc_difference(first, second, before.truth.is_member, record=before.truth.record)
    return {"auc_change": change.value, "auc_change_low": change.low, "auc_change_high": change.high}


def _changes(after: Material, before: Material) -> dict[str, dict[str, float]]:
    """Difference of accuracy to the models without the defense, with its interval, for each split."""
    found = {}
    for split, (right, wrong, counted, record) in _splits(after, before).items():
        change = accuracy_difference(right, wrong, counted, record=record)
        found[split] = {"change": change.value, "change_low": change.low, "change_high": change.high}
    return found


def _splits(after: Material, before: Material) -> dict[str, tuple[Array, Array, Array, Array]]:
    """Correct answers with and without the defense, counted answers, and clusters, for each split."""
    if after.correct is None or before.correct is None:
        return {}
    member, record = after.truth.is_member, after.truth.record
    n = member.shape[1]
    inside = (after.correct[:, :n], before.correct[:, :n])
    found = {"train": (*inside, member, record), "nonmember": (*inside, ~member, record)}
    right, wrong = after.correct[:, n:], before.correct[:, n:]
    if after.test_correct is not None and before.test_correct is not None:
        right, wrong = after.test_correct, before.test_correct
    if right.shape[1]:
        found["test"] = (right, wrong, np.ones_like(right), np.arange(right.shape[1]))
    return found
