"""Common form of every reported number: a value with both ends of its interval, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "not_resolvable", "refused", "withdrawn"]


@dataclass(frozen=True)
class Estimate:
    """A measured number.

    Attributes:
        value: the point estimate; None unless `status` is "ok".
        low: lower end of the interval ("shown at least"); None unless ok.
        high: upper end ("not excluded up to"); None unless ok.
        level: confidence level, two-sided.
        method: name of the interval's method.
        n_members: member decisions, summed over targets.
        n_nonmembers: *distinct* records that were non-members of at least one target.
        n_targets: targets measured.
        status: "ok", or why there is no number.
        reason: one sentence when the status is not "ok", or a remark such as "low n".
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    method: str
    n_members: int
    n_nonmembers: int
    n_targets: int
    status: Status = "ok"
    reason: str = ""
