"""Families of attacks, by name: the registry."""

from __future__ import annotations

from collections.abc import Mapping

from dosimeter.families.exchange.family import EXCHANGE
from dosimeter.families.family import Family
from dosimeter.families.inversion.family import INVERSION
from dosimeter.families.membership.family import MEMBERSHIP
from dosimeter.families.split.family import SPLIT

FAMILIES: Mapping[str, Family] = {
    "membership": MEMBERSHIP, "inversion": INVERSION, "split": SPLIT, "exchange": EXCHANGE,
}  # fmt: skip
