"""Probes: signals that need a model itself, one file each; the dictionary is the registry, by signal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from dosimeter.families.membership.observe.probes import activations, boundary, gradient_norm, iha, trajectory
from dosimeter.families.membership.observe.probes.subject import Model, Probe, Situation, Subject, Training, evaluating
from dosimeter.foundation.errors import TrainingError

__all__ = ["PROBES", "Model", "Probe", "Situation", "Subject", "Training", "evaluating", "lacking", "probe"]

PROBES: dict[str, Probe] = {
    "activations": activations.PROBE,
    "gradient_norm": gradient_norm.PROBE,
    "iha": iha.PROBE,
    **{name: probe for probe in boundary.PROBES for name in probe.signals},
    **dict.fromkeys(trajectory.SIGNALS, trajectory.PROBE),
}
"""Probes by the name of a signal that needs the models themselves, not only their logits on the records."""


def probe(subject: Subject, names: Iterable[str]) -> dict[str, Tensor]:
    """Signals of a pack of models `[m r]`, or `[m r d]`, float64; a probe that gives several of them runs once.

    Raises:
        TrainingError: a value is NaN or infinite.
    """
    names = sorted(names)
    found: dict[str, Tensor] = {}
    for name in names:
        if name not in found:
            found |= PROBES[name].compute(subject)
        bad = int((~found[name].isfinite()).sum())
        if bad:
            raise TrainingError(f"signal {name!r}: must be finite, got {bad} that are not: lower the learning rate")
    return {name: found[name] for name in names}


def lacking(situation: Situation, names: Iterable[str]) -> Mapping[str, str]:
    """Signals that a situation cannot give, each with the reason and the remedy."""
    reasons = {name: PROBES[name].lacks(situation) for name in names if name in PROBES}
    return {name: reason for name, reason in reasons.items() if reason}
