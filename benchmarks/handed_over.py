"""What a model that is handed over tells of its training records: by how many there are, and by the defense.

`python benchmarks/handed_over.py [STEP ...]` writes `results/handed_over.json` after each step and leaves out those
that are there. `records N` (R1 of the pilots) trains on N digits of `mnist-5k`, `defenses` (R2) on 400 in six ways;
both with three seeds, 12 shadows and 8 targets. `langevin SEED` (R2 too) adds noise of three sizes to each step.
`table` fills the tables of `docs/exchange.md` from the file.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from joint_transfer import PAGE, span
from machine import hardware
from page_tables import fill
from tmi_cifar10 import rows_of
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.pipeline import verbs

PATH = Path(__file__).parent / "results" / "handed_over.json"
SEEDS, SIZES = (0, 1, 2), (100, 400, 1600)
DEFENSES: Mapping[str, Mapping[str, Any]] = {
    "`dropout`, 50 %": {"id": "dropout", "name": "dropout", "rate": 0.5},
    "`early_stopping`, 20 %": {"id": "stopped", "name": "early_stopping", "share": 0.2},
    "`dp_sgd`, noise 0.05": {"id": "clipped", "name": "dp_sgd", "noise_multiplier": 0.05, "accountant": "rdp"},
    "`dp_sgd`, noise 0.3": {"id": "some-noise", "name": "dp_sgd", "noise_multiplier": 0.3, "accountant": "rdp"},
    "`dp_sgd`, noise 1": {"id": "noise", "name": "dp_sgd", "noise_multiplier": 1.0, "accountant": "rdp"},
}
LANGEVIN: Mapping[str, Mapping[str, Any]] = {
    f"`sgld`, {scale}": {"id": f"langevin-{scale}", "name": "sgld", "scale": scale} for scale in (0.003, 0.01, 0.03)
}


def net(shape: tuple[int, ...], classes: int) -> nn.Module:
    """784-128-64-10."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(shape[-1] * shape[-2], 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
        nn.Linear(64, classes),
    )  # fmt: skip


def audit(records: int, seed: int) -> dict[str, Any]:
    """The audit of a model that trains on half of a pool of twice as many records."""
    return {
        "name": "handed-over", "seed": seed,
        "stage": [{
            "name": "source", "data": "mnist-5k", "rows": f"0:{2 * records}", "test": "mnist-5k",
            "test_rows": "4000:5000", "model": "handed_over:net", "epochs": 30, "batch_size": 20, "lr": 0.1,
            "momentum": 0.0,
        }],
        "threat": {"access": "probs", "shadows": 12, "targets": 8},
        "attack": [{"name": "loss"}, {"name": "lira"}, {"name": "constant"}],
    }  # fmt: skip


def measured(records: int, defenses: Mapping[str, Mapping[str, Any]], seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """AUC and accuracy of each variant, seed by seed."""
    found: dict[str, Any] = {}
    for seed in seeds:
        raw = audit(records, seed) | {"defense": [dict(one) for one in defenses.values()]}
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            verbs.run(parse(raw, base=Path(__file__).parent), out, workers=1, store=Path(folder) / "store")
            for name in ("", *(f"variants/{one['id']}" for one in defenses.values())):
                result = json.loads((out / name / "result.json").read_text("utf-8"))
                found.setdefault(name.rpartition("/")[2] or "none", []).append(rows_of(result))
    return found


STEPS: Mapping[str, Callable[[], dict[str, Any]]] = {
    **{f"records {size}": lambda size=size: measured(size, {}) for size in SIZES},
    "defenses": lambda: measured(400, DEFENSES),
    **{f"langevin {seed}": lambda seed=seed: measured(400, LANGEVIN, [seed]) for seed in SEEDS},
}


def cells(own: Mapping[str, Any]) -> Iterator[str]:
    """What stands in a row: AUC of both attacks, accuracy on test images."""
    loss, lira = own["attacks"]["loss"], own["attacks"]["lira online"]
    yield from (span(loss["auc"]), span(lira["auc"]), span(own["accuracy"]["test"]))


def lines(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Rows of the tables, by table."""
    sizes = [
        f"| {size:,} | {seed} | {' | '.join(cells(content[f'records {size}']['none'][seed]))} |"
        for size in SIZES
        for seed in SEEDS
    ]
    tried = [
        f"| {name} | {seed} | {' | '.join(cells(content['defenses'][told][seed]))} |"
        for name, told in (("none", "none"), *((name, str(one["id"])) for name, one in DEFENSES.items()))
        for seed in SEEDS
    ] + [
        f"| {name} | {seed} | {' | '.join(cells(content[f'langevin {seed}'][str(one['id'])][0]))} |"
        for name, one in LANGEVIN.items()
        for seed in SEEDS
    ]
    return {"R1": sizes, "R2": tried}


def filled(page: str, content: Mapping[str, Any]) -> str:
    """A page with its tables as the figures have them."""
    return fill(page, lines(content))


def main(words: list[str]) -> None:
    """Measures the steps that are named, or all."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}
    if words == ["table"]:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), content), encoding="utf-8")
        return
    torch.set_num_threads(1)
    for name in words or [one for one in STEPS if one not in content]:
        started = time.time()
        content[name] = STEPS[name]() | {"seconds": round(time.time() - started)}
        content["hardware"] = hardware()
        print(f"{name}: {content[name]['seconds']} s", flush=True)
        PATH.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
