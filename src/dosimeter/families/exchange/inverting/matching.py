"""Records whose gradient is the one that was seen: by L-BFGS on the squared distance, or by Adam on the angle.

Axes: `b` records of a batch, `c` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.families.exchange.inverting.labels import inferred_labels
from dosimeter.families.exchange.inverting.observed import Inverted, Observed

DECAYS = (3 / 8, 5 / 8, 7 / 8)
"""Shares of the steps after which the rate of Adam falls to a tenth."""


@dataclass(frozen=True)
class Newton:
    """Search by L-BFGS.

    Attributes:
        rounds: calls of the optimiser.
        steps: of each call.
        attempts: starts at most; another one is made while the distance is not `enough`.
        enough: distance of gradients at which a guess is taken for exact, a share of the squared length.
    """

    rounds: int = 15
    steps: int = 20
    attempts: int = 3
    enough: float = 1e-6

    def __post_init__(self) -> None:
        _positive(self, "rounds", "steps", "attempts", "enough")


@dataclass(frozen=True)
class Signs:
    """Search by Adam.

    Attributes:
        steps: of Adam.
        lr: its rate, falling to a tenth after 3, 5 and 7 eighths of the steps.
        variation: weight of the total variation of pictures.
        signed: follow the signs of the gradient, not the gradient.
        attempts: starts.
    """

    steps: int = 400
    lr: float = 0.1
    variation: float = 1e-4
    signed: bool = True
    attempts: int = 1

    def __post_init__(self) -> None:
        _positive(self, "steps", "lr", "attempts")
        if not self.variation >= 0:
            raise ValueError(f"variation must be 0 or more, got {self.variation}")


def dlg(seen: Observed, rng: np.random.Generator, search: Newton | None = None) -> Inverted:
    """Seeks records and probabilities of classes together, with the squared distance of gradients.

    Zhu, Liu, Han, "Deep Leakage from Gradients", NeurIPS 2019, https://arxiv.org/abs/1906.08935, algorithm 1. Records
    and logits start from a normal law. Without a head, the loss's gradient by the features takes the place of the
    classes: nothing of the owner's private layer is needed.

    Args:
        seen: what the adversary has.
        rng: generator of the starts, drawn on the CPU.
        search: settings.

    Returns:
        The attempt with the least distance of gradients; the truth chooses nothing.
    """
    return _newton(seen, rng, None, search or Newton())


def idlg(
    seen: Observed, rng: np.random.Generator, labels: Int[Tensor, " b"] | None = None, search: Newton | None = None
) -> Inverted:
    """Seeks records alone, with the squared distance of gradients; classes are known, or inferred first.

    Zhao, Mopuri, Bilen, "iDLG: Improved Deep Leakage from Gradients", 2020, https://arxiv.org/abs/2001.02610.

    Args:
        seen: what the adversary has.
        rng: generator of the starts, drawn on the CPU.
        labels: classes of the batch in any order; inferred from the gradient of the head's bias by default.
        search: settings.
    """
    return _newton(seen, rng, inferred_labels(seen, rng) if labels is None else labels, search or Newton())


def inverting_gradients(
    seen: Observed, rng: np.random.Generator, labels: Int[Tensor, " b"] | None = None, search: Signs | None = None
) -> Inverted:
    """Seeks records with the angle between gradients, a penalty on the variation of pictures, and Adam on signs.

    Geiping, Bauermeister, Dröge, Moeller, "Inverting Gradients", NeurIPS 2020, https://arxiv.org/abs/2003.14053,
    equation 4. Guesses stay in the box.

    Args:
        seen: what the adversary has.
        rng: generator of the starts, drawn on the CPU.
        labels: classes of the batch in any order; inferred from the gradient of the head's bias by default.
        search: settings.

    Returns:
        The attempt with the least angle.
    """
    own, chosen = search or Signs(), inferred_labels(seen, rng) if labels is None else labels
    _knows(seen, chosen)
    made = [_by_signs(seen, rng, chosen, own) for _ in range(own.attempts)]
    return _best(seen, made, chosen)


def variation(records: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """Total variation of pictures: the mean absolute difference of neighbouring pixels, down and across.

    >>> float(variation(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])))
    1.0
    """
    found = torch.zeros((), device=records.device)
    for along in (2, 3):
        if records.ndim == 4 and records.shape[along] > 1:
            found = found + records.diff(dim=along).abs().mean()
    return found


def drawn(seen: Observed, rng: np.random.Generator, *shape: int) -> Tensor:
    """Normal numbers, drawn on the CPU and so the same on every device."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(seen.device)


def _newton(seen: Observed, rng: np.random.Generator, labels: Tensor | None, search: Newton) -> Inverted:
    """Attempts of L-BFGS, until one is exact or all are made."""
    if labels is not None:
        _knows(seen, labels)
    made: list[tuple[Tensor, Tensor | None, float]] = []
    while len(made) < search.attempts and not any(distance <= search.enough for *_, distance in made):
        made.append(_attempt(seen, rng, labels, search))
    return _best(seen, [(records, distance) for records, _, distance in made], labels, [two for _, two, _ in made])


