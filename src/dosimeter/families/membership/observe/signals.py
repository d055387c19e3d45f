"""Numbers that are kept of a model's answer, each with the least access from which an adversary can compute it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.families.membership.game import BEFORE_TRANSFER
from dosimeter.families.membership.observe.probes import PROBES
from dosimeter.families.membership.observe.saturation import SATURATED
from dosimeter.models.access import Access


def logit_confidence(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """φ = z_y − logsumexp over the other classes, nats, float64: log p_y − log(1 − p_y) without saturation.

    Carlini et al. 2022 (arXiv:2112.03570), section IV-C.

    Args:
        logits: any precision; log-probabilities do as well.
        labels: true classes.
    """
    z = logits.double()
    own = z.gather(1, labels[:, None])
    others = z.scatter(1, labels[:, None], -torch.inf)
    return (own[:, 0] - torch.logsumexp(others, 1)).contiguous()


def logit_confidence_t2(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """φ at temperature 2, which RMIA reads (Zarifzadeh et al. 2024, arXiv:2312.03262)."""
    return logit_confidence(logits.double() / 2, labels)


LEAST = -104.0
"""Logarithm that stands for a probability of 0, nats; it is below that of every other float32 probability."""
TOP = 3
"""Number of classes whose probabilities a model with access `topk` gives."""


def correctness(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """1 where the highest class is the true one, else 0."""
    return (logits.argmax(1) == labels).double()


def entropy(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """−Σ p_c log p_c, nats; 0 log 0 is 0. `labels` are not read."""
    logs = _log_probabilities(logits)[0]
    return -_weight(logs.exp(), logs).sum(1)


def modified_entropy(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """−(1 − p_y) log p_y − Σ_{c≠y} p_c log(1 − p_c), nats: Song and Mittal 2021 (arXiv:2003.10595), equation 8."""
    logs, highest, left = _log_probabilities(logits)
    rest = torch.log1p(-logs.scatter(1, highest, -torch.inf).exp()).scatter(1, highest, left)
    own = labels[:, None]
    terms = _weight(logs.exp(), rest).scatter(1, own, _weight(rest.gather(1, own).exp(), logs.gather(1, own)))
    return -terms.sum(1)


def hinge(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """z_y − max over the other classes, nats, which quantile regression reads (Bertran et al. 2023)."""
    z = logits.double()
    return z.gather(1, labels[:, None])[:, 0] - z.scatter(1, labels[:, None], -torch.inf).amax(1)


def scaled_confidences(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, "n c"]:
    """Logit of the probability of every class c, log p_c − log(1 − p_c), nats; `labels` are not read.

    Abascal et al. 2024 (arXiv:2306.01181), as their code scales predictions, here without its floor of 1e-15.
    """
    logs, highest, left = _log_probabilities(logits)
    rest = torch.log1p(-logs.scatter(1, highest, -torch.inf).exp()).scatter(1, highest, left)
    return (logs - rest).clamp(LEAST, -LEAST)


def scaled_top(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, "n c"]:
    """Scaled confidences of the `TOP` highest probabilities; the other classes share the rest equally."""
    return scaled_confidences(release(logits, Access.TOPK), labels)


def predicted_class(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, "n c"]:
    """1 for the class of the highest logit, 0 for the others; `labels` are not read."""
    return torch.zeros_like(logits, dtype=torch.float64).scatter(1, logits.argmax(1, keepdim=True), 1.0)


def raw_logits(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, "n c"]:
    """The answer itself, nats, float64; `labels` are not read. Few-shot attacks as released read it (2503.09365)."""
    return logits.double()


def top(rank: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The signal "logarithm of the probability of rank 1, 2, ..."; `LEAST` if there are fewer classes."""

    def logarithm(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        logs = _log_probabilities(logits)[0]
        if rank > logs.shape[1]:
            return torch.full((len(logs),), LEAST, dtype=torch.float64)
        return logs.topk(rank, 1).values[:, -1].contiguous()

    return logarithm


def _log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities, the highest class, and the log of one minus its probability; both exact near 1."""
    logs = torch.log_softmax(logits.double(), 1)
    highest = logs.argmax(1, keepdim=True)
    left = torch.logsumexp(logs.scatter(1, highest, -torch.inf), 1, keepdim=True)
    return logs.scatter(1, highest, torch.log1p(-left.exp())), highest, left


def _weight(weight: Tensor, value: Tensor) -> Tensor:
    """The product of both, 0 where the weight is 0, even if the value is infinite."""
    return torch.where(weight == 0, 0.0, weight * value)


@dataclass(frozen=True)
class Signal:
    """A number that `observe` can keep of a model's output on a record.

    Attributes:
        compute: from logits or log-probabilities, of which some may be −inf, and labels; never NaN.
        access: the least access from which it can be computed.
        low: the least value that float32 probabilities can show, nats; lower ones are cut.
        high: the same, of the greatest value.
        labels: whether the record's true class is read, which must be one of the deployed model's.
    """

    compute: Callable[[Tensor, Tensor], Tensor]
    access: Access = Access.PROBS
    low: float = LEAST
    high: float = SATURATED
    labels: bool = True


SIGNALS: dict[str, Signal] = {
    "logit_confidence": Signal(logit_confidence),
    "logit_confidence_t2": Signal(logit_confidence_t2),
    "correctness": Signal(correctness, Access.LABELS),
    "entropy": Signal(entropy, labels=False),
    "modified_entropy": Signal(modified_entropy, low=0.0, high=-2 * LEAST),
    "top1": Signal(top(1), Access.TOPK, high=0.0, labels=False),
    "top2": Signal(top(2), Access.TOPK, high=0.0, labels=False),
    "top3": Signal(top(3), Access.TOPK, high=0.0, labels=False),
    "hinge": Signal(hinge, high=-LEAST),
    "scaled_confidences": Signal(scaled_confidences, labels=False),
    "scaled_top": Signal(scaled_top, Access.TOPK, labels=False),
    "predicted_class": Signal(predicted_class, Access.LABELS, low=0.0, high=1.0, labels=False),
    "logits": Signal(raw_logits, Access.LOGITS, high=-LEAST, labels=False),
}
"""Signals that `observe` can keep of a model's outputs; the last four have a number for each class."""
TEXT_SIGNALS: dict[str, Access] = {
    "token_log_probs": Access.PROBS,
    "token_means": Access.PROBS,
    "token_deviations": Access.PROBS,
    "token_hits": Access.LABELS,
    "neighbour_log_probs": Access.PROBS,
    "conditioned_ratio": Access.PROBS,
    "continued_tokens": Access.LABELS,
}
"""Signals that only a language model gives, each with the least access: of each token, or of further queries."""
OF_TEXTS = ("logit_confidence", "logit_confidence_t2", "correctness", "entropy")
"""Signals of `SIGNALS` that a text has too, from the geometric mean of its tokens' probabilities."""
OF_ALL_CLASSES = ("scaled_confidences", "scaled_top", "predicted_class")
"""Signals with a number for each class, which attacks on transferred models read."""
ACCESS: dict[str, Access] = {
    **{name: one.access for kind in (SIGNALS, PROBES) for name, one in kind.items()}, **TEXT_SIGNALS
}  # fmt: skip
"""The least access for every signal, of a model's outputs, of a probe or of a language model."""


def unlike_task(names: Iterable[str], *, language: bool) -> dict[str, str]:
    """Signals that a task does not give, each with the reason: of classes for texts, of texts for records.

    Args:
        names: of signals.
        language: whether the records are texts of a language model.
    """
    if not language:
        return {name: "reads the tokens of texts, which only task = 'language' has: leave it out"
                for name in names if name in TEXT_SIGNALS}  # fmt: skip
    known = (*TEXT_SIGNALS, *OF_TEXTS, BEFORE_TRANSFER)
    other = "reads classes or records in a form that texts of a language model do not have: leave it out"
    whole = (
        "reads all classes of an answer, which texts of a language model do not have: use lira, which reads their "
        "tokens, or tmi or discriminant with outputs = 'texts'"
    )
    return {name: whole if name in OF_ALL_CLASSES else other for name in names if name not in known}


def readable(names: Iterable[str], access: Access) -> tuple[str, ...]:
    """Names of the signals that this access gives; at least one, since controls need the shape of a game."""
    granted = access.includes
    found = tuple(name for name in names if name in ACCESS and ACCESS[name] in granted)
    return found or ("logit_confidence" if Access.PROBS in granted else "correctness",)


def release(logits: Tensor, access: Access) -> Tensor:
    """The model's outputs under this access, as log-values `[r c]`.

    Logits; or the logs of float32 probabilities, of which `topk` shows the highest and lets the other classes share
    what is left; or 0 for the predicted class and −inf for the others. Rounding to float32 is part of the release: a
    probability of exactly 1 hides how confident the model is.
    """
    granted = access.includes
    if Access.LOGITS in granted:
        return logits
    if Access.TOPK not in granted:
        return torch.full_like(logits, -torch.inf, dtype=torch.float64).scatter(1, logits.argmax(1, keepdim=True), 0.0)
    shown = torch.softmax(logits.float(), 1).double()
    hidden = shown.shape[1] - TOP
    if Access.PROBS not in granted and hidden > 0:
        highest, classes = shown.topk(TOP, 1)
        left = ((1 - highest.sum(1, keepdim=True)).clamp(min=0) / hidden).minimum(highest[:, -1:])
        shown = left.expand_as(shown).scatter(1, classes, highest)
    return shown.log()


def signals_of(
    answers: Sequence[Tensor], labels: Tensor, names: Sequence[str], access: Access, *, probabilities: bool = False
) -> dict[str, Tensor]:
    """Signals `[q r]` of one model under each view, as an adversary with this access can compute them.

    Args:
        answers: per view logits, or logs of probabilities `[r c]`.
        labels: true classes `[r]`.
        names: from `SIGNALS`, such as `readable` allows.
        access: what the model gives away.
        probabilities: the answers are logs of probabilities as the model rounded them.

    Raises:
        ValueError: a signal needs more access.
    """
    hidden = [name for name in names if SIGNALS[name].access not in access.includes]
    if hidden:
        raise ValueError(f"signals must be readable with access {access.name}, got {', '.join(hidden)}")
    as_given = probabilities and Access.PROBS in access.includes
    shown = answers if as_given else [release(one, access) for one in answers]
    found = {name: torch.stack([SIGNALS[name].compute(one, labels) for one in shown]) for name in names}
    if Access.LOGITS in access.includes and not probabilities:  # −∞ is a class that the model does not know
        return {name: torch.where(values == -torch.inf, SIGNALS[name].low, values) for name, values in found.items()}
    return {name: values.clamp(SIGNALS[name].low, SIGNALS[name].high) for name, values in found.items()}
