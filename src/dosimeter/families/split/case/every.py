"""The cuts that `cuts = "all"` stands for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dosimeter.models.cuts.graph import INPUT, OUTPUT, ModelGraph
from dosimeter.models.cuts.places import ModelCut

MOST = 12
"""Most cuts of `cuts = "all"`, since each attack is trained at each."""
SAME_NUMBERS = ("flatten", "identity", "dropout", "view", "reshape", "contiguous", "unflatten", "clone", "detach")
"""Kinds of operation after which the same numbers cross as before it, in another shape at most."""


def every_cut(graph: ModelGraph, known: Sequence[ModelCut]) -> tuple[tuple[ModelCut, ...], int]:
    """The cuts of a model that are worth an attack each, and how many were left out for the time that they would take.

    Not counted are both ends, cuts at which the records themselves cross, and places at which the same numbers cross as
    at the one before. Of more than `MOST`, those with one tensor go first; of too many still, some are chosen evenly
    from the first to the last.

    Args:
        graph: of the model.
        known: all its cuts.
    """
    possible = [
        one
        for one in known
        if not one.bare
        and not {INPUT, OUTPUT} & set(one.names)
        and not graph.operations[one.position - 1].kind.lower().startswith(SAME_NUMBERS)
    ]
    kept = possible if len(possible) <= MOST else [one for one in possible if len(one.tensors) == 1] or possible
    if len(kept) > MOST:
        kept = [kept[index] for index in np.linspace(0, len(kept) - 1, MOST).round().astype(int)]
    return tuple(kept), len(possible) - len(kept)
