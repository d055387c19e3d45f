"""The optimiser of small networks against PyTorch's own, step by step."""

import pytest
import torch

from dosimeter.training.learners.stepping import adam


@pytest.mark.parametrize(("decay", "twin"), [(0.0, torch.optim.Adam), (0.1, torch.optim.AdamW)])
def test_steps_are_those_of_adam(decay, twin):
    start = torch.linspace(-1, 1, 37)
    own, other = (start.clone().requires_grad_(True) for _ in range(2))
    optimisers = adam([own], 0.01, decay=decay), twin([other], lr=0.01, weight_decay=decay)
    for step in range(5):
        for one, optimiser in zip((own, other), optimisers, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = 0.01 / (step + 1)
            optimiser.zero_grad()
            (one**2 + torch.sin(3 * one)).sum().backward()
            optimiser.step()
    assert own.detach() == pytest.approx(other.detach(), abs=1e-5)
    assert not torch.allclose(own, start, atol=1e-3)
