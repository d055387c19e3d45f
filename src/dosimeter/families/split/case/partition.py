"""What a run leaves of the model, so that its halves can be taken away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from dosimeter.data import Dataset
from dosimeter.families.split.play.record import RecordJob
from dosimeter.families.split.stored import KEPT, MODEL
from dosimeter.training.deployment.portable import on_cpu, program_digest, structure, weights
from dosimeter.training.deployment.supplied import SuppliedHost
from dosimeter.training.packs import PackJob
from dosimeter.training.recipe import FitsCut, Release, RestoresCut
from dosimeter.training.system import TrainedSystem


def taken_away(
    pack: PackJob, system: TrainedSystem, records: Dataset, recording: RecordJob, folder: Path
) -> dict[str, Any]:
    """Writes the weights of the first deployed model, and says what it is built of and what the device does at a cut.

    Args:
        pack: with the model.
        system: its chain.
        records: that it takes.
        recording: of the model.
        folder: of the threat.
    """
    return {"model": structure(system.links), **_left(weights(pack, 0), system, records, recording, folder)}


def given_away(
    host: SuppliedHost, system: TrainedSystem, records: Dataset, recording: RecordJob, folder: Path
) -> dict[str, Any]:
    """Writes the weights of a supplied network; its code is its user's, who brings it again.

    Args:
        host: the network.
        system: its records in the form of a chain.
        records: that it takes.
        recording: of the network.
        folder: of the threat.
    """
    if host.named:
        return {"refused": "its operations could not be read, so each half would hold the weights of both"}
    state = host.module.state_dict().values()
    if any(not isinstance(one, Tensor) or one.is_quantized for one in state):
        return {"refused": "the state holds other things than tensors of plain numbers, such as quantised weights"}
    form = host.form
    dtype = None if form.dtype is None else str(form.dtype).removeprefix("torch.")
    return {
        "model": None,
        "program": program_digest(host.graph(torch.from_numpy(records.inputs[:2].copy()))),
        "form": {"kind": form.kind, "dtype": dtype, "of_bytes": form.of_bytes},
        **_left(on_cpu(host.module), system, records, recording, folder),
    }


def _left(
    tensors: Mapping[str, Tensor], system: TrainedSystem, records: Dataset, recording: RecordJob, folder: Path
) -> dict[str, Any]:
    """Writes the weights of a network, and says what it takes and what the device does at a cut."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), folder / MODEL)
    sent = [row for row in system.defenses[-1] if isinstance(row.defense, Release | FitsCut)]
    kept = {
        f"{index}-{number}-{name}": one
        for index, own in enumerate(recording.kept())
        for number, values in enumerate(own)
        for name, one in values.items()
    }
    if kept:
        save_file(kept, folder / KEPT)
    return {
        "weights": MODEL,
        "shape": list(records.inputs.shape[1:]),
        "dtype": str(records.inputs.dtype),
        "classes": list(system.at_risk.classes),
        "releases": [{"name": row.name, **row.settings} for row in sent],
        "fitted": [row.id for row in sent if _lost(row.defense)],
        **({"kept": KEPT} if kept else {}),
    }


def _lost(defense: object) -> bool:
    """Returns whether what a defense takes from the model cannot be stored."""
    return isinstance(defense, FitsCut) and not isinstance(defense, RestoresCut)
