"""Facts that may differ between two runs with the same result (times, hosts, versions), and the hashed content."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from dosimeter.foundation.package import __version__

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pydantic", "pyarrow", "safetensors")


def provenance(
    *, base: Path, device: str | None, started: float, seconds: Mapping[str, float], more: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of `provenance.json`.

    Args:
        base: folder of the audit file.
        device: where models were trained or queried; None if there was no model.
        started: seconds since the epoch.
        seconds: of each phase.
        more: seed, keys and hashes, as each door has them.
    """
    versions = {name: metadata.version(name) for name in PACKAGES}
    hardware = {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
    return {
        "versions": {"dosimeter": __version__, "python": platform.python_version(), **versions},
        "git": _revision(base),
        "started": datetime.datetime.fromtimestamp(started, datetime.UTC).isoformat(timespec="seconds"),
        "seconds": {**seconds, "total": round(time.time() - started, 2)},
        "hardware": hardware if device is None else {**hardware, "device": device},
        **more,
    }


def _revision(folder: Path) -> str | None:
    """The git revision of the folder of the audit file, if it is in a repository."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
