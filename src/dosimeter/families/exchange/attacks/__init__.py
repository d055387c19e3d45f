"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from dosimeter.families.exchange.threat import Channel
from dosimeter.foundation.registry import Registry

if TYPE_CHECKING:
    from dosimeter.families.exchange.attacks.batch_property import BatchProperty
    from dosimeter.families.exchange.attacks.coin import Coin
    from dosimeter.families.exchange.attacks.label_only import LabelOnly

__all__ = ["ATTACKS", "BatchProperty", "Coin", "LabelOnly", "default_rows"]

ATTACKS: Registry[type[Any]] = Registry(
    __name__,
    {"batch_property": "batch_property:BatchProperty", "label_only": "label_only:LabelOnly", "coin": "coin:Coin"},
)
"""Attacks on messages, then the yardstick, then the control."""


def default_rows() -> list[dict[str, Any]]:
    """Rows for an audit file that names no attack: every channel; those that a method has not are refused."""
    rows: list[dict[str, Any]] = [{"name": "batch_property", "channel": one} for one in get_args(Channel)]
    return [*rows, {"name": "label_only"}, {"name": "coin"}]


if not TYPE_CHECKING:  # the classes themselves, imported when they are asked for

    def __getattr__(name: str) -> object:
        """A class of the registry."""
        return ATTACKS.exported(name)
