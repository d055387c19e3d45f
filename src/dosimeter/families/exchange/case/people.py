"""The parties of a threat, whose batches are the secret, and the adversary's own records; checked before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from dosimeter.data import Dataset
from dosimeter.data.parts.apart import copies_in, shared, with_classes_of
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.wording import quote
from dosimeter.training.joint.transcript import COORDINATOR
from dosimeter.training.system import TrainedSystem

SEEN = 0.05
"""Share of test records that a party may hold too: records of few numbers repeat by chance."""


@dataclass(frozen=True)
class Partners:
    """Who trains together, and what the adversary has.

    Attributes:
        parties: records of each party, in the order in which they take part.
        victim: the party whose batches are the secret.
        adversary: another party, or the coordinator.
        receiver: the party whom the transfer is for.
        auxiliary: records of the adversary's own with the property.
        value: value of the property that is sought.
        has: whether each record of the victim has it `[n]`.
        known: whether each auxiliary record has it `[p]`.
        correlation: of the property with the task's classes among the victim's records, Cramér's V.
    """

    parties: Mapping[str, Dataset]
    victim: str
    adversary: str
    receiver: str
    auxiliary: Dataset
    value: str
    has: Bool[Array, " n"]
    known: Bool[Array, " p"]
    correlation: float

    @property
    def order(self) -> list[str]:
        """Names of the parties."""
        return list(self.parties)


@dataclass(frozen=True)
class Watched:
    """Who watches whom in a training that ran elsewhere, and what the adversary has.

    Attributes:
        order: names of the parties, in the order in which they take part.
        victim: the party whose batches are the secret.
        adversary: another party, or the coordinator.
        auxiliary: records of the adversary's own with the property.
        value: value of the property that is sought.
        known: whether each auxiliary record has it `[p]`.
        correlation: of the property with the task's classes among these, Cramér's V.
    """

    order: list[str]
    victim: str
    adversary: str
    auxiliary: Dataset
    value: str
    known: Bool[Array, " p"]
    correlation: float


def watched_of(threat: ExchangeThreat, parts: Mapping[str, Dataset], parties: Sequence[str], batch: int) -> Watched:
    """Who watches whom, by a threat on a recorded training.

    Args:
        threat: the adversary.
        parts: the records by name.
        parties: names of the parties.
        batch: records of a batch.

    Raises:
        AuditError: a party is not there, or the records do not fit the threat.
    """
    victim = _party("victim", str(threat.victim), list(parties))
    adversary = _party("adversary", str(threat.adversary), [*parties, COORDINATOR])
    own = _part(threat, parts)
    values = _values(threat, own)
    value = _value(threat, values, values)
    known = values == value
    _require_both(threat, value, {str(threat.auxiliary): known}, batch)
    _not_the_label(threat, known, own)
    return Watched(list(parties), victim, adversary, own, value, known, cramers_v(known, own.labels))


def partners_of(threat: ExchangeThreat, system: TrainedSystem) -> Partners:
    """The partners of a threat.

    Raises:
        AuditError: they do not fit the stage, or the records do not fit the threat.
    """
    parties, victim, adversary = _who(threat, system)
    auxiliary = _auxiliary(threat, system, parties[victim])
    values, theirs = (_values(threat, one) for one in (parties[victim], auxiliary))
    value = _value(threat, values, theirs)
    has, known = values == value, theirs == value
    _require_both(threat, value, {victim: has, str(threat.auxiliary): known}, system.link.hyperparameters.batch_size)
    _require_batches(parties, system)
    correlation = cramers_v(has, parties[victim].labels)
    _not_the_label(threat, has, parties[victim])
    return Partners(parties, victim, adversary, _receiver(parties), auxiliary, value, has, known, correlation)


def partners_without_property(threat: ExchangeThreat, system: TrainedSystem) -> Partners:
    """The partners of a threat that is not about a property, of whose records none is said to have it.

    Raises:
        AuditError: they do not fit the stage, or the records do not fit the threat.
    """
    parties, victim, adversary = _who(threat, system)
    auxiliary = _auxiliary(threat, system, parties[victim])
    _require_batches(parties, system)
    has, known = (np.zeros(len(one), bool) for one in (parties[victim], auxiliary))
    return Partners(parties, victim, adversary, _receiver(parties), auxiliary, "", has, known, 0.0)


def _who(threat: ExchangeThreat, system: TrainedSystem) -> tuple[dict[str, Dataset], str, str]:
    """The parties, the victim and the adversary.

    Raises:
        AuditError: the stage has no such party, or a party trains on test records.
    """
    assert system.joint is not None
    parties = dict(system.joint.parties)
    victim = _party("victim", str(threat.victim), list(parties))
    _require_unseen(parties, system)
    return parties, victim, _party("adversary", str(threat.adversary), [*parties, COORDINATOR])


def _require_unseen(parties: Mapping[str, Dataset], system: TrainedSystem) -> None:
    """Refuses test records that a party trains on, by which a model would seem better than it is; a few are chance.

    Raises:
        DataError: a party holds too many.
    """
    for name, own in parties.items() if system.test is not None else ():
        assert system.test is not None
        both = len(copies_in(system.test, own))
        if both > len(system.test) * SEEN:
            raise DataError(
                f"stage {system.link.name!r}: test records must be none that a party trains on, as the gain would be "
                f"of records that were learned, got {both} of {len(system.test)} that {name!r} holds: choose others"
            )


def _receiver(parties: Mapping[str, Dataset]) -> str:
    """The party whom the transfer is for."""
    return "receiver" if "receiver" in parties else list(parties)[-1]


def _require_batches(parties: Mapping[str, Dataset], system: TrainedSystem) -> None:
    """Refuses parties that cannot fill a batch.

    Raises:
        DataError: one has too few records.
    """
    size = system.link.hyperparameters.batch_size
    for name, own in parties.items():
        if len(own) < size:
            raise DataError(
                f"stage {system.link.name!r}: parties.{name} must have a batch of records or more, got {len(own)} with "
                f"batch_size {size}: lower batch_size, or choose more records"
            )


def _party(key: str, name: str, known: list[str]) -> str:
    """A party of the stage.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in known:
        raise ConfigError(
            f"threat.{key}: must be a party of the stage{' or the coordinator' * (COORDINATOR in known)}, got "
            f"{quote(name)}, {suggest(name, known)}"
        )
    return name


