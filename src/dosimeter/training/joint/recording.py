"""Writes the transcript of a training that runs elsewhere, message by message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote
from dosimeter.training.joint.transcript import (
    AGREEMENT,
    KINDS,
    OF_TRUNK,
    Agreement,
    Message,
    from_tensors,
    write_agreement,
    write_step,
)


class TranscriptWriter:
    """Keeps the messages of a step until the next one begins, and writes whole steps; a `with` block ends the last one.

    What `read_transcript` would refuse is refused when it is added, so that a training need not run twice.

    Args:
        folder: where the transcript goes; must hold none.
        agreement: what every party knew beforehand.

    Raises:
        DataError: the folder holds a transcript.
        StoreError: the folder cannot be written.
    """

    def __init__(self, folder: Path | str, agreement: Agreement) -> None:
        self._folder, self._agreement = Path(folder), agreement
        self._messages: list[Message] = []
        self._network: Message | None = None
        self._step = 0
        if (self._folder / AGREEMENT).exists():
            raise DataError(f"{self._folder}: holds a transcript, which stays as it is: give a new folder")
        write_agreement(agreement, self._folder)

    def add(self, kind: str, sender: str, receiver: str, step: int, arrays: Mapping[str, Any]) -> None:
        """Adds one thing that crossed.

        Args:
            kind: one of `transcript.KINDS`, such as "trunk" or "update".
            sender: a party, or "coordinator".
            receiver: a party, "coordinator", or "all".
            step: number of the update, or round, before which it crossed; none smaller than before.
            arrays: by name, tensors or arrays of finite floats.

        Raises:
            DataError: it cannot be of this training.
            StoreError: the step before cannot be written.
        """
        if kind not in KINDS:
            raise DataError(f"message: no such kind, got {quote(kind)}, {suggest(kind, KINDS)}")
        if not self._step <= step <= self._step + 1:
            raise DataError(
                f"message: step {self._step} or {self._step + 1} must come next, got {step} with a {kind} of "
                f"{sender!r}: add all messages of a step before those of the next"
            )
        kept = {name: torch.as_tensor(one).detach().cpu().clone() for name, one in arrays.items()}
        message = Message(kind, sender, receiver, step, kept)
        self._check([message] if self._network is None else [self._network, message])
        if step > self._step:
            self._write()
            self._step = step
        same = [one for one in self._messages if (one.kind, one.sender, one.receiver) == (kind, sender, receiver)]
        if same:
            raise DataError(
                f"message: step {step} has a {kind} from {sender!r} to {receiver!r} already: raise the step, or give "
                "its arrays in one message"
            )
        self._messages.append(message)
        if self._network is None and kind in OF_TRUNK:
            self._network = message

    def close(self) -> None:
        """Writes the last step."""
        self._write()

    def __enter__(self) -> TranscriptWriter:
        """The writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        """Writes the last step; of a training that broke off, it may be half of one and is left out."""
        if kind is None:
            self.close()

    def _check(self, messages: list[Message]) -> None:
        """Refuses what the reader would refuse."""
        named = {f"{one.step:06d}/{name}": array for one in messages for name, array in one.names()}
        from_tensors(self._agreement, named, "message")

    def _write(self) -> None:
        """Writes the messages of a step, if there are any."""
        if self._messages:
            write_step(self._messages, self._folder)
        self._messages = []
