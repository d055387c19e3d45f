"""What a supplied model answers may depend on the batch, or on what was asked before; that is no leak."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from supplied_models import fit, records
from torch import nn

import dosimeter

N = 120


class Data:
    """What `fit` gets, made by hand."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = torch.from_numpy(inputs), torch.from_numpy(labels)


class Drifting(nn.Module):
    """Is less sure of itself the more it was asked."""

    def __init__(self, net):
        super().__init__()
        self.net, self.seen = net, 0

    def forward(self, x):
        self.seen += len(x)
        return self.net(x) * 100 / (100 + self.seen)


@pytest.fixture(scope="module")
def parts():
    """Members and non-members, and a net that learned both alike."""
    inputs, labels = records(2 * N)
    order = np.random.default_rng(5).permutation(2 * N)
    net = fit(Data(inputs[order], labels[order]), seed=1, epochs=15).eval()
    return (inputs[order[:N]], labels[order[:N]]), (inputs[order[N:]], labels[order[N:]]), net


def test_answers_that_drift_tell_no_members(parts, tmp_path):
    members, nonmembers, net = parts
    result = dosimeter.audit(
        Drifting(net), members=members, nonmembers=nonmembers, attacks=["loss"], shadows=0, out=tmp_path / "run"
    )
    (threat,) = result.content["threats"]
    (row,) = [one for one in threat["estimates"] if (one["metric"], one["attack"]) == ("auc", "loss")]
    assert row["low"] < 0.5 < row["high"]
    assert {gate["id"]: gate["status"] for gate in threat["gates"]}["I1"] == "warn"
