"""What an audit file may say and this release cannot run; refused before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from dosimeter.config.audit import Audit
from dosimeter.config.stages.joint import role_of
from dosimeter.config.threat_rows import exposed
from dosimeter.families.derived import by_names
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import ConfigError
from dosimeter.training.joint.protocols import METHODS


def refuse_what_cannot_run(audit: Audit) -> None:
    """Refuses a topology from which no threat follows, and joint stages that cannot be trained or audited.

    Raises:
        ConfigError: one line for each thing that would be ignored.
    """
    problems = []
    roles = () if audit.topology is None else by_names(audit.topology, [role_of(one) for one in audit.stages])
    if audit.topology is not None and not audit.written and not exposed(audit.topology, roles):
        problems.append(
            f"topology: must expose something that this release tests, got {len(audit.topology.parties)} parties of "
            "whom none does: `dosimeter plan --topology` says why, row by row; add what is missing there, or write a "
            "[threat]"
        )
    problems += _of_joint_stages(audit)
    if problems:
        raise ConfigError(*problems)


def _of_joint_stages(audit: Audit) -> Iterator[str]:
    """Problems with stages that parties train together, and with threats that go through one."""
    joint = [stage for stage in audit.stages if stage.joint]
    methods = ", ".join(repr(one) for one in METHODS)
    for stage in joint:
        if stage.transfer not in METHODS:
            yield (
                f"stage {stage.name!r}: transfer {stage.transfer!r} cannot be trained in this release; use {methods}, "
                "or 'scratch', 'head', 'last-k', 'lora' or 'full' with `data`"
            )
        elif stage is not audit.stages[-1]:
            yield (
                f"stage {stage.name!r}: no stage can follow a joint one in this release, got {audit.stages[-1].name!r} "
                "after it: end the chain there"
            )
    if not joint or any(stage.transfer not in METHODS for stage in joint):
        return
    able = ", ".join(repr(name) for name, one in FAMILIES.items() if "parties" in one.takes)
    for row in audit.threats:
        if "parties" not in row.family.takes:
            yield (
                f"{row.place}.family: a chain with a joint stage, {joint[0].name!r}, is audited by {able} only in "
                f"this release, got {row.family.name!r}: change it, leave the joint stage out, or give it "
                "`after`, the plain stage from which it branches off"
            )
