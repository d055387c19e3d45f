"""Records of many small tasks, and audits that ask on which of them a party trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from dosimeter.data import Dataset

TASKS, OTHERS, EACH = 24, 8, 40


def records(seed):
    """Each task has a number of a record for itself, which an encoder learns to look at; its class is its number."""
    rng = np.random.default_rng(7)
    task = np.repeat(np.arange(TASKS + OTHERS), EACH)
    task = task[rng.permutation(len(task))]
    inputs = (2.5 * np.eye(TASKS + OTHERS)[task] + rng.normal(size=(len(task), TASKS + OTHERS))).astype(np.float32)
    return Dataset(
        inputs=inputs, labels=(task % TASKS).astype(np.int64), classes=tuple(f"c{one:02d}" for one in range(TASKS)),
        ids=np.array([f"{row:04d}" for row in range(len(task))]), noun="record",
        attributes={"person": np.array([f"p{one:02d}" for one in task]), "few": (task % 3).astype(str)}, part=True,
    )  # fmt: skip


def known(seed):
    """The victim's: most records of each task that is asked about."""
    whole = records(seed)
    return _rows(whole, np.flatnonzero(_asked(whole))[:600])


def others(seed):
    """The receiver's: records of other tasks."""
    whole = records(seed)
    return _rows(whole, np.flatnonzero(~_asked(whole))[:100])


def own(seed):
    """The adversary's: some of each task, and further ones of others."""
    whole = records(seed)
    return _rows(whole, np.concatenate([np.flatnonzero(_asked(whole))[600:], np.flatnonzero(~_asked(whole))[100:]]))


def _asked(whole):
    return whole.attributes["person"] < f"p{TASKS:02d}"


def _rows(whole, rows):
    return Dataset(
        inputs=whole.inputs[rows], labels=whole.labels[rows], classes=whole.classes, ids=whole.ids[rows],
        noun="record", attributes={name: one[rows] for name, one in whole.attributes.items()}, part=True,
    )  # fmt: skip


def net(shape, classes):
    """A hidden layer that is shared, and a last one."""
    return nn.Sequential(nn.Linear(shape[0], 32), nn.ReLU(), nn.Linear(32, classes))


def tasks_table(**threat: Any) -> dict[str, Any]:
    """An audit that asks for tasks, as an audit file has it."""
    here = "families.exchange.tasks.audits"
    return {
        "name": "tasks",
        "data": {
            "source": {"data": f"{here}:known"}, "receiver": {"data": f"{here}:others"},
            "own": {"data": f"{here}:own"},
        },
        "stage": [
            {
                "name": "joint", "transfer": "fedsgd", "model": f"{here}:net", "batch_size": 16, "lr": 0.1, "epochs": 4,
                "parties": {"source": "source", "receiver": "receiver"},
            }
        ],
        "threat": {
            "family": "exchange", "question": "tasks", "victim": "source", "adversary": "receiver",
            "property": "person", "auxiliary": "own", "steps": 150, **threat,
        },
    }  # fmt: skip
