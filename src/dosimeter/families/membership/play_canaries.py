"""Scores planted canaries with the attacks of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.case import Case
from dosimeter.families.membership.design.canaries import with_canaries
from dosimeter.families.membership.play import play_attack
from dosimeter.families.membership.stored import CANARIES, canary_evidence
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.runners import one_thread


def judge_canaries(case: Case, listed: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Runs every attack that was run once more, with the canaries among its candidates, and keeps what it says of them.

    So an attack that pools over its candidates has nearly the same pool as for the natural records, whose thresholds
    are applied to the canaries; and no natural record is judged beside a canary. Attacks that hold more than answers
    (features, the records, a way to train) are left out.

    Args:
        case: its models queried; nothing happens if no canary was planted.
        listed: the attacks as `run.json` lists them.
        out: the run's folder.

    Raises:
        AuditError: an attack raised.
    """
    canaries, natural = case.canaries, case.design
    if canaries is None:
        return
    design = with_canaries(natural, case.system.at_risk, canaries)
    observations, n = case.jobs.gathered(canaries=True), len(natural.ids)
    for index, (row, one) in enumerate(zip(case.attacks, listed, strict=True)):
        if one["status"] != "ok" or _holds_more(row):
            continue
        with one_thread():
            found = play_attack(row, design, observations, null_member=design.member, seed=case.system.seed)
        judged = {"scores": found.scores[:, n:], "rehearsed": found.rehearsed[..., n:]}
        save_arrays(canary_evidence(out, index), judged)
    truth = {
        "kind": canaries.kind,
        "copies": canaries.copies,
        "member": canaries.member[: design.targets],
        "rehearsal_in": canaries.member[design.rehearsal_rows],
    }
    save_arrays(out / CANARIES, truth)


def _holds_more(row: NamedAttack) -> bool:
    """Returns whether an attack needs knowledge that exists for natural records only."""
    needs = row.attack.needs
    return bool(needs.features or needs.inputs or needs.retrain)
