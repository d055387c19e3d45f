"""Records as the small pictures that a run's folder and a report hold."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped, UInt8

from dosimeter.foundation.arrays import Array

SIDE = 64
"""Longest side of a picture, pixels."""


def shrink(records: Shaped[Array, "n c h w"]) -> UInt8[Array, "n y x c"]:
    """Records as small pictures in bytes, each pixel the mean of a block.

    Args:
        records: bytes, or numbers in [0, 1].
    """
    scaled = records if records.dtype == np.uint8 else np.round(255 * np.clip(records, 0, 1)).astype(np.uint8)
    step = -(-max(records.shape[2:]) // SIDE)
    h, w = (side // step * step for side in records.shape[2:])
    blocks = scaled[:, :, :h, :w].reshape(*records.shape[:2], h // step, step, w // step, step)
    return np.moveaxis(np.round(blocks.mean((3, 5))).astype(np.uint8), 1, -1)
