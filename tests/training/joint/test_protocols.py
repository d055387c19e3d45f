"""Training between organisations: equal to one program that holds everything, and nothing else crosses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dosimeter.training.joint.alignment import coral
from dosimeter.training.joint.gradients import batch_gradients, others_gradient
from dosimeter.training.joint.job import run_protocol
from dosimeter.training.joint.transcript import ALL, COORDINATOR, Wire
from dosimeter.training.recipe import Hyperparameters
from training.joint.parties import (
    CPU,
    HP,
    NAMES,
    STEPS,
    agreement,
    holding,
    keeper,
    organisation,
    together,
    trunk_and_head,
)

METHODS = ("fedsgd", "coral", "mmd")
every_method = pytest.mark.parametrize("method", METHODS)


def batch(index, step):
    """Records and labels of a party at a step."""
    own = holding(index)
    return own.inputs[own.batches[step]], own.labels[own.batches[step]]


def by_one_program(method, weight):
    """The slow twin: one autograd graph over both parties' data, `torch.optim`; gives trunk and heads."""
    trunk, heads = trunk_and_head(0)[0], [trunk_and_head(10 + index)[1] for index in (0, 1)]
    trunk_optimizer, *head_optimizers = (
        torch.optim.SGD(one.parameters(), lr=1.0, momentum=HP.momentum, weight_decay=HP.weight_decay)
        for one in (trunk, *heads)
    )
    for step in range(STEPS):
        for optimizer in (trunk_optimizer, *head_optimizers):
            optimizer.param_groups[0]["lr"] = HP.lr_at(step, STEPS)
            optimizer.zero_grad()
        losses = []
        features = [trunk(batch(index, step)[0]) for index in (0, 1)]
        for index in (0, 1) if method == "fedsgd" else (0,):
            losses.append(nn.functional.cross_entropy(heads[index](features[index]), batch(index, step)[1]))
        if method == "coral":
            a, b = (torch.cov(one.T) for one in features)
            losses.append(weight * (a - b).square().sum() / (4 * len(a) ** 2))
        (sum(losses) / 2 if method == "fedsgd" else sum(losses)).backward()
        for head in heads if method == "fedsgd" else ():
            for parameter in head.parameters():
                parameter.grad *= 2  # a private head follows its own loss, not the mean
        trunk_optimizer.step()
        for optimizer in head_optimizers[: len(heads) if method == "fedsgd" else 1]:
            optimizer.step()
    return trunk, heads


@pytest.mark.parametrize("method", ["fedsgd", "coral"])
def test_parties_come_to_what_one_program_with_all_data_comes_to(method):
    transcript, parties = together(method)
    trunk, heads = by_one_program(method, 2.0)
    torch.testing.assert_close(dict(transcript.of("trunk")[STEPS]), dict(trunk.state_dict()), rtol=1e-5, atol=1e-6)
    for party, head in zip(parties, heads, strict=True):
        torch.testing.assert_close(party.head(), dict(head.state_dict()), rtol=1e-5, atol=1e-6)


class Recorded:
    """A party of which nothing is known but its messages."""

    def __init__(self, transcript, name):
        self.name, self.transcript = name, transcript
        self.kept = dict.fromkeys(("representations", "alignment_gradient"))

    def adopt(self, trunk):
        pass

    def represent(self, step):
        return self.transcript.of("representations", self.name)[step]["features"]

    def gradient(self, step, *, task=True, pull=None):
        return dict(self.transcript.of("gradient", self.name)[step])

    def head(self):
        return dict(self.transcript.of("head", self.name)[STEPS])


@pytest.mark.parametrize(("method", "alone"), [("fedsgd", 0), ("fedsgd", 1), ("coral", 1), ("mmd", 1)])
def test_one_party_with_the_messages_alone_ends_in_the_same_state(method, alone):
    transcript, parties = together(method)
    replayed, wire = [Recorded(transcript, name) for name in NAMES], Wire()
    replayed[alone] = organisation(alone)
    run_protocol(method, replayed, keeper(method), wire, steps=STEPS, weight=2.0)
    for ours, theirs in zip(wire.messages, transcript.messages, strict=True):
        assert (ours.kind, ours.sender, ours.receiver, ours.step) == (
            theirs.kind, theirs.sender, theirs.receiver, theirs.step,
        )  # fmt: skip
        assert all(torch.equal(array, theirs.arrays[name]) for name, array in ours.arrays.items())
    state = parties[alone].head()
    assert all(torch.equal(array, state[name]) for name, array in replayed[alone].head().items())


EXPECTED = {
    "fedsgd": {("trunk", COORDINATOR, ALL), ("gradient", "source", COORDINATOR), ("gradient", "receiver", COORDINATOR)},
}
EXPECTED["coral"] = EXPECTED["mmd"] = EXPECTED["fedsgd"] | {
    ("representations", "source", "receiver"),
    ("alignment_gradient", "receiver", "source"),
}


