"""Victims and auxiliary records of a threat, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from dosimeter.data import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.data.parts.apart import shared, with_classes_of
from dosimeter.families.split.game import Secret
from dosimeter.families.split.threat import LABEL, SplitThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.seeds import generator
from dosimeter.foundation.wording import quote
from dosimeter.training.learners.pool import FEWEST
from dosimeter.training.system import TrainedSystem

GROUP = "group"
"""Stands for the groups of the records, if no attribute has that name."""
MOST_VALUES = 20
"""Most values of an attribute."""
FEWEST_RECORDS = 16
"""Fewest auxiliary records, and fewest victims."""
FEWEST_IN_LINEUP = 5
"""Fewest records of a lineup."""


@dataclass(frozen=True)
class People:
    """Whose records cross the cut, and whose the adversary has.

    Attributes:
        victims: records that pass through the model.
        auxiliary: records of others.
        secrets: the attributes, as the adversary knows them.
        truth: the true value of each victim by attribute, a position among the secret's values `[n]`.
        lineup: rows of the victims in the lineup, one of each person `[m]`.
    """

    victims: Dataset
    auxiliary: Dataset
    secrets: tuple[Secret, ...]
    truth: Mapping[str, Int[Array, " n"]]
    lineup: Int[Array, " m"]

    @property
    def gallery(self) -> int:
        """Number of the victims' persons of whom the adversary has other records; only where persons are sought."""
        if self.victims.persons is None or self.auxiliary.persons is None:
            return 0
        return len(np.intersect1d(self.victims.persons.astype(str), self.auxiliary.persons.astype(str)))

    @property
    def notes(self) -> list[str]:
        """What a plan says of them."""
        found = []
        if self.gallery:
            found.append(
                f"gallery: of {self.gallery} of the victims' persons the adversary has other records, since who a "
                "person is is the secret"
            )
        if len(self.lineup) < 20:
            found.append(f"lineup: {len(self.lineup)} persons show only a large leak; 20 and more are better")
        return found

    @property
    def pictures(self) -> bool:
        """Returns whether records are pictures with numbers in [0, 1]."""
        both = (self.victims.inputs, self.auxiliary.inputs)
        if any(one.ndim != 4 for one in both):
            return False
        return both[0].dtype == np.uint8 or all(one.min() >= 0 and one.max() <= 1 for one in both)


def people_of(threat: SplitThreat, system: TrainedSystem) -> People:
    """The people of a threat.

    Raises:
        AuditError: they do not fit the threat, the model or each other.
    """
    auxiliary = _part("auxiliary", str(threat.auxiliary), system)
    victims = _victims(threat, system)
    problems = [
        line
        for key, one in (("auxiliary", auxiliary), ("victims", victims))
        for line in _of_form(key, one, system.at_risk)
    ]
    if problems:
        raise DataError(*problems)
    # Where the person is the secret, other records of the same persons are the gallery by which they are known.
    apart = replace(auxiliary, persons=None) if _persons_are_sought(threat, victims) else auxiliary
    if (both := shared(apart, victims, groups=False)) is not None:
        raise DataError(f"threat.auxiliary: {both}")
    found = [_secret(name, auxiliary, victims, threat, system.seed) for name in threat.attributes]
    lineup = lined_up(persons_of(victims), threat.lineup, system.seed)
    if len(lineup) < FEWEST_IN_LINEUP:
        raise DataError(
            f"threat.victims: must be records of {FEWEST_IN_LINEUP} persons or more, among whom one is sought, got "
            f"{len(lineup)}: choose more people for [data.{victims.name}]"
        )
    for key, one, rows in (("victims", victims, lineup), ("auxiliary", auxiliary, np.arange(len(auxiliary)))):
        if len(np.unique(contents(one.inputs)[rows])) < 2:
            raise DataError(
                f"threat.{key}: must be records that differ, since no one can tell equal ones apart, got {len(rows)} "
                f"that are all alike: choose others for [data.{one.name}]"
            )
    truth = {one.name: values for one, values in found}
    return People(victims, auxiliary, tuple(one for one, _ in found), truth, lineup)


def _persons_are_sought(threat: SplitThreat, victims: Dataset) -> bool:
    """Returns whether each attribute says whose a record is: one value of it for each person, and another for each."""
    if victims.persons is None or not threat.attributes:
        return False
    persons = persons_of(victims)
    found = [np.unique(_values(name, victims).astype(str), return_inverse=True)[1] for name in threat.attributes]
    pairs = [len(np.unique(np.stack([persons, one]), axis=1).T) for one in found]
    return all(number == persons.max() + 1 == one.max() + 1 for number, one in zip(pairs, found, strict=True))


def persons_of(dataset: Dataset) -> Int[Array, " n"]:
    """Whose each record is, as a number; each record is its own person if nothing says whose it is."""
    if dataset.persons is None:
        return np.arange(len(dataset))
    found: Array = np.unique(dataset.persons.astype(str), return_inverse=True)[1]
    return found.astype(np.int64)


