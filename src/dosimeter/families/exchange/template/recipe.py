"""Data and model of this audit. `audit.toml` names them as "recipe:digits" and "recipe:model"; put your own here."""

import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from dosimeter.data import Dataset


def digits(seed):
    """Handwritten digits with a private attribute: a stroke that is thicker than usual for the digit, or thinner."""
    pixels, labels = load_digits(return_X_y=True)
    mixed = np.random.default_rng(0).permutation(len(labels))  # the file has one writer after another
    pixels, labels = pixels[mixed], labels[mixed]
    ink = pixels.sum(1)
    usual = np.array([np.median(ink[labels == digit]) for digit in range(10)])
    return Dataset(
        inputs=(pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8),
        labels=labels.astype(np.int64),
        classes=tuple("0123456789"),
        ids=np.array([f"{row:04d}" for row in range(len(labels))]),
        noun="digit",
        attributes={"stroke": np.where(ink > usual[labels], "thick", "thin")},
        part=True,
    )


def model(shape, classes):
    """Layers that the parties share, and a last one that each has for itself."""
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 32), nn.ReLU(), nn.Linear(32, classes))