@every_method
def test_a_transcript_holds_the_messages_of_the_method_and_nothing_else(method):
    transcript, parties = together(method)
    names = set(dict(trunk_and_head(0)[0].named_parameters()))
    for step in range(STEPS):
        found = [(one.kind, one.sender, one.receiver) for one in transcript.messages if one.step == step]
        assert len(found) == len(EXPECTED[method])
        assert set(found) == EXPECTED[method]
    last = [(one.kind, one.receiver) for one in transcript.messages if one.step == STEPS]
    assert last == [("trunk", ALL)] + ([] if method == "fedsgd" else [("head", "receiver")])
    for message in transcript.messages:
        if message.kind in ("trunk", "gradient"):
            assert set(message.arrays) == names
    held = [holding(index).inputs for index in (0, 1)]
    private = [party.head()["weight"] for party in parties[1 if method != "fedsgd" else 0 :]]
    rows = {tuple(row.tolist()) for one in held + private for row in one}
    crossed = {tuple(row) for one in transcript.messages for array in one.arrays.values() if array.ndim == 2
               for row in array.tolist()}  # fmt: skip
    assert not rows & crossed


def test_what_a_party_sees_is_what_it_sent_and_received():
    transcript, _ = together("coral")
    source, receiver = (transcript.seen_by(name) for name in NAMES)
    assert not receiver.of("gradient", "source")
    assert not source.of("gradient", "receiver")
    assert len(receiver.of("representations")) == len(source.of("alignment_gradient")) == STEPS
    assert len(transcript.seen_by(COORDINATOR).of("gradient", "source")) == STEPS
    assert not transcript.seen_by(COORDINATOR).of("representations")


def test_neither_side_can_change_what_the_wire_keeps():
    transcript, wire = together("fedsgd")[0], Wire()
    message = transcript.messages[0]
    before = {name: array.clone() for name, array in message.arrays.items()}
    delivered = wire.send(message)
    for array in (*delivered.values(), *message.arrays.values()):
        array.zero_()
    assert all(torch.equal(array, before[name]) for name, array in wire.messages[0].arrays.items())


@every_method
@pytest.mark.parametrize("hp", [HP, Hyperparameters(lr=0.1, momentum=0.0)], ids=["momentum and decay", "plain"])
def test_a_party_computes_the_others_gradient_to_1e_6(method, hp):
    """The party sees no gradient of the other, and has it nevertheless."""
    transcript, _ = together(method, hp)
    for own, other in (NAMES, NAMES[::-1]):
        seen = transcript.seen_by(own)
        assert not seen.of("gradient", other)
        found, sent = others_gradient(seen, own), transcript.of("gradient", other)
        assert sorted(found) == list(range(STEPS))
        slack = 2e-6 * max(1.0, 0.1 / min(agreement(method, hp).rates))  # rounding of the trunk over the rate
        for step, arrays in sent.items():
            torch.testing.assert_close(found[step], dict(arrays), rtol=0, atol=1e-6 if hp is not HP else slack)


def test_steps_without_what_is_needed_are_left_out():
    transcript, _ = together("fedsgd")
    short = type(transcript)(
        transcript.agreement, tuple(one for one in transcript.messages if (one.kind, one.step) != ("trunk", 1))
    )
    assert sorted(others_gradient(short.seen_by("source"), "source")) == [3]  # 2 needs the update of 1, for momentum


def test_simulated_gradients_equal_one_backward_pass_for_each_batch():
    torch.manual_seed(0)
    trunk, head = trunk_and_head(3)
    inputs, labels = torch.randn(20, 4, 6), torch.randint(3, (20, 4))
    message = {name: one.detach() + 0.1 for name, one in trunk.named_parameters()}
    found = batch_gradients(trunk, head, message, inputs, labels)
    with torch.no_grad():
        for name, parameter in trunk.named_parameters():
            parameter.copy_(message[name])
    for number in range(20):
        loss = nn.functional.cross_entropy(head(trunk(inputs[number])), labels[number])
        gradients = torch.autograd.grad(loss, list(trunk.parameters()))
        for (name, _), one in zip(trunk.named_parameters(), gradients, strict=True):
            torch.testing.assert_close(found[name][number], one, rtol=1e-5, atol=1e-6)


def test_the_gradient_that_crosses_is_the_simulated_one_of_the_same_batch():
    """What an adversary simulates is of the kind that they see."""
    transcript, _ = together("fedsgd")
    trunk, head = trunk_and_head(0)[0], trunk_and_head(10)[1]
    inputs, labels = batch(0, 0)
    found = batch_gradients(trunk, head, transcript.of("trunk")[0], inputs[None], labels[None])
    sent = transcript.of("gradient", "source")[0]
    torch.testing.assert_close({name: one[0] for name, one in found.items()}, dict(sent), rtol=1e-5, atol=1e-6)


def test_the_distance_of_the_features_falls():
    hp = Hyperparameters(lr=0.05, momentum=0.0)
    distances = []
    for weight in (0.0, 20.0):
        transcript, _ = together("coral", hp, weight)
        trunk = trunk_and_head(0)[0].to(CPU)
        with torch.no_grad():
            for name, parameter in trunk.named_parameters():
                parameter.copy_(transcript.of("trunk")[STEPS][name])
            distances.append(float(coral(*(trunk(holding(index).inputs) for index in (0, 1))).value))
    assert distances[1] < distances[0]
