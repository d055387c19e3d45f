"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dosimeter.foundation.registry import Registry

if TYPE_CHECKING:
    from dosimeter.families.split.attacks.attribute_pool import AttributePool
    from dosimeter.families.split.attacks.decensor import Decensor
    from dosimeter.families.split.attacks.decoder import Decoder
    from dosimeter.families.split.attacks.forms.unsplit import UnSplit
    from dosimeter.families.split.attacks.fsha import FSHA
    from dosimeter.families.split.attacks.labels.attribute_coin import AttributeCoin
    from dosimeter.families.split.attacks.labels.gradient_labels import GradientLabels
    from dosimeter.families.split.attacks.labels.label_inference import LabelInference
    from dosimeter.families.split.attacks.latent_prior import LatentPrior
    from dosimeter.families.split.attacks.mean_input import MeanInput
    from dosimeter.families.split.attacks.output_only import OutputOnly
    from dosimeter.families.split.attacks.random_decoder import RandomDecoder
    from dosimeter.families.split.attacks.raw_input import RawInput
    from dosimeter.families.split.attacks.ridge import RidgeInverse
    from dosimeter.families.split.attacks.shadow import Shadow
    from dosimeter.families.split.attacks.white_box import WhiteBox

__all__ = [
    "ATTACKS", "FSHA", "AttributeCoin", "AttributePool", "Decensor", "Decoder", "GradientLabels", "LabelInference",
    "LatentPrior", "MeanInput", "OutputOnly", "RandomDecoder", "RawInput", "RidgeInverse", "Shadow", "UnSplit",
    "WhiteBox", "default_rows",
]  # fmt: skip

ATTACKS: Registry[type[Any]] = Registry(
    __name__,
    {
        "ridge": "ridge:RidgeInverse",
        "decoder": "decoder:Decoder",
        "white_box": "white_box:WhiteBox",
        "latent_prior": "latent_prior:LatentPrior",
        "shadow": "shadow:Shadow",
        "unsplit": "forms.unsplit:UnSplit",
        "fsha": "fsha:FSHA",
        "attribute_pool": "attribute_pool:AttributePool",
        "decensor": "decensor:Decensor",
        "label_inference": "labels.label_inference:LabelInference",
        "gradient_labels": "labels.gradient_labels:GradientLabels",
        "output_only": "output_only:OutputOnly",
        "raw_input": "raw_input:RawInput",
        "random_decoder": "random_decoder:RandomDecoder",
        "mean_input": "mean_input:MeanInput",
        "attribute_coin": "labels.attribute_coin:AttributeCoin",
    },
)
"""Attacks on features: those that read them first, then the yardsticks, then the controls."""


def default_rows(
    *, attributes: bool, answers: bool = True, gradients: bool = False, active: bool = False, blind: bool = False
) -> list[dict[str, Any]]:
    """Rows for an audit file that names no attack.

    Args:
        attributes: whether the threat names attributes.
        answers: whether the adversary sees the answers; without them labels are inferred, and there is no floor.
        gradients: whether the adversary sees what comes back over the cut in training.
        active: whether the adversary decides what comes back.
        blind: whether the adversary knows nothing of the first half, so that attacks which learn from it cannot run.
    """
    names = [
        "ridge",
        "decoder",
        "white_box",
        "latent_prior",
        *(["shadow"] if answers else []),
        *(["unsplit"] if blind else []),  # slow, and seldom better than attacks that know more
        *(["fsha"] if active else []),
    ]
    if attributes:
        names += ["attribute_pool", "decensor", *([] if answers else ["label_inference"])]
        names += [*(["gradient_labels"] if gradients else []), "raw_input"]
    names += ["random_decoder", "mean_input", *(["attribute_coin"] if attributes else [])]
    rows: list[dict[str, Any]] = [{"name": name} for name in names]
    if answers:
        rows += [{"name": "output_only", "mode": mode} for mode in ("input", *(["attribute"] if attributes else []))]
    return rows


if not TYPE_CHECKING:  # the classes themselves, imported when they are asked for

    def __getattr__(name: str) -> object:
        """A class of the registry."""
        return ATTACKS.exported(name)
