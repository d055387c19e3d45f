"""Audit an architecture of timm (pip install "dosimeter[timm]")."""

import timm
import torch
from networks import parts, train

import dosimeter

members, nonmembers, population = parts()


def build():
    """Build a fresh network for images of 8 x 8 pixels."""
    return timm.create_model("test_resnet", num_classes=10, in_chans=1, output_stride=8)


def fit(dataset, seed):
    """Train a fresh network as the audited one was trained."""
    torch.manual_seed(seed)
    return train(build(), dataset.inputs, dataset.labels, seed, epochs=6)


torch.manual_seed(0)
model = train(build(), *members, seed=0, epochs=6)

# --- the audit
dosimeter.audit(
    model, members=members, nonmembers=nonmembers, population=population, fit=fit, shadows=8, out="runs/timm_model"
)
