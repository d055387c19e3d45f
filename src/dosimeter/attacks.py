"""The membership attacks, for use and combination in Python."""

from __future__ import annotations

from dosimeter.families.membership.attacks import (
    ATTACKS,
    BASE,
    DEFAULT,
    DEFAULT_TRANSFERRED,
    IHA,
    RMIA,
    TMI,
    AdaptedLiRA,
    Augmentation,
    Boundary,
    Cascading,
    Constant,
    Count,
    Difficulty,
    Direct,
    Discriminant,
    Entropy,
    Fused,
    Gap,
    GradientNorm,
    Influence,
    LiRA,
    Loss,
    ModifiedEntropy,
    PooledDiscriminant,
    PopulationTest,
    Proxy,
    Quantile,
    Reference,
    Shokri,
    Trajectory,
)

__all__ = [
    "ATTACKS", "BASE", "DEFAULT", "DEFAULT_TRANSFERRED", "IHA", "RMIA", "TMI", "AdaptedLiRA", "Augmentation",
    "Boundary", "Cascading", "Constant", "Count", "Difficulty", "Direct", "Discriminant", "Entropy", "Fused", "Gap",
    "GradientNorm", "Influence", "LiRA", "Loss", "ModifiedEntropy", "PooledDiscriminant", "PopulationTest", "Proxy",
    "Quantile", "Reference", "Shokri", "Trajectory",
]  # fmt: skip
