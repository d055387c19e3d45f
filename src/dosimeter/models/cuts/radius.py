"""The within-class radius of what crosses each cut: how far the features of one class lie from their mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.models.cuts.graph import ModelGraph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import ModelCut

ROUNDING = 1e-24
"""Share of the mean square of features that rounding leaves of their spread where all are equal."""


@dataclass(frozen=True)
class Radius:
    """The within-class radius of features.

    Attributes:
        squared: mean squared distance of a record's features to the mean of its class, R_c².
        share: the same, divided by the mean squared distance to the mean of all records: 0 if a class is one point, 1
            if the means of the classes are equal. It has no unit, so it compares cuts. NaN if all records are equal.
        records: number of records.
    """

    squared: float
    share: float
    records: int


def radius(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Radius:
    """The within-class radius of features.

        R_c² = 1/n Σ_i ‖z_i − m(y_i)‖²,  m(y): mean of the features of class y

    It is a cheap guess at how well an input can be reconstructed from its features, and no measurement of that: a small
    radius says that records of one class look alike, of whatever else the features tell it says nothing.

    Source: "Partitioning for Intrinsic Model Inversion Resistance in Collaborative Inference", 2026,
    https://arxiv.org/abs/2506.15412, known here from digests; the share is ours.

    Args:
        features: of the records.
        labels: their classes.

    Raises:
        ValueError: no record, or features that are not finite.
    """
    if not len(features) or len(features) != len(labels):
        raise ValueError(f"features and labels must have equal lengths above 0, got {len(features)} and {len(labels)}")
    values = features.double()
    if not bool(values.isfinite().all()):
        raise ValueError("features must be finite, got NaN or infinite values")
    _, of = torch.unique(labels, return_inverse=True)
    counts = torch.bincount(of).double()
    means = torch.zeros(len(counts), values.shape[1], dtype=values.dtype, device=values.device)
    means = means.index_add(0, of, values) / counts[:, None]
    within = float((values - means[of]).square().sum(1).mean())
    total = float((values - values.mean(0)).square().sum(1).mean())
    apart = total > ROUNDING * float(values.square().sum(1).mean())
    return Radius(within, within / total if apart else float("nan"), len(values))


def radii(
    graph: ModelGraph, found: Sequence[ModelCut], inputs: Tensor, labels: Int[Tensor, " n"], batch: int = 256
) -> Iterator[tuple[ModelCut, Radius]]:
    """The within-class radius at each cut; tensors that cross together count as one row of features.

    The model must be in evaluation mode, so that a record's features do not depend on the others.

    Args:
        graph: of a trained model.
        found: cuts of it.
        inputs: records `[n ...]` as the model takes them.
        labels: their classes.
        batch: records that run together.
    """
    for cut in found:
        first, _ = halves(graph, cut)
        rows = []
        with torch.no_grad():
            for start in range(0, len(inputs), batch):
                some = inputs[start : start + batch].clone()
                sent = [one for one in first(some) if isinstance(one, Tensor)]
                rows.append(torch.cat([one.reshape(len(some), -1).float() for one in sent], dim=1))
        yield cut, radius(torch.cat(rows), labels)
