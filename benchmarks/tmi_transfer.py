"""Ways to transfer an image classifier, plain and private: what each tells of pretraining images; a table as JSON.

    python benchmarks/tmi_transfer.py cifar10_jpeg.npz [--out JSON] [--chains 14] [--epsilons 16 4 1]

14 chains on images of 16 x 16 pixels: a convnet 32-64-128 with group normalisation learns the ten classes from half of
2,000 images, and then five groups of classes from 85 % of 2,500 others: by a new head, its last block, all of its
weights, or low-rank adapters; plain, or with epsilon 16, 4 and 1 for each of these; and by a new head where the
adversary knows the finetuning records, the initial weights, or both. 500 of the 2,000 are judged under two views. All
of it is one audit with variants, run through the public pipeline.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import hardware
from tmi_cifar10 import GROUPS
from tmi_text import place, told

from dosimeter import data
from dosimeter.config.audit import parse
from dosimeter.pipeline import verbs

ROOT = Path(__file__).resolve().parents[1]
POOL, LAST, CANDIDATES = 2_000, 4_500, 500
PLAIN = {
    "head": {"transfer": "head", "epochs": 20, "batch_size": 128, "lr": 0.1},
    "last stage": {"transfer": "last-k", "last_k": 1, "epochs": 10, "batch_size": 128, "lr": 0.02},
    "full": {"transfer": "full", "epochs": 5, "batch_size": 128, "lr": 0.02},
    "LoRA": {"transfer": "lora", "lora_rank": 4, "epochs": 5, "batch_size": 128, "lr": 0.05},
}
PRIVATE = {"batch_size": 256, "lr": 0.1}
EPSILONS = (16.0, 4.0, 1.0)
KNOWN = {
    "finetuning records known": ["finetuning-data"],
    "initial weights known": ["initialisation"],
    "both known": ["finetuning-data", "initialisation"],
}
ATTACKS = ("tmi", "adapted_lira", "discriminant", "pooled_discriminant", "direct", "count")


def pooled(pictures, folder):
    """Tables of images at half their size: the pool by class, what follows by groups of classes, and test images."""
    for name, rows in (("pool", f"0:{POOL}"), ("finetune", f"{POOL}:{LAST}"), ("test", "50000:51000")):
        found = data.load(f"cifar10:{pictures}", rows=rows)
        small = found.inputs.reshape(len(found), 3, 16, 2, 16, 2).mean((3, 5)).round().astype(np.uint8)
        labels = np.array([found.classes[one] for one in found.labels])
        if name != "pool":
            labels = np.array([next(" or ".join(group) for group in GROUPS if one in group) for one in labels])
        np.savez(folder / f"{name}.npz", inputs=small, labels=labels)


def cells(epsilons):
    """By name of each cell what it changes in the first one, a head without privacy."""
    found = {f"{transfer}, no privacy": {"stage": {"finetune": way}} for transfer, way in PLAIN.items()}
    for epsilon in epsilons:
        private = {**PRIVATE, "defenses": [{"name": "dp_sgd", "epsilon": epsilon}]}
        for transfer, way in PLAIN.items():
            found[f"{transfer}, epsilon {epsilon:g}"] = {"stage": {"finetune": {**way, **private}}}
    return found | {f"head, {words}": {"knows": knows} for words, knows in KNOWN.items()}


def audit(chains, epsilons=EPSILONS):
    """The audit file."""
    _, *others = cells(epsilons).items()
    return {
        "name": "tmi-transfer",
        "stage": [
            {
                "name": "pretrain", "data": "pool.npz", "model": "convnet",
                "options": {"widths": (32, 64, 128), "norm": "group"}, "epochs": 30, "batch_size": 50, "lr": 0.1,
                "weight_decay": 5e-4, "schedule": "one-cycle", "augment": ["flip"],
            },
            {"name": "finetune", "data": "finetune.npz", "test": "test.npz", **PLAIN["head"]},
        ],
        "threat": {
            "at_risk": "pretrain", "access": "probs", "shadows": chains - 4, "targets": (chains - 4) // 4 * 4,
            "rehearsals": 2, "fold_pairs": 2, "candidates": CANDIDATES,
        },
        "attack": [{"name": name} for name in ATTACKS],
        "variant": [{"id": place(cell), **changes} for cell, changes in others],
        "report": {"noun": "image"},
    }  # fmt: skip


def main():
    """All ways to transfer, plain and private."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, help="a file that the data set cifar10 reads")
    parser.add_argument("--chains", type=int, default=14)
    parser.add_argument("--epsilons", type=float, nargs="*", default=EPSILONS, help="of privacy while finetuning")
    parser.add_argument("--store", type=Path, help="where models are kept; else nothing is")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "tmi_transfer.json")
    asked = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pooled(asked.pictures.resolve(), folder)
        settings = parse(audit(asked.chains, asked.epsilons), base=folder)
        verbs.run(settings, folder / "run", store=asked.store or folder / "store")
        found = {
            "machine": hardware(), "chains": asked.chains, "pool": POOL, "candidates": CANDIDATES,
            "cells": told(folder / "run", cells(asked.epsilons)), "seconds": time.perf_counter() - start,
        }  # fmt: skip
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for cell, one in found["cells"].items():
        best = {name: "{:.3f}".format(row["auc"][0]) for name, row in one["attacks"].items()}
        print(f"{cell:32} accuracy {one['accuracy']['test'][0]:.3f}, AUC {best}")


if __name__ == "__main__":
    main()
