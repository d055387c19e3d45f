"""A network whose operations cannot be read is cut at layers that are named."""

from __future__ import annotations

import pytest
import torch
from families.split.supplied_nets import Branching
from torch import nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.named import read_named
from dosimeter.models.cuts.places import cuts, find_cut
from dosimeter.models.cuts.recorder import crossings

EXAMPLE = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(1))
RECORDS = torch.rand(9, 1, 6, 6, generator=torch.Generator().manual_seed(2))


def network(*, bypass=False):
    """The same network each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Branching(bypass).eval()


def chain():
    """The same layers as operations that can be read."""
    one = network()
    return nn.Sequential(nn.Flatten(), one.first, nn.ReLU(), one.second, nn.ReLU(), one.last).eval()


def test_its_operations_cannot_be_read_at_all():
    with pytest.raises(ConfigError, match="its operations cannot be read"):
        read_graph(network(), EXAMPLE)


def test_halves_at_a_named_layer_answer_as_the_whole():
    model = network()
    graph = read_named(model, EXAMPLE, ["second", "first"])
    assert [one.name for one in cuts(graph)] == ["input", "first", "second", "output"]
    with torch.no_grad():
        sent, answers = crossings(graph, [find_cut(cuts(graph), name) for name in ("first", "second")], RECORDS)
        torch.testing.assert_close(answers, model(RECORDS))
        torch.testing.assert_close(sent[0][0], model.first(RECORDS.flatten(1)))
        for name in ("first", "second"):
            first, second = halves(graph, find_cut(cuts(graph), name))
            torch.testing.assert_close(second(*first(RECORDS))[0], model(RECORDS))


def test_weights_and_work_before_a_layer_are_those_of_the_operations():
    graph, known = read_named(network(), EXAMPLE, ["first", "second"]), read_graph(chain(), EXAMPLE)
    for name, place in (("first", "1"), ("second", "3"), ("output", "output")):
        mine, theirs = find_cut(cuts(graph), name), find_cut(cuts(known), place)
        assert (mine.parameters, mine.multiply_adds) == (theirs.parameters, theirs.multiply_adds)
        assert mine.counted


def test_gradients_reach_the_records():
    graph = read_named(network(), EXAMPLE, ["second"])
    first, _ = halves(graph, find_cut(cuts(graph), "second"))
    x = RECORDS.clone().requires_grad_()
    (back,) = torch.autograd.grad(first(x)[0].sum(), x)
    assert float(back.abs().sum()) > 0


def test_what_passes_a_layer_by_makes_other_answers():
    model = network(bypass=True)
    graph = read_named(model, EXAMPLE, ["second"])
    first, second = halves(graph, find_cut(cuts(graph), "second"))
    with torch.no_grad():
        assert float((second(*first(RECORDS))[0] - model(RECORDS)).abs().max()) > 1e-3


class Twice(nn.Module):
    """A layer that runs twice, and one that never does."""

    def __init__(self):
        super().__init__()
        self.layer, self.idle = nn.Linear(36, 36), nn.Linear(2, 2)

    def forward(self, x):
        """Numbers."""
        return self.layer(self.layer(x.flatten(1)))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("layer", "must run once and give one tensor with a row for each record, got 2 runs"),
        ("idle", "got 0 runs"),
        ("layers", "the model has no layer 'layers', did you mean 'layer'?"),
    ],
)
def test_a_layer_that_is_no_place_is_refused(name, told):
    with pytest.raises(ConfigError) as caught:
        read_named(Twice().eval(), EXAMPLE, [name])
    assert told in str(caught.value)
