"""The defenses, one file per method; the dictionary is the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dosimeter.foundation.registry import Registry

if TYPE_CHECKING:
    from dosimeter.defenses.answers.masking import Masking
    from dosimeter.defenses.answers.rounding import Rounding
    from dosimeter.defenses.answers.top_k import TopK
    from dosimeter.defenses.cut.fisher_noise import FisherNoise
    from dosimeter.defenses.cut.learned_noise import LearnedNoise
    from dosimeter.defenses.cut.mask import Mask
    from dosimeter.defenses.cut.noise import Noise
    from dosimeter.defenses.cut.null_space import NullSpace
    from dosimeter.defenses.cut.quantise import Quantise
    from dosimeter.defenses.cut.sign import Sign
    from dosimeter.defenses.cut.sparsify import Sparsify
    from dosimeter.defenses.cut.vib import VIB
    from dosimeter.defenses.joint.compress import Compress
    from dosimeter.defenses.joint.dp_moments import DPMoments
    from dosimeter.defenses.joint.mixup import MixUp
    from dosimeter.defenses.joint.secure_sum import SecureSum
    from dosimeter.defenses.joint.sgld import SGLD
    from dosimeter.defenses.training.adversarial import Adversarial
    from dosimeter.defenses.training.bido import BiDO
    from dosimeter.defenses.training.dp_sgd import DPSGD
    from dosimeter.defenses.training.dropout import Dropout
    from dosimeter.defenses.training.early_stopping import EarlyStopping
    from dosimeter.defenses.training.hamp import HAMP
    from dosimeter.defenses.training.l2 import L2
    from dosimeter.defenses.training.label_smoothing import LabelSmoothing
    from dosimeter.defenses.training.mid import MID
    from dosimeter.defenses.training.negative_label_smoothing import NegativeLabelSmoothing
    from dosimeter.defenses.training.nopeek import NoPeek
    from dosimeter.defenses.training.relax_loss import RelaxLoss
    from dosimeter.defenses.training.selena import SELENA

__all__ = [
    "DEFENSES", "DPSGD", "HAMP", "L2", "MID", "SELENA", "SGLD", "VIB", "Adversarial", "BiDO", "Compress", "DPMoments",
    "Dropout", "EarlyStopping", "FisherNoise", "LabelSmoothing", "LearnedNoise", "Mask", "Masking", "MixUp",
    "NegativeLabelSmoothing", "NoPeek", "Noise", "NullSpace", "Quantise", "RelaxLoss", "Rounding", "SecureSum", "Sign",
    "Sparsify", "TopK",
]  # fmt: skip

DEFENSES: Registry[type[Any]] = Registry(
    __name__,
    {
        "l2": "training.l2:L2",
        "early_stopping": "training.early_stopping:EarlyStopping",
        "dropout": "training.dropout:Dropout",
        "mid": "training.mid:MID",
        "label_smoothing": "training.label_smoothing:LabelSmoothing",
        "negative_label_smoothing": "training.negative_label_smoothing:NegativeLabelSmoothing",
        "relax_loss": "training.relax_loss:RelaxLoss",
        "hamp": "training.hamp:HAMP",
        "bido": "training.bido:BiDO",
        "adversarial": "training.adversarial:Adversarial",
        "dp_sgd": "training.dp_sgd:DPSGD",
        "selena": "training.selena:SELENA",
        "top_k": "answers.top_k:TopK",
        "rounding": "answers.rounding:Rounding",
        "masking": "answers.masking:Masking",
        "nopeek": "training.nopeek:NoPeek",
        "noise": "cut.noise:Noise",
        "mask": "cut.mask:Mask",
        "sign": "cut.sign:Sign",
        "sparsify": "cut.sparsify:Sparsify",
        "quantise": "cut.quantise:Quantise",
        "null_space": "cut.null_space:NullSpace",
        "fisher_noise": "cut.fisher_noise:FisherNoise",
        "learned_noise": "cut.learned_noise:LearnedNoise",
        "vib": "cut.vib:VIB",
        "compress": "joint.compress:Compress",
        "dp_moments": "joint.dp_moments:DPMoments",
        "sgld": "joint.sgld:SGLD",
        "mixup": "joint.mixup:MixUp",
        "secure_sum": "joint.secure_sum:SecureSum",
    },
)
"""Defenses by the place where they act: recipe, model, loss, step, whole training, outputs, the cut, joint stages."""


if not TYPE_CHECKING:  # the classes themselves, imported when they are asked for

    def __getattr__(name: str) -> object:
        """A class of the registry."""
        return DEFENSES.exported(name)
