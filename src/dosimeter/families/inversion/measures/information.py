"""Which layers the headline attack's loss depends on, beside the task's: numbers of `details.fisher`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dosimeter.families.inversion.measures.identified import Measured
from dosimeter.foundation.arrays import Array

if TYPE_CHECKING:
    from dosimeter.training.sensitivity.layers import Band, LayerContrast, Profile

KINDS = ("train", "held_out", "prior", "noise")
"""What the attack's loss is put beside: the task on records that the model learned and on others, and two controls."""


def information(found: Measured) -> dict[str, Any] | None:
    """What a result says of the layers; None unless the audit asks for it.

    Args:
        found: what a run left.
    """
    arrays = found.left.information
    if arrays is None:
        return None
    if "reason" in arrays:
        return {"reason": str(arrays["reason"][0])}
    try:
        return _told(found, arrays)
    except ValueError as error:  # fewer than two layers, or one on which a loss does not depend
        return {"reason": str(error)}


def _told(found: Measured, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """The numbers.

    Raises:
        ValueError: two losses cannot be compared.
    """
    from dosimeter.training.sensitivity.fisher import Fisher  # noqa: PLC0415 - PyTorch takes seconds to load
    from dosimeter.training.sensitivity.layers import contrast  # noqa: PLC0415

    names, sizes, labels = tuple(arrays["layers"].tolist()), arrays["parameters"], found.left.truth["labels"]
    listed = [one["id"] for one in found.left.summary["attacks"]]
    index, seed = listed.index(found.headline), int(found.left.summary["seed"])
    made = Fisher(names, sizes, arrays[f"made-{index}"])
    contrasts = {}
    for kind in KINDS:
        groups = labels[arrays[f"{kind}_rows"]] if f"{kind}_rows" in arrays else None
        contrasts[kind] = contrast(Fisher(names, sizes, arrays[kind]), made, groups=(groups, None), seed=seed)
    curves = [_curve(kind, len(arrays[kind]), one.units[0], one.first) for kind, one in contrasts.items()]
    last = contrasts["train"]
    return {
        "reason": "",
        "attack": found.headline,
        "loss": str(arrays["losses"][index]),
        "layers": [{"name": name, "parameters": int(n)} for name, n in zip(names, sizes, strict=True)],
        "curves": [*curves, _curve("made", len(made.each), last.units[1], last.second)],
        "ratios": [_ratio(kind, one) for kind, one in contrasts.items()],
    }


def _curve(kind: str, records: int, units: int, profiles: Mapping[Any, Profile]) -> dict[str, Any]:
    """How the information of one loss lies over the layers, by both ways to add up a layer's weights."""
    told = {
        aggregate: {"shares": _band(one.shares), "centre": _band(one.centre), "early": _band(one.early)}
        for aggregate, one in profiles.items()
    }
    return {"of": kind, "records": records, "units": units, **told}


def _ratio(kind: str, one: LayerContrast) -> dict[str, Any]:
    """The attack's information over that of another loss, layer by layer."""
    return {"beside": kind, "log_ratio": _band(one.log_ratio), "slope": _band(one.slope)}


def _band(band: Band) -> dict[str, Any]:
    """Estimates with the ends of their intervals."""
    return {name: np.asarray(getattr(band, name)).tolist() for name in ("value", "low", "high")}
