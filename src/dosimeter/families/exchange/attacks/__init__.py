"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.threat import Channel, Question
from dosimeter.foundation.registry import Registry

if TYPE_CHECKING:
    from dosimeter.families.exchange.attacks.batch_property import BatchProperty
    from dosimeter.families.exchange.attacks.coin import Coin
    from dosimeter.families.exchange.attacks.distribution.distribution_inference import DistributionInference
    from dosimeter.families.exchange.attacks.distribution.set_property import SetProperty
    from dosimeter.families.exchange.attacks.distribution.world_coin import WorldCoin
    from dosimeter.families.exchange.attacks.label_only import LabelOnly
    from dosimeter.families.exchange.attacks.rebuilding.any_record import AnyRecord
    from dosimeter.families.exchange.attacks.rebuilding.dense_inversion import DenseInversion
    from dosimeter.families.exchange.attacks.rebuilding.dlg import Dlg
    from dosimeter.families.exchange.attacks.rebuilding.head_features import HeadFeatures
    from dosimeter.families.exchange.attacks.rebuilding.idlg import IDlg
    from dosimeter.families.exchange.attacks.rebuilding.inverting_gradients import InvertingGradients
    from dosimeter.families.exchange.attacks.rebuilding.mean_record import MeanRecord
    from dosimeter.families.exchange.attacks.rebuilding.ridge_inversion import RidgeInversion
    from dosimeter.families.exchange.attacks.tasks.task_coin import TaskCoin
    from dosimeter.families.exchange.attacks.tasks.task_inference import TaskInference
    from dosimeter.families.exchange.attacks.tasks.untrained_encoder import UntrainedEncoder

__all__ = [
    "ATTACKS",
    "AnyRecord",
    "BatchProperty",
    "Coin",
    "DenseInversion",
    "DistributionInference",
    "Dlg",
    "HeadFeatures",
    "IDlg",
    "InvertingGradients",
    "LabelOnly",
    "MeanRecord",
    "RidgeInversion",
    "SetProperty",
    "TaskCoin",
    "TaskInference",
    "UntrainedEncoder",
    "WorldCoin",
    "default_rows",
    "lacking",
]

ATTACKS: Registry[type[Any]] = Registry(
    __name__,
    {
        "batch_property": "batch_property:BatchProperty",
        "label_only": "label_only:LabelOnly",
        "coin": "coin:Coin",
        "dense_inversion": "rebuilding.dense_inversion:DenseInversion",
        "dlg": "rebuilding.dlg:Dlg",
        "idlg": "rebuilding.idlg:IDlg",
        "inverting_gradients": "rebuilding.inverting_gradients:InvertingGradients",
        "ridge_inversion": "rebuilding.ridge_inversion:RidgeInversion",
        "head_features": "rebuilding.head_features:HeadFeatures",
        "mean_record": "rebuilding.mean_record:MeanRecord",
        "any_record": "rebuilding.any_record:AnyRecord",
        "task_inference": "tasks.task_inference:TaskInference",
        "untrained_encoder": "tasks.untrained_encoder:UntrainedEncoder",
        "task_coin": "tasks.task_coin:TaskCoin",
        "distribution_inference": "distribution.distribution_inference:DistributionInference",
        "set_property": "distribution.set_property:SetProperty",
        "world_coin": "distribution.world_coin:WorldCoin",
    },
)
"""Attacks by question: on messages, then the yardstick, then the control."""
REBUILDING = ("dense_inversion", "dlg", "idlg", "inverting_gradients")
"""Attacks on records that read gradients, or updates."""

BESIDE: dict[Question, tuple[str, ...]] = {
    "property": ("label_only", "coin"), "records": ("mean_record", "any_record"), "tasks": ("task_coin",),
    "distribution": ("world_coin",),
}  # fmt: skip
"""By question what stands beside every list: the yardsticks that decide with it, and the control."""


def default_rows(question: Question = "property") -> list[dict[str, Any]]:
    """Rows for an audit file that names no attack: every channel; those that a method has not are refused.

    Args:
        question: of the threat.
    """
    if question == "records":
        read: list[dict[str, Any]] = [
            {"name": name, "channel": one} for one in ("gradient", "update") for name in REBUILDING
        ]
        return [*read, *({"name": one} for one in ("ridge_inversion", "head_features", "mean_record", "any_record"))]
    if question == "tasks":
        return [{"name": name} for name in ("task_inference", "untrained_encoder", "task_coin")]
    if question == "distribution":
        tests = ("loss", "threshold", "mean", "kl", "logits")
        return [
            *({"name": "distribution_inference", "test": one} for one in tests),
            *({"name": "set_property", "channel": one} for one in get_args(Channel)),
            {"name": "world_coin"},
        ]
    rows: list[dict[str, Any]] = [{"name": "batch_property", "channel": one} for one in get_args(Channel)]
    return [*rows, {"name": "label_only"}, {"name": "coin"}]


def lacking(attacks: Sequence[NamedAttack], question: Question = "property") -> list[dict[str, Any]]:
    """Rows of what must stand beside every list and does not stand in one.

    Args:
        attacks: the list.
        question: of the threat.
    """
    there = {type(row.attack) for row in attacks}
    floor = any(row.attack.needs.reads == "labels" for row in attacks)  # one of the user's will do
    names = [name for name in BESIDE[question] if ATTACKS[name] not in there]
    return [{"name": name} for name in names if not (floor and name == "label_only")]


if not TYPE_CHECKING:  # the classes themselves, imported when they are asked for

    def __getattr__(name: str) -> object:
        """A class of the registry."""
        return ATTACKS.exported(name)
