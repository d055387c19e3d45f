"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from typing import Any

from dosimeter.families.inversion.attacks.brep_mi import BrepMI
from dosimeter.families.inversion.attacks.gmi import GMI
from dosimeter.families.inversion.attacks.miface import MIFace
from dosimeter.families.inversion.attacks.plg_mi import PLGMI
from dosimeter.families.inversion.attacks.ppa import PPA
from dosimeter.families.inversion.attacks.search import MeanPublic, NearestPublic, PriorBest

__all__ = [
    "ATTACKS", "GMI", "PLGMI", "PPA", "BrepMI", "MIFace", "MeanPublic", "NearestPublic", "PriorBest", "default_rows",
]  # fmt: skip

ATTACKS = {
    "miface": MIFace,
    "gmi": GMI,
    "ppa": PPA,
    "plg_mi": PLGMI,
    "brep_mi": BrepMI,
    "prior_best": PriorBest,
    "nearest_public": NearestPublic,
    "mean_public": MeanPublic,
}
"""Inversion attacks: those that search first, then the yardsticks, then the control."""
SLOW = frozenset({"plg_mi"})
"""Attacks that run by name alone: they train a generator for each model."""


def default_rows() -> list[dict[str, Any]]:
    """Rows for an audit file that names no attack: GMI with both of its losses, and all but those in `SLOW`."""
    rows: list[dict[str, Any]] = []
    for name in [one for one in ATTACKS if one not in SLOW]:
        rows += [{"name": name, "mode": mode} for mode in ("logit", "ce")] if name == "gmi" else [{"name": name}]
    return rows
