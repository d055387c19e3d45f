"""Signals of a language model: of each token, of a text, and of texts that are asked further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dosimeter.families.membership.observe.signals import LEAST
from dosimeter.families.membership.observe.text_queries import QUERIES
from dosimeter.models.language.statistics import TokenStatistics, token_statistics

ONE_PASS = (
    "token_log_probs", "token_means", "token_deviations", "token_hits", "logit_confidence", "logit_confidence_t2",
    "entropy", "correctness",
)  # fmt: skip
"""Signals that one pass over the texts gives."""
TOP = -1e-9
"""Highest mean log-probability of a text, nats: its logit is 21."""


def text_signals(
    model: nn.Module, tokens: Int[Tensor, "n l"], names: Sequence[str], device: torch.device, *, place: str = "model",
    context: Int[Tensor, "z l"] | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """Signals of one model on texts, `[n]` or `[n l-1]`, float64; all but those of `QUERIES` are of one pass.

    Args:
        model: tokens `[b l]` to logits `[b l v]`.
        tokens: -1 after the end of each text.
        names: of the signals.
        device: to compute on.
        place: start of messages.
        context: texts outside every model, which some queries put before a text or take words from.

    Returns:
        The signals, and "correct" as `next_is_right` gives it.
    """
    found = token_statistics(model, tokens, device, place=place)
    values = of_texts(found, tokens)
    asked = {
        name: QUERIES[name].ask(model, tokens, tokens[:0] if context is None else context, device)
        for name in names
        if name in QUERIES
    }
    values["correct"] = next_is_right(found.hits, tokens)
    return {name: asked[name] if name in asked else values[name] for name in (*names, "correct")}


def of_texts(found: TokenStatistics, tokens: Int[Tensor, "n l"]) -> dict[str, Tensor]:
    """Signals that one pass gives. The probability of a text is the geometric mean of those of its tokens."""
    count = (tokens >= 0).sum(1) - 1

    def mean(values: Tensor) -> Tensor:
        return values.double().sum(1) / count

    return {
        "token_log_probs": found.log_probs,
        "token_means": found.means,
        "token_deviations": found.deviations,
        "token_hits": found.hits.double(),
        "logit_confidence": logit_of(mean(found.log_probs)),
        "logit_confidence_t2": logit_of(mean(found.log_probs_t2)),
        "entropy": -mean(found.means),
        "correctness": mean(found.hits),
    }


def logit_of(log_probs: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Log p - log(1 - p) of probabilities that are given by their logarithms, nats.

    >>> logit_of(torch.tensor([-0.6931471805599453], dtype=torch.float64)).abs().max().item() < 1e-12
    True
    """
    kept = log_probs.clamp(LEAST, TOP)
    return kept - torch.log(-torch.expm1(kept))


def next_is_right(hits: Bool[Tensor, "n k"], tokens: Int[Tensor, "n l"]) -> Bool[Tensor, " n"]:
    """Whether the likeliest token is the true one at one place of each text, which its content alone decides.

    So the mean over texts is the accuracy of the next token, with one independent answer for each text.
    """
    weights = torch.arange(1, tokens.shape[1] + 1, dtype=torch.int64) * 7919
    place = ((tokens + 1).long() * weights).sum(1) % ((tokens >= 0).sum(1) - 1)
    return hits.gather(1, place[:, None])[:, 0]


def entry_of(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Signals of one model as the entry of a supplied model or of its shadow holds them: `[q r]`, one view."""
    return {name: one.to(torch.uint8) if name == "correct" else one[None] for name, one in found.items()}


def stacked(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Signals of one model as an entry of a pack with one model and one view holds them."""
    return {name: values[None] if name == "correct" else values[None, None] for name, values in found.items()}
