"""What the examples share: digits, three disjoint parts of them, a small network, and its training."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn


def parts(tokens=False):
    """Return members, non-members and population, each (inputs, labels); images `[n 1 8 8]`, or 16 tokens each."""
    pixels, labels = load_digits(return_X_y=True)
    inputs = (pixels / 16).astype("float32").reshape(-1, 1, 8, 8)
    if tokens:  # one word, from 1 to 17, for the mean of each square of four pixels
        inputs = (1 + 16 * inputs.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)).round().astype("int64")
    order = np.random.default_rng(0).permutation(len(labels))
    return [(inputs[rows], labels[rows]) for rows in (order[:600], order[600:1200], order[1200:])]


def build(shape, classes, width=64):
    """Build a fresh network with two layers."""
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), width), nn.ReLU(), nn.Linear(width, classes))


def train(model, inputs, labels, seed, epochs=20, logits=lambda answer: answer):
    """Train any network and return it; `logits` takes them out of what the network returns."""
    inputs, labels = torch.as_tensor(inputs), torch.as_tensor(labels)
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(labels), generator=order).split(64):
            loss = nn.functional.cross_entropy(logits(model(inputs[rows])), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def fit(dataset, seed):
    """Train a fresh network on `dataset`: what a shadow is, and what the audited model was."""
    torch.manual_seed(seed)
    return train(build((1, 8, 8), 10), dataset.inputs, dataset.labels, seed)
