"""What an adversary holds beside signals."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float

from dosimeter.families.membership.game import FrozenHead, MembershipGame, Needs, Retrain
from dosimeter.foundation.arrays import Array


@dataclass(frozen=True)
class Knowledge:
    """What an adversary may hold beside signals, equal for all targets; an attack gets of it what it needs.

    Attributes:
        head: frozen features and recipe, or None.
        inputs: of all records that signals are of, as a few columns `[n+z d]`, or None.
        retrain: trains further shadows, or None.
    """

    head: FrozenHead | None = None
    inputs: Float[Array, "r d"] | None = None
    retrain: Retrain | None = None

    def tell(self, game: MembershipGame, needs: Needs) -> MembershipGame:
        """The game with what an attack needs of this."""
        game = replace(
            game, head=self.head if needs.features else None, retrain=self.retrain if needs.retrain else None
        )
        if not needs.inputs or self.inputs is None:
            return game
        n, population = len(game.ids), game.population
        if population is not None:
            population = replace(population, inputs=self.inputs[n:])
        return replace(game, inputs=self.inputs[:n], population=population)
