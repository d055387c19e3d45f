"""Views of pictures: crops that are resized, turned and mirrored, by which an attack asks about one picture often."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, log, radians, sin

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Views:
    """Random views, one for all pictures of a batch, as a crop that has the size of the picture again.

    Attributes:
        least: smallest share of a picture's area that a crop has.
        most: largest.
        ratio: largest factor by which a crop is wider than it is high, for its picture, or higher than wide.
        flip: whether a view is mirrored half of the time.
        turn: largest angle, degrees.
    """

    least: float
    most: float = 1.0
    ratio: float = 1.0
    flip: bool = False
    turn: float = 0.0

    def draw(self, rng: np.random.Generator) -> Float[Tensor, "2 3"]:
        """One view: from places in the view to places in the picture, both from -1 to 1.

        Args:
            rng: draws it.
        """
        area, stretch = rng.uniform(self.least, self.most), np.exp(rng.uniform(-1, 1) * log(self.ratio))
        wide, high = min(1.0, (area * stretch) ** 0.5), min(1.0, (area / stretch) ** 0.5)
        right, down = rng.uniform(-1, 1) * (1 - wide), rng.uniform(-1, 1) * (1 - high)
        angle, sign = radians(rng.uniform(-1, 1) * self.turn), -1.0 if self.flip and rng.random() < 0.5 else 1.0
        rows = [
            [sign * wide * cos(angle), -wide * sin(angle), right],
            [sign * high * sin(angle), high * cos(angle), down],
        ]
        return torch.tensor(rows, dtype=torch.float32)


def seen(pictures: Float[Tensor, "b c h w"], view: Float[Tensor, "2 3"]) -> Float[Tensor, "b c h w"]:
    """Pictures in one view; gradients flow.

    Args:
        pictures: the pictures.
        view: as `Views.draw` gives it.
    """
    places = nn.functional.affine_grid(
        view.to(pictures.device).expand(len(pictures), 2, 3), list(pictures.shape), align_corners=False
    )
    found: Tensor = nn.functional.grid_sample(pictures, places, padding_mode="border", align_corners=False)
    return found


PLAIN = Views(1.0)
"""The picture itself."""
AROUND = Views(0.8, 1.0, ratio=10 / 9, flip=True, turn=5.0)
"""Views over which the gradients of an attack that adapts to defenses are averaged."""
