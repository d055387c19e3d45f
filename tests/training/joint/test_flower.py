"""Recording a Flower training: what crossed is what is read again, by Flower's own strategy and messages."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import DataError
from dosimeter.training.joint.flower import FlowerRecorder
from dosimeter.training.joint.transcript import ALL, COORDINATOR, Agreement, read_transcript

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    flwr_app = pytest.importorskip("flwr.app", reason="Flower is not installed")
    strategies = pytest.importorskip("flwr.serverapp.strategy", reason="Flower is not installed")

PARTIES, ROUNDS, LOCAL, RATE = ("hospital", "clinic"), 3, 2, 0.1


@pytest.fixture(autouse=True)
def _task(monkeypatch):
    """What Flower sets in the process of a server, and needs to make messages."""
    identity = pytest.importorskip("flwr.supercore.task_identity").TaskIdentity
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(identity, name, 1)


def agreement(method="fedavg"):
    return Agreement(method, PARTIES, (RATE,) * ROUNDS, 0.0, 0.0, averaged=True, local_steps=LOCAL)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))


class Nodes:
    """Stands for Flower's grid: two nodes that train at once when they are asked."""

    def __init__(self, parties=PARTIES, sizes=(10, 10)):
        self.parties, self.sizes, self.updates = parties, sizes, {11: [], 12: []}

    def get_node_ids(self):
        return [11, 12]

    def send_and_receive(self, messages, timeout=None):
        return [self._reply(one) for one in messages]

    def _reply(self, message):
        index = message.metadata.dst_node_id - 11
        arrays = next(iter(message.content.array_records.values()))
        model = net()
        model.load_state_dict(arrays.to_torch_state_dict())
        before = copy.deepcopy(model.state_dict())
        optimizer = torch.optim.SGD(model.parameters(), RATE)
        generator = torch.Generator().manual_seed(100 * index + len(self.updates[11 + index]))
        for _ in range(LOCAL):
            optimizer.zero_grad()
            inputs = torch.randn(8, 5, generator=generator) + index
            nn.functional.cross_entropy(model(inputs), (inputs[:, 0] > 0).long()).backward()
            optimizer.step()
        self.updates[11 + index].append({name: one - before[name] for name, one in model.state_dict().items()})
        content = flwr_app.RecordDict(
            {
                "arrays": flwr_app.ArrayRecord(model.state_dict()),
                "metrics": flwr_app.MetricRecord({"num-examples": self.sizes[index]}),
                **({"party": flwr_app.ConfigRecord({"name": self.parties[index]})} if self.parties else {}),
            }
        )
        return flwr_app.Message(content, reply_to=message)


def trained(folder, nodes):
    strategy = strategies.FedAvg(fraction_evaluate=0.0)
    watched = FlowerRecorder(folder, agreement(), net()).watch(strategy)
    return watched.start(nodes, flwr_app.ArrayRecord(net().state_dict()), num_rounds=ROUNDS)


def test_a_transcript_holds_what_flower_sent_and_got_back(tmp_path, caplog):
    nodes = Nodes()
    result = trained(tmp_path / "transcript", nodes)
    transcript, left = read_transcript(tmp_path / "transcript")
    assert left == ()
    trunks = transcript.of("trunk", COORDINATOR)
    assert sorted(trunks) == list(range(ROUNDS + 1))
    assert {one.receiver for one in transcript.messages if one.kind == "trunk"} == {ALL}
    for step in range(ROUNDS):
        for index, name in enumerate(PARTIES):
            sent, wanted = transcript.of("update", name)[step], nodes.updates[11 + index][step]
            assert set(sent) == {"0.weight", "0.bias"}
            for key, one in sent.items():
                torch.testing.assert_close(one, wanted[key], rtol=0, atol=1e-6)
        for key, one in trunks[step].items():
            moved = one + sum(transcript.of("update", name)[step][key] for name in PARTIES) / 2
            torch.testing.assert_close(trunks[step + 1][key], moved, rtol=0, atol=1e-6)
    last = result.arrays.to_torch_state_dict()
    torch.testing.assert_close(trunks[ROUNDS]["0.weight"], last["0.weight"], rtol=0, atol=1e-6)
    assert "['2.bias', '2.weight'] cross too" in caplog.text


@pytest.mark.parametrize(
    ("nodes", "line"),
    [
        (Nodes(parties=()), "flower: round 1: each reply must name its party, got none: add ConfigRecord"),
        (
            Nodes(parties=("hospital", "other")),
            "flower: round 1: must hold replies of hospital, clinic, got hospital, ",
        ),
        (Nodes(sizes=(10, 20)), "flower: round 1: parties must weigh alike, since an audit takes their plain mean"),
    ],
)
def test_what_could_not_be_audited_is_refused_in_the_first_round(nodes, line, tmp_path):
    with pytest.raises(DataError) as caught:
        trained(tmp_path / "transcript", nodes)
    assert str(caught.value).startswith(line), str(caught.value)


def test_another_method_and_another_network_are_refused(tmp_path):
    with pytest.raises(DataError, match="method must be 'fedavg', got 'fedsgd'"):
        FlowerRecorder(tmp_path / "a", agreement("fedsgd"), net())
    recorder = FlowerRecorder(tmp_path / "b", agreement(), net())
    with pytest.raises(DataError, match=r"round 1: must hold every parameter before the last layer, got no '0.bias'"):
        recorder.sent(1, {})
