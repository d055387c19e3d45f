"""Audit a text classifier of transformers; records are token numbers (pip install "dosimeter[hf]")."""

import torch
from networks import parts, train
from transformers import DistilBertConfig, DistilBertForSequenceClassification

import dosimeter

members, nonmembers, population = parts(tokens=True)
config = DistilBertConfig(
    vocab_size=18,
    max_position_embeddings=16,
    dim=32,
    n_layers=1,
    n_heads=2,
    hidden_dim=64,
    initializer_range=0.2,
    num_labels=10,
)


def fit(dataset, seed):
    """Train a fresh transformer as the audited one was trained."""
    torch.manual_seed(seed)
    model = DistilBertForSequenceClassification(config)
    return train(model, dataset.inputs, dataset.labels, seed, epochs=15, logits=lambda answer: answer.logits)


torch.manual_seed(0)
model = DistilBertForSequenceClassification(config)
model = train(model, *members, seed=0, epochs=15, logits=lambda answer: answer.logits)

# --- the audit
dosimeter.audit(
    model,
    members=members,
    nonmembers=nonmembers,
    population=population,
    fit=fit,
    shadows=8,
    out="runs/huggingface_text",
)
