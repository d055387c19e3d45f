"""Types for a membership attack of your own: what it receives, what it needs, what it returns."""

from __future__ import annotations

from dosimeter.families.attack import Attack
from dosimeter.families.membership.game import FrozenHead, MembershipGame, Needs, Population, Retrain
from dosimeter.families.membership.known import Known
from dosimeter.families.membership.weights import Weights
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores, Truth

__all__ = [
    "Access", "Attack", "FrozenHead", "Known", "MembershipGame", "Needs", "Population", "Retrain", "Scores", "Truth",
    "Weights",
]  # fmt: skip
