"""What a case asks of the records before anything is trained."""

from __future__ import annotations

import numpy as np
import torch

from dosimeter.data import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.data.parts.apart import shared
from dosimeter.families.inversion.case.records import RecordSplit
from dosimeter.families.inversion.threat import PRINCIPAL, TRAINED, InversionThreat
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


def checked_public(threat: InversionThreat, system: TrainedSystem) -> Dataset:
    """The public records of a threat, which must be of the same kind and of other identities.

    Raises:
        ConfigError: there is no such part of data.
        DataError: its records do not fit those at risk.
    """
    name, own = str(threat.public), system.at_risk
    if name not in system.parts:
        known = suggest(name, system.parts) if system.parts else f"there is none, write [data.{name}]"
        raise ConfigError(f"threat.public: no such part of data, got {quote(name)}, {known}")
    public = system.parts[name]
    problems = []
    if own.tokens or own.columns is not None or own.inputs.dtype.kind not in "fu" or own.cells is not None:
        problems.append("the stage's records must be pictures or other plain numbers, got texts or a table")
    if public.inputs.shape[1:] != own.inputs.shape[1:] or public.inputs.dtype != own.inputs.dtype:
        problems.append(
            f"its records must have the form of those at risk, {own.inputs.dtype} {own.inputs.shape[1:]}, got "
            f"{public.inputs.dtype} {public.inputs.shape[1:]}"
        )
    elif (both := shared(public, own, groups=False)) is not None:
        problems.append(both)
    named = [{one.classes[label] for label in np.unique(one.labels)} for one in (public, own)]
    if same := sorted(set.intersection(*named)):
        problems.append(f"its identities must be others than those at risk, got {quote(same[0])} in both")
    if not usable(public.labels):
        problems.append(
            f"it must have {FEWEST} identities or more with {FEWEST} records each, by which judges learn how records "
            "of one identity differ, got fewer"
        )
    if problems:
        raise DataError(*[f"threat.public: {one}: choose other records for [data.{name}]" for one in problems])
    return public


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
