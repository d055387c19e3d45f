"""Training between organisations: equal to one program that holds everything, and nothing else crosses."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import DataError, TrainingError
from dosimeter.foundation.seeds import seed_for
from dosimeter.training.joint.aligning import Discriminator
from dosimeter.training.joint.alignment import WIDTHS, coral, spread
from dosimeter.training.joint.gradients import batch_gradients, others_gradient, others_update, strays
from dosimeter.training.joint.losses.private_codes import PrivateCodes, difference, scale_invariant
from dosimeter.training.joint.methods import SENT, SHOWING
from dosimeter.training.joint.protocols import METHODS, run_protocol
from dosimeter.training.joint.transcript import ALL, COORDINATOR, OF_TRUNK, Agreement, Message, Transcript, Wire
from dosimeter.training.recipe import Hyperparameters
from training.joint.parties import (
    CPU,
    HP,
    LOCAL,
    NAMES,
    STEPS,
    agreement,
    holding,
    keeper,
    organisation,
    together,
    trunk_and_head,
)

every_method = pytest.mark.parametrize("method", METHODS)


def batch(index, step):
    """Records and labels of a party at a step."""
    own = holding(index)
    return own.inputs[own.batches[step]], own.labels[own.batches[step]]


def sgd(module, hp=HP, **changes):
    """The library's optimizer for a module."""
    settings = {"lr": 1.0, "momentum": hp.momentum, "weight_decay": hp.weight_decay, **changes}
    return torch.optim.SGD(module.parameters(), **settings)


def move(optimizers, loss, rate):
    """One step of each optimizer down the gradient of a loss."""
    for optimizer in optimizers:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()


class Reverse(torch.autograd.Function):
    """Reversal of a gradient, as in implementations of DANN within one program."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return -ctx.factor * grad, None


def own_halves(index, trunk):
    """The first private encoder and decoder of a party."""
    codes = PrivateCodes(trunk, HP, seed=index, device=CPU)
    codes.loss(0, torch.randn(2, 5), torch.randn(2, 6))
    return codes.encoder, codes.decoder


def by_one_program(method, weight):
    """The slow twin: one autograd graph over both parties' data, `torch.optim`; gives trunk and heads."""
    trunk, heads = trunk_and_head(0)[0], [trunk_and_head(10 + index)[1] for index in (0, 1)]
    start = {name: one.detach().clone() for name, one in trunk.named_parameters()}
    optimizers = [sgd(trunk, weight_decay=0.0 if method == "l2-sp" else HP.weight_decay), *map(sgd, heads)]
    judge = Discriminator(5, HP, seed=seed_for(1, "discriminator"), device=CPU).network
    of_judge, halves = sgd(judge), [own_halves(index, trunk) for index in (0, 1)]
    of_halves = [sgd(one) for pair in halves for one in pair]
    for step in range(STEPS):
        features = [trunk(batch(index, step)[0]) for index in (0, 1)]
        losses = [nn.functional.cross_entropy(heads[i](features[i]), batch(i, step)[1]) for i in (0, 1)]
        loss, moving = sum(losses), optimizers
        if method in ("fedsgd", "l2-sp"):  # the mean moves the trunk; a private head follows its own loss
            loss = sum(losses) / 2
            for head in heads:
                for parameter in head.parameters():
                    parameter.register_hook(lambda grad: 2 * grad) if step == 0 else None
        if method == "l2-sp":
            apart = sum((one - start[name]).square().sum() for name, one in trunk.named_parameters())
            loss = loss + weight / 2 * apart
        if method in SHOWING:
            loss, moving = losses[0], optimizers[:2]
        if method == "coral":
            a, b = (torch.cov(one.T) for one in features)
            loss = loss + weight * (a - b).square().sum() / (4 * len(a) ** 2)
        if method == "mmd":
            width = spread(*(one.detach() for one in features))
            both = torch.cat(features)
            kernel = sum(torch.exp(-(torch.cdist(both, both) ** 2) / (2 * one * width)) for one in WIDTHS)
            within = [kernel[own, own].sum() - len(WIDTHS) * 4 for own in (slice(0, 4), slice(4, 8))]
            loss = loss + weight * (sum(within) / 12 - 2 * kernel[:4, 4:].mean())
        if method in ("dann", "dsn"):
            factor = weight * (2 / (1 + np.exp(-10 * step / STEPS)) - 1)
            scores = judge(torch.cat([Reverse.apply(one, factor) for one in features])).squeeze(1)
            truth = torch.tensor([1.0] * 4 + [0.0] * 4)
            loss = loss + nn.functional.binary_cross_entropy_with_logits(scores, truth)
            moving = [*moving, of_judge]
        if method == "dsn":
            for index in (0, 1):
                inputs, (encoder, decoder) = batch(index, step)[0], halves[index]
                private = encoder(inputs)
                error = decoder(features[index] + private) - inputs
                costs = error.square().mean(1) - error.mean(1).square()
                unit = [nn.functional.normalize(one, dim=1) for one in (features[index], private)]
                loss = loss + 0.01 * costs.mean() + 0.075 * (unit[0].T @ unit[1]).square().sum() / 5**2
            moving = [*moving, *of_halves]
        move(moving, loss, HP.lr_at(step, STEPS))
    return trunk, heads


