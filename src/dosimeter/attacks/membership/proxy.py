"""The proxy attack: what members look like is borrowed from other records, so the record itself is never trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from dosimeter import _check
from dosimeter.attacks.membership import laws, signals
from dosimeter.games import Access, MembershipGame, Needs, Scores

Array = npt.NDArray[Any]
Proxies = Literal["class", "global"]


@dataclass(frozen=True)
class Proxy:
    """Score a record by a likelihood ratio whose out-law is its own and whose in-law is that of other records.

    Paper: Du, Li, Chen et al., "Cascading and Proxy Membership Inference Attacks", 2025,
    https://arxiv.org/abs/2507.21412, the non-adaptive attack (PMIA). Per view, with phi the logit-scaled confidence:

        s = log N(phi; mu_in, sigma_in^2) - log N(phi; mu_out, sigma_out^2)

    mu_out is the mean over the record's out-shadows, sigma_out the pooled deviation within records; mu_in and sigma_in
    are mean and deviation of in-shadows over all other records, or over those of its class.
    Threat model: confidences of the target; shadows that were never trained on the record: of its own values only
    those of out-shadows are read. The other records' in-shadows stand for the adversary's own data.
    Deviations: a single member of a class borrows from all classes; the paper's nearest record in an embedding is left
    out, for a game has no embeddings. The in-law is wide, so the ratio rises again for unusually *low* confidence:
    beyond its turning point it stays level. The mean over views.
    Cost: O(q (s + t) n).

    Attributes:
        proxies: whose in-shadows are borrowed, "class" or "global".
    """

    paper: ClassVar[str] = "Du et al., 2025, https://arxiv.org/abs/2507.21412"
    control: ClassVar[bool] = False

    proxies: Proxies = "class"

    def __post_init__(self) -> None:
        if self.proxies not in get_args(Proxies):
            tail = _check.suggest(str(self.proxies), get_args(Proxies))
            raise ValueError(f"proxies must be known, got {self.proxies!r}: {tail}")

    @property
    def needs(self) -> Needs:
        """Probabilities, an in-shadow of the proxies, and two out-shadows, for one has no variance."""
        return Needs(Access.PROBS, in_shadows=1, out_shadows=2)

    @property
    def signals(self) -> tuple[str, ...]:
        """The logit-scaled confidence at temperature 1."""
        return ("logit_confidence",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Score all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        signals.require(game, self.needs, self.signals)
        targets = game.outputs["logit_confidence"]
        inside, outside = signals.split(game.shadow_outputs["logit_confidence"], game.shadow_in)
        group = np.zeros(len(game.ids), dtype=np.int64)
        if self.proxies == "class":
            _, group = np.unique(game.labels, return_inverse=True)
        total = np.zeros((game.n_targets, len(game.ids)))
        for view in range(targets.shape[1]):
            null, own = laws.fit(outside[:, view], "global"), _borrow(inside[:, view], group)
            total += laws.log_ratio(own, null, _rising(targets[:, view], own, null))
        return Scores(game.ids, total / targets.shape[1])


def _borrow(inside: Float[Array, "k n"], group: Int[Array, " n"]) -> laws.Law:
    """The normal law of all other records of a record's group, or of all other records if it is alone there."""
    k, n = inside.shape
    centre = inside.mean()
    sums, squares = (inside - centre).sum(axis=0), ((inside - centre) ** 2).sum(axis=0)
    others = np.bincount(group)[group] - 1

    def rest(of_record: Array) -> Array:
        """The sum over the other records."""
        in_group = np.bincount(group, of_record)[group]
        return np.where(others > 0, in_group, of_record.sum()) - of_record

    count = k * np.maximum(np.where(others > 0, others, n - 1), 1)
    mean = rest(sums) / count
    variance = rest(squares) / count - mean**2
    return laws.Law(centre + mean, np.sqrt(np.maximum(variance, laws.SMALLEST_SCALE**2)), np.inf)


def _rising(phi: Float[Array, "t n"], own: laws.Law, null: laws.Law) -> Float[Array, "t n"]:
    """Confidences moved to the turning point of the ratio where they lie beyond it, on the falling side."""
    difference = null.scale**-2 - own.scale**-2
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = (null.mean * null.scale**-2 - own.mean * own.scale**-2) / difference
    low = np.where(difference > 0, turn, -np.inf)
    high = np.where(difference < 0, turn, np.inf)
    return np.clip(phi, low, high)
