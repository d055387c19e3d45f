"""Operations of models are counted as PyTorch counts them, and its compiler is not loaded for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dosimeter.models.cuts.counting import FlopCounter

PICTURES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1))
MODELS = {
    "dense": (nn.Sequential(nn.Flatten(), nn.Linear(192, 7), nn.ReLU(), nn.Linear(7, 2)), PICTURES),
    "convolutions": (nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, groups=1), nn.BatchNorm2d(4), nn.AvgPool2d(2)), PICTURES),
    "bilinear": (nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.ConvTranspose2d(3, 2, 2)), PICTURES),
    "attention": (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), ROWS),
}


@pytest.mark.parametrize("name", MODELS)
def test_operations_are_counted_as_pytorch_counts_them(name):
    model, inputs = MODELS[name]
    theirs = FlopCounterMode(display=False)
    with theirs, sdpa_kernel(SDPBackend.MATH):
        expected = model(inputs.clone())
    with FlopCounter() as ours, sdpa_kernel(SDPBackend.MATH):
        torch.manual_seed(0)
        found = model(inputs.clone())
    assert ours.total == theirs.get_total_flops() > 0
    assert found.shape == expected.shape


def test_what_cannot_be_counted_is_not_counted_as_nothing():
    with FlopCounter() as counter:
        torch.cond(torch.tensor(True), lambda x: x @ x, lambda x: x + x, (torch.ones(2, 2),))
    assert counter.total is None


def test_the_graph_of_a_model_is_read_without_the_compiler():
    code = """
import sys, torch
from torch import nn
from dosimeter.models.cuts.graph import read_graph
graph = read_graph(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.randn(2, 3, 4))
assert [one.multiply_adds for one in graph.operations] == [0, 36], graph.operations
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
