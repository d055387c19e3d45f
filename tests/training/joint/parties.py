"""Two organisations on data made by hand, and their training, for tests of this folder."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dosimeter.training.joint.methods import AVERAGED
from dosimeter.training.joint.organisation import Holding, Organisation, keeper_of
from dosimeter.training.joint.protocols import run_protocol
from dosimeter.training.joint.transcript import Agreement, Transcript, Wire
from dosimeter.training.recipe import Hyperparameters

D, HIDDEN, C, B, STEPS = 6, 5, 3, 4, 4
CPU = torch.device("cpu")
HP = Hyperparameters(lr=0.1, momentum=0.9, weight_decay=0.01, schedule="cosine")
NAMES = ("source", "receiver")
LOCAL = 2
"""Updates in a round of `fedavg`."""


def trunk_and_head(seed):
    """Two dense layers with a tanh, so that gradients are smooth, and a last layer."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(D, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN)), nn.Linear(HIDDEN, C)


def holding(seed, batch=B):
    """30 records of which each party draws its batches by itself."""
    rng = np.random.default_rng(seed)
    inputs = torch.from_numpy(rng.normal(size=(30, D)).astype(np.float32))
    return Holding(inputs, torch.from_numpy(rng.integers(C, size=30)), rng.integers(30, size=(STEPS, batch)))


def organisation(index, hp=HP, method=""):
    """A party: own data, own head, the common trunk."""
    model = trunk_and_head(0)[0], trunk_and_head(10 + index)[1]
    return Organisation(NAMES[index], holding(index), model, hp, seed=index, device=CPU, method=method)


def keeper(method, hp=HP, weight=2.0):
    """The coordinator with the common trunk."""
    return keeper_of(agreement(method, hp, weight), trunk_and_head(0)[0], hp)


def agreement(method, hp=HP, weight=2.0):
    """What both know; a round of `fedavg` has two updates."""
    local = LOCAL if method == "fedavg" else 1
    rates = tuple(hp.lr_at(step, STEPS // local) for step in range(STEPS // local))
    decay = 0.0 if method == "l2-sp" else hp.weight_decay
    return Agreement(method, NAMES, rates, hp.momentum, decay, method in AVERAGED, weight, local)


def together(method, hp=HP, weight=2.0):
    """Both train; gives the transcript and the parties afterwards."""
    parties, wire = [organisation(index, hp, method) for index in (0, 1)], Wire()
    run_protocol(agreement(method, hp, weight), parties, keeper(method, hp, weight), wire)
    return Transcript(agreement(method, hp, weight), tuple(wire.messages)), parties


def normalised(shape, classes):
    """A model whose trunk has batch normalisation."""
    width = int(np.prod(shape))
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(width), nn.Linear(width, classes))