def _auxiliary(threat: ExchangeThreat, system: TrainedSystem, victim: Dataset) -> Dataset:
    """The adversary's own records, in the victim's form.

    Raises:
        AuditError: there are none, they have another form, or the victim holds some of them.
    """
    key = "threat.auxiliary"
    own = with_classes_of(_part(threat, system.parts), victim)
    if (own.inputs.shape[1:], own.inputs.dtype) != (victim.inputs.shape[1:], victim.inputs.dtype):
        raise DataError(
            f"{key}: its records must have the form of the victim's, {victim.inputs.dtype} {victim.inputs.shape[1:]}, "
            f"got {own.inputs.dtype} {own.inputs.shape[1:]}: prepare both alike"
        )
    if own.columns != victim.columns or own.classes != victim.classes:
        raise DataError(
            f"{key}: must have the columns and classes of the victim's records, got others: name the same "
            "`categories` and `classes` in data_options"
        )
    if (both := shared(own, victim, groups=False)) is not None:
        raise DataError(f"{key}: {both}")
    return own


def _part(threat: ExchangeThreat, parts: Mapping[str, Dataset]) -> Dataset:
    """The adversary's own records as they are.

    Raises:
        ConfigError: there are none of that name.
    """
    name = str(threat.auxiliary)
    if name not in parts:
        known = suggest(name, parts) if parts else f"there is none, write [data.{name}]"
        raise ConfigError(f"threat.auxiliary: no such part of data, got {quote(name)}, {known}")
    return parts[name]


