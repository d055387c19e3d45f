"""In which steps of a recorded training an adversary sees something of the victim, and messages of other steps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool
from torch import Tensor, uint8

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.training.deployment.received import Received
from dosimeter.training.joint.transcript import ALL, COORDINATOR, Kind, Transcript

SENT: tuple[Kind, ...] = ("gradient", "update", "representations", "alignment_gradient")
"""Kinds of message that a party makes anew of each batch."""


def steps_seen(recorded: Received, who: tuple[str, str], channel: str) -> Bool[Array, " n"]:
    """Whether something of the victim is seen in a channel, at each step.

    Args:
        recorded: of which messages may be missing.
        who: the victim, then the adversary.
        channel: what is read.
    """
    (victim, adversary), told = who, recorded.agreement
    seen, steps = recorded.transcript.seen_by(adversary), set(range(recorded.steps))
    if channel in ("representations", "moments"):
        steps &= set(seen.of("representations", victim))
    elif channel == "alignment_gradient":
        steps &= set(seen.of("alignment_gradient", victim))
    else:
        steps &= _parts_seen(seen, victim, adversary, "update" if told.method == "fedavg" else "gradient")
    found: Array = np.array([step in steps for step in range(recorded.steps)])
    return found


def _parts_seen(seen: Transcript, victim: str, adversary: str, kind: Kind) -> set[int]:
    """Steps in which the victim's gradient or update is seen, or is worked out from how the trunk moves."""
    if adversary == COORDINATOR:
        return set(seen.of(kind, victim) if seen.agreement.sum_bits is None else seen.of("sum", ALL))
    soft = seen.agreement.method == "soft"
    trunks = seen.of("parameters", victim) if soft else seen.of("trunk", COORDINATOR)
    return set(seen.of("parameters" if soft else kind, adversary)) & {one - 1 for one in trunks}


def check_sent(recorded: Received, victim: str, adversary: str) -> None:
    """Refuses a record in which the adversary has not all trunks, or messages of the victim are of another step.

    Such are messages that are the same in steps with other batches.

    Raises:
        DataError: which ones.
    """
    soft, seen = recorded.agreement.method == "soft", recorded.transcript.seen_by(adversary)
    trunks = seen.of("parameters", victim) if soft else seen.of("trunk", COORDINATOR)
    if absent := [step for step in range(recorded.steps) if step not in trunks]:
        raise DataError(
            f"transcript: {adversary!r} must get the shared layers in every step, got none in step {absent[0]}: record "
            "them with the receiver 'all', or let somebody watch who gets them"
        )
    counts = np.c_[recorded.truth.classes, recorded.truth.having]
    for kind in SENT:
        first: dict[str, int] = {}
        for step, arrays in recorded.sent.of(kind, victim).items():
            if step >= recorded.steps or not any(bool(one.any()) for one in arrays.values()):
                continue
            before = first.setdefault(_digest(arrays), step)
            if before != step and (counts[before] != counts[step]).any():
                raise DataError(
                    f"transcript: each {kind} of {victim!r} must be of its own batch, got the same in steps {before} "
                    f"and {step}, whose batches differ: record each message when it crosses"
                )


def _digest(arrays: Mapping[str, Tensor]) -> str:
    """Digest of the numbers of a message."""
    found = hashlib.blake2b()
    for name, one in sorted(arrays.items()):
        found.update(name.encode() + one.contiguous().flatten().view(uint8).numpy().tobytes())
    return found.hexdigest()
