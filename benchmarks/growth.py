"""How the seconds of every attack grow with the number of records; `python benchmarks/growth.py` prints JSON.

Each attack runs in each of its modes on a drawn game of 8,000 records and one of 32,000, 16 shadows and one target, and
each probe on the heads of a pack with 500 records and 2,000 in the pool. Four times the records cost four times the
seconds where nothing is quadratic, sixteen times where something is. Probes are also timed beside a loop over records.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import torch
from machine import case
from torch import nn

from dosimeter.families.membership.attacks import ATTACKS
from dosimeter.families.membership.observe.probes import PROBES, probe

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from families.membership.observe.probes.subjects import heads, subject_of  # noqa: E402
from synthetic import fleet  # noqa: E402  tests are no package that is installed

TIMES, MOST = 4, 8
"""How many times the records, and the most times the seconds."""
RECORDS, POOL = 8_000, 500


def least(call, repeats=3):
    """The least seconds of a call."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def grown(small, large, n):
    """A case of two timed calls."""
    few, many = least(small), least(large)
    figures = {"n": [n, TIMES * n], "seconds": [few, many], "growth": many / few}
    return case(figures, {"growth": ("<=", MOST)})


def modes(kind):
    """The attack in each of its modes."""
    if "mode" not in {field.name for field in dataclasses.fields(kind)}:
        return {"": kind()}
    return {f" {mode}": kind(mode=mode) for mode in get_args(get_type_hints(kind)["mode"])}


def attacks():
    """Every attack on arrays."""
    sizes = (RECORDS, TIMES * RECORDS)
    games = [fleet(0, leakage=1.0, n_targets=1, n_records=n, n_population=n // 4)[0] for n in sizes]
    found = {}
    for name, kind in ATTACKS.items():
        for mode, attack in modes(kind).items():
            small, large = (lambda game=game, run=attack.run: run(game, np.random.default_rng(0)) for game in games)
            found[f"growth {name}{mode}"] = grown(small, large, RECORDS)
    return found


def probes():
    """Every probe on linear heads."""
    subjects = [heads(0, m=2, p=p, z=p // 4, d=32, c=5)[0] for p in (POOL, TIMES * POOL)]
    found = {}
    for name in sorted({name.rstrip("0123456789") for name in PROBES}):
        signal = min(one for one in PROBES if one.rstrip("0123456789") == name)
        small, large = (lambda one=one, signal=signal: probe(one, (signal,)) for one in subjects)
        found[f"growth of signal {name.rstrip('_')}"] = grown(small, large, POOL)
    return found


def one_by_one(net, inputs, labels):
    """Norms of the gradients of a network, by automatic differentiation of one record after the other."""
    norms = []
    for record, label in zip(inputs, labels, strict=True):
        loss = nn.functional.cross_entropy(net(record[None]), label[None])
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        norms.append(torch.stack([slope.square().sum() for slope in slopes]).sum().sqrt().log())
    return torch.stack(norms)


def gradient_norms(n=2_000):
    """Per-record gradients of a perceptron as one batch, beside a loop."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    inputs, labels = torch.randn(n, 64), torch.randint(10, (n,))
    subject = subject_of([net], inputs, labels)
    fast, slow = probe(subject, ("gradient_norm",))["gradient_norm"][0], one_by_one(net, inputs, labels)
    figures = {"n": n, "seconds": least(lambda: probe(subject, ("gradient_norm",)))}
    figures["peer_seconds"] = least(lambda: one_by_one(net, inputs, labels), 1)
    figures["ratio"] = figures["peer_seconds"] / figures["seconds"]
    figures["largest_difference"] = float((fast - slow).abs().max())
    return case(figures, {"ratio": (">=", 10), "largest_difference": ("<=", 1e-3)})


def cases():
    """All cases."""
    return {**attacks(), **probes(), "gradient_norm_2k": gradient_norms()}


if __name__ == "__main__":
    print(json.dumps(cases(), indent=2))
