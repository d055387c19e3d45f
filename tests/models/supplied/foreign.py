"""Networks as others write them: what they return and take differs, and none says where its head is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

CLASSES = 4


def numbers(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Features behind dropout and batch normalisation; `answer` makes what is returned."""

    def __init__(self, width=6, classes=CLASSES, answer=lambda hidden, logits: logits):
        super().__init__()
        torch.manual_seed(width)
        self.body = nn.Sequential(nn.Linear(width, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5))
        self.out = nn.Linear(16, classes)
        self.answer = answer

    def forward(self, x):
        hidden = self.body(x)
        return self.answer(hidden, self.out(hidden))


@dataclass
class Answer:
    hidden: torch.Tensor
    scores: torch.Tensor


class Shared(nn.Module):
    """One layer runs twice."""

    def __init__(self):
        super().__init__()
        self.inner, self.first, self.out = nn.Linear(8, 8), nn.Linear(6, 8), nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.out(self.inner(self.inner(self.first(x)).relu()).relu())


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.out = nn.EmbeddingBag(50, 8), nn.Linear(8, CLASSES)

    def forward(self, tokens):
        return self.out(self.bag(tokens))


def warmed(model, x):
    """The network after one batch in training, so that its normalisation has statistics; in training mode."""
    torch.manual_seed(1)
    with torch.no_grad():
        model.train()(x)
    return model, x


X = numbers(9, 6)
NETWORKS = {
    "plain": lambda: warmed(Net(), X),
    "dict": lambda: warmed(Net(answer=lambda hidden, logits: {"hidden": hidden, "logits": logits}), X),
    "tuple": lambda: warmed(Net(answer=lambda hidden, logits: (hidden, logits)), X),
    "dataclass": lambda: warmed(Net(answer=Answer), X),
    "weight sharing": lambda: (Shared(), X),
    "whole numbers": lambda: (Tokens(), (numbers(9, 5) * 50).long()),
    "float16": lambda: (Net().eval().half(), X.half()),
    "bfloat16": lambda: (Net().eval().bfloat16(), X.bfloat16()),
    "float64": lambda: (Net().eval().double(), X.double()),
}
