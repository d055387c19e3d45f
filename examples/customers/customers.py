"""Data, model and training of one audit. The customers are made up: no real person is in them."""

import numpy as np
import torch
from torch import nn

from dosimeter.data import Dataset

SEGMENTS = ("saver", "borrower", "trader", "dormant")


def data(seed):
    """Return 800 customers with 24 features; a tenth of the segments is wrong, as in any hand-labelled table."""
    rng = np.random.default_rng(seed)
    segment = rng.integers(0, len(SEGMENTS), 800)
    centres = rng.normal(size=(len(SEGMENTS), 24))
    features = centres[segment] + 1.5 * rng.normal(size=(800, 24))
    wrong = rng.random(800) < 0.1
    segment[wrong] = rng.integers(0, len(SEGMENTS), wrong.sum())
    return Dataset(
        inputs=features.astype("float32"),
        labels=segment.astype("int64"),
        classes=SEGMENTS,
        ids=np.array([f"customer-{i:03d}" for i in range(800)]),
        noun="customer",
    )


def model(shape, classes, width=64):
    """Build a fresh network. `shape` is that of one record, here (24,)."""
    return nn.Sequential(nn.Linear(shape[0], width), nn.ReLU(), nn.Linear(width, classes))


def fit(model, dataset, seed):
    """Train `model` on `dataset` and return it. Targets and shadows all go through here, each with its own seed."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    order = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(30):
        for rows in torch.randperm(len(dataset), generator=order).split(32):
            inputs, labels = dataset[rows]
            loss = nn.functional.cross_entropy(model(inputs), labels, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()
