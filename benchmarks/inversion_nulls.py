"""How often an audit of inversion claims a leak where none is: small networks that learned exchanged names.

`python benchmarks/inversion_nulls.py` writes `results/inversion_nulls.json`: of 100 whole audits of supplied networks,
each with faces, people and a network of its own, how many show a leak, and in how many the dose shows more than 0 bits.
Whoever a class of such a network looks like, its number says nothing about who it is. Audits are written one by one, so
a further call goes on where one stopped. `tests/test_null_claims.py` holds the figures to their bounds.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import hardware
from torch import nn

import dosimeter

PATH = Path(__file__).parent / "results" / "inversion_nulls.json"
AUDITS, PEOPLE, EACH, SIDE = 100, 20, 8, 8
ATTACKS = (
    {"name": "miface", "steps": 40},
    {"name": "gmi", "restarts": 2, "steps": 40},
    {"name": "ppa", "samples": 200, "restarts": 2, "steps": 20, "views": 4},
    {"name": "prior_best", "samples": 200},
    {"name": "nearest_public"},
    {"name": "mean_public"},
)


def people(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pictures `[n 1 8 8]` round the face of each person."""
    labels = np.tile(np.arange(PEOPLE), EACH)
    faces = rng.random((PEOPLE, 1, SIDE, SIDE))
    found = faces[labels] + 0.15 * rng.normal(size=(len(labels), 1, SIDE, SIDE))
    return np.clip(found, 0, 1).astype(np.float32), labels


def network(x: np.ndarray, y: np.ndarray, seed: int) -> nn.Module:
    """A small network that learned these records."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 32), nn.ReLU(), nn.Linear(32, PEOPLE))
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(80):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return net


def one(seed: int, folder: Path) -> dict[str, Any]:
    """What one audit claims."""
    rng = np.random.default_rng([seed, 11])
    (x, y), others = people(rng), people(rng)
    half, names = len(y) // 2, rng.permutation(PEOPLE)
    dosimeter.audit(
        network(x[:half], names[y[:half]], seed),
        members=(x[:half], y[:half]),
        nonmembers=(x[half:], y[half:]),
        data={"others": others},
        threats=[{"family": "inversion", "public": "others", "latent": 16}],
        attacks=list(ATTACKS),
        seed=seed,
        out=folder / str(seed),
        store=folder / "store",
        workers=1,
    )
    (threat,) = json.loads((folder / str(seed) / "result.json").read_text("utf-8"))["threats"]
    dose = threat["dose"] or {}
    return {
        "status": threat["verdict"]["status"],
        "dose_shown": dose.get("shown") or 0.0,
        "recognised": threat["details"]["headline"]["value"],
        "lineup": threat["details"]["judges"]["lineup"],
    }


def main() -> None:
    """Does the audits that are missing, and writes the figures after each."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.is_file() else {"audits": {}}
    with tempfile.TemporaryDirectory() as draft:
        for seed in range(AUDITS):
            if str(seed) not in content["audits"]:
                content["audits"][str(seed)] = one(seed, Path(draft))
                content |= {"hardware": hardware(), "people": PEOPLE}
                PATH.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