def _values(threat: ExchangeThreat, records: Dataset) -> Array:
    """The property of each record `[n]`, in words.

    Raises:
        ConfigError: the records have no such attribute.
    """
    name = str(threat.property)
    if name not in records.attributes:
        remedy = f"name it in the data_options.attributes of [data.{records.name}]"
        if records.attributes:
            remedy = f"{suggest(name, records.attributes)}: {remedy}"
        raise ConfigError(
            f"threat.property: the records of {records.name!r} have no such attribute, got {quote(name)}, {remedy}"
        )
    return records.attributes[name].astype(str)


def _value(threat: ExchangeThreat, values: Array, theirs: Array) -> str:
    """The value of the property that is sought: as named, or the last one of two.

    Raises:
        DataError: there is no such value, or none is named where there are not two.
    """
    name, known = str(threat.property), sorted(set(values.tolist()) | set(theirs.tolist()))
    if len(known) < 2:
        raise DataError(
            f"threat.property: {quote(name)} must differ among the records, got {quote(known[0])} for all: choose "
            "another property, or other records"
        )
    if threat.value is None and len(known) > 2:
        raise DataError(
            f"threat.value: is required where the property has more than two values, got {len(known)} of "
            f"{quote(name)}: name one, such as {quote(known[0])}"
        )
    if threat.value is not None and threat.value not in known:
        raise DataError(
            f"threat.value: must be a value of {quote(name)}, got {quote(threat.value)}, {suggest(threat.value, known)}"
        )
    return known[-1] if threat.value is None else threat.value


def _require_both(threat: ExchangeThreat, value: str, found: Mapping[str, Bool[Array, " n"]], size: int) -> None:
    """Refuses records of which too few have the property, or too few have not, to fill a batch of each mixture.

    Raises:
        DataError: one line for each shortage.
    """
    problems = []
    shares = [one for pair in threat.mixtures for one in pair]
    needed = {
        "with": max(count_of(one, size) for one in shares),
        "without": max(size - count_of(one, size) for one in shares),
    }
    for name, has in found.items():
        for word, own in (("with", has), ("without", ~has)):
            if int(own.sum()) < needed[word]:
                problems.append(
                    f"threat.property: the records of {name!r} must hold {needed[word]} {word} {threat.property} "
                    f"{quote(value)} to fill a batch of {size}, got {int(own.sum())}: lower batch_size, choose other "
                    "mixtures, or more records"
                )
    pairs = [pair for pair in threat.mixtures if count_of(pair[0], size) == count_of(pair[1], size)]
    problems += [
        f"threat.mixtures: both sides must differ in a batch of {size}, got [{one[0]:g}, {one[1]:g}], which are "
        f"{count_of(one[0], size)} records each: choose shares that lie further apart"
        for one in pairs
    ]
    if problems:
        raise DataError(*problems)


def count_of(share: float, size: int) -> int:
    """Records with the property in a batch."""
    return round(share * size)


def _not_the_label(threat: ExchangeThreat, has: Bool[Array, " n"], victim: Dataset) -> None:
    """Refuses a property that a record's class settles.

    Raises:
        DataError: each class has it always or never.
    """
    shares = [has[victim.labels == one].mean() for one in np.unique(victim.labels)]
    if all(one in (0.0, 1.0) for one in shares):
        raise DataError(
            f"threat.property: must be no function of the task's classes, got {quote(str(threat.property))}, which "
            "every class has always or never: a joint training is meant to tell classes; choose another property"
        )


def cramers_v(has: Bool[Array, " n"], labels: Array) -> float:
    """Cramér's V of a property and classes; of two classes the absolute correlation of Pearson.

    >>> cramers_v(np.array([True, True, False, False]), np.array([0, 0, 1, 1]))
    1.0
    """
    classes = np.unique(labels)
    table = np.array([[np.sum(labels[has == own] == one) for one in classes] for own in (False, True)], dtype=float)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    if not expected.all() or min(table.shape) < 2:
        return 0.0
    squares = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(squares / (table.sum() * (min(table.shape) - 1))))
