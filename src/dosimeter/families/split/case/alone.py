"""Whether what crosses a cut is of one record alone, and not of those beside it in a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dosimeter.foundation.wording import quote
from dosimeter.models.cuts.graph import ModelGraph
from dosimeter.models.cuts.places import ModelCut
from dosimeter.models.cuts.recorder import crossings

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Largest difference that sums in another order explain."""


def mixed(graph: ModelGraph, found: Sequence[ModelCut], example: Tensor) -> list[str]:
    """Cuts at which a record's features depend on the records beside it, one line each.

    Layers that keep statistics of each batch do so even at rest. Their features would be those of the auditor's batches
    and of no device, which sends one record at a time.

    Args:
        graph: of a model.
        found: cuts of it.
        example: records, as the model takes them `[2 ...]`.
    """
    first, second = (
        crossings(graph, found, torch.stack([example[0], other]))[0]
        for other in (example[1], torch.zeros_like(example[1]))
    )
    return [
        f"threat.cuts: what crosses after {quote(cut.name)} must be of one record alone, got features that change with "
        "the records beside it: let batch normalisation keep running statistics, and keep no state between calls"
        for cut, one, other in zip(found, first, second, strict=True)
        if not all(_close(a[0], b[0]) for a, b in zip(one, other, strict=True))
    ]


def _close(a: Tensor, b: Tensor) -> bool:
    """Returns whether two tensors differ by no more than rounding explains."""
    return torch.allclose(a.double(), b.double(), rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
