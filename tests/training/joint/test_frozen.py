"""Blocks that stay as they are in a joint training: as if the parties held what these blocks make of their records."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from families.exchange.games import BASE, case_of, table
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.models.architectures import mlp
from dosimeter.models.transfer import fix_first
from dosimeter.training.joint.dense_gradients import is_perceptron
from dosimeter.training.joint.gradients import batch_gradients
from dosimeter.training.joint.organisation import Organisation, keeper_of
from dosimeter.training.joint.protocols import run_protocol
from dosimeter.training.joint.transcript import Wire
from training.joint.parties import CPU, HP, NAMES, C, D, agreement, holding, trunk_and_head


def messages(trunk, holdings, method):
    """What crosses when two parties train a trunk."""
    parties = [
        Organisation(NAMES[index], holdings[index], (trunk, trunk_and_head(10 + index)[1]), HP, seed=index, device=CPU)
        for index in (0, 1)
    ]
    wire = Wire()
    run_protocol(agreement(method), parties, keeper_of(agreement(method), trunk, HP), wire)
    return wire.messages


@pytest.mark.parametrize("method", ["fedsgd", "fedavg", "coral", "soft", "l2-sp"])
def test_a_frozen_block_is_one_that_was_run_beforehand(method):
    trunk = trunk_and_head(0)[0]
    first = nn.Sequential(trunk[0])
    owned = [holding(index) for index in (0, 1)]
    after = [replace(one, inputs=first(one.inputs).detach()) for one in owned]
    short = nn.Sequential(nn.Identity(), *trunk_and_head(0)[0][1:])
    fix_first(trunk, 1, "net")
    found, wanted = messages(trunk, owned, method), messages(short, after, method)
    assert len(found) == len(wanted) > 4
    for one, other in zip(found, wanted, strict=True):
        assert (one.kind, one.sender, one.step) == (other.kind, other.sender, other.step)
        assert one.arrays.keys() == other.arrays.keys()
        for name, array in one.arrays.items():
            torch.testing.assert_close(array, other.arrays[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("blocks", [0, 1])
def test_gradients_of_many_batches_are_of_what_is_trained(blocks):
    torch.manual_seed(0)
    model = mlp((D,), C, width=7, depth=2)
    trunk, head = model.backbone, model.head
    whole = dict(trunk.named_parameters())
    fix_first(trunk, blocks, "mlp")
    own = dict(trunk.named_parameters())
    assert len(own) == len(whole) - 2 * blocks
    inputs, labels = torch.randn(3, 4, D), torch.randint(C, (3, 4))
    assert is_perceptron(trunk, head, inputs)
    found = batch_gradients(trunk, head, own, inputs, labels)
    for index in range(3):
        loss = nn.functional.cross_entropy(head(trunk(inputs[index])), labels[index])
        for name, one in zip(own, torch.autograd.grad(loss, list(own.values())), strict=True):
            torch.testing.assert_close(found[name][index], one, rtol=1e-4, atol=1e-6)
    assert found.keys() == own.keys()


def test_what_a_users_model_does_not_train_is_no_part_of_a_message():
    trunk = trunk_and_head(0)[0]
    trunk[0].requires_grad_(requires_grad=False)
    fix_first(trunk, 0, "net")
    assert [name for name, _ in trunk.named_parameters()] == ["2.weight", "2.bias"]
    assert trunk.state_dict().keys() == {"2.weight", "2.bias"}
    with pytest.raises(TrainingError, match="frozen must leave a block with parameters to train, of 1 before the head"):
        fix_first(trunk, 1, "net")
    with pytest.raises(TrainingError, match="must have parameters to train, got none that require gradients"):
        fix_first(nn.Sequential(nn.Linear(2, 2).requires_grad_(requires_grad=False)), 0, "net")


def deep(shape, classes):
    """Two hidden layers that are shared, and a last one."""
    return nn.Sequential(
        nn.Linear(shape[0], 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, classes)
    )  # fmt: skip


def audit(frozen, **threat):
    """A joint stage after a plain one, which keeps some of its blocks."""
    raw = table(**threat)
    (joint,) = raw["stage"]
    del joint["model"]
    before = {"name": "first", "data": "own", "model": "training.joint.test_frozen:deep", "epochs": 1}
    raw["stage"] = [before, joint | {"frozen": frozen, "epochs": 1}]
    return raw


def test_frozen_blocks_are_in_no_message_and_attacks_know_it(tmp_path):
    case = case_of(audit(1), tmp_path)
    transcript = case.runs[0][0].transcript()
    sent = {name for one in transcript.messages for name in one.arrays}
    assert sent == {"2.weight", "2.bias"}
    assert len(case.runs[0][0].transcript().messages) > 10


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"frozen": 1, "transfer": "dsn"}, "stage[1].frozen: 'dsn' has encoders that each party trains by itself"),
        ({"frozen": -1}, "stage[1].frozen: must be at least 0, got -1"),
    ],
)
def test_wrong_numbers_of_frozen_blocks_are_refused_in_one_line(change, line):
    raw = audit(1)
    raw["stage"][1] |= change
    with pytest.raises(ConfigError) as caught:
        parse(raw, base=BASE)
    assert any(problem.startswith(line) for problem in caught.value.problems)


def test_frozen_blocks_need_a_stage_before_and_a_joint_stage():
    raw = table()
    raw["stage"][0]["frozen"] = 1
    with pytest.raises(ConfigError, match=r"stage\[0\].frozen: blocks that stay as they are have weights of a stage"):
        parse(raw, base=BASE)
    raw = audit(1)
    raw["stage"][0]["frozen"] = 1
    with pytest.raises(ConfigError, match=r"stage\[0\].frozen: only a joint transfer has it, got 1 with 'scratch'"):
        parse(raw, base=BASE)
