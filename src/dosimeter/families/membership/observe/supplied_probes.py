"""Probes of a supplied model: signals that need the model itself, beside its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dosimeter.families.membership.observe.probes import PROBES, Model, Situation, Subject, evaluating, lacking, probe
from dosimeter.families.membership.observe.probes.activations import can_cut
from dosimeter.families.membership.observe.signals import readable
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float
from dosimeter.models.supplied.adapt import Adapted
from dosimeter.models.supplied.networks import is_exported

TRIED = 2
"""Number of records that test whether a network takes records and returns logits."""


@dataclass(frozen=True)
class Probing:
    """Probes that are asked of the target and of every shadow.

    Attributes:
        names: signals of probes.
        withheld: signals that attacks ask for and the models cannot give, each with the reason.
        device: device that runs networks.
    """

    names: tuple[str, ...]
    withheld: Mapping[str, str]
    device: str

    @property
    def definition(self) -> dict[str, Any]:
        """Part of a shadow's key that depends on the probes."""
        return {"probes": {"signals": list(self.names), "code": package_code(__name__)}} if self.names else {}

    def of(self, adapted: Adapted, inputs: Tensor, labels: Tensor, views: int) -> dict[str, Tensor]:
        """Signals of one model `[q r]`, equal under each view.

        Raises:
            TrainingError: the model, a shadow for instance, is of another kind than the target.
        """
        if not self.names:
            return {}
        reasons = lacking(_situation(adapted, inputs), self.names)
        if reasons:
            name, reason = next(iter(reasons.items()))
            raise TrainingError(f"signal {name!r}: every shadow must be of the target's kind, got one that {reason}")
        subject = Subject(
            models=(Model(adapted.query, adapted.module, adapted.query),),
            records=inputs,
            inputs=as_float(inputs),
            labels=labels,
            population=0,
            device=torch.device(self.device),
            training=None,
        )
        return {name: torch.cat([values] * views) for name, values in probe(subject, self.names).items()}


def probing(adapted: Adapted, inputs: Tensor, wanted: Iterable[str], access: Access, device: str) -> Probing:
    """The probes that attacks want and that can be computed of models like the target."""
    asked = [name for name in sorted(wanted) if name in PROBES]
    withheld = lacking(_situation(adapted, inputs), asked) if asked else {}
    return Probing(
        tuple(name for name in readable(asked, access) if name in asked and name not in withheld), withheld, device
    )


def _situation(adapted: Adapted, inputs: Tensor) -> Situation:
    """The situation of a supplied model for probes."""
    network = gives_gradients(adapted, as_float(inputs[:TRIED]))
    images = inputs.ndim == 4 and not adapted.kind.startswith("scikit-learn")  # which takes bytes as they are
    return Situation(
        supplied=True,
        network=network,
        heads=False,
        recipe=False,
        continuous=images or inputs.is_floating_point(),
        population=0,
        single=False,
        cut=network and adapted.module is not None and can_cut(adapted.module, as_float(inputs[:TRIED]).clone()),
    )


def gives_gradients(adapted: Adapted, inputs: Tensor) -> bool:
    """Returns whether the model is a plain module that maps records, as floats, to the queried logits."""
    module = adapted.module
    if module is None or adapted.output != "logits" or is_exported(module):
        return False
    if isinstance(module, torch.jit.ScriptModule | torch.fx.GraphModule):
        return False
    if not any(one.requires_grad for one in module.parameters()):
        return False
    return _agrees(module, adapted, inputs)


def _agrees(module: nn.Module, adapted: Adapted, inputs: Tensor) -> bool:
    """Returns whether a module that is called directly answers as it does through its adapter."""
    where = next(module.parameters()).device
    try:
        with evaluating(module, where), torch.no_grad():
            own = module(inputs.to(where).clone())  # which it may change in place
    except Exception:  # it takes its records in another form, which the adapter knows
        return False
    asked = adapted.query(inputs).double()
    return isinstance(own, Tensor) and own.shape == asked.shape and torch.allclose(own.double().cpu(), asked, atol=1e-4)
