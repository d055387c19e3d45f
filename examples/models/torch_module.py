"""Audit a PyTorch module."""

import torch
from networks import build, parts, train

import dosimeter

members, nonmembers, population = parts()


def fit(dataset, seed):
    """Train a fresh model as the audited one was trained."""
    torch.manual_seed(seed)
    return train(build((1, 8, 8), 10), dataset.inputs, dataset.labels, seed)


torch.manual_seed(0)
model = train(build((1, 8, 8), 10), *members, seed=0)

# --- the audit
dosimeter.audit(model, members=members, nonmembers=nonmembers, population=population, fit=fit, out="runs/torch_module")
