"""What a transferred text classifier tells of its pretraining articles, with and without privacy; a table as JSON.

    python benchmarks/tmi_text.py [--out JSON] [--chains 18]

18 chains: a bag of words learns the 8 topics of `reuters-r8` from half of 800 articles, and then, by a new head or by
all of its weights, the 20 groups of 1,500 posts of `20news`, half of them drawn for each chain. Judged are 400 of the
articles under two views. Pretraining is plain, or bound to epsilon 4 for each article. Everything runs through the
public pipeline.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from machine import hardware
from tmi_cifar10 import rows_of

from dosimeter import pipeline
from dosimeter.config import parse

ROOT = Path(__file__).resolve().parents[1]
WORDS = {"data_options": {"vocabulary": 2000, "length": 64}}
EPSILON = 4.0
PLAIN = {"epochs": 40, "batch_size": 16, "lr": 0.01, "optimizer": "adam"}
PRIVATE = {
    "epochs": 20, "batch_size": 100, "lr": 0.01, "optimizer": "adam",
    "defenses": [{"name": "dp_sgd", "epsilon": EPSILON}],
}  # fmt: skip
AFTER = {
    "head": {"transfer": "head", "epochs": 20, "batch_size": 32, "lr": 0.5},
    "full": {"transfer": "full", "epochs": 8, "batch_size": 32, "lr": 0.005, "optimizer": "adam"},
}
ATTACKS = ("tmi", "adapted_lira", "discriminant", "direct", "count")


def audit(transfer, private, chains):
    """The settings of one cell of the table."""
    return {
        "name": f"tmi-text-{transfer}-{'private' if private else 'plain'}",
        "stage": [
            {
                "name": "pretrain", "data": "reuters-r8", "rows": "0:800", **WORDS, "model": "bag-of-words",
                "options": {"vocabulary": 2000, "width": 16}, **(PRIVATE if private else PLAIN),
            },
            {
                "name": "finetune", "data": "20news", "rows": "0:1500", "test": "20news", "test_rows": "11293:13293",
                **WORDS, "sample": 0.5, **AFTER[transfer],
            },
        ],
        "threat": {
            "at_risk": "pretrain", "access": "probs", "shadows": chains - 2, "targets": chains - 4, "rehearsals": 2,
            "candidates": 400, "views": ["identity", "drop1"],
        },
        "attack": [{"name": name} for name in ATTACKS],
        "report": {"noun": "article"},
    }  # fmt: skip


def main():
    """Both ways to finetune, plain and private."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chains", type=int, default=18)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "tmi_text.json")
    asked = parser.parse_args()
    found = {"machine": hardware(), "chains": asked.chains, "articles": [800, 400], "epsilon": EPSILON, "cells": {}}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for private in (False, True):
            for transfer in AFTER:
                began, cell = time.perf_counter(), f"{transfer}, {'epsilon 4' if private else 'no privacy'}"
                pipeline.run(
                    parse(audit(transfer, private, asked.chains), base=folder), folder / cell, store=folder / "store",
                    workers=1,
                )  # fmt: skip
                result, run = (
                    json.loads((folder / cell / name).read_text(encoding="utf-8"))
                    for name in ("result.json", "provenance.json")
                )
                found["cells"][cell] = rows_of(result) | {
                    "seconds": {**run["seconds"], "whole": time.perf_counter() - began}
                }
                print(json.dumps({cell: found["cells"][cell]}, indent=1), flush=True)
    found["seconds"] = time.perf_counter() - start
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for cell, one in found["cells"].items():
        value, low, high = one["attacks"]["tmi"]["auc"]
        print(f"{cell:18} TMI AUC {value:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
