"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

import dataclasses
from typing import Any

from dosimeter.families.membership.attacks.alone.augmentation import Augmentation
from dosimeter.families.membership.attacks.alone.boundary import Boundary
from dosimeter.families.membership.attacks.alone.entropy import Entropy
from dosimeter.families.membership.attacks.alone.gap import Gap
from dosimeter.families.membership.attacks.alone.gradient_norm import GradientNorm
from dosimeter.families.membership.attacks.alone.iha import IHA
from dosimeter.families.membership.attacks.alone.loss import Loss
from dosimeter.families.membership.attacks.alone.modified_entropy import ModifiedEntropy
from dosimeter.families.membership.attacks.alone.population import PopulationTest
from dosimeter.families.membership.attacks.alone.quantile import Quantile
from dosimeter.families.membership.attacks.controls import Constant, Count
from dosimeter.families.membership.attacks.few_shot.laplacian_shot import LaplacianShot
from dosimeter.families.membership.attacks.few_shot.simple_shot import SimpleShot
from dosimeter.families.membership.attacks.few_shot.transductive_tuning import TransductiveTuning
from dosimeter.families.membership.attacks.language.base_reference import BaseReference
from dosimeter.families.membership.attacks.language.extraction import Extraction
from dosimeter.families.membership.attacks.language.ez_mia import EZMIA
from dosimeter.families.membership.attacks.language.ht_mia import HTMIA
from dosimeter.families.membership.attacks.language.min_k import MinK
from dosimeter.families.membership.attacks.language.min_k_plus_plus import MinKPlusPlus
from dosimeter.families.membership.attacks.language.neighbourhood import Neighbourhood
from dosimeter.families.membership.attacks.language.recall import ReCaLL
from dosimeter.families.membership.attacks.language.text_loss import TextLoss
from dosimeter.families.membership.attacks.language.wbc import WBC
from dosimeter.families.membership.attacks.language.zlib_ratio import Zlib
from dosimeter.families.membership.attacks.shadows.base import BASE
from dosimeter.families.membership.attacks.shadows.bmia import BMIA
from dosimeter.families.membership.attacks.shadows.cascading import Cascading
from dosimeter.families.membership.attacks.shadows.difficulty import Difficulty
from dosimeter.families.membership.attacks.shadows.fused import Fused
from dosimeter.families.membership.attacks.shadows.influence import Influence
from dosimeter.families.membership.attacks.shadows.learned_ratio import LearnedRatio
from dosimeter.families.membership.attacks.shadows.lira import LiRA
from dosimeter.families.membership.attacks.shadows.proxy import Proxy
from dosimeter.families.membership.attacks.shadows.reference import Reference
from dosimeter.families.membership.attacks.shadows.rmia import RMIA
from dosimeter.families.membership.attacks.shadows.shokri import Shokri
from dosimeter.families.membership.attacks.shadows.trajectory import Trajectory
from dosimeter.families.membership.attacks.transfer.adapted_lira import AdaptedLiRA
from dosimeter.families.membership.attacks.transfer.direct import Direct
from dosimeter.families.membership.attacks.transfer.discriminant import Discriminant
from dosimeter.families.membership.attacks.transfer.pooled_discriminant import PooledDiscriminant
from dosimeter.families.membership.attacks.transfer.tmi import TMI

__all__ = [
    "ATTACKS", "BASE", "BMIA", "DEFAULT", "DEFAULT_TRANSFERRED", "EZMIA", "HTMIA", "IHA", "RMIA", "TMI", "WBC",
    "AdaptedLiRA", "Augmentation", "BaseReference", "Boundary", "Cascading", "Constant", "Count", "Difficulty",
    "Direct", "Discriminant", "Entropy", "Extraction", "Fused", "Gap", "GradientNorm", "Influence", "LaplacianShot",
    "LearnedRatio", "LiRA", "Loss", "MinK", "MinKPlusPlus", "ModifiedEntropy", "Neighbourhood",
    "PooledDiscriminant", "PopulationTest", "Proxy", "Quantile", "ReCaLL", "Reference", "Shokri", "SimpleShot",
    "TextLoss", "Trajectory", "TransductiveTuning", "Zlib", "default_rows",
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
    "simple_shot": SimpleShot,
    "laplacian_shot": LaplacianShot,
    "transductive_tuning": TransductiveTuning,
    "difficulty": Difficulty,
    "reference": Reference,
    "proxy": Proxy,
    "lira": LiRA,
    "cascading": Cascading,
    "rmia": RMIA,
    "base": BASE,
    "fused": Fused,
    "learned_ratio": LearnedRatio,
    "bmia": BMIA,
    "influence": Influence,
    "gradient_norm": GradientNorm,
    "iha": IHA,
    "tmi": TMI,
    "adapted_lira": AdaptedLiRA,
    "discriminant": Discriminant,
    "pooled_discriminant": PooledDiscriminant,
    "direct": Direct,
    "text_loss": TextLoss,
    "zlib": Zlib,
    "min_k": MinK,
    "min_k_plus_plus": MinKPlusPlus,
    "neighbourhood": Neighbourhood,
    "recall": ReCaLL,
    "extraction": Extraction,
    "base_reference": BaseReference,
    "ez_mia": EZMIA,
    "wbc": WBC,
    "ht_mia": HTMIA,
    "constant": Constant,
    "count": Count,
}
"""Membership attacks, those that see least first."""
DEFAULT = ("loss", "lira", "base", "fused", "learned_ratio", "influence", "constant", "count")
"""Attacks that run, in every mode, if none is named; `benchmarks/few_shadow_power.py` gives the reasons."""
DEFAULT_TRANSFERRED = ("tmi", "adapted_lira", "discriminant", "pooled_discriminant", "direct", "constant", "count")
"""Attacks that run if none is named and stages follow the one at risk: a record's class may be no class of the
answer."""


def default_rows(*, transferred: bool = False) -> list[dict[str, Any]]:
    """Rows for an audit file that names no attack: the attacks of `DEFAULT`, in every mode.

    Args:
        transferred: whether stages follow the one at risk, for which there is another list.
    """
    if transferred:
        return [{"name": name} for name in DEFAULT_TRANSFERRED]
    rows: list[dict[str, Any]] = []
    for name in DEFAULT:
        modes = next((field for field in dataclasses.fields(ATTACKS[name]) if field.name == "mode"), None)
        rows += [{"name": name, "mode": mode} for mode in ("online", "offline")] if modes else [{"name": name}]
    return rows
