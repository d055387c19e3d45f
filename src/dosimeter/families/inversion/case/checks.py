"""What a case asks of the records before anything is trained."""

from __future__ import annotations

import numpy as np
import torch

from dosimeter.data import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.data.parts.apart import shared
from dosimeter.families.inversion.case.records import RecordSplit
from dosimeter.families.inversion.threat import NETWORK, PRINCIPAL, TRAINED, InversionThreat
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import as_float
from dosimeter.training.learners.given import Given, checked_generator
from dosimeter.training.learners.judges import FEWEST, usable
from dosimeter.training.system import TrainedSystem

CHANNELS = (1, 3)
"""Channels of pictures that a generator is trained on here: grey, or red, green and blue."""
SIDES = (16, 64)
"""Fewest and most pixels of their sides."""
SMALLEST = 4
"""Fewest pixels of a side of pictures that judges see with networks."""


def checked_public(threat: InversionThreat, system: TrainedSystem) -> Dataset:
    """The public records of a threat, which must be of the same kind and of other identities.

    Raises:
        ConfigError: there is no such part of data.
        DataError: its records do not fit those at risk.
    """
    own, public = system.at_risk, _part("public", threat.public, system)
    problems = []
    if own.tokens or own.columns is not None or own.inputs.dtype.kind not in "fu" or own.cells is not None:
        problems.append("the stage's records must be pictures or other plain numbers, got texts or a table")
    problems += [*_strangers(public, own, "those at risk"), *_learnable(public)]
    if problems:
        raise DataError(*[f"threat.public: {one}: choose other records for [data.{threat.public}]" for one in problems])
    return public


def checked_verifier(threat: InversionThreat, system: TrainedSystem, public: Dataset) -> Dataset | None:
    """Records of further people, from whom judges alone learn what is similar; None if the threat names none.

    Raises:
        ConfigError: there is no such part, or judges cannot see such records with networks.
        DataError: its records do not fit those at risk and the public ones.
    """
    shape = public.inputs.shape[1:]
    if threat.judges == NETWORK and (len(shape) != 3 or min(shape[1:]) < SMALLEST):
        raise ConfigError(
            f"threat.judges: 'network' needs pictures of {SMALLEST} pixels a side or more, got records of shape "
            f"{shape}: use 'linear'"
        )
    if threat.verifier is None:
        return None
    found = _part("verifier", threat.verifier, system)
    problems = [
        *_strangers(found, system.at_risk, "those at risk"), *_strangers(found, public, "the public ones"),
        *_learnable(found),
    ]  # fmt: skip
    if problems:
        place = f"choose other records for [data.{threat.verifier}]"
        raise DataError(*[f"threat.verifier: {one}: {place}" for one in problems])
    return found


def _part(key: str, name: object, system: TrainedSystem) -> Dataset:
    """A part of data that a key of the threat names."""
    if str(name) not in system.parts:
        known = suggest(str(name), system.parts) if system.parts else f"there is none, write [data.{name}]"
        raise ConfigError(f"threat.{key}: no such part of data, got {quote(str(name))}, {known}")
    return system.parts[str(name)]


def _strangers(records: Dataset, own: Dataset, whose: str) -> list[str]:
    """Why records cannot be ones of other people than some; none if they can."""
    problems = []
    if records.inputs.shape[1:] != own.inputs.shape[1:] or records.inputs.dtype != own.inputs.dtype:
        problems.append(
            f"its records must have the form of {whose}, {own.inputs.dtype} {own.inputs.shape[1:]}, got "
            f"{records.inputs.dtype} {records.inputs.shape[1:]}"
        )
    elif (both := shared(records, own, groups=False)) is not None:
        problems.append(both)
    named = [{one.classes[label] for label in np.unique(one.labels)} for one in (records, own)]
    if same := sorted(set.intersection(*named)):
        problems.append(f"its identities must be others than {whose}, got {quote(same[0])} in both")
    return problems


def _learnable(records: Dataset) -> list[str]:
    """Why judges cannot learn on records what is similar; none if they can."""
    if usable(records.labels):
        return []
    return [
        f"it must have {FEWEST} identities or more with {FEWEST} records each, by which judges learn how records "
        "of one identity differ, got fewer"
    ]


def checked_prior(threat: InversionThreat, public: Dataset) -> Given | None:
    """What is known of a generator of the user's; None without one.

    Raises:
        ConfigError: the prior does not fit the public records.
    """
    shape = tuple(int(side) for side in public.inputs.shape[1:])
    if threat.prior == PRINCIPAL:
        return None
    if threat.prior in TRAINED:
        if len(shape) != 3 or shape[0] not in CHANNELS or not SIDES[0] <= min(shape[1:]) <= max(shape[1:]) <= SIDES[1]:
            raise ConfigError(
                f"threat.prior: {threat.prior!r} makes pictures of {CHANNELS[0]} or {CHANNELS[1]} channels and "
                f"{SIDES[0]} to {SIDES[1]} pixels a side, got records of shape {shape}: resize them, or use "
                f"{PRINCIPAL!r}"
            )
        return None
    records = as_float(torch.from_numpy(public.inputs))
    return checked_generator(threat.prior, shape, (float(records.min()), float(records.max())))


def shared_records(records: Dataset, split: RecordSplit) -> Gate:
    """V2: no record of the judges may be one that the models are trained on."""
    codes = contents(records.inputs)
    judges = np.concatenate([split.known, split.tested])
    count = int(np.isin(codes[judges], codes[split.trained]).sum())
    if not count:
        return Gate("V2", "Records of the judges", "pass", 0.0, "The judges know the identities from other records.")
    return Gate(
        "V2", "Records of the judges", "warn", float(count),
        f"{count} of {len(judges)} records of the judges are exact copies of records that the models are trained on: "
        "what the judges recognise may be a record, not a person.",
    )  # fmt: skip
