"""Which records of each identity models are trained on, and which are left for the judges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from dosimeter.data import Dataset
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.seeds import generator
from dosimeter.foundation.wording import quote

FEWEST_IDENTITIES = 5
"""Fewest identities: of fewer, names cannot be exchanged in ways enough for a small p-value."""
FEWEST_RECORDS = 4
"""Fewest records of an identity: one to train on, two for the judges, one to test them."""
TESTED = 0.4
"""Share of the records left for the judges on which these are tested."""


@dataclass(frozen=True)
class RecordSplit:
    """Rows of the records at risk by what they serve.

    Attributes:
        trained: rows that every audited model is trained on.
        known: rows by which the judges know the identities; no model and no attack sees them.
        tested: rows on which the judges are tested.
        named: for the null audit, labels of the trained rows, exchanged at random `[len(trained)]`.
    """

    trained: Int[Array, " a"]
    known: Int[Array, " b"]
    tested: Int[Array, " c"]
    named: Int[Array, " a"]


def split_records(records: Dataset, share: float, seed: int) -> RecordSplit:
    """Divides the records of each identity at random.

    Args:
        records: at risk; each class is an identity.
        share: of an identity's records that models are trained on.
        seed: root of all randomness.

    Raises:
        ConfigError: fewer identities than can be told apart from chance.
        DataError: an identity with too few records.
    """
    identities = len(records.classes)
    if identities < FEWEST_IDENTITIES:
        raise ConfigError(
            f"threat.at_risk: inversion needs {FEWEST_IDENTITIES} identities or more, which are the classes of the "
            f"records at risk, got {identities}: use data with more classes"
        )
    counts = np.bincount(records.labels, minlength=identities)
    if counts.min() < FEWEST_RECORDS:
        raise DataError(
            f"{records.name}: inversion needs {FEWEST_RECORDS} records or more of each identity, some to train on and "
            f"some to judge by, got {int(counts.min())} of {quote(records.classes[int(counts.argmin())])}: leave out "
            "identities with fewer"
        )
    parts: list[list[Array]] = [[], [], []]
    for identity, count in enumerate(counts.tolist()):
        own = generator(seed, "inversion records", identity).permutation(np.flatnonzero(records.labels == identity))
        trained = min(max(1, round(share * count)), count - 3)
        tested = max(1, round(TESTED * (count - trained)))
        for part, rows in zip(parts, np.split(own, [trained, count - tested]), strict=True):
            part.append(rows)
    trained_rows, known, tested_rows = (np.sort(np.concatenate(part)) for part in parts)
    named = generator(seed, "inversion null").permutation(records.labels[trained_rows])
    return RecordSplit(trained_rows, known, tested_rows, named)
