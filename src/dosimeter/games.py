"""Types for an attack of your own: what it receives, what it needs, what it returns."""

from __future__ import annotations

from dosimeter.families.attack import Attack
from dosimeter.families.exchange.game import ExchangeGame
from dosimeter.families.exchange.game import Needs as ExchangeNeeds
from dosimeter.families.inversion.game import InversionGame
from dosimeter.families.inversion.game import Needs as InversionNeeds
from dosimeter.families.membership.game import FrozenHead, MembershipGame, Needs, Population, Retrain
from dosimeter.families.membership.known import Known
from dosimeter.families.membership.weights import Weights
from dosimeter.families.split.game import Auxiliary, Secret, SplitGame
from dosimeter.families.split.game import Needs as SplitNeeds
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Guesses, Reconstructions, Scores, Truth

__all__ = [
    "Access", "Attack", "Auxiliary", "ExchangeGame", "ExchangeNeeds", "FrozenHead", "Guesses", "InversionGame",
    "InversionNeeds", "Known", "MembershipGame", "Needs", "Population", "Reconstructions", "Retrain", "Scores",
    "Secret", "SplitGame", "SplitNeeds", "Truth", "Weights",
]  # fmt: skip
