"""Slow twins of what is computed on texts: one text, one token at a time, in Python loops."""

from __future__ import annotations

import math
import zlib

import torch

WINDOWS = (2, 3, 4, 5, 8, 11, 15, 21, 29, 40)


def statistics(model, tokens):
    """For each token after the first of one text: log p, log p at temperature 2, mean, deviation, hit."""
    tokens = [one for one in tokens.tolist() if one >= 0]
    rows = []
    with torch.no_grad():
        for place in range(1, len(tokens)):
            logits = model(torch.tensor([tokens[:place]]))[0, -1].double()
            logs = torch.log_softmax(logits, 0).tolist()
            at_two = torch.log_softmax(logits / 2, 0)[tokens[place]].item()
            mean = sum(math.exp(one) * one for one in logs)
            variance = sum(math.exp(one) * (one - mean) ** 2 for one in logs)
            hit = max(range(len(logs)), key=logs.__getitem__) == tokens[place]
            rows.append((logs[tokens[place]], at_two, mean, math.sqrt(variance), hit))
    return rows


def loss(model, texts):
    """Mean over texts of the mean cross-entropy of their tokens."""
    each = [[row[0] for row in statistics(model, one)] for one in texts]
    return sum(-sum(one) / len(one) for one in each) / len(each)


def lowest(values, share):
    """Mean of the lowest share of some numbers."""
    kept = sorted(values)[: max(1, int(share * len(values)))]
    return sum(kept) / len(kept)


def ez(target, base, hits, floor=1e-3):
    """EZ-MIA of one text."""
    gains = [own - other for own, other, hit in zip(target, base, hits, strict=True) if not hit]
    raised, lowered = sum(one for one in gains if one > 0), -sum(one for one in gains if one < 0)
    return math.log(max(raised, floor)) - math.log(max(lowered, floor)) if gains else 50.0


def wbc(target, base, windows=WINDOWS):
    """WBC of one text."""
    gains = [own - other for own, other in zip(target, base, strict=True)]
    shares = []
    for window in windows:
        width = min(window, len(gains))
        sums = [sum(gains[start : start + width]) for start in range(len(gains) - width + 1)]
        shares.append(sum(one > 0 for one in sums) / len(sums))
    return sum(shares) / len(shares)


def ht(target, base, share=0.4):
    """HT-MIA of one text, as by default."""
    order = sorted(range(len(target)), key=target.__getitem__)[: max(1, int(share * len(target)))]
    return sum(math.exp(target[i]) - math.exp(base[i]) for i in order) / len(order)


def greedy(model, tokens, block):
    """How many of the last tokens of one text a model gives in a row, asked token by token."""
    tokens = [one for one in tokens.tolist() if one >= 0]
    start = max(1, len(tokens) - block)
    given = tokens[:start]
    with torch.no_grad():
        while len(given) < len(tokens):
            given.append(int(model(torch.tensor([given]))[0, -1].argmax()))
    right = [own == other for own, other in zip(given[start:], tokens[start:], strict=True)]
    return next((place for place, one in enumerate(right) if not one), len(right))


def compressed(text, length):
    """Bytes of the part of a text that fits, after zlib."""
    return len(zlib.compress(text.encode()[: length - 1]))
