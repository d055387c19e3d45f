"""A model of which only its traffic is known: what crossed its cut for some records, as their user recorded it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from dosimeter.data import Dataset
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import describe, quote
from dosimeter.jobs.store import Store, file_hash
from dosimeter.models.cuts.recorder import lost_in_float32

PARTS = ("victims", "auxiliary")
"""Whose records passed through the model, and names of the files."""
ANSWERS = "answers"
"""Name of the answers in a file; every other name is that of a cut."""
LONGEST = 200
"""Most characters of the name of a cut."""
SUFFIXES = (".safetensors", ".npz")


@dataclass(frozen=True)
class Transcript:
    """Recorded traffic.

    Attributes:
        folder: where it lies.
        cuts: names of the cuts, in the order of the file.
        shapes: shape of the features of one record by cut.
        sizes: numbers of victims and of auxiliary records.
        digest: of its files.
    """

    folder: Path
    cuts: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    sizes: tuple[int, int]
    digest: str

    def load(self, part: str) -> dict[str, Tensor]:
        """What was recorded of the victims or of the auxiliary records, by cut, and the answers, float32, by rows."""
        found = {name: one.float() for name, one in _tensors(_file(self.folder, part)).items()}
        return {name: one if one.ndim > 1 else one[:, None] for name, one in found.items()}


def read_transcript(folder: Path) -> Transcript:
    """Reads what was recorded: `victims` and `auxiliary`, each as .safetensors or .npz; no code in them is run.

    Args:
        folder: with both files. In each a tensor `[n ...]` for each cut under its name, and `answers` `[n classes]`.

    Raises:
        DataError: a file is missing, cannot be read, or does not fit the other.
    """
    files = [_file(folder, part) for part in PARTS]
    victims, auxiliary = map(_tensors, files)
    problems = [
        line for path, found in zip(files, (victims, auxiliary), strict=True) for line in _problems(path, found)
    ]
    problems += [
        f"transcript: names of cuts must be 1 to {LONGEST} printable characters, got {quote(name)}: rename it"
        for name in sorted(victims.keys() | auxiliary.keys())
        if not 0 < len(name) <= LONGEST or not name.isprintable() or not name.strip()
    ]
    if not problems and victims.keys() != auxiliary.keys():
        odd = sorted(victims.keys() ^ auxiliary.keys())[0]
        problems.append(
            f"transcript: both files must hold the same cuts, got {quote(odd)} in one alone: record it in both"
        )
    if not problems:
        problems = [
            f"transcript: {quote(name)} must have one shape in both files, got {tuple(one.shape[1:])} and "
            f"{tuple(auxiliary[name].shape[1:])}: record the same layer"
            for name, one in victims.items()
            if one.shape[1:] != auxiliary[name].shape[1:]
        ]
    if problems:
        raise DataError(*problems)
    cuts = tuple(name for name in victims if name != ANSWERS)
    digest = hashlib.sha256("".join(map(file_hash, files)).encode()).hexdigest()
    shapes = {name: tuple(victims[name].shape[1:]) for name in cuts}
    return Transcript(folder, cuts, shapes, (len(victims[cuts[0]]), len(auxiliary[cuts[0]])), digest)


def _file(folder: Path, part: str) -> Path:
    """The file of one side.

    Raises:
        DataError: there is none, or there are two.
    """
    found = [folder / f"{part}{suffix}" for suffix in SUFFIXES if (folder / f"{part}{suffix}").is_file()]
    if len(found) != 1:
        got = "both" if found else "neither"
        raise DataError(
            f"transcript: {folder} must hold {part}.safetensors or {part}.npz, got {got}: write what crossed the cut "
            "for these records there"
        )
    return found[0]


def _tensors(path: Path) -> dict[str, Tensor]:
    """Arrays of a file by name.

    Raises:
        DataError: it cannot be read as arrays alone.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(sorted(load_file(path).items()))
        with np.load(path, allow_pickle=False) as found:
            return {name: torch.from_numpy(found[name]) for name in found.files}
    except Exception as error:  # both readers raise many kinds
        raise DataError(
            f"transcript: {path} must hold arrays of numbers alone, got {describe(error)} (no code in it was run): "
            "write them anew"
        ) from error


def _problems(path: Path, found: Mapping[str, Tensor]) -> list[str]:
    """What is wrong with one file, one line each."""
    place = f"transcript: {path.name}"
    if ANSWERS not in found:
        return [
            f"{place}: must hold the model's `answers` too, got {', '.join(found) or 'nothing'}: what features tell is "
            "judged against what those tell"
        ]
    if len(found) < 2:
        return [f"{place}: must hold features under the name of their cut, got answers alone: record what crosses"]
    counts = {name: len(one) for name, one in found.items() if one.ndim}
    problems = []
    if len(set(counts.values())) > 1 or len(counts) < len(found):
        problems.append(f"{place}: all arrays must have one row for each record, got {counts}: record them together")
    for name, one in found.items():
        if one.ndim and len(one) and not one.numel():
            problems.append(f"{place}: {quote(name)} must hold a number or more of each record, got none: leave it out")
        if one.is_complex() or one.dtype == torch.bool or not bool(torch.isfinite(one.float()).all()):
            problems.append(f"{place}: {quote(name)} must hold finite numbers, got others: correct or remove them")
        elif lost_in_float32(one):
            problems.append(
                f"{place}: {quote(name)} must differ between records by what float32 can hold, got {one.dtype} numbers "
                "whose differences are lost there: scale them, or take a constant away"
            )
    if found[ANSWERS].ndim != 2:
        problems.append(f"{place}: answers must be [n classes], got shape {tuple(found[ANSWERS].shape)}: correct them")
    return problems


@dataclass(frozen=True)
class RecordedSystem:
    """A model that is not here, with what its user recorded of it; a `System`.

    Attributes:
        store: the cache.
        device: where attacks run.
        seed: root of all randomness.
        transcript: what was recorded.
        parts: the records by name.
    """

    draws: ClassVar[bool] = False

    store: Store
    device: str
    seed: int
    transcript: Transcript
    parts: Mapping[str, Dataset] = field(default_factory=dict)

    def check_unchanged(self) -> None:
        """Does nothing, since no model is asked."""
