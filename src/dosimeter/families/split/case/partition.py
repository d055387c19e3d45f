"""What a run leaves of the model, so that its halves can be taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from dosimeter.data import Dataset
from dosimeter.families.split.stored import MODEL
from dosimeter.training.deployment.portable import structure, weights
from dosimeter.training.packs import PackJob
from dosimeter.training.recipe import FitsCut, Release
from dosimeter.training.system import TrainedSystem


def taken_away(pack: PackJob, system: TrainedSystem, records: Dataset, folder: Path) -> dict[str, Any]:
    """Writes the weights of the first deployed model, and says what it is built of and what the device does at a cut.

    Args:
        pack: with the model.
        system: its chain.
        records: that it takes.
        folder: of the threat.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights(pack, 0), folder / MODEL)
    sent = [row for row in system.defenses[-1] if isinstance(row.defense, Release)]
    return {
        "weights": MODEL,
        "model": structure(system.links),
        "shape": list(records.inputs.shape[1:]),
        "dtype": str(records.inputs.dtype),
        "classes": list(system.at_risk.classes),
        "releases": [{"name": row.name, **row.settings} for row in sent],
        "fitted": [row.id for row in system.defenses[-1] if isinstance(row.defense, FitsCut)],
    }
