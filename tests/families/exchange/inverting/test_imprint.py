"""Bins of an imprint against the formula, and the detector on honest layers."""

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.exchange.inverting.imprint import (
    imprint_block,
    imprinted_records,
    isolated_share,
    looks_imprinted,
    repeated_rows,
)
from dosimeter.statistics.leakage.matched import matched

P = 20


def records(seed, count):
    """Records whose means differ."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy((0.5 * rng.random((count, 1)) + 0.5 * rng.random((count, P))).astype(np.float32))


def shown(seed, bins, size):
    """What the block shows of a batch, and how many of its records stand alone by the block's own biases."""
    torch.manual_seed(seed)
    block, head, batch = imprint_block(records(seed + 1000, 2000), bins, 8), nn.Linear(8, 4), records(seed, size)
    loss = nn.functional.cross_entropy(head(block(batch)), torch.randint(4, (size,)))
    weight, bias = torch.autograd.grad(loss, [block[0].weight, block[0].bias])
    place = torch.bucketize(batch.mean(1), -block[0].bias.detach()[1:])
    alone = sum(int((place == one).sum() == 1) for one in place)
    return imprinted_records(weight, bias), batch, alone / size


@pytest.mark.parametrize(("bins", "size"), [(64, 8), (32, 16), (16, 32)])
def test_records_alone_in_a_bin_come_back_as_often_as_the_formula_says(bins, size):
    found = []
    for seed in range(20):
        made, batch, alone = shown(seed, bins, size)
        share = float((matched(made.numpy(), batch.numpy()).error < 1e-5).mean())
        assert share == pytest.approx(alone, abs=1.5 / size)
        found.append(share)
    assert np.mean(found) == pytest.approx(isolated_share(bins, size), abs=0.08)


def test_one_record_is_always_alone():
    made, batch, _ = shown(3, 8, 1)
    assert made.shape == (1, P)
    assert torch.allclose(made, batch, atol=1e-4)


def test_the_detector_knows_the_block_and_spares_honest_layers():
    block = imprint_block(records(0, 200), 32, 8)
    assert looks_imprinted(block[0].weight.detach())
    assert repeated_rows(block[0].weight.detach()).all()
    for seed in range(5):
        torch.manual_seed(seed)
        honest = nn.Sequential(nn.Linear(P, 32), nn.ReLU(), nn.Linear(32, 4))
        assert not looks_imprinted(honest[0].weight.detach())
        optimiser, inputs, labels = torch.optim.Adam(honest.parameters(), 0.01), records(seed, 64), torch.arange(64) % 4
        for _ in range(50):
            optimiser.zero_grad()
            nn.functional.cross_entropy(honest(inputs), labels).backward()
            optimiser.step()
        assert not looks_imprinted(honest[0].weight.detach())
    assert not looks_imprinted(torch.zeros(8, 3))  # dead rows point nowhere


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="2 bins, 1 output and 1 record or more, got 1"):
        imprint_block(records(0, 5), 1, 2)
    with pytest.raises(ValueError, match="weights must be finite"):
        looks_imprinted(torch.full((2, 2), torch.nan))
