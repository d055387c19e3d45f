"""The recorder: what it saw at each cut, from one pass, is what the first half sends there."""

import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import cuts
from dosimeter.models.cuts.recorder import crossings, flat, lost_in_float32, recorded
from models.test_cuts import Attention, Residual, no_type_checks

__all__ = ["no_type_checks"]


def chain():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 5)
    )


MODELS = {"chain": (chain, (3, 6, 6)), "residual": (Residual, (3, 6, 6)), "attention": (Attention, (5, 8))}


@pytest.mark.parametrize("name", list(MODELS))
def test_one_pass_sees_what_each_first_half_sends(name):
    torch.manual_seed(0)
    kind, shape = MODELS[name]
    model = kind().eval()
    records = torch.rand(7, *shape)
    graph = read_graph(model, records[:2])
    places, before = cuts(graph), records.clone()
    sent, answer = crossings(graph, places, records)
    assert torch.equal(records, before)
    assert torch.allclose(answer, model(records.clone()), atol=1e-6)
    for cut, own in zip(places, sent, strict=True):
        first, second = halves(graph, cut)
        other = first(records.clone())
        assert len(own) == len(other)
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(own, other, strict=True))
        (again,) = second(*(one.clone() for one in own))
        assert torch.allclose(again, answer, atol=1e-6)


def test_many_records_by_batches_and_several_tensors_as_one_row():
    torch.manual_seed(1)
    model = Residual().eval()
    records = torch.randint(256, (10, 3, 6, 6), dtype=torch.uint8)
    graph = read_graph(model, records[:2].float() / 255)
    places = cuts(graph)
    features, answers = recorded(graph, places, records, lambda some: some.float() / 255, batch=4)
    whole, answer = crossings(graph, places, records.float() / 255)
    assert torch.allclose(answers, answer, atol=1e-6)
    for one, sent in zip(features, whole, strict=True):
        assert one.shape == ((10, *sent[0].shape[1:]) if len(sent) == 1 else (10, sum(s[0].numel() for s in sent)))
        assert torch.allclose(one, flat(sent), atol=1e-6)
    assert any(len(sent) > 1 for sent in whole)


DRAWN = torch.randn(50, 12, generator=torch.Generator().manual_seed(0)).double()
CONSTANT = torch.full((50, 3), 0.1, dtype=torch.float64)


@pytest.mark.parametrize(
    ("values", "lost"),
    [
        (DRAWN, False),
        (DRAWN * 1e-30, False),
        (DRAWN + 1e3, False),
        ((DRAWN * 1000).long(), False),
        (CONSTANT, False),
        (CONSTANT + 1e-17 * DRAWN[:, :3], False),  # what rounding leaves of numbers that are the same
        (torch.cat([DRAWN, CONSTANT + 1e-17 * DRAWN[:, :3]], 1), False),
        (torch.zeros(5, 0, dtype=torch.float64), False),
        (DRAWN + 1e12, True),
        (DRAWN * 1e-200, True),
        ((DRAWN * 1000).long() + 2**45, True),
    ],
)
def test_differences_that_float32_cannot_hold_are_seen(values, lost):
    assert lost_in_float32(values) is lost


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda x: x.double() + 1e10,
            "must differ between records by what float32 can hold, got torch.float64",
        ),
        (lambda x: x / 0, "must be finite real numbers, got others, such as NaN or infinity"),
        (lambda x: torch.complex(x, x), "must be finite real numbers, got complex ones"),
    ],
)
def test_what_no_attack_could_read_is_refused_and_never_recorded(change, told):
    class Changed(nn.Module):
        def forward(self, x):
            return change(x)

    class Back(nn.Module):
        def forward(self, x):
            return torch.nan_to_num(torch.abs(x).float())

    model = nn.Sequential(Changed(), Back()).eval()
    records = torch.rand(20, 3) + 0.5
    graph = read_graph(model, records[:2])
    cut = [one for one in cuts(graph) if one.name.startswith("0")][-1]
    with pytest.raises(ConfigError, match=told) as caught:
        recorded(graph, [cut], records, lambda some: some)
    assert len(caught.value.problems) == 1
