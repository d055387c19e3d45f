"""What an attack gets that tells of which of two worlds a party's records were."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from dosimeter.families.exchange.inferring.distributions import Own
from dosimeter.foundation.arrays import Array


@dataclass(frozen=True)
class DistributionGame:
    """Joint trainings, of each of which a coin decided the world of the victim's records.

    It holds no record, label or coin of the victim. Each training is judged by itself: what is said of one depends on
    no other of them.

    Attributes:
        ids: of the trainings `[v]`.
        predictions: probabilities that the adversary's model of each gives to the probe records.
        own: the same of trainings that the adversary played with records of their own, and the probe records.
        messages: the mean of all messages of the attack's channel, as numbers, of each training `[v d]`, and of each of
            the adversary's own `[m d]`; None for an attack that reads none.
    """

    ids: Array
    predictions: Float[Array, "v n c"]
    own: Own
    messages: tuple[Float[Array, "v d"], Float[Array, "m d"]] | None = None
