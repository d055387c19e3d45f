"""Claims about features at a cut on digits: attributes that nobody named, a server that steers, and bits of a channel.

`python benchmarks/split_pilots.py [unforeseen] [hijacked] [channel]` writes `results/split_pilots.json` after each
step, and goes on where a call stopped. Runs are kept in the folder that DOSIMETER_RUNS names. `unforeseen` and
`channel` use `mnist-5k`, `hijacked` the digits of scikit-learn. `python benchmarks/split_pilots.py table` fills the
tables of `docs/split.md` from the file.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import hardware
from split import PAGE, filled, number, row
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data import Dataset, load
from dosimeter.families.registry import FAMILIES
from dosimeter.pipeline import verbs
from dosimeter.results.reading import read_result

PATH = Path(__file__).parent / "results" / "split_pilots.json"
METRICS = ("attribute_auc", "mse", "ssim", "identified", "channel", "accuracy")
POOL = ["logistic", "svm"]
OF_ATTRIBUTE = [
    {"name": "attribute_pool", "classifiers": POOL}, {"name": "raw_input", "classifiers": POOL},
    {"name": "output_only", "mode": "attribute", "classifiers": POOL},
]  # fmt: skip


def digits(seed: int) -> Dataset:
    """Digits, with two attributes that do not follow from the digit: a thick stroke, and one that leans to the right.

    Each is above or below the median of its digit. How far a digit leans is the slope of its ink's centre by rows.
    """
    whole = load("mnist-5k")
    whole = whole.take(np.random.default_rng(0).permutation(len(whole)))
    inputs = whole.inputs.astype(np.float32) / 255
    ink, places = inputs[:, 0], np.arange(28) - 13.5
    mass = ink.sum((1, 2))
    across, down = (ink.sum(1) * places).sum(1) / mass, (ink.sum(2) * places).sum(1) / mass
    x, y = places[None, None] - across[:, None, None], places[None, :, None] - down[:, None, None]
    lean = (ink * x * y).sum((1, 2)) / (ink * y**2).sum((1, 2))
    told = {"stroke": np.where(_above(mass, whole.labels), "thick", "thin")}
    told["slant"] = np.where(_above(lean, whole.labels), "left", "right")
    return replace(whole, inputs=inputs, attributes=told, part=True)


def _above(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each value is above the median of its class."""
    usual = np.array([np.median(values[labels == one]) for one in range(10)])
    return np.asarray(values > usual[labels])


def small(seed: int) -> Dataset:
    """Digits of 8 x 8 in an order of their own."""
    whole = load("digits")
    return replace(whole.take(np.random.default_rng(0).permutation(len(whole))), part=True)


def partitioned(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """A perceptron whose device makes 32 numbers."""
    device = [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU()]
    return nn.Sequential(*device, nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, classes))


def convolved(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """A network whose device makes 8 maps of 8 x 8."""
    device = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*device, nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, classes))


