"""Defenses of the cut on digits: what they cost, what attacks find that know them, and what others find.

One perceptron on mnist-5k, cut after its first activations, and one audit with a `[[defense]]` row for each setting.
Every attack on inputs runs twice, adaptive and naive; the attribute is how thick the strokes of a digit are, above or
below the median of its own class, so that labels alone say nothing of it.
`python benchmarks/split_defenses.py [SEED ...]` writes `results/split_defenses.json`; seeds that are there stay, and
`--again` measures all anew. A setting that was added since is measured beside them.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from machine import hardware
from torch import nn

from dosimeter.config import audit as config
from dosimeter.config.defense_rows import defense_rows
from dosimeter.data import Dataset, load
from dosimeter.pipeline import verbs

PATH = Path(__file__).parent / "results" / "split_defenses.json"
HERE = "split_defenses"
CUT, WIDTH = "2", 256
"""After the first activations, as in pilot S3."""
FEW = {"classifiers": ["svm"]}
ATTACKS = [
    {"name": "ridge"},
    {"name": "decoder", "epochs": 30},
    {"name": "ridge", "id": "ridge naive", "adaptive": False},
    {"name": "decoder", "id": "decoder naive", "adaptive": False, "epochs": 30},
    {"name": "attribute_pool", **FEW},
    {"name": "attribute_pool", "id": "pool naive", "adaptive": False, **FEW},
    {"name": "output_only", "mode": "input", "epochs": 10},
    {"name": "output_only", "mode": "attribute", "id": "answers attribute", **FEW},
    {"name": "mean_input"},
]
DEFENSES = [
    *({"name": "noise", "scale": scale} for scale in (0.5, 1.0, 2.0)),
    {"name": "noise", "scale": 1.0, "law": "laplace"},
    {"name": "noise", "scale": 0.5, "clip": 10.0},
    *({"name": "mask", "rate": rate} for rate in (0.3, 0.6, 0.9)),
    {"name": "sign"},
    {"name": "sparsify", "keep": 0.1},
    {"name": "quantise", "bits": 2},
    {"name": "null_space"},
    {"name": "fisher_noise", "target": 0.75},
    *({"name": "learned_noise", "scale": scale} for scale in (1.0, 4.0)),
    {"name": "nopeek", "cut": CUT, "alpha": 2.0},
    *({"name": "vib", "cut": CUT, "beta": beta} for beta in (0.001, 0.01, 0.03)),
]


def digits(seed: int) -> Dataset:
    """Pictures of mnist-5k in [0, 1] with an attribute: are the strokes thicker than the median of the same digit?"""
    known = load("mnist-5k")
    inputs = known.inputs.reshape(-1, 1, 28, 28).astype(np.float32)
    inputs = inputs / 255 if inputs.max() > 1 else inputs
    ink = inputs.sum((1, 2, 3)) / np.maximum((inputs > 0.5).sum((1, 2, 3)) ** 0.5, 1.0)
    thick = np.zeros(len(ink), dtype=bool)
    for digit in range(10):
        own = known.labels == digit
        thick[own] = ink[own] > np.median(ink[own])
    return Dataset(
        inputs=inputs, labels=known.labels, classes=known.classes, ids=known.ids,
        attributes={"stroke": np.where(thick, "thick", "thin")}, noun="digit",
    )  # fmt: skip


def net(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Perceptron 784-256-64-10."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, classes)
    )  # fmt: skip


def audit(seed: int, defenses: list[dict]) -> dict:
    """The audit of one seed with some defenses."""
    return {
        "name": "split-defenses", "seed": seed,
        "data": {
            "own": {"data": f"{HERE}:digits", "rows": "0:2500"},
            "others": {"data": f"{HERE}:digits", "rows": "2500:3500", "disjoint": ["queries"]},
            "queries": {"data": f"{HERE}:digits", "rows": "4500:5000"},
        },
        "stage": [
            {
                "name": "train", "data": "own", "model": f"{HERE}:net", "epochs": 15, "optimizer": "adam",
                "lr": 0.001, "batch_size": 64,
            }
        ],
        "threat": {
            "family": "split", "cuts": [CUT], "auxiliary": "others", "victims": "queries", "attributes": ["stroke"],
        },
        "attack": ATTACKS, "defense": defenses,
    }  # fmt: skip


def measure(seed: int, known: list[dict]) -> list[dict]:
    """Rows of one seed: one for the undefended model and each defense; those that are known already are kept."""
    measured = {row["variant"] for row in known}
    ids = [row.id for row in defense_rows(tuple(DEFENSES), Path(__file__).parent, "defense")[0]]
    missing = [one for one, id_ in zip(DEFENSES, ids, strict=True) if id_ not in measured]
    if not missing:
        return known
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = Path(__file__).parent
        verbs.run(config.parse(audit(seed, missing), base=base), folder / "run", workers=1, store=folder / "store")
        plain = [] if known else [_row("none", folder / "run")]
        found = [*known, *plain, *(_row(one.name, one) for one in (folder / "run" / "variants").iterdir())]
    return sorted(found, key=lambda row: (row["variant"] != "none", row["variant"]))


def _row(name: str, folder: Path) -> dict:
    """The numbers of one run."""
    result = json.loads((folder / "result.json").read_text("utf-8"))
    (threat,) = result["threats"]
    row: dict = {"variant": name, "releases": threat["details"]["releases"], "status": threat["verdict"]["status"]}
    for one in result["utility"]:
        if one["metric"] == "accuracy" and one["variant"] == "none":
            row["accuracy"] = _ends(one)
    for one in threat["estimates"]:
        if one["variant"] != "none" or one["conditions"].get("top", 1) != 1:
            continue
        key = one["metric"] if one["attack"] is None else f"{one['attack']}: {one['metric']}"
        row[key] = _ends(one) if one["status"] == "ok" else None
    return row


def _ends(one: dict) -> dict:
    """A number with its interval."""
    return {**{key: round(one[key], 5) for key in ("value", "low", "high")}, "n": one["n"]["records"]}


def strongest(row: dict, metric: str, *, naive: bool) -> dict:
    """The better of `ridge` and `decoder`: with the least MSE, or the largest of another number."""
    end = " naive" if naive else ""
    values = [row[f"{name}{end}: {metric}"] for name in ("ridge", "decoder")]
    return (min if metric == "mse" else max)(values, key=lambda one: one["value"])


COLUMNS = (
    "defense", "accuracy, %", "SSIM, naive", "SSIM, adaptive", "MSE, naive", "MSE, adaptive", "picked out, %, naive",
    "picked out, %, adaptive", "AUC stroke, naive", "AUC stroke, adaptive",
)  # fmt: skip
INFORMATION = {
    "dFIL": ("fisher_information", 2), "least MSE without bias": ("mse_unbiased", 2),
    "predicted MSE (no bound)": ("mse_predicted", 4), "MSE of `ridge`": ("ridge: mse", 4),
    "MSE of `decoder`": ("decoder: mse", 4), "channel, bits": ("channel", 0),
}  # fmt: skip


def page(found: dict) -> str:
    """The table of what attacks find: one seed with its intervals, or the mean, least and largest of several."""
    lines = []
    for name, rows in _variants(found):
        cells = [f"`{name}`", _cell([one["accuracy"] for one in rows], 1, 100)]
        for metric, scale, digits_ in (("ssim", 1, 2), ("mse", 1, 4), ("identified", 100, 0)):
            for naive in (True, False):
                cells.append(_cell([strongest(one, metric, naive=naive) for one in rows], digits_, scale))
        for pool in ("pool naive", "attribute_pool"):
            cells.append(_cell([one[f"{pool}: attribute_auc"] for one in rows], 2))
        lines.append(cells)
    return _table(COLUMNS, lines)


def information(found: dict) -> str:
    """The table of what noise lets through, beside what attacks reach."""
    lines = [
        [f"`{name}`", *(_cell([one.get(key) for one in rows], digits_) for key, digits_ in INFORMATION.values())]
        for name, rows in _variants(found)
        if rows[0].get("fisher_information")
    ]
    return _table(("defense", *INFORMATION), lines)


def _variants(found: dict) -> list[tuple[str, list[dict]]]:
    """Rows of all seeds, by variant."""
    seeds = list(found["seeds"].values())
    names = [row["variant"] for row in seeds[0]]
    return [(name, [next(one for one in seed if one["variant"] == name) for seed in seeds]) for name in names]


def _table(heads: Sequence[str], lines: list[list[str]]) -> str:
    """A table of a page."""
    rows = [list(heads), ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(values: list[dict | None], digits_: int, scale: float = 1) -> str:
    """One number with its two ends."""
    known = [one for one in values if one]
    if not known:
        return "–"
    ends = (known[0]["low"], known[0]["high"])
    if len(known) > 1:
        each = [one["value"] for one in known]
        ends = min(each), max(each)
    numbers = (float(np.mean([one["value"] for one in known])), *ends)
    value, low, high = (f"{scale * one:.{digits_}f}" for one in numbers)
    return f"{value} ({low} to {high})"


def main() -> None:
    """Measures the seeds that are named, 0 to 2 by default, and writes after each."""
    found = json.loads(PATH.read_text("utf-8")) if PATH.exists() and "--again" not in sys.argv else {"seeds": {}}
    for seed in [int(one) for one in sys.argv[1:] if one.isdigit()] or [0, 1, 2]:
        known, start = found["seeds"].get(str(seed), []), time.perf_counter()
        found["seeds"][str(seed)] = measure(seed, known)
        if len(found["seeds"][str(seed)]) == len(known):
            continue
        seconds = found.get("seconds", {})
        took = seconds.get(str(seed), 0) + round(time.perf_counter() - start)
        found |= {"hardware": hardware(), "seconds": {**seconds, str(seed): took}}
        PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(page(found))
    print(information(found))


if __name__ == "__main__":
    main()
