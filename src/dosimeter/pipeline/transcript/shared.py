"""The network of a recorded joint training, as a call in Python names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dosimeter.config.recorded import model_of, model_problems
from dosimeter.config.tables import RecordedTarget
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.table import arguments
from dosimeter.foundation.toml import as_tuples
from dosimeter.foundation.wording import quote


def shared_model(model: object, transcript: Path, rows: Sequence[ThreatRow]) -> Mapping[str, Any]:
    """The network that the parties of a recorded joint training shared.

    Args:
        model: its name, or its keys as in an audit file.
        transcript: folder of what was recorded.
        rows: the threats.

    Raises:
        ConfigError: it is none that can be built.
    """
    table = {"model": model} if model is None or isinstance(model, str) else model
    if not isinstance(table, Mapping):
        raise ConfigError(
            f"model: beside transcript it says how the shared network is built, got {quote(model)}: write its name, or "
            "{'model': 'mlp', 'options': {'width': 32}}"
        )
    target = arguments(RecordedTarget, transcript=str(transcript), **as_tuples(table))
    if problems := model_problems(target, rows, Path.cwd()):
        raise ConfigError(*[line.removeprefix("target.") for line in problems])
    return model_of(target)
