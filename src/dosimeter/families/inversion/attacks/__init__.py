"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dosimeter.foundation.registry import Registry

if TYPE_CHECKING:
    from dosimeter.families.inversion.attacks.brep_mi import BrepMI
    from dosimeter.families.inversion.attacks.gmi import GMI
    from dosimeter.families.inversion.attacks.miface import MIFace
    from dosimeter.families.inversion.attacks.plg_mi import PLGMI
    from dosimeter.families.inversion.attacks.ppa import PPA
    from dosimeter.families.inversion.attacks.search import MeanPublic, NearestPublic, PriorBest

__all__ = [
    "ATTACKS", "GMI", "PLGMI", "PPA", "BrepMI", "MIFace", "MeanPublic", "NearestPublic", "PriorBest", "default_rows",
]  # fmt: skip

ATTACKS: Registry[type[Any]] = Registry(
    __name__,
    {
        "miface": "miface:MIFace",
        "gmi": "gmi:GMI",
        "ppa": "ppa:PPA",
        "plg_mi": "plg_mi:PLGMI",
        "brep_mi": "brep_mi:BrepMI",
        "prior_best": "search:PriorBest",
        "nearest_public": "search:NearestPublic",
        "mean_public": "search:MeanPublic",
    },
)
"""Inversion attacks: those that search first, then the yardsticks, then the control."""
SLOW = frozenset({"plg_mi"})
"""Attacks that run by name alone: they train a generator for each model."""


def default_rows() -> list[dict[str, Any]]:
    """Rows for an audit file that names no attack: GMI with both of its losses, and all but those in `SLOW`."""
    rows: list[dict[str, Any]] = []
    for name in [one for one in ATTACKS if one not in SLOW]:
        rows += [{"name": name, "mode": mode} for mode in ("logit", "ce")] if name == "gmi" else [{"name": name}]
    return rows


if not TYPE_CHECKING:  # the classes themselves, imported when they are asked for

    def __getattr__(name: str) -> object:
        """A class of the registry."""
        return ATTACKS.exported(name)
