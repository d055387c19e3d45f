"""The defenses, one file per method; the dictionary is the registry."""

from __future__ import annotations

from dosimeter.defenses.answers.masking import Masking
from dosimeter.defenses.answers.rounding import Rounding
from dosimeter.defenses.answers.top_k import TopK
from dosimeter.defenses.training.bido import BiDO
from dosimeter.defenses.training.dp_sgd import DPSGD
from dosimeter.defenses.training.dropout import Dropout
from dosimeter.defenses.training.early_stopping import EarlyStopping
from dosimeter.defenses.training.hamp import HAMP
from dosimeter.defenses.training.l2 import L2
from dosimeter.defenses.training.label_smoothing import LabelSmoothing
from dosimeter.defenses.training.mid import MID
from dosimeter.defenses.training.negative_label_smoothing import NegativeLabelSmoothing
from dosimeter.defenses.training.relax_loss import RelaxLoss
from dosimeter.defenses.training.selena import SELENA

__all__ = [
    "DEFENSES", "DPSGD", "HAMP", "L2", "MID", "SELENA", "BiDO", "Dropout", "EarlyStopping", "LabelSmoothing", "Masking",
    "NegativeLabelSmoothing", "RelaxLoss", "Rounding", "TopK",
]  # fmt: skip

DEFENSES = {
    "l2": L2,
    "early_stopping": EarlyStopping,
    "dropout": Dropout,
    "mid": MID,
    "label_smoothing": LabelSmoothing,
    "negative_label_smoothing": NegativeLabelSmoothing,
    "relax_loss": RelaxLoss,
    "hamp": HAMP,
    "bido": BiDO,
    "dp_sgd": DPSGD,
    "selena": SELENA,
    "top_k": TopK,
    "rounding": Rounding,
    "masking": Masking,
}
"""Defenses by the place where they act: recipe, model, loss, step, whole training, outputs."""
