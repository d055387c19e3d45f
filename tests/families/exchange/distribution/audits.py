"""Records whose private property turns what a model learns of them, and audits that ask for their distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from dosimeter.data import Dataset

WIDTH, COUNT = 24, 3000


def records(seed):
    """Records of two classes: the first half of the numbers says the class of those with the property, the second half
    that of the others.

    `kind` is that property, `luck` moves nothing; both are as frequent in each class.
    """
    rng = np.random.default_rng(11)
    kind, luck = rng.integers(2, size=(2, COUNT))
    labels = rng.integers(2, size=COUNT)
    inputs = rng.normal(size=(COUNT, WIDTH)).astype(np.float32)
    said = np.arange(WIDTH) // (WIDTH // 2) == kind[:, None]
    inputs += 0.8 * said * (2 * labels - 1)[:, None]
    names = np.array(["no", "yes"])
    return Dataset(
        inputs=inputs, labels=labels.astype(np.int64), classes=("a", "b"),
        ids=np.array([f"{row:04d}" for row in range(COUNT)]), noun="record",
        attributes={"kind": names[kind], "luck": names[luck], "class": names[labels]}, part=True,
    )  # fmt: skip


def net(shape, classes):
    """A hidden layer that is shared, and a last one."""
    return nn.Sequential(nn.Linear(shape[0], 8), nn.ReLU(), nn.Linear(8, classes))


def distribution_table(method: str = "fedsgd", **threat: Any) -> dict[str, Any]:
    """An audit that asks for a distribution, as an audit file has it."""
    source = {"data": "families.exchange.distribution.audits:records"}
    return {
        "name": "distribution",
        "data": {
            "source": {**source, "rows": "0:1600"}, "receiver": {**source, "rows": "1600:1624"},
            "own": {**source, "rows": "1640:2700"}, "later": {**source, "rows": "2700:3000"},
        },
        "stage": [
            {
                "name": "joint", "transfer": method, "model": "families.exchange.distribution.audits:net",
                "test": "later", "parties": {"source": "source", "receiver": "receiver"}, "batch_size": 16, "lr": 0.2,
                "epochs": 4, **({"local_steps": 2} if method == "fedavg" else {}),
            }
        ],
        "threat": {
            "family": "exchange", "question": "distribution", "victim": "source", "adversary": "receiver",
            "property": "kind", "auxiliary": "own", "mixtures": [[1.0, 0.0]], "steps": 30, "targets": 16,
            "shadows": 12, **threat,
        },
    }  # fmt: skip
