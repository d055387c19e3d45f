"""Records of the trainings of a threat about a distribution: the victim's in groups, the adversary's in two parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from dosimeter.families.exchange.case.people import Partners
from dosimeter.families.exchange.distribution.worlds import Pool, fewest, scaled, told_apart
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.seeds import generator

PROBES = 400
"""Most probe records of each world."""
PROBED = 3
"""One of so many of the adversary's records is a probe record, and no model of its own trains on it."""


@dataclass(frozen=True)
class Drawn:
    """What trainings of both worlds are drawn from.

    Attributes:
        shares: of records with the property in world 1, then in world 0.
        groups: the victim's records, one group for each pair of trainings; groups share no record.
        counts: the victim's records of each class in one training `[c]`.
        own: the adversary's records for trainings of its own.
        own_counts: of each class in one of them `[c]`.
        probes: rows of the adversary's probe records, of world 1, then of world 0 `[p]`.
        probe_world: the world of each `[p]`.
    """

    shares: tuple[float, float]
    groups: tuple[Pool, ...]
    counts: Int[Array, " c"]
    own: Pool
    own_counts: Int[Array, " c"]
    probes: Int[Array, " p"]
    probe_world: Int[Array, " p"]

    @property
    def size(self) -> int:
        """Records of the victim in one training."""
        return int(self.counts.sum())


def drawn_of(threat: ExchangeThreat, partners: Partners, seed: int, size: int) -> Drawn:
    """What trainings of a threat are drawn from.

    Args:
        threat: about a distribution.
        partners: who trains together.
        seed: root of all randomness.
        size: records of a batch.

    Raises:
        DataError: the victim or the adversary has too few records.
    """
    (high, low), victim, auxiliary = threat.mixtures[0], partners.parties[partners.victim], partners.auxiliary
    classes, pairs = len(victim.classes), threat.targets // 2
    whole = Pool(partners.has, victim.labels.astype(np.int64), np.arange(len(victim)))
    groups = whole.split(pairs, generator(seed, "exchange groups"))
    counts = fewest(groups, (high, low), classes)
    if counts.sum() < size or not told_apart(counts, (high, low)):
        raise DataError(
            f"threat.targets: each of the {pairs} pairs of trainings needs {size} records of its own, a batch, with "
            f"{threat.property} in shares of {high:g} and {low:g} within each class, got {int(counts.sum())} of the "
            f"{len(victim)} of {partners.victim!r}: lower targets or batch_size, choose other mixtures, or more records"
        )
    theirs = Pool(partners.known, auxiliary.labels.astype(np.int64), np.arange(len(auxiliary)))
    probed, *rest = theirs.split(PROBED, generator(seed, "exchange probes"))
    own = Pool(theirs.has, theirs.labels, np.concatenate([one.rows for one in rest]))
    most = own.most((high, low), classes)
    own_counts = scaled(most, min(int(counts.sum()), int(most.sum()) // 2))
    probes = _probes(probed, (high, low), classes, seed)
    if own_counts.sum() < size or not told_apart(own_counts, (high, low)) or not all(len(one) for one in probes):
        raise DataError(
            f"threat.auxiliary: must hold records for trainings of the adversary's own, a batch of {size} or more of "
            f"each world and twice that to draw from, and as many probe records as half of these, got {len(auxiliary)} "
            f"that give {int(own_counts.sum())} and {sum(map(len, probes))}: give more, or lower batch_size"
        )
    worlds = np.repeat([1, 0], [len(one) for one in probes])
    return Drawn((high, low), groups, counts, own, own_counts, np.concatenate(probes), worlds)


def _probes(pool: Pool, shares: tuple[float, float], classes: int, seed: int) -> tuple[Array, Array]:
    """Probe records of both worlds, which share none."""
    rng = generator(seed, "exchange probe worlds")
    halves = pool.split(2, rng)
    counts = scaled(fewest(halves, shares, classes), PROBES)
    first, second = (half.draw(counts, share, rng) for half, share in zip(halves, shares, strict=True))
    return first, second
