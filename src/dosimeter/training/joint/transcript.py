"""What crosses between organisations that train together: messages, the wire that carries them, and their transcript.

A transcript in a folder is `agreement.json` and one file of safetensors for each step, so that a run that stops leaves
whole steps. Nothing is pickled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote
from dosimeter.jobs.store import write_text, writing

Kind = Literal["trunk", "parameters", "representations", "alignment_gradient", "gradient", "update", "sum", "head"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of message, in the order in which one step has them."""
OF_TRUNK = ("trunk", "parameters", "gradient", "update", "sum")
"""Kinds of message that have an array for each parameter of the trunk."""
ALL = "all"
"""Receiver of a message to every party."""
COORDINATOR = "coordinator"
"""Who keeps the trunk; no party is called so."""
FORMAT = 1
"""Version of the layout of a transcript in a folder."""
AGREEMENT = "agreement.json"
LARGEST = 1e300
"""Size of a number of an agreement, below which it must be; a whole number of JSON may have any size."""
_STEP = re.compile(r"(\d{6,})\.safetensors")


@dataclass(frozen=True)
class Agreement:
    """What every party knows before the first message.

    Attributes:
        method: transfer method, such as "fedsgd".
        parties: names, the coordinator not among them.
        rates: learning rate of the trunk at each step; of "fedavg", of the parties in each round.
        momentum: of SGD on the trunk.
        weight_decay: L2 penalty on the trunk, as `torch.optim` defines it.
        averaged: the trunk moves by the mean of what the parties send, not by their sum.
        weight: of the alignment; of "soft" that of the squared distance of both trunks; of "l2-sp" that of the trunk's
            squared distance from its start, halved.
        local_steps: updates that each party makes in a round of "fedavg".
        sum_bits: bits after the binary point in which the parties' parts are summed, so that the coordinator sees the
            "sum" alone; None where it sees each part.
    """

    method: str
    parties: tuple[str, ...]
    rates: tuple[float, ...]
    momentum: float
    weight_decay: float
    averaged: bool
    weight: float = 0.0
    local_steps: int = 1
    sum_bits: int | None = None

    @property
    def steps(self) -> int:
        """Number of updates of the trunk; rounds of "fedavg"."""
        return len(self.rates)

    @property
    def last(self) -> int:
        """Number of the last step in which something crosses; after the last update of "soft" nothing does."""
        return self.steps - 1 if self.method == "soft" else self.steps


@dataclass(frozen=True)
class Message:
    """One thing that crosses.

    Attributes:
        kind: what it is: "trunk", the shared parameters; "parameters" of a party's own trunk; "representations" `[b d]`
            of a batch, or their moments; "alignment_gradient", by which the distance of two batches changes with what
            was shown; "gradient" of the loss by each parameter of the trunk; "update", what some updates add to each of
            them; "sum" of these over all parties; "head", the parameters of a last layer.
        sender: party, or the coordinator; `ALL` of a "sum".
        receiver: party, the coordinator, or `ALL`.
        step: number of the update before which it crosses.
        arrays: by name.
    """

    kind: Kind
    sender: str
    receiver: str
    step: int
    arrays: Mapping[str, Tensor]

    def names(self) -> Iterator[tuple[str, Tensor]]:
        """Each array with the name that it has in a file of its step."""
        for name, array in self.arrays.items():
            yield f"{self.kind}/{self.sender}/{self.receiver}/{name}", array


@dataclass(frozen=True)
class Transcript:
    """All messages of a training, or those that somebody saw.

    Attributes:
        agreement: what every party knew beforehand.
        messages: in the order in which they crossed.
    """

    agreement: Agreement
    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        _distinct(self.messages)

    def seen_by(self, party: str) -> Transcript:
        """The messages that a party sent or received.

        Raises:
            DataError: there is no such party.
        """
        known = (*self.agreement.parties, COORDINATOR)
        if party not in known:
            raise DataError(f"transcript: has no party {quote(party)}, {suggest(party, known)}")
        saw = (party, ALL)
        return Transcript(
            self.agreement, tuple(one for one in self.messages if one.sender == party or one.receiver in saw)
        )

    def of(self, kind: Kind, sender: str | None = None) -> dict[int, Mapping[str, Tensor]]:
        """Arrays of all messages of a kind by step, of one sender if it is named."""
        return {one.step: one.arrays for one in self.messages if one.kind == kind and sender in (None, one.sender)}

    def tensors(self) -> dict[str, Tensor]:
        """All arrays, named `step/kind/sender/receiver/array`."""
        return {f"{one.step:06d}/{name}": array for one in self.messages for name, array in one.names()}


