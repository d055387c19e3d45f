"""Drawn faces, and a verifier that knows no person: it reads the numbers that make one, which are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge

from dosimeter.data.named.drawn_faces import TRAITS, drawn, poses


@dataclass(frozen=True)
class Verifier:
    """Says whom a picture shows, of people of whom it has their numbers and no picture.

    Attributes:
        read: from pictures `[n 1024]` to `TRAITS`.
        error: of each trait, of people who are in no data set.
    """

    read: Ridge
    error: np.ndarray

    def distances(self, pictures: np.ndarray, people: np.ndarray) -> np.ndarray:
        """Squared distance of each picture `[n ...]`, from 0 to 1, to each person `[v 14]`, in errors of reading."""
        found = self.read.predict(pictures.reshape(len(pictures), -1))
        return (((found[:, None] - people) / self.error) ** 2).sum(2)


def verifier(seed=0, people=700, each=4):
    """A verifier that learned on fresh people, and measured its error on others of them."""
    rng = np.random.default_rng([seed, 99])
    looks = np.repeat(rng.uniform(size=(people, len(TRAITS))), each, 0)
    pictures = drawn(looks, poses(rng, len(looks)), rng).reshape(len(looks), -1) / 255
    learned, tested = slice(0, len(looks) // 2), slice(len(looks) // 2, None)
    read = Ridge(10.0).fit(pictures[learned], looks[learned])
    return Verifier(read, np.sqrt(((read.predict(pictures[tested]) - looks[tested]) ** 2).mean(0)))
