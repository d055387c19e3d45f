"""What a device sends over the cut of a model; all features that an adversary sees go through here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation.errors import AuditError, TrainingError
from dosimeter.foundation.keys.package_code import class_code, package_code
from dosimeter.foundation.wording import describe
from dosimeter.training.cuts.place import AddsNoise, CutPlace
from dosimeter.training.recipe import FitsCut, Release, RestoresCut

CutDefense = Release | FitsCut
"""A defense of what crosses a cut, before it has seen the model."""


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


def settle(defenses: Sequence[CutDefense], place: CutPlace, rng: np.random.Generator) -> tuple[Release, ...]:
    """The defenses at one cut, with what they take from the model; each sees what the ones before it send.

    Args:
        defenses: in order.
        place: the cut, with the features of its owner's records as they are.
        rng: from which defenses draw what they send of these records.

    Raises:
        ConfigError: a defense cannot act at this cut.
        TrainingError: a defense raised.
    """
    found: list[Release] = []
    for one in defenses:
        settled = _fitted(one, place) if isinstance(one, FitsCut) else one
        found.append(settled)
        place = replace(place, features=send(place.features, (settled,), rng))
    return tuple(found)


def kept_of(settled: object) -> dict[str, Tensor]:
    """Tensors and numbers of a defense at one cut by field, of which `restored` makes it again; exactly as they are.

    Args:
        settled: what `fitted` gave.

    Raises:
        TrainingError: it is no dataclass, so that it has no fields.
    """
    if not is_dataclass(settled) or isinstance(settled, type):
        raise TrainingError(
            f"defense: what `fitted` gives must be a dataclass if there is `restored`, got {type(settled).__name__}: "
            "make it one"
        )
    found = {one.name: getattr(settled, one.name) for one in fields(settled)}
    numbers = {name: torch.tensor(one, dtype=torch.float64) for name, one in found.items() if isinstance(one, float)}
    return numbers | {name: one.contiguous().cpu() for name, one in found.items() if isinstance(one, Tensor)}


def restored(defense: CutDefense, kept: Mapping[str, Tensor]) -> Release | None:
    """A defense at the cut of a model, from what is kept of it; None where it must be fitted to the model again."""
    if isinstance(defense, RestoresCut):
        return defense.restored(kept)
    return None if isinstance(defense, FitsCut) else defense


def _fitted(defense: FitsCut, place: CutPlace) -> Release:
    """One defense at a cut, checked."""
    name = type(defense).__name__
    try:
        found = defense.fitted(place)
    except (AuditError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise TrainingError(f"defense {name}: `fitted` raised {describe(error)}: correct it") from error
    if not isinstance(found, Release):
        raise TrainingError(
            f"defense {name}: `fitted` must give an object with a method `send`, got {type(found).__name__}: correct it"
        )
    return found


def noisy_step(settled: Sequence[Release]) -> tuple[Callable[[Tensor], Tensor], AddsNoise] | None:
    """All that happens before the last step adds noise, and this step; None where defenses do anything else.

    Only then features have a Fisher information about the record that can be computed.

    Args:
        settled: defenses of a cut, in order.
    """
    steps = [one for one in settled if isinstance(one, AddsNoise)]
    if len(steps) < len(settled) or not steps or not steps[-1].scale > 0 or any(one.scale for one in steps[:-1]):
        return None

    def clean(features: Tensor) -> Tensor:
        for one in steps:
            features = one.without_noise(features)
        return features

    return clean, steps[-1]


def describe_release(release: CutDefense) -> dict[str, Any]:
    """Part of a key about a defense of the cut: its settings and its code."""
    code = [class_code(type(release)), package_code(__name__)]
    return {"defense": type(release).__name__, "code": code, **settings_of(release)}


def settings_of(release: CutDefense) -> dict[str, Any]:
    """Settings of a defense of the cut by name."""
    return asdict(release)  # type: ignore[call-overload,no-any-return]


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
