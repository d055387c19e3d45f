"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dosimeter.families.attack import NamedAttack
from dosimeter.foundation.registry import Registry

if TYPE_CHECKING:
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
    from dosimeter.families.membership.attacks.elsewhere.universal_ratio import UniversalRatio
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
    "ATTACKS", "BASE", "BMIA", "DEFAULT", "DEFAULT_TEXTS", "DEFAULT_TRANSFERRED", "EZMIA", "HTMIA", "IHA", "RMIA",
    "TMI", "WBC", "AdaptedLiRA", "Augmentation", "BaseReference", "Boundary", "Cascading", "Constant", "Count",
    "Difficulty", "Direct", "Discriminant", "Entropy", "Extraction", "Fused", "Gap", "GradientNorm", "Influence",
    "LaplacianShot", "LearnedRatio", "LiRA", "Loss", "MinK", "MinKPlusPlus", "ModifiedEntropy", "Neighbourhood",
    "PooledDiscriminant", "PopulationTest", "Proxy", "Quantile", "ReCaLL", "Reference", "Shokri", "SimpleShot",
    "TextLoss", "Trajectory", "TransductiveTuning", "Zlib", "UniversalRatio", "default_rows", "lacking", "text_rows",
]  # fmt: skip

ATTACKS: Registry[type[Any]] = Registry(
    __name__,
    {
        "gap": "alone.gap:Gap",
        "augmentation": "alone.augmentation:Augmentation",
        "boundary": "alone.boundary:Boundary",
        "loss": "alone.loss:Loss",
        "entropy": "alone.entropy:Entropy",
        "modified_entropy": "alone.modified_entropy:ModifiedEntropy",
        "population": "alone.population:PopulationTest",
        "shokri": "shadows.shokri:Shokri",
        "trajectory": "shadows.trajectory:Trajectory",
        "quantile": "alone.quantile:Quantile",
        "simple_shot": "few_shot.simple_shot:SimpleShot",
        "laplacian_shot": "few_shot.laplacian_shot:LaplacianShot",
        "transductive_tuning": "few_shot.transductive_tuning:TransductiveTuning",
        "difficulty": "shadows.difficulty:Difficulty",
        "reference": "shadows.reference:Reference",
        "proxy": "shadows.proxy:Proxy",
        "lira": "shadows.lira:LiRA",
        "cascading": "shadows.cascading:Cascading",
        "rmia": "shadows.rmia:RMIA",
        "base": "shadows.base:BASE",
        "fused": "shadows.fused:Fused",
        "learned_ratio": "shadows.learned_ratio:LearnedRatio",
        "universal_ratio": "elsewhere.universal_ratio:UniversalRatio",
        "bmia": "shadows.bmia:BMIA",
        "influence": "shadows.influence:Influence",
        "gradient_norm": "alone.gradient_norm:GradientNorm",
        "iha": "alone.iha:IHA",
        "tmi": "transfer.tmi:TMI",
        "adapted_lira": "transfer.adapted_lira:AdaptedLiRA",
        "discriminant": "transfer.discriminant:Discriminant",
        "pooled_discriminant": "transfer.pooled_discriminant:PooledDiscriminant",
        "direct": "transfer.direct:Direct",
        "text_loss": "language.text_loss:TextLoss",
        "zlib": "language.zlib_ratio:Zlib",
        "min_k": "language.min_k:MinK",
        "min_k_plus_plus": "language.min_k_plus_plus:MinKPlusPlus",
        "neighbourhood": "language.neighbourhood:Neighbourhood",
        "recall": "language.recall:ReCaLL",
        "extraction": "language.extraction:Extraction",
        "base_reference": "language.base_reference:BaseReference",
        "ez_mia": "language.ez_mia:EZMIA",
        "wbc": "language.wbc:WBC",
        "ht_mia": "language.ht_mia:HTMIA",
        "constant": "controls:Constant",
        "count": "controls:Count",
    },
)
"""Membership attacks, those that see least first."""
BOTH: tuple[str | None, ...] = ("online", "offline")
DEFAULT: dict[str, tuple[str | None, ...]] = {
    "loss": (None,),
    "lira": BOTH,
    "base": BOTH,
    "fused": BOTH,
    "learned_ratio": (None,),
    "influence": (None,),
    "constant": (None,),
    "count": (None,),
}
"""Attacks that run if none is named, with their modes; `benchmarks/few_shadow_power.py` gives the reasons."""
DEFAULT_TRANSFERRED = ("tmi", "adapted_lira", "discriminant", "pooled_discriminant", "direct", "constant", "count")
"""Attacks that run if none is named and stages follow the one at risk: a record's class may be no class of the
answer."""


DEFAULT_TEXTS: dict[str, tuple[str | None, ...]] = {
    "loss": (None,),
    "min_k": (None,),
    "base_reference": (None,),
    "ez_mia": (None,),
    "wbc": (None,),
    "extraction": (None,),
    "lira": BOTH,
    "base": BOTH,
    "learned_ratio": (None,),
    "constant": (None,),
    "count": (None,),
}
"""Attacks that run on texts of a language model if none is named; the figures of `benchmarks/language.py` give the
reasons. Those that compare with a base or with shadows are refused where there are none."""


DEFAULT_TEXTS_TRANSFERRED: dict[str, tuple[str | None, ...]] = {
    "loss": (None,),
    "lira": BOTH,
    "base": BOTH,
    "learned_ratio": (None,),
    "direct": (None,),
    "constant": (None,),
    "count": (None,),
}
"""The same where stages follow the one at risk: a text has its tokens under every model, so its own loss is read, and
there is no base to compare with."""
NUMBERS_OF_TEXTS = ({"name": "tmi", "outputs": "texts"}, {"name": "discriminant", "outputs": "texts"})
"""Attacks that run there too."""


CONTROLS = ("constant", "count")
"""Attacks that must be at chance; no check of the design is made without them."""


def lacking(rows: Sequence[NamedAttack]) -> list[dict[str, Any]]:
    """Rows of the controls that a list of attacks lacks.

    Args:
        rows: the list.
    """
    return [{"name": name} for name in CONTROLS if not any(type(row.attack) is ATTACKS[name] for row in rows)]


def text_rows(*, transferred: bool = False) -> list[dict[str, Any]]:
    """Rows for an audit of texts that names no attack: the attacks of `DEFAULT_TEXTS`, in every mode.

    Args:
        transferred: whether stages follow the one at risk, for which there is another list.
    """
    if transferred:
        return [*map(dict, NUMBERS_OF_TEXTS), *_in_every_mode(DEFAULT_TEXTS_TRANSFERRED)]
    return _in_every_mode(DEFAULT_TEXTS)


def _in_every_mode(listed: dict[str, tuple[str | None, ...]]) -> list[dict[str, Any]]:
    return [{"name": name} | ({"mode": mode} if mode else {}) for name, modes in listed.items() for mode in modes]


def default_rows(*, transferred: bool = False) -> list[dict[str, Any]]:
    """Rows for an audit file that names no attack: the attacks of `DEFAULT`, in every mode.

    Args:
        transferred: whether stages follow the one at risk, for which there is another list.
    """
    if transferred:
        return [{"name": name} for name in DEFAULT_TRANSFERRED]
    return _in_every_mode(DEFAULT)


if not TYPE_CHECKING:  # the classes themselves, imported when they are asked for

    def __getattr__(name: str) -> object:
        """A class of the registry."""
        return ATTACKS.exported(name)
