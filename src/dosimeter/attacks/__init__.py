"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from dosimeter.attacks.membership.adapted_lira import AdaptedLiRA
from dosimeter.attacks.membership.augmentation import Augmentation
from dosimeter.attacks.membership.base import BASE
from dosimeter.attacks.membership.boundary import Boundary
from dosimeter.attacks.membership.cascading import Cascading
from dosimeter.attacks.membership.controls import Constant, Count
from dosimeter.attacks.membership.difficulty import Difficulty
from dosimeter.attacks.membership.direct import Direct
from dosimeter.attacks.membership.discriminant import Discriminant
from dosimeter.attacks.membership.entropy import Entropy
from dosimeter.attacks.membership.fused import Fused
from dosimeter.attacks.membership.gap import Gap
from dosimeter.attacks.membership.gradient_norm import GradientNorm
from dosimeter.attacks.membership.iha import IHA
from dosimeter.attacks.membership.influence import Influence
from dosimeter.attacks.membership.lira import LiRA
from dosimeter.attacks.membership.loss import Loss
from dosimeter.attacks.membership.modified_entropy import ModifiedEntropy
from dosimeter.attacks.membership.pooled_discriminant import PooledDiscriminant
from dosimeter.attacks.membership.population import PopulationTest
from dosimeter.attacks.membership.proxy import Proxy
from dosimeter.attacks.membership.quantile import Quantile
from dosimeter.attacks.membership.reference import Reference
from dosimeter.attacks.membership.rmia import RMIA
from dosimeter.attacks.membership.shokri import Shokri
from dosimeter.attacks.membership.tmi import TMI
from dosimeter.attacks.membership.trajectory import Trajectory

__all__ = [
    "ATTACKS", "BASE", "DEFAULT", "DEFAULT_TRANSFERRED", "IHA", "RMIA", "TMI", "AdaptedLiRA", "Augmentation",
    "Boundary", "Cascading", "Constant", "Count", "Difficulty", "Direct", "Discriminant", "Entropy", "Fused", "Gap",
    "GradientNorm", "Influence", "LiRA", "Loss", "ModifiedEntropy", "PooledDiscriminant", "PopulationTest", "Proxy",
    "Quantile", "Reference", "Shokri", "Trajectory",
]  # fmt: skip

ATTACKS = {
    "gap": Gap,
    "augmentation": Augmentation,
    "boundary": Boundary,
    "loss": Loss,
    "entropy": Entropy,
    "modified_entropy": ModifiedEntropy,
    "population": PopulationTest,
    "shokri": Shokri,
    "trajectory": Trajectory,
    "quantile": Quantile,
    "difficulty": Difficulty,
    "reference": Reference,
    "proxy": Proxy,
    "lira": LiRA,
    "cascading": Cascading,
    "rmia": RMIA,
    "base": BASE,
    "fused": Fused,
    "influence": Influence,
    "gradient_norm": GradientNorm,
    "iha": IHA,
    "tmi": TMI,
    "adapted_lira": AdaptedLiRA,
    "discriminant": Discriminant,
    "pooled_discriminant": PooledDiscriminant,
    "direct": Direct,
    "constant": Constant,
    "count": Count,
}
"""Membership attacks, those that see least first."""
DEFAULT = ("loss", "lira", "base", "fused", "influence", "constant", "count")
"""What runs, in every mode, where no attack is named: `benchmarks/few_shadow_power.py` says why these."""
DEFAULT_TRANSFERRED = ("tmi", "adapted_lira", "discriminant", "pooled_discriminant", "direct", "constant", "count")
"""The same where the stage at risk is followed by others, so that a record's class may be none of the answer's."""
