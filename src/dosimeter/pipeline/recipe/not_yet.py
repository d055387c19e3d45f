"""What an audit file may say and this release cannot run; refused before anything is trained."""

from __future__ import annotations

from dosimeter.config.audit import Audit
from dosimeter.config.threat_rows import exposed
from dosimeter.families.derived import by_names
from dosimeter.foundation.errors import ConfigError


def refuse_what_cannot_run(audit: Audit) -> None:
    """Refuses a topology from which no threat follows, and stages that parties train together.

    Raises:
        ConfigError: one line for each thing that would be ignored.
    """
    problems = []
    roles = () if audit.topology is None else by_names(audit.topology, [(one.name, one.data) for one in audit.stages])
    if audit.topology is not None and not audit.written and not exposed(audit.topology, roles):
        problems.append(
            f"topology: must expose something that this release tests, got {len(audit.topology.parties)} parties of "
            "whom none does: `dosimeter plan --topology` says why, row by row; add what is missing there, or write a "
            "[threat]"
        )
    problems += [
        f"stage {stage.name!r}: transfer {stage.transfer!r} cannot be trained in this release; use 'scratch', 'head', "
        "'last-k', 'lora' or 'full' with `data`, or train it elsewhere and audit the model with [target]"
        for stage in audit.stages
        if stage.joint
    ]
    if problems:
        raise ConfigError(*problems)