@pytest.mark.parametrize("method", ["fedsgd", "hard", "l2-sp", "coral", "mmd", "dann", "dsn"])
def test_parties_come_to_what_one_program_with_all_data_comes_to(method):
    transcript, parties = together(method)
    trunk, heads = by_one_program(method, 2.0)
    torch.testing.assert_close(dict(transcript.of("trunk")[STEPS]), dict(trunk.state_dict()), rtol=1e-5, atol=2e-6)
    for party, head in zip(parties, heads, strict=True):
        torch.testing.assert_close(party.head(), dict(head.state_dict()), rtol=1e-5, atol=2e-6)
        assert all(torch.equal(one, transcript.of("trunk")[STEPS][name]) for name, one in party.parameters().items())


def test_local_updates_equal_those_of_copies_that_are_averaged():
    transcript, parties = together("fedavg")
    trunk, heads = trunk_and_head(0)[0], [trunk_and_head(10 + index)[1] for index in (0, 1)]
    of_heads = [sgd(head) for head in heads]
    for turn in range(STEPS // LOCAL):
        copies = [copy.deepcopy(trunk) for _ in heads]
        for index, (own, head) in enumerate(zip(copies, heads, strict=True)):
            optimizers = [sgd(own), of_heads[index]]
            for step in range(turn * LOCAL, (turn + 1) * LOCAL):
                inputs, labels = batch(index, step)
                loss = nn.functional.cross_entropy(head(own(inputs)), labels)
                move(optimizers, loss, HP.lr_at(turn, STEPS // LOCAL))
        with torch.no_grad():
            for parameter, *both in zip(trunk.parameters(), *(one.parameters() for one in copies), strict=True):
                parameter.copy_(sum(both) / 2)
    torch.testing.assert_close(dict(transcript.of("trunk")[2]), dict(trunk.state_dict()), rtol=1e-5, atol=2e-6)
    for party, head in zip(parties, heads, strict=True):
        torch.testing.assert_close(party.head(), dict(head.state_dict()), rtol=1e-5, atol=2e-6)


def test_trunks_that_stay_near_each_other_minimise_one_sum():
    transcript, parties = together("soft", weight=0.3)
    trunks, heads = [trunk_and_head(0)[0] for _ in NAMES], [trunk_and_head(10 + index)[1] for index in (0, 1)]
    optimizers = [sgd(one) for one in (*trunks, *heads)]
    for step in range(STEPS):
        loss = sum(
            nn.functional.cross_entropy(heads[i](trunks[i](batch(i, step)[0])), batch(i, step)[1]) for i in (0, 1)
        )
        pairs = zip(*(one.parameters() for one in trunks), strict=True)
        loss = loss + 0.3 * sum((a - b).square().sum() for a, b in pairs)
        move(optimizers, loss, HP.lr_at(step, STEPS))
    for index, party in enumerate(parties):
        torch.testing.assert_close(party.parameters(), dict(trunks[index].state_dict()), rtol=1e-5, atol=2e-6)
        torch.testing.assert_close(party.head(), dict(heads[index].state_dict()), rtol=1e-5, atol=2e-6)
    assert not transcript.of("trunk")  # no coordinator


def test_hard_is_fedsgd_with_the_sum():
    """The same messages and heads; from one start, the sum moves the trunk twice as far as the mean."""
    plain = Hyperparameters(lr=0.1, momentum=0.0)
    moved = []
    for method in ("hard", "fedsgd"):
        trunks = together(method, plain)[0].of("trunk")
        moved.append({name: one - trunks[0][name] for name, one in trunks[1].items()})
    torch.testing.assert_close(moved[0], {name: 2 * one for name, one in moved[1].items()}, rtol=1e-5, atol=1e-6)


def test_private_codes_are_other_than_the_shared_one_and_cost_what_the_formulas_say():
    trunk = trunk_and_head(0)[0]
    encoder, _ = own_halves(0, trunk)
    assert not torch.equal(encoder[0].weight, trunk[0].weight)
    assert not torch.equal(encoder[0].weight, own_halves(1, trunk)[0][0].weight)
    shared = torch.tensor([[2.0, 0.0], [3.0, 0.0]])
    assert float(difference(shared, shared)) == pytest.approx(4 / 2**2)  # two rows of length 1 in one direction
    silent = torch.tensor([[1.0, 2.0], [0.0, 0.0]])  # each speaks where the other is silent
    assert float(difference(silent, silent.flip(0))) == 0
    records = torch.randn(3, 4, generator=torch.manual_seed(0))
    assert float(scale_invariant(records + 0.7, records)) == pytest.approx(0, abs=1e-6)
    assert float(scale_invariant(records + torch.tensor([1.0, -1.0, 1.0, -1.0]), records)) == pytest.approx(1.0)


def test_texts_have_no_private_codes():
    codes = PrivateCodes(trunk_and_head(0)[0], HP, seed=0, device=CPU)
    with pytest.raises(TrainingError, match="transfer 'dsn': makes records again from codes, got tokens: use 'dann'"):
        codes.loss(0, torch.zeros(2, 5), torch.zeros(2, 6, dtype=torch.int64))


class Recorded:
    """A party of which nothing is known but its messages."""

    def __init__(self, transcript, name):
        self.name, self.transcript, self.exchanged = name, transcript, 0

    def adopt(self, trunk):
        pass

    def said(self, kind, step):
        return dict(self.transcript.of(kind, self.name)[step])

    def show(self, step):
        return self.said("representations", step)

    def answer(self, step, shown, method, weight):
        return self.said("alignment_gradient", step)

    def gradient(self, step, *, task=True, pull=None):
        return self.said("gradient", step)

    def update(self, turn, local_steps):
        return self.said("update", turn)

    def parameters(self):
        self.exchanged += 1
        return self.said("parameters", self.exchanged - 1)

    def approach(self, step, other, weight):
        pass

    def head(self):
        return self.said("head", STEPS)


@pytest.mark.parametrize("alone", [0, 1])
@every_method
def test_one_party_with_the_messages_alone_ends_in_the_same_state(method, alone):
    transcript, parties = together(method)
    replayed, wire = [Recorded(transcript, name) for name in NAMES], Wire()
    replayed[alone] = organisation(alone, method=method)
    run_protocol(agreement(method), replayed, keeper(method), wire)
    for ours, theirs in zip(wire.messages, transcript.messages, strict=True):
        assert (ours.kind, ours.sender, ours.receiver, ours.step) == (
            theirs.kind, theirs.sender, theirs.receiver, theirs.step,
        )  # fmt: skip
        assert all(torch.equal(array, theirs.arrays[name]) for name, array in ours.arrays.items())
    for state, again in ((parties[alone].head(), replayed[alone].head()),
                         (parties[alone].parameters(), replayed[alone].parameters())):  # fmt: skip
        assert all(torch.equal(array, state[name]) for name, array in again.items())


TRUNK = ("trunk", COORDINATOR, ALL)
EXPECTED = {
    **dict.fromkeys(
        ("fedsgd", "hard", "l2-sp"), {TRUNK, ("gradient", "source", COORDINATOR), ("gradient", "receiver", COORDINATOR)}
    ),
    "fedavg": {TRUNK, ("update", "source", COORDINATOR), ("update", "receiver", COORDINATOR)},
    "soft": {("parameters", "source", "receiver"), ("parameters", "receiver", "source")},
}
EXPECTED["coral"] = EXPECTED["mmd"] = EXPECTED["dann"] = EXPECTED["dsn"] = EXPECTED["fedsgd"] | {
    ("representations", "source", "receiver"),
    ("alignment_gradient", "receiver", "source"),
}


@every_method
def test_a_transcript_holds_the_messages_of_the_method_and_nothing_else(method):
    transcript, parties = together(method)
    names = set(dict(trunk_and_head(0)[0].named_parameters()))
    for step in range(transcript.agreement.steps):
        found = [(one.kind, one.sender, one.receiver) for one in transcript.messages if one.step == step]
        assert len(found) == len(EXPECTED[method])
        assert set(found) == EXPECTED[method]
    last = [(one.kind, one.receiver) for one in transcript.messages if one.step == transcript.agreement.steps]
    final = [] if method == "soft" else [("trunk", ALL)]
    assert last == final + ([("head", "receiver")] if method in SHOWING else [])
    for message in transcript.messages:
        if message.kind in OF_TRUNK:
            assert set(message.arrays) == names
        if message.sender != COORDINATOR:
            assert message.kind in SENT[method]
    held = [holding(index).inputs for index in (0, 1)]
    private = [party.head()["weight"] for party in parties[1 if method in SHOWING else 0 :]]
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


@pytest.mark.parametrize("method", [method for method in METHODS if method not in ("fedavg", "soft")])
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


def test_a_party_computes_the_others_update():
    transcript, _ = together("fedavg")
    for own, other in (NAMES, NAMES[::-1]):
        seen = transcript.seen_by(own)
        assert not seen.of("update", other)
        found, sent = others_update(seen, own), transcript.of("update", other)
        assert sorted(found) == [0, 1]
        for step, arrays in sent.items():
            torch.testing.assert_close(found[step], dict(arrays), rtol=0, atol=1e-6)
    with pytest.raises(DataError, match="parties of 'fedavg' make several updates in a round, whose gradients do not"):
        others_gradient(seen, "receiver")
    with pytest.raises(DataError, match="only parties of 'fedavg' send updates, got 'fedsgd': use `others_gradient`"):
        others_update(together("fedsgd")[0], "source")


def test_parameters_of_two_steps_tell_the_gradient_of_the_loss():
    hp, weight = Hyperparameters(lr=0.1, momentum=0.9, weight_decay=0.01), 0.3
    transcript, _ = together("soft", hp, weight)
    found = others_gradient(transcript.seen_by("receiver"), "receiver")
    assert sorted(found) == [0, 1, 2]  # of the last update nothing crosses
    trunk, head = trunk_and_head(0)[0], trunk_and_head(10)[1]
    inputs, labels = batch(0, 0)
    wanted = torch.autograd.grad(nn.functional.cross_entropy(head(trunk(inputs)), labels), list(trunk.parameters()))
    torch.testing.assert_close(list(found[0].values()), list(wanted), rtol=0, atol=2e-6)
    # later the head of the source has moved: compared with a source that trains on the same trunks and tells
    source = organisation(0, hp)
    for step in range(STEPS - 1):
        source.adopt(transcript.of("parameters", "source")[step])
        torch.testing.assert_close(found[step], source.gradient(step), rtol=0, atol=5e-6)


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


def test_what_was_sent_is_compared_with_what_moved_the_trunk_but_for_rounding():
    rng = torch.Generator().manual_seed(0)
    for size, precision in ((1.0, torch.float32), (1e-6, torch.float32), (0.3, torch.float16)):
        trunk, velocity, messages = torch.randn(50, generator=rng), torch.zeros(50), []
        for step in range(9):
            kept = trunk.to(precision)
            messages.append(Message("trunk", COORDINATOR, "all", step, {"w": kept}))
            if step < 8:
                sent = [size * torch.randn(50, generator=rng) for _ in range(2)]
                messages += [
                    Message("gradient", name, COORDINATOR, step, {"w": one})
                    for name, one in zip(("a", "b"), sent, strict=True)
                ]
                velocity = 0.5 * velocity + (sent[0] + sent[1]) / 2 + 0.01 * kept.float()
                trunk = kept.float() - 0.01 * velocity
        told = Agreement("fedsgd", ("a", "b"), (0.01,) * 8, 0.5, 0.01, averaged=True)
        assert strays(Transcript(told, tuple(messages))) < 0.01
        if size == 1:
            for wrong in ({"momentum": 0.0}, {"rates": (0.02,) * 8}, {"averaged": False}):
                assert strays(Transcript(replace(told, **wrong), tuple(messages))) > 0.2
            alone = tuple(one for one in messages if one.sender != "b")
            assert strays(Transcript(told, alone)) is None
