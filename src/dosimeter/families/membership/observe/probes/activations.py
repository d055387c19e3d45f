"""What a model's last layer takes: the numbers of the layer before it, for each record."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dosimeter.families.membership.observe.probes.subject import Probe, Situation, Subject
from dosimeter.foundation.errors import TrainingError
from dosimeter.models.access import Access
from dosimeter.models.last_layer import example_of, find_head
from dosimeter.training.chain import Link, build_chain
from dosimeter.training.features import forward


def compute(subject: Subject) -> dict[str, Tensor]:
    """Activations before the last layer `[m r d]`; of a head on frozen features these are the features themselves.

    Raises:
        TrainingError: a model has no last layer that can be cut off.
    """
    found = []
    for model in subject.models:
        assert model.trained is not None
        rows = subject.inputs
        if not isinstance(model.trained, nn.Linear):
            cut = find_head(model.trained, subject.inputs[:2].clone())
            rows = forward(cut.backbone, subject.inputs.clone(), subject.device)
        found.append(rows.flatten(1).double())
    return {"activations": torch.stack(found)}


def can_cut(model: nn.Module, example: Tensor) -> bool:
    """Returns whether a network ends in a linear layer that makes its logits."""
    if isinstance(model, nn.Linear):
        return True
    try:
        find_head(model, example)
    except TrainingError:
        return False
    return True


def chain_can_be_cut(links: Sequence[Link]) -> bool:
    """Returns whether the models of a chain's last stage end in a linear layer, known before one is trained."""
    model = build_chain(tuple(links), len(links) - 1, 0, None)
    return can_cut(model, example_of(links[-1].shape))


def lacks(situation: Situation) -> str:
    """Reason why there is no layer before the last; empty if there is one."""
    if situation.network and situation.cut:
        return ""
    return (
        "needs the activations before the last layer, so a PyTorch module that ends in a torch.nn.Linear, got another "
        "model: bring such a module, use features = 'logits', or leave the attack out"
    )


PROBE = Probe(("activations",), Access.FEATURES, compute, lacks, passes=1.0)
