"""A world of points in which a pretrained network remembers its half: 50 fine classes in ten coarse ones.

64 dimensions with unit noise; ten coarse means, and five offsets in each, with a deviation of 0.315; another task has
ten means of its own, with 0.45.
"""

from collections import OrderedDict

import numpy as np
from torch import nn

from dosimeter.models.architectures import Classifier

DIMENSIONS, COARSE, FINE = 64, 10, 5
POOL, OTHERS = 2000, 1000
ATTACKS = ("tmi", "adapted_lira", "discriminant", "pooled_discriminant", "direct", "count")


def network(shape, classes):
    """The perceptron 64-256-128-classes."""
    hidden = OrderedDict(
        first=nn.Linear(DIMENSIONS, 256), relu=nn.ReLU(), second=nn.Linear(256, 128), rectified=nn.ReLU()
    )
    return Classifier(nn.Sequential(hidden), nn.Linear(128, classes))


def write(folder, seed=1):
    """The pool under its fine classes, and 1,000 records each for finetuning and test of both tasks, as tables."""
    rng = np.random.default_rng(seed)
    means = rng.normal(scale=0.315, size=(COARSE, DIMENSIONS))
    fine = means[:, None] + rng.normal(scale=0.315, size=(COARSE, FINE, DIMENSIONS))
    of_other = rng.normal(scale=0.45, size=(COARSE, DIMENSIONS))

    def table(name, n, centres, coarse):
        label = rng.integers(len(centres), size=n)
        inputs = (centres[label] + rng.normal(size=(n, DIMENSIONS))).astype(np.float32)
        np.savez(folder / f"{name}.npz", inputs=inputs, labels=np.array([f"c{i:02}" for i in label // coarse]))

    table("pool", POOL, fine.reshape(-1, DIMENSIONS), 1)
    for part in ("finetune", "test"):
        table(f"coarse-{part}", OTHERS, fine.reshape(-1, DIMENSIONS), FINE)
        table(f"other-{part}", OTHERS, of_other, 1)


def table(task, *, shadows=54, targets=60, fold_pairs=6, pretrain=None, **finetune):
    """An audit file of the pool through one task."""
    return {
        "name": f"tmi-world-{task}",
        "stage": [
            {
                "name": "pretrain", "data": "pool.npz", "model": "tmi_world:network", "epochs": 40, "batch_size": 50,
                "lr": 0.05, "weight_decay": 5e-4, "schedule": "cosine", **(pretrain or {}),
            },
            {
                "name": "finetune", "data": f"{task}-finetune.npz", "test": f"{task}-test.npz", "transfer": "head",
                "epochs": 35, "batch_size": 128, "lr": 0.01, "momentum": 0.0, **finetune,
            },
        ],
        "threat": {
            "at_risk": "pretrain", "access": "probs", "shadows": shadows, "targets": targets, "rehearsals": 2,
            "candidates": 300, "fold_pairs": fold_pairs,
        },
        "attack": [{"name": name} for name in ATTACKS],
        "report": {"noun": "point"},
    }  # fmt: skip
