"""What the plays of all families share: the job of one attack, its errors, and what its evidence must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dosimeter.families.attack import NamedAttack, attack_code
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.user_code import relay
from dosimeter.foundation.wording import describe
from dosimeter.jobs.keyed import FollowingJob


class AttackJob(FollowingJob):
    """Job of one attack on what another job made; what the attack raised, the play itself reports.

    Attributes:
        row: the attack.
    """

    row: NamedAttack

    @property
    def place(self) -> str:
        """The attack, in words."""
        return place_of(self.row)


def place_of(row: NamedAttack) -> str:
    """The attack, in words."""
    return f"attack {row.id!r}"


def attack_key(row: NamedAttack) -> list[Any]:
    """What the key of a play holds of its attack: id, name, settings, and the code that it runs."""
    return [row.id, row.name, row.settings, attack_code(type(row.attack))]


@contextmanager
def blamed(row: NamedAttack) -> Iterator[None]:
    """Tells with the attack's name what it raises inside the block.

    Raises:
        AuditError: it raised anything.
    """
    try:
        yield
    except AuditError as error:
        raise relay(error, place_of(row)) from error
    except (Exception, SystemExit) as error:
        raise AuditError(f"{place_of(row)}: raised {describe(error)}: correct it or leave it out") from error


def log_scores(row: NamedAttack, values: Array, shape: tuple[int, int]) -> dict[str, Tensor]:
    """Log-scores that an attack gave, as they are stored: `guesses` `[n v]`, float64.

    Args:
        row: the attack.
        values: that it gave.
        shape: `(n, v)`, numbers of secrets and of their values.

    Raises:
        AuditError: they have another shape, or there is NaN or infinity among them.
    """
    wanted = (1, *shape)
    if values.shape != wanted or np.isnan(values).any() or (values == np.inf).any():
        raise AuditError(
            f"{place_of(row)}: must give log-scores of shape {wanted} without NaN, got {values.shape}: correct it"
        )
    return {"guesses": torch.from_numpy(values[0].astype(np.float64))}


def check_reconstructions(row: NamedAttack, values: Array, n: int, shape: tuple[int, ...], of: str) -> None:
    """Refuses what is no array of reconstructions `[1 n k ...]`.

    Args:
        row: the attack.
        values: that it gave.
        n: number of those whose records it makes.
        shape: of one record.
        of: one of them, in a word.

    Raises:
        AuditError: they have another shape, there are none, or one is not finite.
    """
    if values.ndim < 3 or (*values.shape[:2], *values.shape[3:]) != (1, n, *shape):
        wanted = (1, n, "k", *shape)
        raise AuditError(
            f"{place_of(row)}: must give reconstructions of shape {wanted}, got {values.shape}: correct it"
        )
    if not values.shape[2] or not np.isfinite(values).all():
        raise AuditError(f"{place_of(row)}: must give finite reconstructions of each {of}: correct it")
