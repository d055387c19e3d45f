"""The table of cuts and the cut that is recommended, on evidence made by hand; the cuts that "all" stands for."""

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.split.case.every import MOST, every_cut
from dosimeter.families.split.measures.choice import FEWEST, Cuts, choice, halves, kept_within
from dosimeter.families.split.measures.measured import Measured
from dosimeter.families.split.measures.shown import Decisions
from dosimeter.families.split.section.cuts import limit_told
from dosimeter.families.split.stored import Left
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.places import cuts

ROWS = (
    ("ridge", "input", "features"), ("decoder", "input", "features"), ("floor", "input", "answers"),
    ("pool", "attribute", "features"), ("output", "attribute", "answers"),
)  # fmt: skip


def cut(name, size, work):
    return {
        "name": name, "shapes": [[size // 4]], "numbers": size // 4, "parameters": work, "multiply_adds": work,
        "bytes": {"float32": size, "float16": size // 2, "int8": size // 4}, "counted": True,
    }  # fmt: skip


COSTS = (cut("a", 400, 10), cut("b", 200, 100), cut("c", 100, 1000), cut("d", 100, 2000))


def found_of(seed, leaks, *, n=120, m=60, limits=None, shares=None, correct=None):
    """Leaks of a run whose attacks learn so much at each cut."""
    rng = np.random.default_rng(seed)
    value = np.r_[0, 1, rng.integers(2, size=n - 2)]
    evidence = {}
    for name, goal, reads in ROWS:
        told = np.array(leaks if reads == "features" else [0.0])
        if goal == "input":
            lineup = rng.normal(size=(1, len(told), m, m)) + told[:, None, None] * np.eye(m)
            evidence[name] = {"lineup": lineup, "mse": np.exp(0.1 * rng.normal(size=(1, len(told), n)))}
        else:
            score = rng.normal(size=(1, len(told), n)) + told[:, None] * value
            evidence[name] = {"guesses-0": np.stack([-score, score], -1)}
    summary = {
        "seed": seed, "cuts": list(COSTS[: len(leaks)]), "attributes": [{"name": "coin", "values": ["0", "1"]}],
        "attacks": [{"id": a, "goal": b, "reads": c, "control": False} for a, b, c in ROWS],
        "threat": {"at_risk": "s", "targets": 1, "limits": limits or {}}, "cuts_left_out": 3,
    }  # fmt: skip
    truth = {"person": np.arange(n), "lineup": np.arange(m), "value-0": value, "prior-0": np.full(2, 0.5)}
    if shares is not None:
        truth |= {"radius-share": np.array([shares]), "radius-squared": 9 * np.array([shares])}
    truth |= correct or {"correct": np.arange(n)[None] % 4 > 0}
    found = Measured(Left(summary, truth, evidence, None))
    return Cuts(found, Decisions(found))


def test_the_table_has_costs_accuracy_and_the_strongest_leak_of_each_secret():
    own = found_of(0, [4.0, 2.0, 0.0])
    table = own.table()
    assert [one["name"] for one in table] == ["a", "b", "c"]
    for source, row in enumerate(table):
        first, second = row["leaks"]
        names = ("ridge", "decoder")
        best = max(own.leak(one, None, source, own.everyone).value for one in names)
        assert (first["attribute"], first["value"]) == (None, best)
        assert (second["attribute"], second["attack"]) == ("coin", "pool")
        assert row["accuracy"]["value"] == 0.75
        assert row["radius"] is None
    assert [leak["shown"] for leak in table[0]["leaks"]] == [True, True]
    assert not any(leak["shown"] for leak in table[2]["leaks"])


def test_a_cut_that_costs_more_and_leaks_as_much_is_not_in_the_pareto_set():
    own = found_of(0, [4.0, 2.0, 0.0, 0.0])
    for arrays in own.found.left.evidence.values():
        for name, one in arrays.items():
            if one.shape[1] == 4 and name != "mse":
                one[:, 3] = one[:, 2]
    assert [one["pareto"] for one in own.table()] == [True, True, True, False]


def test_the_cheapest_of_those_that_leak_least_is_recommended_and_measured_on_others():
    own = found_of(1, [6.0, 0.0, 0.0])
    found = choice(own, own.table())
    assert (found["cut"], found["reason"], found["persons"], found["left_out"]) == ("b", "", [60, 60], 3)
    first = halves(own.found.person, own.found.left.truth["lineup"], own.found.rng("choice"))
    for one, told in zip(found["leaks"], own.secrets, strict=True):
        assert one["value"] == own.leak(one["attack"], told, 1, ~first).value
        assert one["low"] < 0.5 < one["high"]


def test_what_is_told_of_the_other_half_is_not_too_good_by_choice():
    """Of cuts that leak equally, the chosen one looks better than it is where it was chosen, and not elsewhere."""
    chosen, measured = [], []
    table = [{**one, "radius": None, "leaks": []} for one in COSTS]
    for seed in range(40):
        own = found_of(seed, [1.0, 1.0, 1.0, 1.0], n=60, m=30)
        found = choice(own, table)
        chosen.append(found["chosen_on"])
        measured.append(max(one["value"] for one in found["leaks"]))
    truth = found_of(99, [1.0], n=1000, m=400)
    wanted = max(truth.leak(name, told, 0, truth.everyone).value for name, told in zip(
        ("ridge", "pool"), truth.secrets, strict=True
    ))  # fmt: skip
    assert abs(np.mean(measured) - wanted) < 0.06
    assert np.mean(chosen) < wanted + 0.06


def test_limits_of_the_device_are_kept():
    own = found_of(1, [6.0, 1.0, 0.0], limits={"multiply_adds": 500})
    assert choice(own, own.table())["cut"] == "b"
    own = found_of(1, [6.0, 1.0, 0.0], limits={"bytes": 10})
    assert choice(own, own.table())["reason"] == "no cut keeps within the limits of the threat"


def test_of_the_cuts_that_keep_the_limit_of_the_leak_the_cheapest_is_recommended():
    free, strict = found_of(1, [6.0, 1.0, 0.0]), found_of(1, [6.0, 1.0, 0.0], limits={"leak": 0.99})
    assert (choice(free, free.table())["cut"], choice(free, free.table())["leak_limit"]) == ("c", None)
    own = choice(strict, strict.table())
    assert own["cut"] == "b"  # costs less than the one that leaks least
    assert own["leak_limit"] == ("met" if max(one["high"] for one in own["leaks"]) <= 0.99 else "undecided")


def test_a_limit_that_no_cut_is_shown_to_keep_recommends_none():
    own = found_of(1, [6.0, 3.0, 1.0], limits={"leak": 0.6})
    found = choice(own, own.table())
    assert (found["cut"], found["leak_limit"]) == (None, None)
    assert found["reason"].startswith("no cut was shown to leak at most 0.6; the least worst leak is 0.")
    assert found["reason"].endswith("after c")


def test_a_limit_is_decided_anew_on_those_who_did_not_choose():
    leak = {"value": 0.6, "low": 0.55, "high": 0.65}
    assert [kept_within([leak], most) for most in (0.7, 0.6, 0.5)] == ["met", "undecided", "exceeded"]
    assert kept_within([leak, {**leak, "high": 0.8}], 0.7) == "undecided"
    told = {"leak_limit": "exceeded", "limits": {"leak": 0.5}}
    assert limit_told(told) == " The limit of 0.5 is exceeded there."
    assert limit_told({"limits": {}}) == ""


def test_a_cut_behind_which_the_model_fails_is_not_recommended():
    right = np.arange(120)[None] % 4 > 0
    correct = {"correct-0": right, "correct-1": right, "correct-2": ~right}
    own = found_of(1, [6.0, 1.0, 0.0], correct=correct)
    table = own.table()
    assert [one["accuracy"]["value"] for one in table] == [0.75, 0.75, 0.25]
    assert choice(own, table)["cut"] == "b"


def test_without_a_choice_the_reason_is_told():
    one = found_of(0, [1.0])
    assert choice(one, one.table())["reason"] == "one cut was tested, so there is nothing to choose from"
    few = found_of(0, [1.0, 1.0], n=20, m=2 * FEWEST - 1)
    assert choice(few, few.table())["reason"] == f"half of the lineup has fewer than {FEWEST} persons"
    rare = found_of(0, [1.0, 1.0])
    rare.found.left.truth["value-0"][:] = np.arange(120) == 0
    assert "a value of coin does not occur" in choice(rare, rare.table())["reason"]


def test_the_radius_is_compared_with_the_leaks():
    table = found_of(0, [4.0, 1.0, 0.0], shares=[0.9, 0.5, 0.1])
    assert choice(table, table.table())["agreement"] == 1.0
    table = found_of(0, [4.0, 1.0, 0.0], shares=[0.1, 0.5, 0.9])
    assert choice(table, table.table())["agreement"] == -1.0
    assert table.table()[0]["radius"] == {"squared": pytest.approx(0.9), "share": pytest.approx(0.1)}


def test_halves_are_of_whole_persons():
    person = np.repeat(np.arange(20), 3)
    first = halves(person, np.arange(0, 30, 3), np.random.default_rng(0))
    assert all(len(set(first[person == one])) == 1 for one in range(20))
    assert (first[np.arange(0, 30, 3)].sum(), first.sum()) == (5, 30)


class Residual(nn.Module):
    """A block with a way around it."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x):
        return x + self.inner(x).relu()


def every(*layers):
    model = nn.Sequential(*layers).eval()
    graph = read_graph(model, torch.rand(2, 1, 4, 4))
    return every_cut(graph, cuts(graph))


def test_all_stands_for_places_at_which_other_numbers_cross():
    found, left = every(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3))
    assert ([one.name for one in found], left) == (["1", "3"], 0)


def test_of_many_places_some_are_left_out_evenly_and_those_within_blocks_first(monkeypatch):
    layers = [one for _ in range(MOST) for one in (nn.Linear(16, 16), nn.ReLU())]
    found, left = every(nn.Flatten(), *layers, nn.Linear(16, 3))
    assert (len(found), left) == (MOST, 2 * MOST - MOST)
    assert (found[0].name, found[-1].name) == ("1", str(2 * MOST))
    blocks = [Residual(16) for _ in range(MOST // 2)]
    found, left = every(nn.Flatten(), nn.Linear(16, 16), *blocks, nn.Linear(16, 3))
    assert all(len(one.tensors) == 1 for one in found)
    assert left == MOST  # two places within each block, at which its input crosses too
