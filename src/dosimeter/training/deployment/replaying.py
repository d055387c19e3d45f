"""A defense tried on messages that were recorded without it, where the training would have been the same behind it."""

from __future__ import annotations

from dataclasses import replace

import torch

from dosimeter.foundation.errors import DataError
from dosimeter.foundation.seeds import seed_for
from dosimeter.training.defending import DefenseRow
from dosimeter.training.deployment.received import FEWEST, Received, Replay
from dosimeter.training.deployment.replayable import REMEDY, steps_until
from dosimeter.training.joint.guarding import Guard
from dosimeter.training.joint.methods import joint_defense_problems
from dosimeter.training.joint.protocols import fixed_sum
from dosimeter.training.joint.transcript import ALL, COORDINATOR, Kind, Message, Transcript
from dosimeter.training.recipe import GuardsMessages, HidesParts, Hyperparameters

ROUNDED = 1e-3
"""Most that rounding may change of a secure sum, as a share of its length, for the training to count as the same."""


def replayed(found: Received, row: DefenseRow, seed: int) -> Received:
    """What would have been recorded behind a defense.

    Args:
        found: what was recorded without it.
        row: a defense of which `replayable.unplayable` says nothing.
        seed: root of all randomness.

    Raises:
        DataError: the training would have been another one behind it, or messages are missing.
        TrainingError: a defense of the user's raised, or gave something else than finite numbers.
    """
    told, one = found.agreement, row.defense
    if isinstance(one, HidesParts | GuardsMessages):
        hp = Hyperparameters(momentum=told.momentum, weight_decay=told.weight_decay)
        if problems := joint_defense_problems(told.method, [(row.name, one)], hp, len(told.parties)):
            raise DataError(*problems)
    if isinstance(one, HidesParts):
        return _summed(found, row, one.sum_bits())
    if isinstance(one, GuardsMessages):
        return _guarded(found, row, seed)
    return _ended(found, row)


def _ended(found: Received, row: DefenseRow) -> Received:
    """The record up to the step after which a defense ends the training."""
    told = found.agreement
    steps = steps_until(row, told.steps)
    if not FEWEST <= steps < found.steps:
        raise DataError(
            f"{row.name} must end the training after {FEWEST} steps or more, before the {found.steps} that are used "
            f"of it, got {steps} of {told.steps}: choose another share"
        )
    last = ("trunk", steps)  # what follows the last update
    messages = found.transcript.messages
    kept = Transcript(told, tuple(one for one in messages if one.step < steps or (one.kind, one.step) == last))
    truth = replace(found.truth, having=found.truth.having[:steps], classes=found.truth.classes[:steps])
    why = f"a training that ends after {steps} of {told.steps} steps sends the same messages up to then"
    return replace(
        found, transcript=kept, steps=steps, truth=truth, left_out=(), planned=steps, replay=Replay(row, why, kept)
    )


def _summed(found: Received, row: DefenseRow, bits: int) -> Received:
    """The record with the sum of what parties sent to the coordinator in the place of each part."""
    told, whole = found.agreement, found.transcript
    if told.sum_bits is not None:
        raise DataError(f"{row.name} acted in this training already, of which no part was recorded: remove it")
    kind: Kind = "update" if told.method == "fedavg" else "gradient"
    sent = {name: whole.of(kind, name) for name in told.parties}
    missing = [(step, name) for step in range(found.steps) for name in told.parties if step not in sent[name]]
    if missing:
        step, name = missing[0]
        raise DataError(f"{row.name} sums the {kind} of each party, got none of {name!r} in step {step}: {REMEDY}")
    rest, away = [one for one in whole.messages if one.kind != kind], 0.0
    for step in range(found.steps):
        parts = [sent[name][step] for name in told.parties]
        total = {name: fixed_sum([one[name] for one in parts], bits) for name in parts[0]}
        exact = {name: torch.stack([one[name].double() for one in parts]).sum(0) for name in total}
        size, apart = (
            sum(float(one.square().sum()) for one in arrays) ** 0.5
            for arrays in (exact.values(), [one.double() - exact[name] for name, one in total.items()])
        )
        away = max(away, apart / max(size, 1e-300))
        rest.append(Message("sum", ALL, COORDINATOR, step, total))
    if away > ROUNDED:
        raise DataError(
            f"{row.name} rounds, and must change a sum by {ROUNDED:.1%} at most for the training to be the same, got "
            f"{away:.1%} with {bits} bits: raise bits, or {REMEDY}"
        )
    kept = Transcript(replace(told, sum_bits=bits), tuple(rest))
    why = f"the shared layers move by the same sum, of which rounding changes {max(away, 1e-6):.0e} at most"
    return replace(found, transcript=kept, replay=Replay(row, why, whole))


def _guarded(found: Received, row: DefenseRow, seed: int) -> Received:
    """The record with what a defense makes of features, where these move nothing."""
    told, whole, messages = found.agreement, found.transcript, list[Message]()
    first, *others = whole.of("trunk", COORDINATOR).values()
    if not all(torch.equal(trunk[name], array) for trunk in others for name, array in first.items()):
        raise DataError(
            f"{row.name} changes features, by which the shared layers move in this record, so that every later message "
            f"would have been another one: {REMEDY}"
        )
    guard = Guard(Hyperparameters(defenses=(row.defense,)), seed_for(seed, "defense of a record"))
    for message in whole.messages:
        if message.kind == "representations":
            if set(message.arrays) != {"features"}:
                raise DataError(
                    f"{row.name} acts on rows of features, got {', '.join(message.arrays)} in step {message.step}: "
                    f"{REMEDY}"
                )
            arrays = guard.protect("representations", message.step, message.arrays)
            message = replace(message, arrays=arrays)
        messages.append(message)
    why = "the shared layers do not move in this record, so no message depends on those before it"
    return replace(found, transcript=Transcript(told, tuple(messages)), replay=Replay(row, why, whole))
