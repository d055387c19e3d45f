"""Your own parts of an audit. Each is used where audit.toml names it, as "recipe:model" and so on."""

import torch
from sklearn.datasets import load_digits
from torch import nn


def data(seed):
    """Return the records: inputs (float32, or uint8 images) and labels."""
    digits = load_digits()
    return (digits.images[:, None] / 16).astype("float32"), digits.target


def model(shape, classes):
    """Build a fresh model that returns one logit per class. `backbone` and `head` are needed for transfer only."""
    size = torch.Size(shape).numel()
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, classes))


def fit(model, dataset, seed):
    """Train `model` (fresh, or a copy of the parent stage) on `dataset` (tensors `inputs`, `labels`) and return it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    order = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(30):
        for rows in torch.randperm(len(dataset), generator=order).split(32):
            inputs, labels = dataset[rows]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
    return model.eval()
