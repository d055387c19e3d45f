"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dosimeter.foundation.registry import Registry

if TYPE_CHECKING:
    from dosimeter.families.inversion.attacks.brep_mi import BrepMI
    from dosimeter.families.inversion.attacks.gmi import GMI
    from dosimeter.families.inversion.attacks.miface import MIFace
    from dosimeter.families.inversion.attacks.ppa import PPA
    from dosimeter.families.inversion.attacks.search import MeanPublic, NearestPublic, PriorBest

__all__ = ["ATTACKS", "GMI", "PPA", "BrepMI", "MIFace", "MeanPublic", "NearestPublic", "PriorBest", "default_rows"]

ATTACKS: Registry[type[Any]] = Registry(
    __name__,
    {
        "miface": "miface:MIFace",
        "gmi": "gmi:GMI",
        "ppa": "ppa:PPA",
        "brep_mi": "brep_mi:BrepMI",
        "prior_best": "search:PriorBest",
        "nearest_public": "search:NearestPublic",
        "mean_public": "search:MeanPublic",
    },
)
"""Inversion attacks: those that search first, then the yardsticks, then the control."""


def default_rows() -> list[dict[str, Any]]:
    """Rows for an audit file that names no attack: all of them, GMI with both of its losses."""
    rows: list[dict[str, Any]] = []
    for name in ATTACKS:
        rows += [{"name": name, "mode": mode} for mode in ("logit", "ce")] if name == "gmi" else [{"name": name}]
    return rows


if not TYPE_CHECKING:  # the classes themselves, imported when they are asked for

    def __getattr__(name: str) -> object:
        """A class of the registry."""
        return ATTACKS.exported(name)
