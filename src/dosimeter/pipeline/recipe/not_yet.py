"""What an audit file may say and this release cannot run; refused before anything is trained."""

from __future__ import annotations

from dosimeter.config.audit import Audit
from dosimeter.config.threat_rows import exposed
from dosimeter.foundation.errors import ConfigError


def refuse_what_cannot_run(audit: Audit) -> None:
    """Refuses a topology, since no family of attack fills threats from one, and stages that parties train together.

    Raises:
        ConfigError: one line for each thing that would be ignored.
    """
    problems = []
    if audit.topology is not None and not exposed(audit.topology):
        problems.append(
            "topology: no family of this release fills threats from it, got one with "
            f"{len(audit.topology.parties)} parties: describe the adversary in [threat], and remove [topology]"
        )
    problems += [
        f"stage {stage.name!r}: transfer {stage.transfer!r} cannot be trained in this release; use 'scratch', 'head', "
        "'last-k', 'lora' or 'full' with `data`, or train it elsewhere and audit the model with [target]"
        for stage in audit.stages
        if stage.joint
    ]
    if problems:
        raise ConfigError(*problems)