def _distinct(messages: Sequence[Message]) -> None:
    """Refuses two messages of one kind between the same two in one step, of which a file would keep one."""
    seen = set()
    for one in messages:
        which = (one.step, one.kind, one.sender, one.receiver)
        if which in seen:
            raise ValueError(f"messages of a step must differ in kind, sender or receiver, got {which} twice")
        seen.add(which)


class Wire:
    """Carries messages. Nothing else connects organisations, and what it keeps is what crossed."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> dict[str, Tensor]:
        """Keeps a copy of a message on the CPU and delivers another, so that neither side can change the other's."""
        kept = {name: array.detach().cpu().clone() for name, array in message.arrays.items()}
        self.messages.append(Message(message.kind, message.sender, message.receiver, message.step, kept))
        return {name: array.clone() for name, array in kept.items()}


def from_tensors(agreement: Agreement, tensors: Mapping[str, Tensor], place: str = "transcript") -> Transcript:
    """The transcript of arrays named as `Transcript.tensors` names them.

    Raises:
        DataError: a name, a sender, a receiver or a number cannot be of this agreement.
    """
    found: dict[tuple[int, Kind, str, str], dict[str, Tensor]] = {}
    for name, array in tensors.items():
        parts = name.split("/", 4)
        if len(parts) != 5 or not parts[0].isdecimal() or parts[1] not in KINDS:
            raise DataError(
                f"{place}: arrays must be named kind/sender/receiver/name with a kind of {', '.join(KINDS)}, got "
                f"{quote(name)}: write it with `write_transcript`"
            )
        _check_array(agreement, parts, array, place)
        kind: Kind = parts[1]
        found.setdefault((int(parts[0]), kind, parts[2], parts[3]), {})[parts[4]] = array
    _check_shapes(found, place)
    parties = (COORDINATOR, *agreement.parties, ALL)

    def order(key: tuple[int, Kind, str, str]) -> tuple[int, int, int]:
        return key[0], KINDS.index(key[1]), parties.index(key[2])

    messages = [Message(key[1], *key[2:], key[0], found[key]) for key in sorted(found, key=order)]
    return Transcript(agreement, tuple(messages))


def _check_array(agreement: Agreement, parts: Sequence[str], array: Tensor, place: str) -> None:
    """Refuses an array that cannot be of this agreement."""
    step, kind, sender, receiver, name = parts
    known = (COORDINATOR, *agreement.parties)
    senders = (ALL,) if kind == "sum" else known
    for who, allowed in ((sender, senders), (receiver, (ALL, *known))):
        if who not in allowed:
            raise DataError(
                f"{place}: step {int(step)} has {quote(who)}, no party of {AGREEMENT}, {suggest(who, allowed)}"
            )
    if int(step) > agreement.last:
        raise DataError(
            f"{place}: steps must be at most {agreement.last}, by the number of rates in {AGREEMENT}, got {int(step)}: "
            "list the learning rate of every step"
        )
    if not array.is_floating_point() or not bool(torch.isfinite(array).all()):
        raise DataError(
            f"{place}: arrays must be finite floats, got others in step {int(step)}, {kind} of {sender}, {quote(name)}"
            ": remove this step and all after it"
        )


def _check_shapes(found: Mapping[tuple[int, Kind, str, str], Mapping[str, Tensor]], place: str) -> None:
    """Refuses trunks and gradients that are not of one network."""
    whole = [(key, arrays) for key, arrays in sorted(found.items()) if key[1] in OF_TRUNK]
    shapes = [{name: tuple(array.shape) for name, array in arrays.items()} for _, arrays in whole]
    for (key, _), own in zip(whole, shapes, strict=True):
        if own != shapes[0]:
            raise DataError(
                f"{place}: trunks and gradients must have the same arrays in every step, got others in step {key[0]}, "
                f"{key[1]} of {key[2]}: record one network from its first step to its last"
            )


def write_agreement(agreement: Agreement, folder: Path) -> None:
    """Begins a transcript in a folder; steps follow one by one.

    Raises:
        StoreError: the folder cannot be written.
    """
    told = {"format": FORMAT, **asdict(agreement)}
    write_text(folder / AGREEMENT, json.dumps(told, indent=1, allow_nan=False) + "\n")


def write_step(messages: Sequence[Message], folder: Path) -> None:
    """Writes all messages of one step, under a temporary name first.

    Raises:
        StoreError: the folder cannot be written.
    """
    _distinct(messages)
    arrays = {name: array.detach().cpu().clone().contiguous() for one in messages for name, array in one.names()}
    path = folder / f"{messages[0].step:06d}.safetensors"
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        save_file(arrays, draft)
        draft.replace(path)


