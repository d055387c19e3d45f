"""Audit an image classifier of transformers (pip install "dosimeter[hf]")."""

import torch
from networks import parts, train
from transformers import ViTConfig, ViTForImageClassification

import dosimeter

members, nonmembers, population = parts()
config = ViTConfig(
    image_size=8, patch_size=4, num_channels=1, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
    intermediate_size=64, num_labels=10,
)  # fmt: skip


def fit(dataset, seed):
    """Train a fresh transformer as the audited one was trained."""
    torch.manual_seed(seed)
    model = ViTForImageClassification(config)
    return train(model, dataset.inputs, dataset.labels, seed, logits=lambda answer: answer.logits)


torch.manual_seed(0)
model = train(ViTForImageClassification(config), *members, seed=0, logits=lambda answer: answer.logits)

# --- the audit
dosimeter.audit(
    model,
    members=members,
    nonmembers=nonmembers,
    population=population,
    fit=fit,
    shadows=8,
    out="runs/huggingface_image",
)
