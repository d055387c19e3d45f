"""Records on which networks of `inversion_characters.py` are pretrained, grey and 28 pixels a side.

Functions of an audit file, `data = "inversion_data:photos"`.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from dosimeter.data import Dataset
from dosimeter.data.reference import load

SIDE = 28
RECORDS = 4000


def _ids() -> np.ndarray:
    """Ids of the records."""
    return np.arange(RECORDS).astype(str)


def _grey(pictures: np.ndarray) -> np.ndarray:
    """Colour pictures `[n 3 h w]` of bytes as grey ones `[n 1 28 28]`."""
    images = [Image.fromarray(np.moveaxis(one, 0, -1)).convert("L") for one in pictures]
    return np.stack([np.asarray(one.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for one in images])[:, None]


def photos(seed: int) -> Dataset:
    """Some photos of CIFAR-10, in grey."""
    found = load("cifar10", rows=f"0:{RECORDS}")
    return Dataset(
        inputs=_grey(found.inputs), labels=found.labels, classes=found.classes, noun="photo", name="photos", ids=_ids()
    )


def textures(seed: int) -> Dataset:
    """Gratings of ten directions and of random width and phase, under noise."""
    rng = np.random.default_rng([seed, 7])
    labels = np.arange(RECORDS) % 10
    angle, phase = labels * np.pi / 10, rng.uniform(0, 2 * np.pi, RECORDS)
    pitch = rng.uniform(3, 9, RECORDS)
    y, x = np.mgrid[:SIDE, :SIDE]
    along = x * np.cos(angle)[:, None, None] + y * np.sin(angle)[:, None, None]
    waves = np.sin(2 * np.pi * along / pitch[:, None, None] + phase[:, None, None])
    noisy = 128 + 80 * waves + rng.normal(0, 40, waves.shape)
    inputs = np.clip(noisy, 0, 255).astype(np.uint8)[:, None]
    return Dataset(
        inputs=inputs, labels=labels, classes=tuple(f"direction {one}" for one in range(10)), noun="texture",
        name="textures", ids=_ids(),
    )  # fmt: skip