def write_transcript(transcript: Transcript, folder: Path) -> None:
    """Writes a transcript as a folder; what `read_transcript` reads.

    Raises:
        StoreError: the folder cannot be written.
    """
    write_agreement(transcript.agreement, folder)
    steps: dict[int, list[Message]] = {}
    for one in transcript.messages:
        steps.setdefault(one.step, []).append(one)
    for messages in steps.values():
        write_step(messages, folder)


def read_transcript(folder: Path) -> tuple[Transcript, tuple[str, ...]]:
    """Reads a transcript from a folder.

    Returns:
        The steps up to the first that is missing or damaged; and a sentence for each thing that was left out.

    Raises:
        DataError: no step can be used, or the folder holds something else.
    """
    agreement = _read_agreement(folder / AGREEMENT)
    found = {path.name: path for path in folder.iterdir() if _STEP.fullmatch(path.name)}
    files = {int(name.partition(".")[0]): path for name, path in found.items() if name == _name_of(name)}
    tensors: dict[str, Tensor] = {}
    notes: list[str] = []
    for step in range(agreement.last + 1):
        try:
            arrays = load_file(files[step])
        except (KeyError, OSError, SafetensorError) as error:
            problem = "missing" if isinstance(error, KeyError) else "damaged"
            whole = agreement.last + 1
            notes.append(
                f"{folder}: step {step} is {problem}: {step} of {whole} steps are used, {whole - step} are not"
            )
            break
        tensors |= {f"{step:06d}/{name}": array for name, array in arrays.items()}
    if not tensors:
        raise DataError(f"{notes[0]}: give a folder with 000000.safetensors and the steps after it")
    beyond = max(files) - agreement.last
    if beyond > 0:
        notes.append(f"{folder}: {beyond} steps beyond the rates of {AGREEMENT} are not used")
    return from_tensors(agreement, tensors, str(folder)), tuple(notes)


def _name_of(name: str) -> str:
    """The one name of a step's file, whatever zeros another name of it begins with."""
    return f"{int(name.partition('.')[0]):06d}.safetensors"


def _read_agreement(path: Path) -> Agreement:
    """The agreement of a folder, each of its fields checked."""
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}): give a folder with {AGREEMENT} and a file for each step"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: must be JSON, got {one_line(error)}: write it with `write_transcript`") from error
    rules: dict[str, tuple[Callable[[Any], bool], str]] = {
        "format": (lambda v: v == FORMAT, f"{FORMAT}"),
        "method": (lambda v: isinstance(v, str) and v != "", "the name of a method"),
        "parties": (_are_names, "two or more distinct names without a slash, none of them 'all' or 'coordinator'"),
        "rates": (lambda v: isinstance(v, list) and v != [] and all(map(_positive, v)), "learning rates above 0"),
        "momentum": (lambda v: _is_number(v) and 0 <= v < 1, "in [0, 1)"),
        "weight_decay": (lambda v: _is_number(v) and v >= 0, "at least 0"),
        "averaged": (lambda v: isinstance(v, bool), "true or false"),
        "weight": (lambda v: _is_number(v) and v >= 0, "at least 0"),
        "local_steps": (_is_count, "a whole number above 0"),
        "sum_bits": (lambda v: v is None or _is_count(v), "null, or a whole number above 0"),
    }
    if not isinstance(told, dict):
        raise DataError(f"{path}: must be a table, got {quote(told)}: write it with `write_transcript`")
    told = {"weight": 0.0, "local_steps": 1, "sum_bits": None, **told}
    problems = [
        f"{path}: {key} must be {rule}, got {quote(told[key]) if key in told else 'none'}: correct it"
        for key, (good, rule) in rules.items()
        if key not in told or not good(told[key])
    ]
    problems += [f"{path}: no such key, got {quote(key)}, {suggest(key, rules)}" for key in told if key not in rules]
    if problems:
        raise DataError(*problems)
    return Agreement(
        told["method"], tuple(told["parties"]), tuple(map(float, told["rates"])), float(told["momentum"]),
        float(told["weight_decay"]), told["averaged"], float(told["weight"]), told["local_steps"],
        told["sum_bits"],
    )  # fmt: skip


def _is_number(value: object) -> bool:
    """Returns whether a value of JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def _is_count(value: Any) -> bool:
    """Returns whether a value of JSON is a whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _positive(value: Any) -> bool:
    """Returns whether a value of JSON is a number above 0."""
    return _is_number(value) and value > 0


def _are_names(value: Any) -> bool:
    """Returns whether a value of JSON is a list of names of parties."""
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(one, str) for one in value):
        return False
    return (
        len(set(value)) == len(value) and not {ALL, COORDINATOR} & set(value) and all(v and "/" not in v for v in value)
    )
