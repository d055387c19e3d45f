"""Stages that several parties train together: which keys they take, and who takes part."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from dosimeter.config.tables import DataOptions, Stage
from dosimeter.families.sights import StageRole
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.table import NAME
from dosimeter.foundation.wording import one_line, quote
from dosimeter.training.joint.methods import FEDERATED

PAIR = ("source", "receiver")
NOT_JOINT = {
    "data": "the parties hold the data",
    "data_options": "data are read with the options of their part",
    "fit": "the method trains itself",
}
"""Keys that a joint stage does not take, with the reason."""


def role_of(stage: Stage) -> StageRole:
    """A stage as a topology uses it, without parts; of a joint one the parties, the source before the receiver."""
    names = list(stage.parties or ())
    names = sorted(names, key=PAIR.index) if set(names) == set(PAIR) else names
    members = tuple((name, (stage.parties or {})[name]) for name in names) if stage.joint else ()
    data = members[0][1] if members else stage.data
    return StageRole(stage.name, data, members=members, method=stage.transfer if members else "")


def joint_problems(stages: Sequence[Stage | None], data: Collection[str]) -> list[str]:
    """Problems with joint stages, and with parties of other stages, one line each.

    Args:
        stages: valid stages, None for the others.
        data: names of the parts of data.
    """
    problems = []
    plain = [one.name for one in stages if one is not None and not one.joint]
    for index, stage in enumerate(stages):
        if stage is not None:
            found = _keys(stage, index, data) + _parties(stage, data) + _after(stage, plain)
            if "local_steps" in stage.model_fields_set and stage.transfer != "fedavg":
                found.append(
                    f"local_steps: only transfer 'fedavg' has rounds of several updates, got {stage.local_steps} with "
                    f"{stage.transfer!r}: remove it or set transfer = 'fedavg'"
                )
            problems += [one_line(f"stage[{index}].{line}", 600) for line in found]
    return problems


def _keys(stage: Stage, index: int, data: Collection[str]) -> list[str]:
    """Keys that a joint stage does not take, as the tail of the stage's place."""
    if "alignment" in stage.model_fields_set and (not stage.joint or stage.transfer in FEDERATED):
        return [
            f"alignment: only a transfer that aligns a source and a receiver has a weight of it, got {stage.alignment} "
            f"with {stage.transfer!r}: remove it, or use 'coral' or 'mmd'"
        ]
    if stage.frozen and not stage.joint:
        return [
            f"frozen: only a joint transfer has it, got {stage.frozen} with {stage.transfer!r}: remove it, or use "
            "'last-k' with last_k, which counts from the other end"
        ]
    if not stage.joint:
        return []
    outside = stage.test is not None and stage.test not in data  # test records that the options are for
    problems = [
        f"{key}: transfer {stage.transfer!r} is trained by parties, got {quote(_shown(stage, key))}: remove it, "
        f"{reason}"
        for key, reason in NOT_JOINT.items()
        if getattr(stage, key) not in (None, DataOptions()) and not (key == "data_options" and outside)
    ]
    if stage.transfer == "l2-sp" and (index == 0 or (stage.model is not None and stage.after is None)):
        problems.append(
            "transfer: 'l2-sp' stays near the weights of the stage before, got the first stage: put one before it"
        )
    if stage.frozen and (index == 0 or (stage.model is not None and stage.after is None)):
        problems.append(
            f"frozen: blocks that stay as they are have weights of a stage before, got {stage.frozen} in the first "
            "stage: put one before it, or remove it"
        )
    if stage.frozen and stage.transfer == "dsn":
        problems.append(
            f"frozen: 'dsn' has encoders that each party trains by itself, got {stage.frozen}: remove it, or use 'dann'"
        )
    return problems


def _after(stage: Stage, plain: Sequence[str]) -> list[str]:
    """Problems with the stage that a joint one starts from, as the tail of the stage's place.

    Args:
        stage: any stage.
        plain: names of the plain ones.
    """
    if stage.after is None:
        return []
    if not stage.joint:
        return [
            f"after: only a joint stage branches off, got {quote(stage.after)}: remove it, a plain stage starts from "
            "the one above it"
        ]
    if stage.after not in plain:
        remedy = suggest(stage.after, plain) if plain else "there is none, remove it"
        return [f"after: must be a plain stage of this file, got {quote(stage.after)}, {remedy}"]
    if stage.model is not None:
        return [
            f"model: a stage that starts from {stage.after!r} takes its model, got {quote(stage.model)}: remove one"
        ]
    return []


def _shown(stage: Stage, key: str) -> object:
    """The value of a key as the user wrote it."""
    value = getattr(stage, key)
    return value.model_dump(exclude_unset=True) if isinstance(value, DataOptions) else value


def _parties(stage: Stage, data: Collection[str]) -> list[str]:
    """Problems with `parties`, as the tail of the stage's place."""
    method, parties = stage.transfer, stage.parties
    example = 'write parties = { source = "...", receiver = "..." }, names of [data.NAME]'
    if not stage.joint:
        remedy = "remove them, or choose a joint transfer such as 'coral' or 'fedavg'"
        return [] if parties is None else [f"parties: only a joint transfer has them, got {method!r}: {remedy}"]
    if parties is None:
        return [f"parties: transfer {method!r} needs them, got none: {example}"]
    problems = []
    if method not in FEDERATED:
        problems += [
            f"parties.{name}: transfer {method!r} has a source and a receiver, got {quote(name)}, {suggest(name, PAIR)}"
            for name in parties
            if name not in PAIR
        ]
        problems += [f"parties.{name}: is required and missing: add it" for name in PAIR if name not in parties]
    elif len(parties) < 2:
        problems.append(f"parties: transfer {method!r} has two or more, got {len(parties)}: add a party")
    known = sorted(data)
    for name, held in parties.items():
        if not re.fullmatch(NAME, name):
            problems.append(
                f"parties: a party's name must be 1 to 64 letters, digits, dots, hyphens and underscores, got "
                f"{quote(name)}: rename it"
            )
        elif held not in known:
            remedy = suggest(held, known) if known else f"write [data.{held}]"
            problems.append(f"parties.{name}: no such part of data, got {quote(held)}, {remedy}")
    for twice in sorted({held for held in parties.values() if list(parties.values()).count(held) > 1}):
        owners = " and ".join(name for name, held in parties.items() if held == twice)
        problems.append(
            f"parties: each must hold a part of its own, got {quote(twice)} for {owners}: give each its own"
        )
    return problems
