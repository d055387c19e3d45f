"""One pass of a causal model over texts: all that attacks read of each token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError

MOST_LOGITS = 30_000_000
"""Most logits that are held at once, numbers; 120 MB in float32."""
MOST_TEXTS = 64
IN_CACHE = 2**16
"""Most logits of one step of the statistics, numbers: 256 kB, which stay in a core's cache from pass to pass."""


@dataclass(frozen=True)
class TokenStatistics:
    """What a model says of each token after the first of a text; 0 after the end.

    Attributes:
        log_probs: log of the token's probability given those before it, nats.
        log_probs_t2: the same at temperature 2.
        means: mean of log p over all tokens, under the model's own law, nats; minus its entropy.
        deviations: standard deviation of log p under the same law, nats.
        hits: whether it is the likeliest token there.
    """

    log_probs: Float[Tensor, "n k"]
    log_probs_t2: Float[Tensor, "n k"]
    means: Float[Tensor, "n k"]
    deviations: Float[Tensor, "n k"]
    hits: Bool[Tensor, "n k"]


def token_statistics(
    model: nn.Module, tokens: Int[Tensor, "n l"], device: torch.device, *, place: str = "model"
) -> TokenStatistics:
    """Runs a model once over texts, those of like length together.

    Args:
        model: tokens `[b l]` to logits `[b l v]`; left in evaluation mode on `device`.
        tokens: -1 after the end of each text.
        device: to compute on.
        place: start of messages.

    Returns:
        Statistics on the CPU, float64, `k = l - 1`.

    Raises:
        TrainingError: a logit of a token is not finite.
    """
    n, k = len(tokens), tokens.shape[1] - 1
    numbers = torch.zeros(n, k, 4, dtype=torch.float64)
    hits = torch.zeros(n, k, dtype=torch.bool)
    lengths = (tokens >= 0).sum(1)
    order = torch.argsort(lengths, stable=True)
    model = model.to(device).eval()
    start, at_once = 0, 1  # the first text alone says how many logits a token has
    with torch.inference_mode():
        while start < n:
            rows = order[start : start + at_once]
            own = tokens[rows][:, : int(lengths[rows[-1]])].to(device)
            logits = model(own).float()
            values, right = _of_batch(logits, own)
            if not bool(torch.isfinite(values).all()):
                raise TrainingError(
                    f"{place}: a model gave NaN or infinite logits: lower the learning rate, or correct a model of "
                    "your own"
                )
            numbers[rows, : own.shape[1] - 1] = values.to("cpu", torch.float64)
            hits[rows, : own.shape[1] - 1] = right.cpu()
            start += len(rows)
            at_once = max(1, min(MOST_TEXTS, MOST_LOGITS // (int(lengths[order[-1]]) * logits.shape[-1])))
    log_probs, log_probs_t2, means, deviations = (one.contiguous() for one in numbers.unbind(-1))
    return TokenStatistics(log_probs, log_probs_t2, means, deviations, hits)


def _of_batch(logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The four numbers of each token after the first `[b k 4]`, 0 after the end, and whether it is the likeliest."""
    following = tokens[:, 1:]
    there = following >= 0
    # the last place is dropped afterwards: to leave it out here would copy all others
    wanted = nn.functional.pad(following.clamp(min=0), (0, 1)).reshape(-1, 1)
    own = logits.reshape(-1, logits.shape[-1])
    rows = max(1, IN_CACHE // own.shape[1])
    parts = [_of_tokens(*one) for one in zip(torch.split(own, rows), torch.split(wanted, rows), strict=True)]
    found, hits = (torch.cat(one) for one in zip(*parts, strict=True))
    found, hits = found.reshape(*tokens.shape, 4)[:, :-1], hits.reshape(tokens.shape)[:, :-1]
    return found.where(there[..., None], 0.0), hits & there


def _of_tokens(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The four numbers of some tokens `[r 4]`, and whether each is the likeliest `[r]`.

    With z the logits less the highest and w = exp z, log p = z - log sum w, so that its mean and its deviation are
    those of z under w. At temperature 2 the weights are the roots of w. Numbers are not finite where a logit is not.
    """
    z = logits - logits.amax(-1, keepdim=True)
    own = z.gather(-1, wanted)[:, 0]
    weights = z.exp()
    total, halves = weights.sum(-1), weights.sqrt().sum(-1)
    weights.mul_(z)
    first, second = weights.sum(-1) / total, weights.mul_(z).sum(-1) / total
    log_total = total.log()
    deviations = (second - first.square()).clamp(min=0).sqrt()
    hits = own == 0
    # of several that are the likeliest the first counts; few tokens are, so few rows are looked at again
    hits[hits.clone()] = z[hits].argmax(-1) == wanted[hits, 0]
    return torch.stack([own - log_total, own / 2 - halves.log(), first - log_total, deviations], -1), hits
