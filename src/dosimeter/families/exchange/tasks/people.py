"""Which tasks are asked about, and which records of the adversary's own they are asked with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.data import Dataset
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.wording import quote

FEWEST = 8
"""Fewest tasks; of fewer no split in halves would show anything."""
PAIR = 2
"""Fewest records of a task that the adversary must hold."""
POOL = 20
"""Fewest records of other tasks, on which the whitening is fitted."""
LABEL = "label"
"""Stands for the records' class, if no attribute has that name."""


@dataclass(frozen=True)
class Asked:
    """The tasks, as far as the victim and the adversary hold records of them.

    Attributes:
        names: of the tasks `[n]`.
        of: the task of each of the victim's records, -1 for others `[r]`.
        probes: rows of the adversary's records of each task.
        pool: rows of the adversary's records of tasks that the victim has no record of `[p]`.
    """

    names: tuple[str, ...]
    of: Int[Array, " r"]
    probes: tuple[Array, ...]
    pool: Int[Array, " p"]

    def rows(self, kept: Bool[Array, " n"]) -> Int[Array, " m"]:
        """Rows of the victim's records of some tasks, and of those that belong to none."""
        return np.flatnonzero((self.of < 0) | kept[self.of])


def asked_of(threat: ExchangeThreat, victim: Dataset, auxiliary: Dataset) -> Asked:
    """The tasks of a threat.

    Raises:
        AuditError: there is no such attribute, or too few tasks, or too few records of others.
    """
    theirs, own = (_values(str(threat.property), one) for one in (victim, auxiliary))
    counts = dict(zip(*np.unique(own, return_counts=True), strict=True))
    names = [one for one in np.unique(theirs).tolist() if counts.get(one, 0) >= PAIR]
    if len(names) < FEWEST:
        raise DataError(
            f"threat.property: {FEWEST} tasks or more must have records of the victim and {PAIR} or more in "
            f"{auxiliary.name!r}, got {len(names)} values of {quote(str(threat.property))}: choose another "
            "property, or other records"
        )
    pool = np.flatnonzero(~np.isin(own, theirs))
    if len(pool) < POOL:
        raise DataError(
            f"threat.auxiliary: must hold {POOL} records or more of tasks that {victim.name!r} has no record of, for "
            f"the whitening, got {len(pool)}: add records of other values of {quote(str(threat.property))}"
        )
    of = np.array([names.index(one) if one in names else -1 for one in theirs.tolist()])
    return Asked(tuple(names), of, tuple(np.flatnonzero(own == one) for one in names), pool)


def _values(name: str, records: Dataset) -> Array:
    """The task of each record, in words.

    Raises:
        ConfigError: the records have no such attribute.
    """
    if name in records.attributes:
        return records.attributes[name].astype(str)
    if name == LABEL:
        return np.asarray(records.labels).astype(str)
    raise ConfigError(
        f"threat.property: the records of {records.name!r} have no such attribute, got {quote(name)}, "
        f"{suggest(name, [*records.attributes, LABEL])}: name it in the data_options.attributes of "
        f"[data.{records.name}]"
    )
