"""P4: whether canaries show more leakage than averages over natural records do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dosimeter.families.membership.gates.runs import worst_case
from dosimeter.families.membership.measures.canaries import call_rate_gains
from dosimeter.families.membership.measures.material import Material
from dosimeter.foundation.gate import Gate
from dosimeter.statistics.estimate import Estimate


def beside_average(
    material: Material, rows: Sequence[Mapping[str, Any]], attack: str | None, natural: Estimate | None
) -> Gate:
    """P4 of a recipe: the canaries beside the average over natural records.

    Args:
        material: material of the audit.
        rows: rows of the canaries; none if none were planted.
        attack: the headline attack, or None.
        natural: its TPR - FPR at the leading rate, or None.
    """
    measured = attack is not None and any(row["status"] == "ok" for row in rows)
    rates = call_rate_gains(material, str(attack)) if measured else np.empty(0)
    return worst_case(rows, rates[~np.isnan(rates)], natural)
