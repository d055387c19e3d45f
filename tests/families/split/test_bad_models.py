"""Models that are hard to cut: what is refused in one line, and what is accepted."""

from __future__ import annotations

import pytest
from audits import BASE
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.prepare import prepare
from families.split.games import audit

RIDGE = [{"name": "ridge"}, {"name": "mean_input"}]


class Branching(nn.Module):
    """Decides by a value what it does, so that no trace follows it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(36, 12), nn.Linear(12, 12)

    def forward(self, x):
        """One way or the other."""
        hidden = self.first(x.flatten(1))
        if float(hidden.detach().sum()) > 0:
            hidden = hidden.relu()
        return self.second(hidden)


class Residual(nn.Module):
    """A block with a way around it."""

    def __init__(self, width):
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        """Its input and what it makes of it."""
        return x + self.outer(self.inner(x).relu())


class Counting(nn.Module):
    """Keeps a state between calls."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(36, 8), 0

    def forward(self, x):
        """Another answer each time."""
        self.calls += 1
        return self.layer(x.flatten(1)) + self.calls


class Across(nn.Module):
    """A recurrent layer whose state goes on from the records before."""

    def __init__(self):
        super().__init__()
        self.layer, self.state = nn.GRU(6, 8, batch_first=True), None

    def forward(self, x):
        """The last output."""
        known = self.state if self.state is not None and self.state.shape[1] == len(x) else None
        out, state = self.layer(x[:, 0], known)
        self.state = state.detach()
        return out[:, -1]


class Whole(nn.Module):
    """A model that no trace follows at all."""

    def __init__(self, classes):
        super().__init__()
        self.body, self.head = Branching(), nn.Linear(12, classes)

    def forward(self, x):
        """Decides by a value of a record."""
        return self.head(self.body(x)) if float(x.sum()) > 0 else self.head(-self.body(x))


def untraced(shape, classes):
    """No trace follows it."""
    return Whole(classes)


def in_parts(shape, classes):
    """The same as parts in a row, of which the first is taken whole."""
    return nn.Sequential(Branching(), nn.ReLU(), nn.Linear(12, classes))


def around(shape, classes):
    """A block with a way around it after the first layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), Residual(8), nn.Linear(8, classes))


def around_all(shape, classes):
    """A block around which the records themselves go."""
    return nn.Sequential(Residual(6), nn.Flatten(), nn.Linear(36, classes))


def counting(shape, classes):
    """Keeps a state between calls."""
    return nn.Sequential(Counting(), nn.ReLU(), nn.Linear(8, classes))


def across(shape, classes):
    """Keeps the state of a recurrent layer between calls."""
    return nn.Sequential(Across(), nn.Linear(8, classes))


def by_batch(shape, classes):
    """Normalises by the batch even at rest."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.ReLU(), nn.Linear(8, classes)
    )


def case_of(model, tmp_path, **threat):
    raw = audit(RIDGE, attributes=[], **threat)
    raw["stage"][0]["model"] = f"families.split.test_bad_models:{model}"
    return prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases["split"]


def refused(model, tmp_path, **threat):
    with pytest.raises(AuditError) as caught:
        case_of(model, tmp_path, **threat)
    assert all("\n" not in line for line in caught.value.problems)
    return caught.value.problems


def test_a_model_that_cannot_be_traced_is_refused_with_the_place_and_a_remedy(tmp_path):
    told = [line for line in refused("untraced", tmp_path, cuts=["body"]) if "cannot be read" in line]
    assert len(told) == 1
    assert "test_bad_models.py:" in told[0]
    assert "return an nn.Sequential of such parts" in told[0]


def test_its_parts_in_a_row_can_be_cut_between_them(tmp_path):
    case = case_of("in_parts", tmp_path, cuts=["0"])
    (cut,) = case.places
    assert [one.shape for one in cut.tensors] == [(12,)]


def test_inside_a_block_all_that_is_needed_later_crosses(tmp_path):
    (cut,) = case_of("around", tmp_path, cuts=["2.inner"]).places
    assert [one.shape for one in cut.tensors] == [(8,), (8,)]
    assert cut.bytes["float32"] == 64


def test_inside_a_block_that_the_records_go_around_is_refused(tmp_path):
    (told,) = refused("around_all", tmp_path, cuts=["0.inner"])
    assert told.startswith("threat.cuts: after '0.inner' the records themselves cross too")


@pytest.mark.parametrize("model", ["counting", "across"])
def test_a_layer_that_keeps_a_state_across_the_cut_is_refused(model, tmp_path):
    told = refused(model, tmp_path, cuts=["0"])
    assert any("answers otherwise than the model" in line or "one record alone" in line for line in told), told


def test_a_layer_that_mixes_records_is_refused(tmp_path):
    (told,) = [line for line in refused("by_batch", tmp_path, cuts=["3"]) if line.startswith("threat.cuts")]
    assert told.startswith("threat.cuts: what crosses after '3' must be of one record alone, got features that change")
    (told,) = [line for line in refused("by_batch", tmp_path, cuts="all") if "'2'" in line]
    assert told.startswith("threat.cuts: what crosses after '2'")
    assert len(case_of("by_batch", tmp_path, cuts=["1"]).places) == 1