def _attempt(
    seen: Observed, rng: np.random.Generator, labels: Tensor | None, search: Newton
) -> tuple[Tensor, Tensor | None, float]:
    """One start of L-BFGS: the records and the sought second part of the best round, and its distance."""
    records = drawn(seen, rng, seen.size, *seen.shape).requires_grad_(True)
    second, reading = _second(seen, rng, records, labels)
    own = [records, *([second] if second is not None else [])]
    # No line search, as the authors: with ReLUs the slope jumps, and strong Wolfe conditions stop far from the end.
    optimiser = torch.optim.LBFGS(own, max_iter=search.steps, tolerance_grad=1e-14, tolerance_change=1e-16)

    def loss() -> Tensor:
        found = seen.distance(seen.of(records, reading(), graph=True))
        for one, slope in zip(own, torch.autograd.grad(found, own), strict=True):
            one.grad = slope
        return found.detach()

    best: tuple[Tensor, Tensor | None, float] = (records.detach().clone(), _copy(second), float("inf"))
    for _ in range(search.rounds):
        optimiser.step(loss)  # type: ignore[no-untyped-call]
        distance = float(seen.distance(seen.of(records, reading())).detach())
        if not np.isfinite(distance):
            break
        if distance < best[2]:
            best = (records.detach().clone(), _copy(second), distance)
    return best


def _second(
    seen: Observed, rng: np.random.Generator, records: Tensor, labels: Tensor | None
) -> tuple[Tensor | None, Callable[[], Tensor]]:
    """What is sought beside the records, and how it is read: classes are known, or logits, or errors of features."""
    if labels is not None:
        return None, lambda: labels
    if seen.head is not None:
        logits = drawn(seen, rng, seen.size, seen.classes).requires_grad_(True)
        return logits, lambda: logits.softmax(1)
    with torch.no_grad():
        width = seen.trunk(records).shape[1]
    errors = drawn(seen, rng, seen.size, width)
    length = float(torch.stack([one.pow(2).sum() for one in seen.of(records, errors)]).sum().sqrt())
    errors = (errors * (seen.scale**0.5 / max(length, 1e-30))).requires_grad_(True)  # as long a gradient as was seen
    return errors, lambda: errors


def _by_signs(seen: Observed, rng: np.random.Generator, labels: Tensor, search: Signs) -> tuple[Tensor, float]:
    """One start of Adam: the records of the last step, and the angle of their gradient."""
    records = drawn(seen, rng, seen.size, *seen.shape).requires_grad_(True)
    optimiser = torch.optim.Adam([records], lr=search.lr)
    falls = torch.optim.lr_scheduler.MultiStepLR(optimiser, [int(search.steps * share) for share in DECAYS])
    for _ in range(search.steps):
        loss = seen.angle(seen.of(records, labels, graph=True))
        if search.variation:
            loss = loss + search.variation * variation(records)
        (slope,) = torch.autograd.grad(loss, records)
        records.grad = slope.sign() if search.signed else slope
        optimiser.step()
        falls.step()
        if seen.box is not None:
            with torch.no_grad():
                records.clamp_(*seen.box)
    return records.detach(), float(seen.angle(seen.of(records, labels)).detach())


def _best(
    seen: Observed,
    made: list[tuple[Tensor, float]],
    labels: Tensor | None,
    seconds: list[Tensor | None] | None = None,
) -> Inverted:
    """The attempt whose gradient is nearest."""
    distances = tuple(distance for _, distance in made)
    place = int(np.nanargmin([np.inf if np.isnan(one) else one for one in distances]))
    records, second = made[place][0], None if seconds is None else seconds[place]
    if labels is None:
        blank = torch.full((seen.size,), -1, device=seen.device)
        labels = blank if seen.head is None or second is None else second.argmax(1)
    return Inverted(records if seen.box is None else records.clamp(*seen.box), labels, distances[place], distances)


def _knows(seen: Observed, labels: Tensor) -> None:
    """Refuses known classes where no head reads them, and classes that do not fit."""
    if seen.head is None:
        raise ValueError("classes need a head that reads them, got none: use dlg, which seeks errors of features")
    if labels.shape != (seen.size,) or int(labels.min()) < 0 or int(labels.max()) >= seen.classes:
        raise ValueError(f"labels must be {seen.size} classes below {seen.classes}, got {labels.tolist()}")


def _copy(second: Tensor | None) -> Tensor | None:
    """What a round has found, apart from what the next one changes."""
    return None if second is None else second.detach().clone()


def _positive(search: object, *names: str) -> None:
    """Refuses settings that are not positive."""
    for name in names:
        if not getattr(search, name) > 0:
            raise ValueError(f"{name} must be positive, got {getattr(search, name)}")
