"""A joint training that ran elsewhere: its recorded transcript, what the victim knows of it, and its architecture."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from dosimeter.data import Dataset
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote
from dosimeter.jobs.store import Store, file_hash
from dosimeter.training.chain import Link
from dosimeter.training.defending import DefenseRow
from dosimeter.training.joint.gradients import FAR, strays
from dosimeter.training.joint.methods import SENT
from dosimeter.training.joint.transcript import (
    AGREEMENT,
    COORDINATOR,
    Agreement,
    Message,
    Transcript,
    read_transcript,
)
from dosimeter.training.joint.truth import TRUTH, Truth, read_truth
from dosimeter.training.recipe import GuardsMessages, Hyperparameters

FEWEST = 20
"""Steps of a training that an attack can learn on and be judged by, at least."""
SCHEDULES: tuple[Literal["constant", "cosine", "one-cycle"], ...] = ("constant", "cosine", "one-cycle")
CLOSE = 1e-6
"""Relative difference of two learning rates that are one."""


@dataclass(frozen=True)
class Replay:
    """A defense that is tried on what was recorded; see `replaying`.

    Attributes:
        row: the defense.
        why: why the training would have been the same behind it, in words.
        before: the messages without it.
    """

    row: DefenseRow
    why: str
    before: Transcript


@dataclass(frozen=True)
class Received:
    """What was recorded of a joint training.

    Attributes:
        folder: where it lies.
        transcript: the usable steps.
        steps: of these, the updates of which both the message and what it did are there.
        truth: what the victim knows of its batches in these steps.
        left_out: a sentence for each thing that was left out.
        digest: of the folder's files.
        planned: updates that were agreed on.
        replay: the defense that is tried on it, or None.
    """

    folder: Path
    transcript: Transcript
    steps: int
    truth: Truth
    left_out: tuple[str, ...]
    digest: str
    planned: int
    replay: Replay | None = None

    @property
    def agreement(self) -> Agreement:
        """What every party knew beforehand."""
        return self.transcript.agreement

    @property
    def sent(self) -> Transcript:
        """The usable steps as they were recorded, whatever defense is tried on them."""
        return self.transcript if self.replay is None else self.replay.before

    def recipe(self, batch: int) -> tuple[Hyperparameters, str]:
        """The recipe by which parties can be imitated, and a note where the learning rates are of another form.

        Args:
            batch: records of a batch.
        """
        told, rates = self.agreement, self.agreement.rates
        tried = () if self.replay is None else (self.replay.row.defense,)
        plain = Hyperparameters(
            lr=max(rates), momentum=told.momentum, weight_decay=told.weight_decay, batch_size=batch,
            defenses=tuple(one for one in tried if isinstance(one, GuardsMessages)),
        )  # fmt: skip
        for name in SCHEDULES:
            hp = replace(plain, schedule=name)
            own = [hp.lr_at(step, told.steps) for step in range(told.steps)]
            if all(abs(one - rate) <= CLOSE * max(rates) for one, rate in zip(own, rates, strict=True)):
                return hp, ""
        mean = sum(rates) / len(rates)
        return replace(plain, lr=mean), f"rates: follow no schedule that is known here, so {mean:.3g} is used for all"


def is_received(folder: Path) -> bool:
    """Returns whether a folder holds the transcript of a joint training, not traffic over a cut."""
    return (folder / AGREEMENT).is_file()


def receive(folder: Path) -> Received:
    """Reads a transcript with its truth; what was cut short is used as far as it goes.

    Raises:
        DataError: nothing can be used, or it is of another protocol.
    """
    transcript, broken = read_transcript(folder)
    told = transcript.agreement
    _check_agreement(transcript, folder)
    truth, whole, notes = read_truth(folder), told.steps, list(broken)
    last, why = _last_whole(transcript)
    if last < told.last and not notes:
        notes.append(f"{folder}: {why}: the steps before it are used")
    # an update is seen by what the trunk does after it, so that of the last step of a broken record is not
    steps = min(whole, last + 1 if last == told.last else last, len(truth.having))
    if len(truth.having) < whole:
        notes.append(f"{folder}: {TRUTH} tells of {len(truth.having)} of {whole} steps, and no others are judged")
    if steps < FEWEST:
        raise DataError(
            f"transcript: {folder} must hold {FEWEST} whole steps or more, with their truth, got {steps}: record more"
        )
    notes += _unread(transcript)
    kept = tuple(one for one in transcript.messages if one.step <= steps)
    known = Truth(truth.having[:steps], truth.classes[:steps])
    return Received(folder, Transcript(told, kept), steps, known, tuple(notes), _digest(folder), whole)


def _check_agreement(transcript: Transcript, folder: Path) -> None:
    """Refuses an agreement that is not of this protocol, or by which the trunk does not move.

    Raises:
        DataError: which of them.
    """
    told = transcript.agreement
    if told.method not in SENT:
        raise DataError(
            f"transcript: {AGREEMENT} must name a method that is known here, got {quote(told.method)}, "
            f"{suggest(told.method, SENT)}: messages of another protocol cannot be imitated"
        )
    _check_copies(transcript)
    parts = [one for one in transcript.messages if one.kind in ("gradient", "update")]
    if told.sum_bits is not None and parts:
        raise DataError(
            f"transcript: parties of a secure sum must send no part of their own, got a {parts[0].kind} of "
            f"{parts[0].sender!r} in step {parts[0].step}: set sum_bits to null in {AGREEMENT}, or leave the parts out "
            "if they did not cross"
        )
    away = strays(transcript)
    if away is not None and away > FAR:
        raise DataError(
            f"transcript: {folder} must have trunks that move by what the parties sent, with the rates, momentum, "
            f"weight_decay and averaged of {AGREEMENT}, got moves of which {min(away, 10.0):.0%} and more is not "
            "explained: correct these, or record the whole training"
        )


def _check_copies(transcript: Transcript) -> None:
    """Refuses messages to several receivers of which one is another, since an audit reads one of them.

    Raises:
        DataError: which ones.
    """
    first: dict[tuple[int, str, str], Message] = {}
    for one in transcript.messages:
        other = first.setdefault((one.step, one.kind, one.sender), one)
        same = one.arrays.keys() == other.arrays.keys()
        if not same or not all(torch.equal(one.arrays[name], array) for name, array in other.arrays.items()):
            raise DataError(
                f"transcript: what a sender gives to several must be the same, got two {one.kind} of {one.sender!r} in "
                f"step {one.step}, to {other.receiver!r} and {one.receiver!r}: record what each got as a training of "
                "its own"
            )


def _unread(transcript: Transcript) -> list[str]:
    """A sentence on messages that the method does not send, which may tell of the victim and which no attack reads."""
    told = transcript.agreement
    known = {*SENT[told.method], *(kind for kind, _ in _expected(told)), *(["sum"] if told.sum_bits else [])}
    odd = sorted({(one.kind, one.sender) for one in transcript.messages if one.kind not in known})
    if not odd:
        return []
    names = " and ".join(f"{kind} of {sender!r}" for kind, sender in odd)
    return [f"{names} crossed too, which method {told.method!r} does not send and no attack reads"]


def _last_whole(transcript: Transcript) -> tuple[int, str]:
    """The last step up to which nothing is missing that the method sends, and what is missing after it."""
    told = transcript.agreement
    sides = {(one.step, one.kind, one.sender) for one in transcript.messages}
    for step in range(told.last + 1):
        for kind, sender in _expected(told):
            if (step, kind, sender) not in sides:
                return step - 1, f"step {step} has no {kind} of {sender!r}"
    return told.last, ""


def _expected(told: Agreement) -> Sequence[tuple[str, str]]:
    """What must cross in every step, by kind and sender, for the trunk to be known."""
    if told.method == "soft":
        return [("parameters", one) for one in told.parties]
    return [("trunk", COORDINATOR)]


def _digest(folder: Path) -> str:
    """Digest of the files that are read."""
    files = sorted(one for one in folder.iterdir() if one.name == AGREEMENT or one.suffix == ".safetensors")
    return hashlib.sha256("".join(f"{one.name} {file_hash(one)}\n" for one in files).encode()).hexdigest()


@dataclass(frozen=True)
class ReceivedSystem:
    """A joint training that ran elsewhere, with its transcript; a `System`.

    Attributes:
        store: the cache.
        device: where attacks run.
        seed: root of all randomness.
        transcript: what was recorded.
        target: model, options and head, as the audit file names them.
        parts: the records by name.
    """

    draws: ClassVar[bool] = False

    store: Store
    device: str
    seed: int
    transcript: Received
    target: Mapping[str, object]
    parts: Mapping[str, Dataset] = field(default_factory=dict)

    def check_unchanged(self) -> None:
        """Does nothing, since no model is asked."""

    @cached_property
    def trunk(self) -> Mapping[str, Tensor]:
        """The trunk of the first step, by which the architecture is checked."""
        told = self.transcript.transcript
        return next(iter(told.of("parameters" if told.agreement.method == "soft" else "trunk").values()))

    def link(self, records: Dataset, batch: int) -> Link:
        """The architecture and the recipe as a link of a chain.

        Args:
            records: of the adversary, whose form and classes are the model's.
            batch: records of a batch.
        """
        hp, _ = self.transcript.recipe(batch)
        shape = tuple(int(side) for side in records.inputs.shape[1:])
        options, head = self.target.get("options") or {}, self.target.get("head")
        assert isinstance(options, Mapping)
        return Link(
            "target", str(self.target["model"]), shape, len(records.classes), options=dict(options),
            head=None if head is None else str(head), hyperparameters=hp,
        )  # fmt: skip
