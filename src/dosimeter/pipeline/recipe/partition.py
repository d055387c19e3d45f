"""Both halves of an audited model as files: weights, the cut, and the defenses of what the device sends."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dosimeter.config.defense_rows import defense_rows
from dosimeter.data.cells import Held
from dosimeter.defenses.sending import CutDefense, restored, send
from dosimeter.families.family import CaseFolder
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, StoreError
from dosimeter.foundation.package import __version__
from dosimeter.foundation.user_code import import_from
from dosimeter.foundation.wording import one_line, quote
from dosimeter.jobs.arrays import undamaged
from dosimeter.jobs.store import file_hash, write_text
from dosimeter.models.cuts.graph import ModelGraph, read_graph
from dosimeter.models.cuts.halves import Half, halves
from dosimeter.models.cuts.places import ModelCut, cuts, find_cut
from dosimeter.models.supplied.forms import Form
from dosimeter.models.weights import load_state
from dosimeter.pipeline.run_folder import read_run
from dosimeter.training.defending import sending
from dosimeter.training.deployment.portable import program_digest, rebuilt
from dosimeter.training.recipe import Release

Side = Literal["device", "server"]
SIDES: tuple[Side, ...] = ("device", "server")
KEPT = "releases"
"""Name of what the defenses of the cut took from the model, in the manifest and without the ending of its file."""
MANIFEST = "partition.json"
FORMAT = 1
"""Version of the manifest."""


@dataclass(frozen=True)
class Device:
    """The first half of a model, with the defenses of the cut.

    Attributes:
        half: what runs.
        releases: defenses at the cut, in order.
        rng: from which they draw; seeded by the system unless given.
        form: how the model takes records.
    """

    half: Half
    releases: tuple[Release, ...] = ()
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    form: Form = Form("plain")

    def send(self, records: Tensor) -> tuple[Tensor, ...]:
        """What is sent for some records.

        Args:
            records: `[b ...]`, bytes of images or numbers, as the audit had them.

        Raises:
            TrainingError: a defense of the cut raised.
        """
        with torch.inference_mode():
            made: tuple[Tensor, ...] = self.half(self.form.give(Held(records)))
        if not self.releases:
            return made
        if len(made) == 1:
            return (send(made[0].float(), self.releases, self.rng),)
        rows = torch.cat([one.reshape(len(one), -1).float() for one in made], 1)
        sizes = [one[0].numel() for one in made]
        parts = torch.split(send(rows, self.releases, self.rng), sizes, 1)
        return tuple(part.reshape(one.shape) for part, one in zip(parts, made, strict=True))


@dataclass(frozen=True)
class Server:
    """The second half of a model.

    Attributes:
        half: what runs.
    """

    half: Half

    def answer(self, *sent: Tensor) -> Float[Tensor, "b c"]:
        """Logits for what a device sent."""
        with torch.inference_mode():
            answers: tuple[Tensor, ...] = self.half(*sent)
        return answers[0]


def save_partition(
    run: Path, folder: Path, *, cut: str | None, threat: str | None, base: Path, model: object = None
) -> Path:
    """Writes both halves of the model that a run of split audited.

    Args:
        run: folder of the run, or of a variant of it.
        folder: where to; made if it is not there.
        cut: the layer after which the model is cut; the only one that was audited unless given.
        threat: id of the threat, if there are several.
        base: folder in which the code of a model of the user's is found.
        model: a network that the same code builds, where the model was supplied.

    Returns:
        The folder.

    Raises:
        AuditError: the run has no such model or cut, or the folder holds something.
    """
    case = _case(run, threat)
    told = case.summary["partition"]
    if reason := told.get("refused"):
        raise ConfigError(f"model: cannot be saved in two halves, got a network of which {reason}: leave it whole")
    name = _cut_of([str(one["name"]) for one in case.summary["cuts"]], cut)
    if fitted := told.get("fitted"):
        raise ConfigError(
            f"defenses: must need nothing of the model, or have `restored`, got {quote(fitted[0])}, which takes scales "
            "from it that are not saved: give it the method, or save the partition of an audit without it"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder}: must be a new or empty folder, got one that holds something: choose another")
    with undamaged(case.path):
        state = load_file(case.path / str(told["weights"]))
        kept = load_file(case.path / str(told["kept"])) if "kept" in told else {}
    kept = _at(kept, [str(one["name"]) for one in case.summary["cuts"]].index(name))
    graph, place = _graph(told, name, base, model, state)
    folder.mkdir(parents=True, exist_ok=True)
    for side, half in zip(SIDES, halves(graph, place), strict=True):
        tensors = {key: one.detach().clone().contiguous() for key, one in half.module.state_dict().items()}
        save_file(tensors, folder / f"{side}.safetensors")
    if kept:
        save_file(kept, folder / f"{KEPT}.safetensors")
    files = (*SIDES, KEPT) if kept else SIDES
    content = {
        "format": FORMAT,
        "dosimeter": __version__,
        "cut": name,
        **{key: one for key, one in told.items() if key not in ("weights", "kept")},
        "sent": [{"name": one.name, "shape": list(one.shape), "dtype": one.dtype} for one in place.tensors],
        "sha256": {one: file_hash(folder / f"{one}.safetensors") for one in files},
    }
    write_text(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return folder


def load_device(folder: Path | str, *, base: Path | str = ".", seed: int | None = None, model: object = None) -> Device:
    """The device's half of a partition; the server's weights are not read.

    Args:
        folder: that `Result.save_partition` wrote, without `server.safetensors` if you like.
        base: folder in which the code of a model or a defense of yours is found.
        seed: of the randomness of the defenses of the cut, for tests alone: drawn by the system unless given.
        model: a network that the same code builds, with any weights, where the model was supplied to the audit.

    Raises:
        AuditError: a file is missing, damaged, or does not fit the code of the model.
    """
    manifest = _manifest(Path(folder))
    rows, problems = defense_rows(tuple(manifest["releases"]), Path(base), "releases")
    if problems:
        raise ConfigError(*[f"{Path(folder) / MANIFEST}: {one}" for one in problems])
    releases = _releases(Path(folder), manifest, sending(rows))
    if len(releases) < len(rows):
        raise ConfigError(
            f"{Path(folder) / MANIFEST}: releases must be defenses of which all that they take is saved: save the "
            "partition again"
        )
    half = _half(Path(folder), manifest, "device", Path(base), model)
    return Device(half, releases, np.random.default_rng(seed), _form(manifest))


def load_server(folder: Path | str, *, base: Path | str = ".", model: object = None) -> Server:
    """The server's half of a partition; arguments and errors as of `load_device`."""
    return Server(_half(Path(folder), _manifest(Path(folder)), "server", Path(base), model))


