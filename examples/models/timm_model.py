"""Audit an architecture of timm (pip install "dosimeter[timm]")."""

import timm
import torch
from networks import parts, train

import dosimeter

members, nonmembers, population = parts()


def fit(dataset, seed):
    """Train a fresh network as the audited one was trained."""
    torch.manual_seed(seed)
    model = timm.create_model("resnet10t", num_classes=10, in_chans=1)
    return train(model, dataset.inputs, dataset.labels, seed, epochs=3)


torch.manual_seed(0)
model = train(timm.create_model("resnet10t", num_classes=10, in_chans=1), *members, seed=0, epochs=3)

# --- the audit
dosimeter.audit(model, members=members, nonmembers=nonmembers, population=population, fit=fit, out="runs/timm_model")
