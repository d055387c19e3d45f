"""A generator of the user's: a function that gives a network and its latent; refused if it does not fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.foundation.keys.code_keys import reading
from dosimeter.foundation.user_code import call_user, resolve
from dosimeter.foundation.wording import describe
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.models.learners import finite, inert
from dosimeter.training.loop import seed_torch

MOST_LATENT = 4096
"""Most numbers of a latent."""
TRIED = 16
"""Latents of the batch that a generator is tried with."""
MARGIN = 0.1
"""Share of the public records' range by which tried records may leave it."""


@dataclass(frozen=True)
class Given:
    """What is known of a user's generator before the run.

    Attributes:
        latent: numbers of a latent.
        fingerprint: of its code and its weights.
    """

    latent: int
    fingerprint: str


@dataclass(frozen=True)
class Built:
    """A user's generator.

    Attributes:
        module: in evaluation mode; no parameter asks for a gradient.
        latent: numbers of a latent.
    """

    module: nn.Module
    latent: int


def built(reference: str, shape: tuple[int, ...]) -> Built:
    """Calls the user's function.

    Args:
        reference: `package.module:function`; the function takes the shape of a record.
        shape: of a record.

    Raises:
        ConfigError: it gives something else than a module and a whole number.
    """
    with seed_torch(0):
        found = call_user(reference, shape)
    if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[0], nn.Module):
        got = (
            f"({', '.join(type(one).__name__ for one in found)})" if isinstance(found, tuple) else type(found).__name__
        )
        raise ConfigError(
            f"{reference}: must return a torch.nn.Module and the number of its latent's numbers, got {got}: end it "
            "with `return module, latent`"
        )
    module, latent = found
    if not isinstance(latent, int) or isinstance(latent, bool) or not 1 <= latent <= MOST_LATENT:
        raise ConfigError(
            f"{reference}: the latent must have 1 to {MOST_LATENT} numbers, got {latent!r}: return the module and the "
            "whole number"
        )
    return Built(inert(module), latent)


def checked_generator(reference: str, shape: tuple[int, ...], value_range: tuple[float, float]) -> Given:
    """Tries a user's generator with one batch of standard normal latents.

    Args:
        reference: `package.module:function`.
        shape: that its records must have.
        value_range: least and largest value of the public records.

    Raises:
        ConfigError: the function, its module or what that makes does not fit.
    """
    try:
        code = reading(resolve(reference)).digest
        made = built(reference, shape)
        if not finite(made.module):
            raise ConfigError(f"{reference}: weights must be finite, got NaN or infinity: correct or retrain it")
        _try(reference, made, shape, value_range)
    except AuditError as error:
        raise ConfigError(*[f"threat.prior: {problem}" for problem in error.problems]) from error
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in made.module.state_dict().items()}
    return Given(made.latent, f"{code} {arrays_hash(**weights)}")


def _try(reference: str, made: Built, shape: tuple[int, ...], value_range: tuple[float, float]) -> None:
    """Refuses records of another shape or range, and records in which the latent has no part."""
    drawn = np.random.default_rng(0).standard_normal((TRIED, made.latent), dtype=np.float32)
    latents = torch.from_numpy(drawn).requires_grad_(True)
    try:
        with seed_torch(0):
            first = made.module(latents)
        with seed_torch(1):
            again = made.module(latents)
    except Exception as error:
        raise ConfigError(
            f"{reference}: the module must take latents of shape ({TRIED}, {made.latent}), got {describe(error)}: "
            "correct it"
        ) from error
    wanted = (TRIED, *shape)
    if not isinstance(first, Tensor) or tuple(first.shape) != wanted:
        got = f"shape {tuple(first.shape)}" if isinstance(first, Tensor) else type(first).__name__
        raise ConfigError(
            f"{reference}: the module must make records of shape {wanted}, as the public ones are, got {got}: resize "
            "its output"
        )
    if not first.is_floating_point() or not bool(torch.isfinite(first).all()):
        raise ConfigError(f"{reference}: records must be finite floating-point numbers: correct it")
    _check_range(reference, first, value_range)
    if not torch.equal(first, again):
        raise ConfigError(f"{reference}: the same latent must make the same record, got others: draw nothing inside")
    if not first.requires_grad:
        raise ConfigError(f"{reference}: gradients must flow to the latents, got none: do not detach them")
    if bool((first.detach() == first[:1].detach()).all()):
        raise ConfigError(f"{reference}: other latents must make other records, got the same: use the latents")


def _check_range(reference: str, made: Float[Tensor, "b ..."], value_range: tuple[float, float]) -> None:
    """Refuses records outside the range of the public ones; pictures may use 0 to 1 in any case."""
    low, high = value_range
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    else:
        low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
    least, most = float(made.detach().min()), float(made.detach().max())
    if least < low - 1e-4 or most > high + 1e-4:
        raise ConfigError(
            f"{reference}: records must lie from {low:g} to {high:g}, as models take them, got {least:.3g} to "
            f"{most:.3g}: rescale its output, such as (x + 1) / 2 after a tanh"
        )