def _at(kept: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """What begins with a number, without it."""
    start = f"{number}-"
    return {name.removeprefix(start): one for name, one in kept.items() if name.startswith(start)}


def _releases(folder: Path, manifest: Mapping[str, Any], defenses: Sequence[CutDefense]) -> tuple[Release, ...]:
    """The defenses of a partition as they stand at its cut, without those of which something is missing.

    Raises:
        StoreError: what was saved of them is missing or another file.
    """
    kept: dict[str, Tensor] = {}
    if KEPT in manifest["sha256"]:
        kept = load_file(_unchanged(folder, manifest, KEPT))
    found = (restored(one, _at(kept, number)) for number, one in enumerate(defenses))
    with undamaged(folder):
        return tuple(one for one in found if one is not None)


def _form(told: Mapping[str, Any]) -> Form:
    """How a model takes records; bytes as fractions unless it says otherwise."""
    own = told.get("form")
    if own is None:
        return Form("plain")
    return Form(own["kind"], dtype=getattr(torch, own["dtype"]) if own["dtype"] else None, of_bytes=own["of_bytes"])


def _case(run: Path, threat: str | None) -> CaseFolder:
    """What a run left of the threat whose model is meant.

    Raises:
        ConfigError: there is none, or there are several.
    """
    found = {name: one for name, one in read_run(run).cases.items() if one.summary.get("partition")}
    if not found:
        raise ConfigError(f"{run}: holds no model in two halves: run an audit with family = 'split' that trains it")
    if threat is None and len(found) > 1:
        raise ConfigError(f"threat: must be one of {', '.join(found)}, got none: name it")
    if threat is not None and threat not in found:
        raise ConfigError(f"threat: must have a model in two halves, got {quote(threat)}, {suggest(threat, found)}")
    return found[threat] if threat is not None else next(iter(found.values()))


def _cut_of(known: Sequence[str], cut: str | None) -> str:
    """The cut that is meant.

    Raises:
        ConfigError: there are several, or it was not audited.
    """
    if cut is None and len(known) > 1:
        raise ConfigError(f"cut: must be one of those that were audited, {', '.join(known)}, got none: name one")
    if cut is not None and cut not in known:
        raise ConfigError(f"cut: must be one of those that were audited, got {quote(cut)}, {suggest(cut, known)}")
    return known[0] if cut is None else cut


def _graph(
    told: Mapping[str, Any], cut: str, base: Path, model: object, state: Mapping[str, Tensor] | None = None
) -> tuple[ModelGraph, ModelCut]:
    """The graph of a model that is built anew, and its cut.

    Args:
        told: `model`, `shape` and `dtype`; `program` and `form` of one that was supplied.
        cut: its name.
        base: folder of the user's code.
        model: a network of the same code, where it was supplied.
        state: weights of the whole model; fresh ones unless given.

    Raises:
        AuditError: the code is not there, or makes another model.
    """
    import_from(base)
    network = _network(told, model)
    if state is not None:
        load_state(network, state, "partition")
    graph = read_graph(network, _form(told).give(Held(_example(told["shape"], told["dtype"]))))
    if told.get("program", digest := program_digest(graph)) != digest:
        raise ConfigError(
            "model: must be of the code that was audited, got a network whose operations are others: pass one that the "
            "same code builds"
        )
    place = find_cut(cuts(graph), cut)
    if place is None:
        raise ConfigError(f"cut: the model that is built has no cut after {quote(cut)}: use the code that was audited")
    return graph, place


def _network(told: Mapping[str, Any], model: object) -> nn.Module:
    """The network of a partition: built anew, or a copy of the one that is given where it was supplied.

    Raises:
        AuditError: it is missing, is no network, or cannot be built.
    """
    if told["model"] is not None and model is not None:
        raise ConfigError(f"model: is built anew here, got {quote(type(model).__name__)}: leave it out")
    if told["model"] is not None:
        return rebuilt(told["model"])
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"model: was supplied to the audit, so its code is yours, got {quote(type(model).__name__)}: pass the "
            "network, or one that the same code builds, as model=...; its weights do not count"
        )
    return copy.deepcopy(model).cpu().eval()


