"""A supplied model before an adversary: as somebody may ask it, and opened where it is a network with gradients."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from dosimeter.data.cells import Held
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AuditError, TrainingError
from dosimeter.foundation.wording import describe
from dosimeter.models.last_layer import find_head
from dosimeter.models.outputs import pick
from dosimeter.models.supplied.adapt import Adapted
from dosimeter.models.supplied.forms import Kind
from dosimeter.models.supplied.networks import network
from dosimeter.training.deployment.network import Opened

SMOOTH: tuple[Kind, ...] = ("plain", "fractions", "levels", "exact")
"""Forms of records through which gradients flow; others round."""
SMALLEST = 1e-30
"""Least probability whose logarithm is taken, so that a gradient stays finite."""


class Whole(nn.Module):
    """A supplied network from records as dosimeter holds them to logits, so that gradients flow to the records.

    Args:
        adapted: the network, and how it is asked; it is copied, so that the user's stays as it is.
        device: where it runs.
    """

    def __init__(self, adapted: Adapted, device: str) -> None:
        super().__init__()
        assert adapted.module is not None
        self.net = copy.deepcopy(adapted.module).to(device).eval().requires_grad_(False)
        asked = network(self.net, device=device)
        self.call, self.dtype, self.form = asked.call, asked.dtype, adapted.form
        self.columns, self.output = adapted.known_classes, adapted.output

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[b c]`, of the classes in the order of the data."""
        given = self.form.give(Held(x)).to(x.device, self.dtype)
        answer = pick(self.call(given), rows=len(x), columns=len(self.columns), place="model")
        logits = answer.clamp_min(SMALLEST).log() if self.output == "probs" else answer
        order = torch.as_tensor(np.argsort(self.columns), device=logits.device)
        return logits[:, order].float()


@dataclass(frozen=True, eq=False)
class GivenModel:
    """A supplied model, or one that the user's `fit` trained in its place.

    Attributes:
        adapted: how it is asked.
        device: where a network runs.
        opened: the network, for an adversary who holds it; None where there is none.
        closed: why not; empty where there is one.
    """

    adapted: Adapted
    device: str
    opened: Opened | None = field(repr=False)
    closed: str

    def answer(self, records: Tensor) -> Tensor:
        """Log-values of records `[b c]`, as the model itself is asked."""
        return ask(self.adapted, records.detach().cpu())


def ask(adapted: Adapted, records: Tensor) -> Tensor:
    """Log-values of records that are numbers alone, in the type of number that the model takes.

    Args:
        adapted: the model.
        records: as dosimeter holds them.
    """
    form = adapted.form
    own = form.dtype if form.kind == "exact" and records.is_floating_point() else None
    return adapted.query(records if own is None else records.to(own))


def given_model(adapted: Adapted, example: Array, device: str) -> GivenModel:
    """A model with all that can be had of it.

    Args:
        adapted: how it is asked.
        example: two records, by which the last layer is found.
        device: where a network runs.
    """
    closed = _closed(adapted)
    if closed:
        return GivenModel(adapted, device, None, closed)
    try:
        whole = Whole(adapted, device)
        records = torch.from_numpy(example.astype(np.float32)).to(device)
        _check_gradient(whole, records)
        head = _head(whole, records)
    except AuditError as error:
        return GivenModel(adapted, device, None, f"the model cannot be opened ({error.problems[0]})")
    except Exception as error:
        return GivenModel(adapted, device, None, f"the model cannot be opened ({describe(error)})")
    return GivenModel(adapted, device, Opened(whole, head), "")


def _head(whole: Whole, records: Tensor) -> nn.Linear:
    """The layer whose inputs are the features: the head, or where more follows it, such as a softmax, the last one.

    Raises:
        TrainingError: there is no linear layer with an output for each class.
    """
    try:
        return find_head(whole.net, whole.form.give(Held(records))).head
    except TrainingError:
        layers = [one for one in whole.net.modules() if isinstance(one, nn.Linear)]
        fitting = [one for one in layers if one.out_features == len(whole.columns)]
        if not fitting:
            raise
        return fitting[-1]


def _closed(adapted: Adapted) -> str:
    """Why a model has no gradients to follow, seen without asking it; empty where it may have."""
    if adapted.module is None:
        return f"a {adapted.kind} has no gradients to follow"
    if adapted.form.kind not in SMOOTH or adapted.form.array:
        return f"the model takes {adapted.form.words}, through which no gradient flows"
    if sorted(adapted.known_classes) != list(range(adapted.classes)):
        return "the model does not answer for all classes of the records"
    return ""


def _check_gradient(whole: nn.Module, records: Tensor) -> None:
    """Refuses a network whose answers have no gradient by the records.

    Raises:
        TrainingError: it computes without.
    """
    leaf = records.clone().requires_grad_()
    answered: Tensor = whole(leaf)
    if not answered.requires_grad or torch.autograd.grad(answered.sum(), leaf, allow_unused=True)[0] is None:
        raise TrainingError("its answers have no gradient by the records")