def audit(
    name: str, data: str, rows: tuple[str, str, str], stage: dict[str, Any], threat: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """The tables of an audit file: the stage's records, the victims, the auxiliary records."""
    parts = zip(("own", "queries", "others"), rows, strict=True)
    own = {"name": "train", "data": "own", "optimizer": "adam", "lr": 0.001, "batch_size": 64}
    return {
        "name": name,
        "data": {part: {"data": f"split_pilots:{data}", "rows": one} for part, one in parts},
        "stage": [own | stage],
        "threat": {"family": "split", "auxiliary": "others", "victims": "queries", **threat},
        **more,
    }


def unforeseen() -> dict[str, Any]:
    """S8: a training that hides the stroke, and the slant, of which it never heard."""
    fight = {"name": "adversarial", "id": "fight", "cut": "4", "against": "attribute:stroke", "weight": 1.0, "steps": 2}
    return audit(
        "unforeseen", "digits", ("0:2500", "2500:3500", "3500:5000"),
        {"model": "split_pilots:partitioned", "epochs": 40}, {"cuts": ["4"], "attributes": ["stroke", "slant"]},
        attack=OF_ATTRIBUTE, defense=[fight],
    )  # fmt: skip


def hijacked() -> dict[str, Any]:
    """S9: a server that steers, with a device that keeps its distance correlation low and with one that does not."""
    attacks = [
        {"name": "fsha"}, {"name": "decoder"}, {"name": "output_only", "mode": "input"}, {"name": "mean_input"},
    ]  # fmt: skip
    hiding = [{"name": "nopeek", "id": f"nopeek-{alpha:g}", "cut": "1", "alpha": alpha} for alpha in (1.0, 10.0)]
    return audit(
        "hijacked", "small", ("0:700", "700:1100", "1100:1797"),
        {"model": "split_pilots:convolved", "epochs": 20, "batch_size": 256}, {"cuts": ["1"], "active": True},
        attack=attacks, defense=hiding,
    )  # fmt: skip


def channel() -> dict[str, Any]:
    """S10: the most bits that can cross Gaussian noise, and what a fresh attack tells of the stroke behind it."""
    noises = [{"name": "noise", "id": f"noise-{scale:g}", "scale": scale} for scale in (0.1, 0.25, 0.5, 1.0)]
    return audit(
        "channel", "digits", ("0:2500", "2500:3500", "3500:5000"),
        {"model": "split_pilots:partitioned", "epochs": 20}, {"cuts": ["2"], "attributes": ["stroke"]},
        attack=OF_ATTRIBUTE, defense=noises,
    )  # fmt: skip


STEPS = {"unforeseen": unforeseen, "hijacked": hijacked, "channel": channel}


def figures(folder: Path) -> list[dict[str, Any]]:
    """Rows of one variant."""
    result = read_result(folder, families=FAMILIES)
    (view,) = result["threats"]
    rows = [*view["estimates"], *result["utility"]]
    keys = ("attack", "metric", "conditions", "value", "low", "high", "n")
    kept = [one for one in rows if one["metric"] in METRICS and one["variant"] == "none" and one["value"] is not None]
    return [{key: one[key] for key in keys} for one in kept]


def measured(step: str, base: Path) -> dict[str, Any]:
    """The figures of a step, of the plain model and of each variant."""
    folder, started = base / step, time.time()
    verbs.run(parse(STEPS[step](), base=Path(__file__).parent), folder, workers=1, store=base / ".store")
    found = {"none": figures(folder)}
    found |= {one.name: figures(one) for one in sorted((folder / "variants").iterdir())}
    return {"variants": found, "seconds": round(time.time() - started)}


def one(rows: list[dict[str, Any]], metric: str, attack: str | None = None, digits: int = 2, **conditions: Any) -> str:
    """A figure of one variant with its interval."""
    (found,) = (
        row
        for row in rows
        if (row["metric"], row["attack"]) == (metric, attack) and conditions.items() <= row["conditions"].items()
    )
    return number([found[name] for name in ("value", "low", "high")], digits)


def of_unforeseen(name: str, rows: list[dict[str, Any]]) -> str:
    """What fresh attacks tell of the attribute that was hidden, and of the other."""
    told = [
        one(rows, "attribute_auc", attack, 3, attribute=attribute)
        for attribute in ("stroke", "slant")
        for attack in ("attribute_pool", "output_only attribute")
    ]
    return row(f"`{name}`", one(rows, "accuracy", None, 3), *told)


def of_hijacked(name: str, rows: list[dict[str, Any]]) -> str:
    """What a server that steers makes of digits, beside a decoder of the honest model and what answers tell."""
    attacks = ("fsha", "decoder", "output_only input", "mean_input")
    return row(f"`{name}`", one(rows, "accuracy", None, 3), *(one(rows, "mse", attack, 4) for attack in attacks))


def of_channel(name: str, rows: list[dict[str, Any]]) -> str:
    """Bits that can cross, and what an attack tells of the stroke."""
    bits = one(rows, "channel", None, 0) if name != "none" else "no bound"
    return row(f"`{name}`", one(rows, "accuracy", None, 3), bits, one(rows, "attribute_auc", "attribute_pool", 3))


def lines(content: dict[str, Any]) -> dict[str, list[str]]:
    """Rows of the tables in `docs/split.md`, by table; the model without a defense first."""
    makers = {"unforeseen": of_unforeseen, "hijacked": of_hijacked, "channel": of_channel}
    return {
        step: [make(name, content[step]["variants"][name]) for name in sorted(content[step]["variants"], key=_order)]
        for step, make in makers.items()
    }


def _order(name: str) -> tuple[bool, str]:
    """The place of a variant in a table."""
    return name != "none", name


def main(names: list[str]) -> None:
    """Does the steps that are named, or those that are left."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.is_file() else {}
    sys.modules.setdefault("split_pilots", sys.modules["__main__"])  # the audit files name functions of this file
    with tempfile.TemporaryDirectory() as draft:
        base = Path(os.environ.get("DOSIMETER_RUNS", draft))
        for step in names or [one for one in STEPS if one not in content]:
            if step == "table":
                PAGE.write_text(filled(PAGE.read_text("utf-8"), lines(content)), encoding="utf-8")
                continue
            content = {**content, step: measured(step, base), "hardware": hardware()}
            PATH.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            print(f"{step}: {content[step]['seconds']} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