def _example(shape: Sequence[int], dtype: str) -> Tensor:
    """Two different records of a form, by which a model's graph is read."""
    if "float" in dtype or dtype == "uint8":
        return torch.rand((2, *shape), generator=torch.Generator().manual_seed(0))
    return torch.arange(2).reshape(2, *[1] * len(shape)).expand(2, *shape).contiguous()


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a partition.

    Raises:
        StoreError: it is missing, damaged or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise StoreError(f"{folder}: holds no partition (no {MANIFEST}): `Result.save_partition` writes one")
    with undamaged(folder):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise StoreError(
                f"{path}: must be of format {FORMAT}, got {quote(found['format'])}: use dosimeter {found['dosimeter']}"
            )
    return found


def _unchanged(folder: Path, manifest: Mapping[str, Any], name: str) -> Path:
    """A file of a partition, as it was saved.

    Raises:
        StoreError: it is missing or another one.
    """
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise StoreError(f"{path}: is missing: copy it from where the partition was saved")
    if file_hash(path) != manifest["sha256"][name]:
        raise StoreError(f"{path}: must be the file that was saved beside {MANIFEST}, got another: copy both again")
    return path


def _half(folder: Path, manifest: Mapping[str, Any], side: Side, base: Path, model: object) -> Half:
    """One half with its weights.

    Raises:
        AuditError: its file is missing or another one, or does not fit.
    """
    path = _unchanged(folder, manifest, side)
    graph, place = _graph(manifest, str(manifest["cut"]), base, model)
    half = halves(graph, place)[SIDES.index(side)]
    load_state(half.module, load_file(path), one_line(f"{path}"))
    return half.eval().requires_grad_(False)
