"""What a transferred text classifier tells of its pretraining articles, with and without privacy; a table as JSON.

    python benchmarks/tmi_text.py [--out JSON] [--chains 18]

18 chains: a bag of words learns the 8 topics of `reuters-r8` from half of 800 articles, and then, by a new head or by
all of its weights, the 20 groups of 4,000 posts of `20news`, half of them drawn for each chain. Judged are 400 of the
articles under two views. Finetuning is plain or bound to epsilon 4 for each post; pretraining to epsilon 4 for each
article. All of it is one audit with variants, run through the public pipeline.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from machine import hardware
from tmi_cifar10 import rows_of

from dosimeter.config.audit import parse
from dosimeter.pipeline import verbs

ROOT = Path(__file__).resolve().parents[1]
WORDS = {"data_options": {"vocabulary": 2000, "length": 64}}
PRIVATE = [{"name": "dp_sgd", "epsilon": 4.0}]
PRETRAIN = {
    "no privacy": {"epochs": 40, "batch_size": 16, "lr": 0.01, "optimizer": "adam"},
    "epsilon 4 in pretraining": {"epochs": 20, "batch_size": 100, "defenses": PRIVATE},
}
FINETUNE = {
    "head": {
        "no privacy": {"transfer": "head", "epochs": 20, "batch_size": 32, "lr": 0.5},
        "epsilon 4": {"transfer": "head", "epochs": 20, "batch_size": 200, "lr": 1.0, "defenses": PRIVATE},
    },
    "full": {
        "no privacy": {"transfer": "full", "epochs": 8, "batch_size": 32, "lr": 0.005, "optimizer": "adam"},
        "epsilon 4": {
            "transfer": "full", "epochs": 15, "batch_size": 200, "lr": 0.005, "optimizer": "adam", "defenses": PRIVATE,
        },
    },
}  # fmt: skip
ATTACKS = ("tmi", "adapted_lira", "discriminant", "pooled_discriminant", "direct", "count")


def cells():
    """By name of each cell what it changes in the first one, a head without privacy."""
    found = {}
    for transfer, ways in FINETUNE.items():
        for privacy, finetune in ways.items():
            found[f"{transfer}, {privacy}"] = {"finetune": finetune}
        found[f"{transfer}, epsilon 4 in pretraining"] = {
            "pretrain": PRETRAIN["epsilon 4 in pretraining"], "finetune": ways["no privacy"],
        }  # fmt: skip
    return found


def place(cell):
    """A cell as the id of its variant."""
    return cell.replace(", ", "-").replace(" ", "-")


def audit(chains):
    """The audit file."""
    first, *others = cells().items()
    return {
        "name": "tmi-text",
        "stage": [
            {
                "name": "pretrain", "data": "reuters-r8", "rows": "0:800", **WORDS, "model": "bag-of-words",
                "options": {"vocabulary": 2000, "width": 16}, **PRETRAIN["no privacy"],
            },
            {
                "name": "finetune", "data": "20news", "rows": "0:4000", "test": "20news", "test_rows": "11293:13293",
                **WORDS, "sample": 0.5, **first[1]["finetune"],
            },
        ],
        "threat": {
            "at_risk": "pretrain", "access": "probs", "shadows": chains - 2, "targets": chains - 4, "rehearsals": 2,
            "candidates": 400, "views": ["identity", "drop1"],
        },
        "attack": [{"name": name} for name in ATTACKS],
        "variant": [{"id": place(cell), "stage": changes} for cell, changes in others],
        "report": {"noun": "article"},
    }  # fmt: skip


def told(folder, names):
    """By cell, what its run found: the first is the audit itself, the others its variants."""
    found = {}
    for number, cell in enumerate(names):
        own = folder / "variants" / place(cell) if number else folder
        result, run = (json.loads((own / one).read_text("utf-8")) for one in ("result.json", "provenance.json"))
        bounds = [stage["settings"]["privacy"] for stage in result["chain"] if "privacy" in stage["settings"]]
        found[cell] = {**rows_of(result), "guarantee": bounds, "seconds": run["seconds"]}
    return found


def main():
    """Both ways to finetune, plain and private."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chains", type=int, default=18)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "tmi_text.json")
    asked = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        verbs.run(parse(audit(asked.chains), base=folder), folder / "run", store=folder / "store")
        found = {
            "machine": hardware(), "chains": asked.chains, "articles": [800, 400],
            "cells": told(folder / "run", cells()), "seconds": time.perf_counter() - start,
        }  # fmt: skip
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for cell, one in found["cells"].items():
        value, low, high = one["attacks"]["tmi"]["auc"]
        print(f"{cell:32} TMI AUC {value:.3f} ({low:.3f} to {high:.3f}), accuracy {one['accuracy']['test'][0]:.3f}")


if __name__ == "__main__":
    main()
