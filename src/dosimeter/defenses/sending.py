"""What a device sends over the cut of a model; all features that an adversary sees go through here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation.errors import AuditError, TrainingError
from dosimeter.foundation.keys.package_code import class_code, package_code
from dosimeter.foundation.wording import describe
from dosimeter.training.recipe import Release


def send(
    features: Float[Tensor, "n ..."],
    releases: Sequence[Release],
    rng: np.random.Generator,
    batch: int = 256,
    repeats: int = 1,
) -> Float[Tensor, "n ..."]:
    """Features as they are sent, behind the defenses of the cut; as they are if there are none.

    Args:
        features: what the first half makes of records.
        releases: applied in order.
        rng: from which the defenses draw, anew for each record.
        batch: records that are sent together.
        repeats: how often each record is sent; who sees all of it takes the mean, which is returned.

    Raises:
        TrainingError: a defense raised, or gave no finite numbers of the same shape.
    """
    if repeats > 1 and releases:
        total = torch.zeros_like(features, dtype=torch.float64)
        for _ in range(repeats):
            total += send(features, releases, rng, batch)
        return (total / repeats).to(features.dtype)
    for one in releases:
        features = torch.cat([_sent(one, some, rng) for some in torch.split(features, batch)])
    return features


def describe_release(release: Release) -> dict[str, Any]:
    """Part of a key about a defense of the cut: its settings and its code."""
    code = [class_code(type(release)), package_code(__name__)]
    return {"defense": type(release).__name__, "code": code, **asdict(release)}  # type: ignore[call-overload]


def _sent(release: Release, features: Tensor, rng: np.random.Generator) -> Tensor:
    """What one defense sends, checked."""
    name = type(release).__name__
    try:
        sent = release.send(features, rng)
    except (AuditError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise TrainingError(f"defense {name}: `send` raised {describe(error)}: correct it") from error
    alike = isinstance(sent, Tensor) and (sent.shape, sent.dtype) == (features.shape, features.dtype)
    if not alike or not bool(sent.isfinite().all()):
        got = f"{sent.dtype} {tuple(sent.shape)}" if isinstance(sent, Tensor) else type(sent).__name__
        raise TrainingError(
            f"defense {name}: `send` must give finite features as it got them, {features.dtype} "
            f"{tuple(features.shape)}, got {got}{' that are not finite' if alike else ''}: correct it"
        )
    return sent
