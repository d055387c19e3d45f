"""Compress: the largest numbers, the signs or a few bits of a gradient are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from dosimeter.defenses.cut.quantise import Levels
from dosimeter.defenses.cut.sign import Signed
from dosimeter.defenses.cut.sparsify import Sparsify
from dosimeter.foundation import checks
from dosimeter.training.recipe import Release

KEEP, BITS = 0.1, 8
"""What is sent where the row does not say: share of the numbers, bits of each number."""


@dataclass(frozen=True)
class Compress:
    """Send a part of each gradient or update: the numbers largest in size, all signs, or a few bits of each number.

    Paper: Melis, Song, De Cristofaro, Shmatikov, "Exploiting Unintended Feature Leakage in Collaborative Learning",
    2018, https://arxiv.org/abs/1805.04049, section VIII, where the largest 10 % hide little; top-k: Aji, Heafield,
    2017, https://arxiv.org/abs/1704.05021; signs: Bernstein et al., 2018, https://arxiv.org/abs/1802.04434.

    All parameters together are one row of numbers. The trunk moves by what was sent, as the coordinator has no more.
    Signs have the mean size of the row's numbers; levels lie equally far apart between its least and largest number.

    Stronger: a smaller share, fewer bits; signs have no strength.
    Deviations: what was not sent is forgotten, not added to the next gradient. Levels are the nearest ones.
    Cost: a sort of each gradient for top-k.

    Attributes:
        how: "top-k", "sign" or "quantise".
        keep: share that is sent, above 0 and below 1, of "top-k" only; null for 0.1.
        bits: of each number, from 1 to 16, of "quantise" only; null for 8.
    """

    paper: ClassVar[str] = "Melis et al., 2018, https://arxiv.org/abs/1805.04049"
    place: ClassVar[str] = "joint"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = (
        {"how": "quantise", "bits": 4}, {"keep": 0.1}, {"keep": 0.01}, {"how": "sign"},
    )  # fmt: skip
    messages: ClassVar[tuple[str, ...]] = ("gradient", "update")

    how: Literal["top-k", "sign", "quantise"] = "top-k"
    keep: float | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        if self.how not in ("top-k", "sign", "quantise"):
            raise ValueError(f"how must be one of top-k, sign, quantise, got {self.how!r}")
        if self.keep is not None:
            checks.in_range("keep", self.keep, 0, 1, open_low=True, open_high=True)
        if self.bits is not None:
            checks.in_range("bits", self.bits, 1, 16)
        for key, owner in (("keep", "top-k"), ("bits", "quantise")):
            if getattr(self, key) is not None and self.how != owner:
                raise ValueError(f"{key} must be left out, as only how = {owner!r} has it, got how = {self.how!r}")

    def protect(self, arrays: Mapping[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        """The arrays as they are sent; `rng` is not used."""
        row = torch.cat([one.flatten() for one in arrays.values()])[None]
        parts = torch.split(self._release(row).send(row, rng)[0], [one.numel() for one in arrays.values()])
        return {name: part.reshape(one.shape) for (name, one), part in zip(arrays.items(), parts, strict=True)}

    def _release(self, row: Tensor) -> Release:
        """What sends the row."""
        if self.how == "top-k":
            return Sparsify(KEEP if self.keep is None else self.keep)
        if self.how == "sign":
            return Signed(float(row.abs().mean()))
        low, high = float(row.min()), float(row.max())
        last = 2 ** (BITS if self.bits is None else self.bits) - 1
        return Levels(low, (high - low) / last or 1.0, last)
