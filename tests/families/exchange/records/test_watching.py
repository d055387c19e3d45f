"""What attacks on records get: the gradient of the victim's batch, the trunk, and the last layer if it is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.exchange.records.first_layer import dense_first
from families.exchange.records.audits import done, records_table


def true_gradient(case, game, place, head):
    """What the victim's batch gives, by one plain backward pass of the model that the game holds."""
    job = case.runs[0]
    member = next(one for one in job.members if one.name == "source")
    data = case.system.store.load(member.data)
    rows = torch.from_numpy(case.rows[0][0][place])
    trunk = game.trunks[place]
    loss = nn.functional.cross_entropy(head(trunk(data["inputs"][rows])), data["labels"][rows])
    made = torch.autograd.grad(loss, [*trunk.parameters(), *head.parameters()])
    names = [name for name, _ in trunk.named_parameters()]
    return dict(zip(names, made, strict=False)), dict(zip(("weight", "bias"), made[len(names) :], strict=True))


@pytest.mark.parametrize(
    ("method", "adversary", "momentum"),
    [
        ("fedsgd", "receiver", 0.9),
        ("fedsgd", "coordinator", 0.9),
        ("soft", "receiver", 0.0),
        ("fedavg", "receiver", 0.0),
    ],
)
def test_the_gradient_and_the_last_layer_are_those_of_the_victims_batch(method, adversary, momentum, tmp_path):
    raw = records_table(method, head="seen", adversary=adversary)
    raw["stage"][-1] |= {"momentum": momentum, "weight_decay": 0.01}
    if method == "fedavg":
        raw["stage"][-1]["local_steps"] = 1
    channel = raw["attack"][0]["channel"]
    raw["attack"].append({"name": "idlg", "channel": channel, "rounds": 1, "steps": 2, "attempts": 1})
    case = done(raw, tmp_path, until="models")
    row = next(one for one in case.running if one.name == "idlg")
    games = [play.game() for play in case.plays(row, 0)]
    assert [len(game.ids) for game in games] == [5, 3]
    for place in (0, 4):
        seen = games[0].seen[place]
        wanted, last = true_gradient(case, games[0], place, seen.head)
        for name, one in wanted.items():
            torch.testing.assert_close(seen.gradient[name], one, rtol=1e-3, atol=2e-5)
        for name, one in last.items():
            torch.testing.assert_close(seen.head_gradient[name], one, rtol=1e-3, atol=2e-5)


def test_a_private_last_layer_is_not_given(tmp_path):
    case = done(records_table(), tmp_path, until="models")
    (dense, mean, _) = case.running
    game = case.plays(dense, 0)[0].game()
    assert all(one.head is None and not one.head_gradient for one in game.seen)
    assert case.plays(mean, 0)[0].game().seen == (None,) * 5
    assert case.heads == ()


def test_rounds_of_several_steps_hold_all_their_records(tmp_path):
    raw = records_table("fedavg", batches=8)
    raw["stage"][-1] |= {"momentum": 0.9}
    case = done(raw, tmp_path, until="models")
    assert case.size == 8
    game = case.plays(case.running[0], 0)[0].game()
    assert game.size == 8
    member = case.runs[0].members[0]
    assert np.array_equal(member.batches[: 2 * 1].ravel(), case.rows[0][0][0])
    # at the first trunk, and with a small rate, the update is nearly the gradient of all records together
    seen = game.seen[0]
    (name, _) = dense_first(seen.trunk, seen.shape)
    assert seen.gradient[name].abs().max() > 0


@pytest.mark.parametrize("secure", [False, True])
def test_of_three_parties_the_records_of_both_others_are_sought(secure, tmp_path):
    raw = records_table(victim="north", adversary="south")
    raw["data"]["third"] = {**raw["data"]["source"], "rows": "600:700"}
    raw["data"]["later"]["rows"] = "700:900"
    parties = {"north": "source", "south": "receiver", "east": "third"}
    raw["stage"][-1] |= {"parties": parties, "momentum": 0.0}
    if secure:
        raw["stage"][-1]["defenses"] = [{"name": "secure_sum"}]
    case = done(raw, tmp_path)
    game = case.plays(case.running[0], 0)[0].game()
    assert game.size == 2 * case.size == 8
    if not secure:
        sent = case.runs[0].transcript()
        for name, one in game.seen[2].gradient.items():
            step = int(case.steps[2])
            wanted = (sent.of("gradient", "north")[step][name] + sent.of("gradient", "east")[step][name]) / 2
            torch.testing.assert_close(one, wanted, rtol=1e-3, atol=2e-5)
    judged = case.judges(case.running[0])[0].load()
    assert judged["error"].shape == (8, 4)
    assert judged["made"].max() < 8
    assert np.diagonal(judged["lineup"].mean(0)).mean() > judged["lineup"].mean()


@pytest.mark.parametrize(
    ("trunk", "found"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU()), ("1.weight", "1.bias")),
        (nn.Sequential(nn.Sequential(nn.Linear(4, 3)), nn.ReLU()), ("0.0.weight", "0.0.bias")),
        (nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 3)), None),
        (nn.Sequential(nn.ReLU(), nn.Linear(4, 3)), None),
        (nn.Sequential(nn.Flatten(), nn.Linear(5, 3)), None),
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 3)), None),
    ],
    ids=["flatten", "inner", "no bias", "not first", "width", "convolution"],
)
def test_a_dense_first_layer_is_found(trunk, found):
    assert dense_first(trunk, (1, 2, 2)) == found
