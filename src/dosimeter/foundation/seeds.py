"""Random numbers: each draw has a generator from (root seed, purpose, index), so a further draw changes no other."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(root: int, purpose: str, *index: int) -> int:
    """A 63-bit seed for one draw.

    Args:
        root: the audit's seed.
        purpose: what the draw is for, in words (`"membership matrix"`).
        index: which of several draws (model, fold).

    >>> seed_for(0, "order", 1) == seed_for(0, "order", 1), seed_for(0, "order", 1) == seed_for(0, "order", 2)
    (True, False)
    """
    text = "\x1f".join([str(root), purpose, *map(str, index)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


def generator(root: int, purpose: str, *index: int) -> np.random.Generator:
    """A NumPy generator for one draw; arguments as in `seed_for`."""
    return np.random.default_rng(seed_for(root, purpose, *index))
