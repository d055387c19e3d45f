"""How often an audit of a joint training claims a leak where none is: a property, and tasks, that coins drew.

`python benchmarks/exchange_nulls.py [property] [tasks]` writes `results/exchange_nulls.json`: of 200 whole audits of
each question, what they say, and in how many the dose shows more than 0 bits. The records are digits of scikit-learn,
the model trains for 60 steps and gains from it, but which records have the property, or are of one task, says nothing
of them. Audits are written one by one, so a further call goes on where one stopped. `tests/test_null_claims.py` holds
the figures to their bounds.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import hardware

from dosimeter.config.audit import parse
from dosimeter.data import Dataset, load
from dosimeter.pipeline import verbs

PATH = Path(__file__).parent / "results" / "exchange_nulls.json"
AUDITS, STEPS, GROUPS, ASKED = 200, 60, 32, 24
PARTS = {"source": (0, 700), "receiver": (700, 740), "own": (860, 1360), "later": (1360, 1797)}
"""Rows of each; where tasks are asked for, the receiver has the records up to 860 that are of other groups."""


def digits(seed: int) -> Dataset:
    """Digits in another order for each seed; a coin and a group that say nothing of them."""
    whole, rng = load("digits"), np.random.default_rng([seed, 13])
    names = np.array([f"g{one:02d}" for one in range(GROUPS)])
    return Dataset(
        inputs=whole.inputs.astype(np.float32), labels=whole.labels, classes=whole.classes, ids=whole.ids,
        attributes={
            "coin": np.array(["no", "yes"])[rng.integers(2, size=len(whole))],
            "group": names[rng.integers(GROUPS, size=len(whole))],
        },
        part=True,
    ).take(rng.permutation(len(whole)))  # fmt: skip


def part(seed: int, name: str) -> Dataset:
    """Records of one party, where tasks are asked for: the victim has the asked groups, the receiver none of them."""
    whole = digits(seed)
    rows = np.arange(*PARTS[name]) if name != "receiver" else np.arange(700, 860)
    asked = whole.attributes["group"][rows] < f"g{ASKED}"
    return whole.take(rows[{"source": asked, "receiver": ~asked}.get(name, np.ones(len(rows), bool))])


def source(seed: int) -> Dataset:
    """The victim's records."""
    return part(seed, "source")


def receiver(seed: int) -> Dataset:
    """The receiver's records."""
    return part(seed, "receiver")


def audit(question: str, seed: int) -> dict[str, Any]:
    """One audit, as an audit file has it."""
    data: dict[str, Any] = {
        name: {"data": "exchange_nulls:digits", "rows": f"{first}:{last}"} for name, (first, last) in PARTS.items()
    }
    asks: dict[str, Any] = {"property": "coin", "value": "yes", "mixtures": [[1.0, 0.0]]}
    batch = 32
    if question == "tasks":
        data |= {name: {"data": f"exchange_nulls:{name}"} for name in ("source", "receiver")}
        asks, batch = {"question": "tasks", "property": "group"}, 16  # the receiver has a batch or more of other groups
    return {
        "name": question, "seed": seed, "data": data,
        "stage": [{
            "name": "joint", "transfer": "fedsgd", "model": "mlp", "options": {"width": 32}, "test": "later",
            "parties": {"source": "source", "receiver": "receiver"}, "batch_size": batch, "lr": 0.1,
        }],
        "threat": {
            "family": "exchange", "victim": "source", "adversary": "receiver", "auxiliary": "own", "steps": STEPS,
            **asks,
        },
    }  # fmt: skip


def one(question: str, seed: int, folder: Path) -> dict[str, Any]:
    """What one audit claims."""
    out = folder / f"{question}-{seed}"
    verbs.run(parse(audit(question, seed), base=Path(__file__).parent), out, workers=1, store=folder / "store")
    (threat,) = json.loads((out / "result.json").read_text("utf-8"))["threats"]
    metric = "property_auc" if question == "property" else "task_auc"
    areas = [row for row in threat["estimates"] if row["metric"] == metric and row["value"] is not None]
    return {
        "status": threat["verdict"]["status"],
        "failed": [gate["id"] for gate in threat["gates"] if gate["status"] == "fail"],
        "dose_shown": (threat["dose"] or {}).get("shown") or 0.0,
        "auc": {row["attack"]: [row["value"], row["low"], row["high"]] for row in areas},
    }


def main(words: list[str]) -> None:
    """Does the audits that are missing, and writes the figures after each."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.is_file() else {}
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as draft:
        for question in words or ["property", "tasks"]:
            done = content.setdefault(question, {})
            for seed in range(AUDITS):
                if str(seed) not in done:
                    done[str(seed)] = one(question, seed, Path(draft))
                    PATH.write_text(json.dumps(content | {"hardware": hardware()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
