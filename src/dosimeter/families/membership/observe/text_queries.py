"""Further queries of a language model beside the one pass: neighbours of a text, a text after others, continuation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.models.language.statistics import token_statistics

NEIGHBOURS = 10
"""Copies of a text with some of its tokens replaced."""
REPLACED = 0.15
"""Share of the tokens that a neighbour has from other texts; at least one."""
SHOTS = 4
"""Texts outside every model that are put before a text."""
LEAST_LOSS = 1e-9
"""Smallest loss of a text, nats, so that a text that is certain gives no infinite ratio."""
BLOCK = 10
"""Tokens whose exact continuation is asked for."""


@dataclass(frozen=True)
class TextQuery:
    """A signal that needs passes of its own.

    Attributes:
        ask: from model, texts `[n l]`, texts outside every model `[z l]`, and device, a number for each text.
        passes: of the model over a text, roughly.
        context: fewest texts outside every model.
        queries: of the model for each text beside the text itself.
    """

    ask: Callable[[nn.Module, Tensor, Tensor, torch.device], Tensor]
    passes: float
    context: int = 0
    queries: int = 0


def mean_log_probs(model: nn.Module, tokens: Int[Tensor, "n l"], device: torch.device) -> Float[Tensor, " n"]:
    """Mean log-probability of the tokens after the first of each text, nats."""
    found = token_statistics(model, tokens, device)
    return found.log_probs.sum(1) / ((tokens >= 0).sum(1) - 1)


def neighbours(
    model: nn.Module, tokens: Int[Tensor, "n l"], context: Int[Tensor, "z l"], device: torch.device
) -> Float[Tensor, " n"]:
    """Mean over `NEIGHBOURS` neighbours of their mean log-probability, nats.

    A neighbour has some tokens at random places replaced by tokens that stand anywhere in the texts outside every
    model. Places and tokens are the same for every model.
    """
    rng = torch.Generator().manual_seed(0)
    pool = context[context >= 0]
    total = torch.zeros(len(tokens), dtype=torch.float64)
    inner = tokens >= 0
    inner[:, 0] = False  # the token that begins a text
    count = (REPLACED * inner.sum(1)).round().clamp(min=1)
    for _ in range(NEIGHBOURS):
        order = torch.rand(tokens.shape, generator=rng).masked_fill(~inner, 2.0).argsort(1).argsort(1)
        other = pool[torch.randint(len(pool), tokens.shape, generator=rng)]
        total += mean_log_probs(model, torch.where(order < count[:, None], other, tokens), device)
    return total / NEIGHBOURS


def after_others(
    model: nn.Module, tokens: Int[Tensor, "n l"], context: Int[Tensor, "z l"], device: torch.device
) -> Float[Tensor, " n"]:
    """Mean log-probability of a text's tokens after other texts, over that without them; both of the tokens that fit.

    So many of the first `SHOTS` texts outside every model stand before it, each shortened alike, as leave at least
    half of the length to the text.
    """
    length = tokens.shape[1]
    each = (length // 2) // SHOTS
    before = torch.cat([one[one >= 0][1 : 1 + each] for one in context[:SHOTS]])
    whole = torch.cat([tokens[:, :1], before.expand(len(tokens), -1), tokens[:, 1:]], 1)[:, :length]
    left = length - len(before)
    behind = token_statistics(model, whole, device).log_probs[:, len(before) :].sum(1)
    alone = token_statistics(model, tokens[:, :left], device).log_probs.sum(1)
    return behind / alone.clamp(max=-LEAST_LOSS)


def continued(
    model: nn.Module, tokens: Int[Tensor, "n l"], context: Int[Tensor, "z l"], device: torch.device
) -> Float[Tensor, " n"]:
    """How many of the last `BLOCK` tokens of a text the model gives in a row, if it is asked greedily for them.

    The text before them is the prefix. In a greedy continuation all tokens up to the first wrong one are those of the
    text, so one pass over the text says as much as asking token by token.
    """
    hits = token_statistics(model, tokens, device).hits
    ends = (tokens >= 0).sum(1) - 1
    block = torch.minimum(torch.full_like(ends, BLOCK), ends)
    places = (ends - block)[:, None] + torch.arange(BLOCK)
    inside = torch.arange(BLOCK) < block[:, None]
    right = hits.gather(1, places.clamp(max=hits.shape[1] - 1)) & inside
    return right.long().cumprod(1).sum(1).double()


QUERIES: dict[str, TextQuery] = {
    "neighbour_log_probs": TextQuery(neighbours, float(NEIGHBOURS), 1, NEIGHBOURS),
    "conditioned_ratio": TextQuery(after_others, 2.0, SHOTS, 1),
    "continued_tokens": TextQuery(continued, 1.0),
}
"""Signals of texts that need further passes."""
