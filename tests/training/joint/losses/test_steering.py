"""A party that adds a loss about a property: one program with both losses as oracle, and the rest of the protocol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.training.joint.gradients import others_gradient
from dosimeter.training.joint.losses.steering import PropertyLoss, Steering
from dosimeter.training.joint.organisation import Organisation
from dosimeter.training.joint.protocols import METHODS, run_protocol
from dosimeter.training.joint.transcript import Transcript, Wire
from dosimeter.training.recipe import Hyperparameters
from training.joint.parties import CPU, HIDDEN, HP, NAMES, D, agreement, holding, keeper, trunk_and_head

HAS = np.arange(30) % 3 == 0


def steering(size=4):
    return Steering(holding(7).inputs, HAS, size, 1)


def both(method, steered, hp=HP):
    """Source and receiver train; the receiver may steer. Gives the transcript and the parties."""
    parties = []
    for index, name in enumerate(NAMES):
        model = trunk_and_head(0)[0], trunk_and_head(10 + index)[1]
        own = replace(holding(index), steering=steering() if steered and name == "receiver" else None)
        parties.append(Organisation(name, own, model, hp, seed=index, device=CPU, method=method))
    wire, known = Wire(), agreement(method, hp)
    run_protocol(known, parties, keeper(method, hp), wire)
    return Transcript(known, tuple(wire.messages)), parties


def test_what_is_sent_is_the_gradient_of_both_losses():
    """The head of the property is made from the same seed, and its batches are read from the loss itself."""
    steered, plain = (both("fedsgd", one)[0] for one in (True, False))
    trunk, loss = trunk_and_head(0)[0], PropertyLoss(steering(), HIDDEN, HP, device=CPU)
    records, has = loss._batch(0)
    assert has.sum() == 2
    rows = [int((holding(7).inputs == one).all(1).nonzero()) for one in records]
    assert HAS[rows].tolist() == (has == 1).tolist()
    nn.functional.cross_entropy(loss._head(trunk(records)), has).backward()
    sent, own = (one.of("gradient", "receiver")[0] for one in (steered, plain))
    for name, parameter in trunk.named_parameters():
        torch.testing.assert_close(sent[name], own[name] + parameter.grad, rtol=1e-5, atol=1e-6)
    first = [one.of("gradient", "source")[0] for one in (steered, plain)]
    torch.testing.assert_close(*first)  # the other party is not touched before the trunk has moved


def test_heads_are_of_the_task_alone():
    """Before the trunk has moved no head differs, since the loss of the property has a head of its own."""
    still = Hyperparameters(lr=1e-12, momentum=0.0)
    for index in (0, 1):
        plain, steered = (both("fedsgd", one, still)[1][index].head() for one in (False, True))
        torch.testing.assert_close(steered, plain, rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_steered_and_only_by_what_the_party_sends(method):
    steered, plain = (both(method, one)[0] for one in (True, False))
    assert [(one.kind, one.sender, one.receiver, one.step) for one in steered.messages] == [
        (one.kind, one.sender, one.receiver, one.step) for one in plain.messages
    ]
    sent = [first_of_the_receiver(method, one) for one in (steered, plain)]
    assert any(not torch.allclose(sent[0][name], sent[1][name]) for name in sent[0])


def first_of_the_receiver(method, told):
    """The first arrays that the receiver's own loss moves."""
    if method == "soft":
        return told.of("parameters", "receiver")[1]
    return told.of("update" if method == "fedavg" else "gradient", "receiver")[0]


def test_the_victims_gradient_still_follows_exactly():
    steered = both("fedsgd", True)[0]
    for step, told in others_gradient(steered.seen_by("receiver"), "receiver").items():
        for name, one in steered.of("gradient", "source")[step].items():
            torch.testing.assert_close(told[name], one, rtol=1e-3, atol=1e-5)


def test_a_loss_that_is_not_finite_is_one_line():
    inputs = torch.full((30, D), float("nan"))
    loss = PropertyLoss(Steering(inputs, HAS, 4, 0), HIDDEN, HP, device=CPU)
    with pytest.raises(TrainingError, match="loss of the property: must be finite, got nan at step 3: lower lr"):
        loss.add(3, trunk_and_head(0)[0], 0.1)
