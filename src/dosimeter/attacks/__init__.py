"""The attacks, one file per method; the dictionary is the registry."""

from __future__ import annotations

from dosimeter.attacks.membership.controls import Constant, Count
from dosimeter.attacks.membership.lira import LiRA
from dosimeter.attacks.membership.loss import Loss
from dosimeter.attacks.membership.rmia import RMIA

__all__ = ["ATTACKS", "RMIA", "Constant", "Count", "LiRA", "Loss"]

ATTACKS = {"loss": Loss, "lira": LiRA, "rmia": RMIA, "constant": Constant, "count": Count}
