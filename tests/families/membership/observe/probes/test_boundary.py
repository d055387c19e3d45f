"""Distances from the boundary against the closed form of linear models, and what they cost."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.membership.observe.probes import boundary
from families.membership.observe.probes.subjects import clouds, linear, subject_of


def two_classes(seed, *, d, n=40):
    """A linear model of two classes, records, their labels, nine in ten the model's, and distances |w·x + b| / |w|."""
    rng = np.random.default_rng(seed)
    w, b = rng.normal(size=d).astype(np.float32), np.float32(0.3)
    weight = torch.from_numpy(np.stack([w, -w]) / 2)
    model = linear(weight, torch.tensor([b, -b]) / 2)
    x = torch.from_numpy(rng.normal(size=(n, d)).astype(np.float32))
    margin = x @ torch.from_numpy(w) + b
    labels = (margin < 0).long()
    labels[::10] = 1 - labels[::10]
    return model, x, labels, (margin.abs() / np.linalg.norm(w)).numpy()


def ask(model):
    return lambda records: model(records).argmax(1)


@pytest.mark.parametrize(("d", "near"), [(2, 0.01), (20, 0.05)])
def test_a_linear_boundary_is_found_from_beyond(d, near):
    model, x, labels, exact = two_classes(0, d=d)
    found = boundary.distances(ask(model), x, labels, queries=4000, box=False).numpy()
    wrong = np.arange(40) % 10 == 0
    assert (found[wrong] == 0).all()
    ratio = found[~wrong] / exact[~wrong]
    assert ratio.min() > 1 - 1e-4
    assert ratio.mean() < 1 + near


def test_more_queries_come_nearer():
    model, x, labels, _ = two_classes(1, d=50)
    means = [boundary.distances(ask(model), x, labels, queries=q, box=False).mean() for q in boundary.QUERIES]
    assert means[0] > 1.02 * means[1] > 1.02**2 * means[2]


@pytest.mark.parametrize("queries", boundary.QUERIES)
def test_no_record_is_asked_more_often_than_the_budget_says(queries):
    model, x, labels, _ = two_classes(2, d=8, n=20)
    asked = 0

    def count(records):
        nonlocal asked
        asked += len(records)
        return model(records).argmax(1)

    boundary.distances(count, x, labels, queries=queries, box=False)
    well = int((ask(model)(x) == labels).sum())
    each = boundary.cost(queries, boundary.rounds(queries, 8), 8)
    assert asked == (each - 1) * well + len(x)
    assert 0.5 * queries < each <= queries


def test_images_stay_images_and_tables_go_where_they_must():
    """A boundary that no record in [0, 1] crosses but at its corner."""
    seen = []

    def answer(records):
        seen.append((float(records.min()), float(records.max())))
        total = records.flatten(1).sum(1)
        return torch.stack([total, torch.full_like(total, 10.0)], 1)

    images = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    images[6:] = 0.5 + images[6:] / 2
    labels = (images.flatten(1).sum(1) < 10).long()
    model = nn.Identity()
    subject = subject_of([model], images, labels)
    subject = dataclasses.replace(subject, models=(dataclasses.replace(subject.models[0], answer=answer),))
    found = boundary.compute(subject, 1000)["boundary_distance_1000"][0]
    assert all(low >= 0 and high <= 1 for low, high in seen)
    exact = (images.flatten(1).sum(1) - 10).abs() / 4
    assert bool((found >= exact * (1 - 1e-4)).all())
    assert float((found / exact).mean()) < 1.5


def test_bytes_are_fractions_of_one():
    model, x, labels, _ = two_classes(3, d=16, n=20)
    pixels = ((x - x.min()) / (x.max() - x.min()) * 255).to(torch.uint8).view(20, 1, 4, 4)
    net = nn.Sequential(nn.Flatten(), model)
    net[1].bias.data += net[1].weight.data @ -(pixels.float() / 255).flatten(1).mean(0)
    labels = net(pixels.float() / 255).argmax(1)
    assert 0 < int(labels.sum()) < 20
    as_bytes = boundary.compute(subject_of([net], pixels, labels), 250)["boundary_distance_250"]
    as_floats = boundary.compute(subject_of([net], pixels.float() / 255, labels), 250)["boundary_distance_250"]
    assert torch.equal(as_bytes, as_floats)
    assert 0 < float(as_bytes.max()) <= 4


def test_steps_are_seen_through_the_rounding_of_numbers():
    """A boundary at 0.003 in 4,096 numbers is found as well as one at 0.1: steps of 1e-8 a number would be rounded."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(4096, generator=rng)
    weight /= weight.norm()
    base, found = torch.rand(16, 4096, generator=rng) / 2 + 0.25, []
    for length in (0.003, 0.1):
        margin = torch.where(torch.arange(16) % 2 == 0, length, -length)
        records = base + (margin - base @ weight)[:, None] * weight
        labels = (margin > 0).long()
        distances = boundary.distances(lambda x: (x @ weight > 0).long(), records, labels, queries=1000, box=False)
        found.append(float((distances / length).mean()))
    assert found[0] < 1.25 * found[1]


def test_a_model_with_one_answer_has_no_boundary_in_reach():
    x, _ = clouds(0, p=10)
    model = linear(torch.zeros(2, 6), torch.tensor([1.0, 0.0]))
    labels = torch.tensor([0] * 8 + [1] * 2)
    found = boundary.distances(ask(model), x, labels, queries=250, box=False)
    diagonal = float((x.amax(0) - x.amin(0)).norm())
    np.testing.assert_allclose(found[:8], diagonal, rtol=1e-5)
    np.testing.assert_allclose(found[8:], 0)


def test_models_are_probed_by_the_same_draws_and_chunks_agree():
    model, x, labels, _ = two_classes(4, d=6)
    twice = boundary.compute(subject_of([model, model], x, labels), 250)["boundary_distance_250"]
    assert twice.shape == (2, 40)
    assert torch.equal(twice[0], twice[1])


def test_chunks_find_what_one_chunk_finds(monkeypatch):
    model, x, labels, exact = two_classes(5, d=6)
    monkeypatch.setattr(boundary, "NUMBERS", 7 * 6 * boundary.directions(1000, boundary.rounds(1000, 6)))
    found = boundary.distances(ask(model), x, labels, queries=1000, box=False).numpy()
    well = found > 0
    assert well.sum() == 36
    np.testing.assert_allclose(found[well], exact[well], rtol=0.05)
