"""Records whose private property moves some of their numbers, and small audits of joint trainings on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data import Dataset
from dosimeter.data.entries import save_data
from dosimeter.jobs.job import ensure
from dosimeter.jobs.runners import SerialRunner
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.prepare import prepare

BASE = Path(__file__).parent
WIDTH, COUNT = 12, 900


def records(seed):
    """Records of two classes, by their first numbers, with properties.

    `size` moves other numbers of a record, `luck` none, `task` goes with the class in 9 of 10 records, `class` always.
    """
    rng = np.random.default_rng(5)
    size, luck = rng.integers(2, size=(2, COUNT))
    inputs = rng.normal(size=(COUNT, WIDTH)).astype(np.float32)
    inputs[:, 6:9] += 1.2 * size[:, None]
    labels = (inputs[:, :3].sum(1) + rng.normal(scale=0.8, size=COUNT) > 0).astype(np.int64)
    task = np.where(rng.random(COUNT) < 0.9, labels, 1 - labels)
    names = np.array(["no", "yes"])
    return Dataset(
        inputs=inputs,
        labels=labels,
        classes=("a", "b"),
        ids=np.array([f"{row:04d}" for row in range(COUNT)]),
        noun="record",
        attributes={
            "size": names[size], "luck": names[luck], "task": names[task], "class": names[labels],
            "same": np.full(COUNT, "yes"), "many": (np.arange(COUNT) % 5).astype(str),
        },
        part=True,
    )  # fmt: skip


def narrow(seed):
    """The same records without their last number."""
    whole = records(seed)
    return Dataset(
        inputs=whole.inputs[:, :-1].copy(), labels=whole.labels, classes=whole.classes, ids=whole.ids, noun="record",
        attributes=dict(whole.attributes), part=True,
    )  # fmt: skip


def net(shape, classes):
    """A hidden layer that is shared, and a last one."""
    return nn.Sequential(nn.Linear(shape[0], 16), nn.ReLU(), nn.Linear(16, classes))


def table(method: str = "fedsgd", **threat: Any) -> dict[str, Any]:
    """An audit of a small joint training, as an audit file has it."""
    source = {"data": "families.exchange.games:records"}
    return {
        "name": "exchange",
        "data": {
            "source": {**source, "rows": "0:300"}, "receiver": {**source, "rows": "300:332"},
            "own": {**source, "rows": "332:600"}, "later": {**source, "rows": "600:900"},
        },
        "stage": [
            {
                "name": "joint", "transfer": method, "model": "families.exchange.games:net", "test": "later",
                "parties": {"source": "source", "receiver": "receiver"}, "batch_size": 16, "lr": 0.05, "epochs": 4,
                **({"local_steps": 2} if method == "fedavg" else {}),
            }
        ],
        "threat": {
            "family": "exchange", "victim": "source", "adversary": "receiver", "property": "size",
            "auxiliary": "own", "mixtures": [[1.0, 0.0]], "steps": 80, **threat,
        },
        "attack": [
            *({"name": "batch_property", "channel": one, "simulated": 1} for one in CHANNELS[method]),
            {"name": "label_only"}, {"name": "coin"},
        ],
    }  # fmt: skip


CHANNELS = {
    "fedsgd": ("gradient",),
    "coral": ("gradient", "representations", "moments"),
    "mmd": ("representations", "moments"),
    "dann": ("gradient", "representations", "moments"),
    "dsn": ("representations", "moments"),
    "hard": ("gradient",),
    "soft": ("gradient",),
    "fedavg": ("update",),
}
"""What the receiver may read of the source."""


def case_of(raw, folder):
    """The case of an audit, with its joint trainings done."""
    store = Store(folder)
    (case,) = prepare(parse(raw, base=BASE), store=store).cases.values()
    for one in case.datasets():
        save_data(one, store)
    for name, jobs in case.phases():
        if name.startswith("stage"):
            ensure(list(jobs), SerialRunner(), lambda done, total: None)
    return case
