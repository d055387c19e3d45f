"""Accuracy of audited models under small changes: against the exact answer for a linear model, and on the page."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from audits import BASE, faces

from dosimeter.config.audit import parse
from dosimeter.families.inversion.play import perturbed as module
from dosimeter.families.inversion.play.perturbed import MOST, range_of, sampled
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import ConfigError
from dosimeter.jobs.arrays import read_arrays
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.results.policy.check import check
from dosimeter.results.policy.limits import parse_policy
from dosimeter.results.reading import read_result
from dosimeter.training.deployment.network import deployed
from dosimeter.training.sensitivity.perturbations import SIZES

RAW = {
    **faces(),
    "attack": [{"name": "prior_best", "samples": 200}, {"name": "mean_public"}],
    "variant": [{"id": "weak", "stage": {"train": {"epochs": 1, "lr": 0.001}}}],
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("perturbed")
    verbs.run(parse(RAW, base=BASE), folder / "run", workers=1, store=folder / "store")
    return json.loads((folder / "run" / "result.json").read_text()), folder


def perturbed_of(result, metric="perturbed_accuracy", variant="none"):
    rows = [row for row in result["utility"] if (row["metric"], row["variant"]) == (metric, variant)]
    return {row["conditions"]["epsilon"]: row for row in rows}


def holds(case, rows, size):
    """Whether no change of a size can mislead a linear model: of a linear margin each number goes to one end."""
    model = deployed(case.packs[0], 0)
    weight, bias = model.head.weight.double(), model.head.bias.double()
    x = torch.from_numpy(case.system.at_risk.inputs[rows]).flatten(1).double() / 255
    y = torch.from_numpy(case.system.at_risk.labels[rows])
    low, high = (x - size).clamp(min=0), (x + size).clamp(max=1)
    held = torch.ones(len(x), dtype=torch.bool)
    for other in range(20):
        slope = weight[y] - weight[other]
        worst = torch.where(slope > 0, low, high)
        held &= ((slope * worst).sum(1) + bias[y] - bias[other] > 0) | (y == other)
    return held.numpy()


def test_a_linear_model_stays_right_as_often_as_the_exact_worst_change_says(finished, monkeypatch):
    result, folder = finished
    case = prepare(parse(RAW, base=BASE), store=Store(folder / "store")).cases["inversion"]
    arrays = read_arrays(folder / "run" / "threats" / "inversion" / "truth" / "truth.npz")
    rows, found = arrays["perturbed_rows"], perturbed_of(result)
    assert np.array_equal(rows, np.setdiff1d(np.arange(200), arrays["trained"]))
    for size, searched in zip(SIZES, arrays["perturbed"][0], strict=True):
        assert np.array_equal(searched, holds(case, rows, size))
        row = found[size]
        assert row["value"] == pytest.approx(searched.mean())
        assert row["low"] <= row["value"] <= row["high"]
        assert (row["n"], row["conditions"]["split"]) == ({"records": 100}, "nonmember")
    monkeypatch.setattr(module, "SIZES", (0.02, 0.05))
    (job,) = case.perturbed
    job.perform()
    values = []
    for size, searched in zip(module.SIZES, job.load()[0].numpy(), strict=True):
        exact = holds(case, rows, size)
        assert not (exact & ~searched).any()  # what holds under any change holds under those searched
        assert (searched & ~exact).sum() <= 3
        values.append(searched.mean())
    assert 1 > values[0] > values[1] > 0


def test_a_variant_is_compared_record_by_record_and_the_page_says_what_weakens_it(finished):
    result, folder = finished
    before, after = (perturbed_of(result, variant=one) for one in ("none", "weak"))
    changes = perturbed_of(result, "perturbed_accuracy_change", "weak")
    assert list(changes) == list(SIZES)
    for size, row in changes.items():
        assert row["value"] == pytest.approx(after[size]["value"] - before[size]["value"])
        assert row["high"] < 0
        assert row["n"] == {"records": 100}
    page = (folder / "run" / "report.html").read_text("utf-8")
    assert "Accuracy under small changes" in page
    assert "each number by at most 0.25 % of its range" in page
    assert "every number changed by up to 0.05 % of its range" in page
    (threat,) = result["threats"]
    head = next(one for one in result["variants"] if one["id"] == "weak")["threats"][0]["attack"]
    (gap,) = [
        row
        for row in threat["estimates"]
        if (row["metric"], row["attack"], row["variant"]) == ("recognised_change", head, "weak")
    ]
    assert (gap["high"] < 0) == ("less is recognised here, and accuracy under small changes falls too" in page)


def test_a_policy_limits_it_at_a_size(finished):
    _, folder = finished
    read = read_result(folder / "run" / "result.json", families=FAMILIES, name="result.json", absent="run")
    limit = {"metric": "perturbed_accuracy", "epsilon": 0.0025, "split": "nonmember", "min": 0.01}
    assert check(read, parse_policy({"limit": [limit]}, FAMILIES), families=FAMILIES).passed
    strict = parse_policy({"limit": [{**limit, "min": 0.999}]}, FAMILIES)
    assert not check(read, strict, families=FAMILIES).passed
    with pytest.raises(ConfigError, match=r"limit\[0\].epsilon: is required for perturbed_accuracy .* 0.0025"):
        parse_policy({"limit": [{"metric": "perturbed_accuracy", "min": 0.5}]}, FAMILIES)


def test_many_records_are_drawn_once_for_all_variants():
    rows = np.arange(7, 1207)
    drawn = sampled(rows, 3, MOST)
    assert len(np.unique(drawn)) == MOST == len(drawn)
    assert np.isin(drawn, rows).all()
    assert np.array_equal(drawn, sampled(rows, 3, MOST))
    assert not np.array_equal(drawn, sampled(rows, 4, MOST))
    assert np.array_equal(sampled(rows, 3, 1200), rows)


def test_changes_are_shares_of_the_range_of_a_record():
    assert range_of(torch.zeros(2, 1, 2, 2, dtype=torch.uint8)) == (0.0, 1.0)
    assert range_of(torch.tensor([[-3.0, 5.0]])) == (-3.0, 5.0)


class Blunt(torch.nn.Module):
    """A model without a gradient by its inputs."""

    def forward(self, x):
        return x.flatten(1)[:, :3].detach()


def test_a_model_without_gradients_is_told_apart():
    record = torch.rand(1, 1, 2, 2)
    assert not module._has_gradients(Blunt(), record, "cpu")
    assert module._has_gradients(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3)), record, "cpu")
