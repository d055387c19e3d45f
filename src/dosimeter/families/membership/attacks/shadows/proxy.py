"""The proxy attack: the in-law comes from other records, so no shadow has to train on the record itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float
from scipy import sparse

from dosimeter.families.membership.attacks import laws, reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Proxies = Literal["class", "global", "nearest"]
Lenders = Callable[[Array], Array]
"""Function that sums one number per record over the records that lend their in-shadows to each record."""


@dataclass(frozen=True)
class Proxy:
    """Score a record by a likelihood ratio whose out-law is its own and whose in-law is that of other records.

    Paper: Du, Li, Chen et al., "Cascading and Proxy Membership Inference Attacks", 2025,
    https://arxiv.org/abs/2507.21412, the non-adaptive attack (PMIA). Per view, with phi the logit-scaled confidence:

        s = log N(phi; mu_in, sigma_in^2) - log N(phi; mu_out, sigma_out^2)

    mu_out is the mean over the record's out-shadows, sigma_out the pooled deviation within records; mu_in and sigma_in
    are mean and deviation of in-shadows over all other records, over those of its class, or over the nearest of these.
    Threat model: confidences of the target; shadows that were never trained on the record: of its own values only
    those of out-shadows are read. The other records' in-shadows stand for the adversary's own data.
    Deviations: a single member of a class borrows from all classes. "nearest" takes the mean over several neighbours,
    where the paper takes one; near are records by the game's inputs (see `few_columns`), or by their features where
    the backbone is frozen. The in-law is wide, so the ratio rises again for unusually *low* confidence: beyond its
    turning point it stays level. The mean over views.
    Cost: O(q (s + t) n); "nearest" adds a search within each class, products of all its records at worst.

    Attributes:
        proxies: whose in-shadows are borrowed, "class", "global" or "nearest".
        neighbours: with "nearest", from how many records, 1 to 1000.
    """

    paper: ClassVar[str] = "Du et al., 2025, https://arxiv.org/abs/2507.21412"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)

    proxies: Proxies = "class"
    neighbours: int = 10

    def __post_init__(self) -> None:
        reading.check_choices(self, proxies=Proxies)
        checks.in_range("neighbours", self.neighbours, 1, 1000)

    @property
    def needs(self) -> Needs:
        """Probabilities, the proxies' in-shadows, two out-shadows (one has no variance), and records for "nearest"."""
        near = self.proxies == "nearest"
        return Needs(Access.PROBS, in_shadows=2 if near else 1, out_shadows=2, inputs=near)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        targets, inside, outside = reading.confidences(game, self)
        lenders = _nearest(game, self.neighbours) if self.proxies == "nearest" else _others(game, self.proxies)
        total = np.zeros((game.n_targets, len(game.ids)))
        for view in range(targets.shape[1]):
            null, own = laws.fit(outside[:, view], "global"), _borrow(inside[:, view], lenders)
            total += laws.log_ratio(own, null, laws.rising(targets[:, view], own, null))
        return Scores(game.ids, total / targets.shape[1])


def _others(game: MembershipGame, proxies: Proxies) -> Lenders:
    """Sums over all other records of a record's class; over all other records if it is alone in its class."""
    group = np.unique(game.labels, return_inverse=True)[1] * (proxies == "class")
    alone = np.bincount(group)[group] == 1

    def lend(values: Array) -> Array:
        own: Array = np.where(alone, values.sum(), np.bincount(group, values)[group]) - values
        return own

    return lend


def _nearest(game: MembershipGame, neighbours: int) -> Lenders:
    """Sums over the nearest other records of a record's class; of all classes if it is alone in its own."""
    from sklearn.neighbors import NearestNeighbors  # it costs a second to import

    assert game.inputs is not None  # `require` has refused this
    borrowers, found, n = [], [], len(game.ids)
    for members in reading.by_class(game.labels):
        among = members if len(members) > 1 else np.arange(n)
        search = NearestNeighbors(n_neighbors=min(neighbours, len(among) - 1)).fit(game.inputs[among])
        if len(members) > 1:
            near = among[search.kneighbors(return_distance=False)]
        else:
            near = search.kneighbors(game.inputs[members], min(neighbours + 1, n), return_distance=False)
            near = near[near != members][None, :neighbours]
        borrowers.append(np.repeat(members, near.shape[1]))
        found.append(near.ravel())
    row, column = np.concatenate(borrowers), np.concatenate(found)
    return sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(n, n)).dot  # type: ignore[no-any-return]


def _borrow(inside: Float[Array, "k n"], lenders: Lenders) -> laws.Law:
    """The normal law of the in-shadows of each record's lenders."""
    centre = inside.mean()
    sums, squares = (inside - centre).sum(axis=0), ((inside - centre) ** 2).sum(axis=0)
    count = np.maximum(len(inside) * lenders(np.ones(inside.shape[1])), 1)
    mean = lenders(sums) / count
    variance = lenders(squares) / count - mean**2
    return laws.Law(centre + mean, np.sqrt(np.maximum(variance, laws.SMALLEST_SCALE**2)), np.inf)
