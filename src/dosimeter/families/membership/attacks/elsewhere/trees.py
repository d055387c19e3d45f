"""Boosted trees as plain arrays, which any release of scikit-learn can have trained and none is needed to ask."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError


@dataclass(frozen=True)
class Trees:
    """The nodes of all trees, one after the other. Axes: `k` nodes, `b` trees, `r` rows, `d` columns.

    Attributes:
        feature: the column that a node asks about, -1 for a leaf `[k]`.
        threshold: rows up to it go left `[k]`.
        left: the next node for these `[k]`.
        right: the next node for all others `[k]`.
        value: what a leaf adds `[k]`.
        root: the first node of each tree `[b]`.
        start: what is added to, log-odds.
    """

    feature: Int[Array, " k"]
    threshold: Float[Array, " k"]
    left: Int[Array, " k"]
    right: Int[Array, " k"]
    value: Float[Array, " k"]
    root: Int[Array, " b"]
    start: float

    def odds(self, columns: Float[Array, "r d"]) -> Float[Array, " r"]:
        """Log-odds of each row."""
        total, row = np.full(len(columns), self.start), np.arange(len(columns))
        for root in self.root:
            node = np.full(len(columns), root)
            while (asked := self.feature[node] >= 0).any():
                low = columns[row, np.maximum(self.feature[node], 0)] <= self.threshold[node]
                node = np.where(asked, np.where(low, self.left[node], self.right[node]), node)
            total += self.value[node]
        return total


@lru_cache(maxsize=2)
def load(path: Path, sha256: str) -> Trees:
    """Reads trees that came with the package.

    Args:
        path: a file of safetensors with the attributes of `Trees`.
        sha256: of its bytes.

    Raises:
        DataError: the file is not the one that the attack was made with.
    """
    from safetensors.numpy import load as read

    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataError(f"{path.name}: must have the SHA-256 {sha256[:12]}..., got {found[:12]}...: install it again")
    arrays = read(content)
    return Trees(**{name: arrays[name] for name in arrays if name != "start"}, start=float(arrays["start"][0]))
