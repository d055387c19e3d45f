"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from typing import Any

from dosimeter.families.inversion.attacks.brep_mi import BrepMI
from dosimeter.families.inversion.attacks.gmi import GMI
from dosimeter.families.inversion.attacks.miface import MIFace
from dosimeter.families.inversion.attacks.ppa import PPA
from dosimeter.families.inversion.attacks.search import MeanPublic, NearestPublic, PriorBest

__all__ = ["ATTACKS", "GMI", "PPA", "BrepMI", "MIFace", "MeanPublic", "NearestPublic", "PriorBest", "default_rows"]

ATTACKS = {
    "miface": MIFace,
    "gmi": GMI,
    "ppa": PPA,
    "brep_mi": BrepMI,
    "prior_best": PriorBest,
    "nearest_public": NearestPublic,
    "mean_public": MeanPublic,
}
"""Inversion attacks: those that search first, then the yardsticks, then the control."""


def default_rows() -> list[dict[str, Any]]:
    """Rows for an audit file that names no attack: all of them, GMI with both of its losses."""
    rows: list[dict[str, Any]] = []
    for name in ATTACKS:
        rows += [{"name": name, "mode": mode} for mode in ("logit", "ce")] if name == "gmi" else [{"name": name}]
    return rows
