"""Named arrays of a run's folder: writing and reading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.foundation.arrays import Array
from dosimeter.jobs.store import writing


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes arrays without pickle, under a temporary name that is then renamed."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        with draft.open("wb") as file:
            np.savez(file, **arrays)
        draft.replace(path)


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an npz, read whole; the file is closed even if it is damaged."""
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