def lined_up(persons: Int[Array, " n"], most: int, seed: int) -> Int[Array, " m"]:
    """Rows of a lineup: of each person one record, at random, and of the persons at most so many.

    Args:
        persons: whose each record is.
        most: records of the lineup.
        seed: root of all randomness.
    """
    order = generator(seed, "split lineup").permutation(len(persons))
    _, first = np.unique(persons[order], return_index=True)
    return np.sort(order[np.sort(first)[:most]])


def _part(key: str, name: str, system: TrainedSystem) -> Dataset:
    """A named part of data.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in system.parts:
        known = suggest(name, system.parts) if system.parts else f"there is none, write [data.{name}]"
        raise ConfigError(f"threat.{key}: no such part of data, got {quote(name)}, {known}")
    return with_classes_of(system.parts[name], system.at_risk)


def _victims(threat: SplitThreat, system: TrainedSystem) -> Dataset:
    """The victims: as named, or the test records of the stage, which no stage is trained on.

    Raises:
        ConfigError: neither is there.
    """
    if threat.victims is not None:
        return _part("victims", threat.victims, system)
    if system.test is None:
        raise ConfigError(
            "threat.victims: is required where the stage has no `test` records, got neither: name a [data.NAME] of "
            "records that no stage is trained on"
        )
    return with_classes_of(system.test, system.at_risk)


def _of_form(key: str, records: Dataset, own: Dataset) -> list[str]:
    """Problems with the form of some records beside those that the model is trained on."""
    problems = []
    if records.inputs.shape[1:] != own.inputs.shape[1:] or records.inputs.dtype != own.inputs.dtype:
        problems.append(
            f"threat.{key}: its records must have the form of the stage's, {own.inputs.dtype} {own.inputs.shape[1:]}, "
            f"got {records.inputs.dtype} {records.inputs.shape[1:]}: choose other records for [data.{records.name}]"
        )
    if records.columns is not None and own.columns is not None and records.columns != own.columns:
        problems.append(
            f"threat.{key}: must have the columns of the stage's data in their order, got others: name the same "
            "`categories` in data_options"
        )
    if len(records) < FEWEST_RECORDS:
        problems.append(
            f"threat.{key}: needs {FEWEST_RECORDS} records or more, got {len(records)}: choose more for "
            f"[data.{records.name}]"
        )
    return problems


def _values(name: str, records: Dataset) -> Array:
    """The values of an attribute `[n]`.

    Raises:
        ConfigError: the records have no such attribute.
    """
    if name in records.attributes:
        return records.attributes[name]
    if name == GROUP and records.groups is not None:
        return records.groups.astype(str)
    if name == LABEL:
        return np.array(records.classes)[records.labels]
    known = [*records.attributes, *([GROUP] if records.groups is not None else []), LABEL]
    remedy = suggest(name, known)
    if not records.attributes:
        remedy += f": name it in the data_options.attributes of [data.{records.name}]"
    raise ConfigError(
        f"threat.attributes: the records of {records.name!r} have no such attribute, got {quote(name)}, {remedy}"
    )


def _secret(
    name: str, auxiliary: Dataset, victims: Dataset, threat: SplitThreat, seed: int
) -> tuple[Secret, Int[Array, " n"]]:
    """One attribute as the adversary knows it, and its truth.

    Raises:
        DataError: it does not differ, or victims have values that no auxiliary record has.
    """
    theirs, own, place = _values(name, auxiliary), _values(name, victims), f"threat.attributes: {quote(name)}"
    values = np.unique(theirs)
    if not 2 <= len(values) <= MOST_VALUES:
        raise DataError(
            f"{place} must have 2 to {MOST_VALUES} values among the auxiliary records, got {len(values)}: "
            + ("choose records that differ in it" if len(values) < 2 else "divide it into a few classes")
        )
    if theirs.dtype.kind != own.dtype.kind and "U" in (theirs.dtype.kind, own.dtype.kind):
        raise DataError(f"{place} must be text or numbers in both parts of data, got one of each: write it alike")
    if len(odd := np.setdiff1d(own, values)):
        raise DataError(
            f"{place} must have values that some auxiliary record has, got {quote(str(odd[0]))} among the victims: "
            "choose auxiliary records with it, or leave those victims out"
        )
    if len(np.unique(own)) < 2:
        raise DataError(f"{place} must differ among the victims, got {quote(str(own[0]))} for all: choose others")
    codes = np.searchsorted(values, theirs)
    rows = np.arange(len(theirs))
    if threat.labels is not None:
        if threat.labels > len(rows):
            raise DataError(
                f"threat.labels: must be at most {len(rows)}, the auxiliary records, got {threat.labels}: lower it"
            )
        rows = np.sort(generator(seed, "attribute labels").permutation(rows)[: threat.labels])
    counts = np.bincount(codes[rows], minlength=len(values))
    if counts.min() < FEWEST:
        raise DataError(
            f"{place}: the adversary needs {FEWEST} labels of each value or more, got {int(counts.min())} of "
            f"{quote(str(values[counts.argmin()]))}: raise `labels`, or choose more auxiliary records with it"
        )
    secret = Secret(name, tuple(str(one) for one in values.tolist()), rows, codes[rows])
    return secret, np.searchsorted(values, own)
