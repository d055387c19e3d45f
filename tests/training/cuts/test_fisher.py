"""Fisher information: Hutchinson's traces against whole matrices of derivatives."""

from __future__ import annotations

import torch
from torch import nn

from dosimeter.training.cuts.fisher import full_jacobian, matrices, traces


def half():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 6), nn.ReLU(inplace=True)).requires_grad_(False)


def test_traces_by_random_vectors_are_those_of_all_derivatives():
    first, records = half(), torch.rand(8, 10)
    units = torch.linspace(0.5, 2, 10)
    found = traces(first, records, units, probes=4000, seed=1)
    for one, record in zip(found, records, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: first(x[None])[0], record) * units
        assert abs(float(one) / float((jacobian**2).sum()) - 1) < 0.05


def test_all_derivatives_of_a_record_at_once():
    first, record = half(), torch.rand(10)
    twin = torch.autograd.functional.jacobian(lambda x: first(x[None])[0], record)
    torch.testing.assert_close(full_jacobian(first, record), twin, rtol=1e-5, atol=1e-6)


def test_matrices_are_means_over_groups():
    first, records = half(), torch.rand(6, 10)
    found = matrices(first, records, torch.ones(10), 3)
    for group in range(3):
        own = [full_jacobian(first, record).double() for record in records[group::3]]
        twin = sum(one.T @ one for one in own) / 2
        torch.testing.assert_close(found[group], twin, rtol=1e-5, atol=1e-6)


def test_records_stay_as_they_are_and_the_same_seed_gives_the_same():
    first, records = nn.Sequential(nn.ReLU(inplace=True)), torch.randn(5, 10)
    before = records.clone()
    one, other = (traces(first, records, torch.ones(10), probes=2, seed=3) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(records, before)
