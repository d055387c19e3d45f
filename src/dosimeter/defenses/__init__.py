"""The defenses, one file per method; the dictionary is the registry."""

from __future__ import annotations

from dosimeter.defenses.dp_sgd import DPSGD
from dosimeter.defenses.dropout import Dropout
from dosimeter.defenses.early_stopping import EarlyStopping
from dosimeter.defenses.hamp import HAMP
from dosimeter.defenses.l2 import L2
from dosimeter.defenses.label_smoothing import LabelSmoothing
from dosimeter.defenses.masking import Masking
from dosimeter.defenses.relax_loss import RelaxLoss
from dosimeter.defenses.rounding import Rounding
from dosimeter.defenses.selena import SELENA
from dosimeter.defenses.top_k import TopK

__all__ = [
    "DEFENSES", "DPSGD", "HAMP", "L2", "SELENA", "Dropout", "EarlyStopping", "LabelSmoothing", "Masking", "RelaxLoss",
    "Rounding", "TopK",
]  # fmt: skip

DEFENSES = {
    "l2": L2,
    "early_stopping": EarlyStopping,
    "dropout": Dropout,
    "label_smoothing": LabelSmoothing,
    "relax_loss": RelaxLoss,
    "hamp": HAMP,
    "dp_sgd": DPSGD,
    "selena": SELENA,
    "top_k": TopK,
    "rounding": Rounding,
    "masking": Masking,
}
"""Defenses by the place where they act: recipe, model, loss, step, whole training, outputs."""
