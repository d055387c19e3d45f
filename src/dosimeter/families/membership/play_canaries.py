"""What the attacks say of planted canaries, in a run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.design.canaries import with_canaries
from dosimeter.families.membership.play import engage
from dosimeter.families.membership.stored import CANARIES, canary_evidence
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.runners import one_thread
from dosimeter.pipeline.recipe.prepare import Prepared


def judge_canaries(prepared: Prepared, listed: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Run every attack that was run once more, with the canaries among its candidates, and keep what it says of them.

    So an attack that pools over its candidates has nearly the pool that it had for the natural records, whose
    thresholds the canaries are held against; and no natural record is judged beside a canary. Attacks that hold more
    than answers (features, the records, a way to train) are left out.

    Args:
        prepared: the audit, its models queried; nothing happens if no canary was planted.
        listed: the attacks as `run.json` lists them.
        out: the run's folder.

    Raises:
        AuditError: an attack raised.
    """
    canaries, natural = prepared.canaries, prepared.design
    if canaries is None:
        return
    design = with_canaries(natural, prepared.at_risk, canaries)
    observations, n = prepared.jobs.gathered(canaries=True), len(natural.ids)
    for index, (row, one) in enumerate(zip(prepared.audit.attacks, listed, strict=True)):
        if one["status"] != "ok" or _holds_more(row):
            continue
        with one_thread():
            found = engage(row, design, observations, null_member=design.member, seed=prepared.audit.seed)
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
    """Whether an attack needs what is known of natural records only."""
    needs = row.attack.needs
    return bool(needs.features or needs.inputs or needs.retrain)
