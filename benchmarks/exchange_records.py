"""Which records are in a batch: audits of joint trainings on digits, by size of batch, and by what crosses.

`python benchmarks/exchange_records.py [STEP ...]` writes `results/exchange_records.json` after each step and leaves out
those that are there; `--again` measures them anew. `python benchmarks/exchange_records.py table` fills the table of the
page from the file. Every step is one audit through the public door; none takes ten minutes on one slow core.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import hardware
from page_tables import fill
from sklearn.datasets import load_digits
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data import Dataset
from dosimeter.pipeline import verbs

PATH = Path(__file__).parent / "results" / "exchange_records.json"
PAGE = Path(__file__).parents[1] / "docs" / "exchange.md"
SIZES = (1, 2, 4, 8, 16, 32)


def small(seed: int) -> Dataset:
    """Digits of 8 x 8 pixels, mixed."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    return Dataset(
        inputs=(pixels[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8), labels=labels[order].astype(np.int64),
        classes=tuple("0123456789"), ids=np.array([f"{row:04d}" for row in order]), noun="digit", part=True,
    )  # fmt: skip


def perceptron(shape: tuple[int, ...], classes: int) -> nn.Module:
    """A dense hidden layer of 256 units, and a last one."""
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 256), nn.ReLU(), nn.Linear(256, classes))


def smooth(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Two smooth convolutions, and a last layer, with parameters in ±0.5: without that nothing comes back."""
    layers = nn.Sequential(
        nn.Conv2d(1, 12, 5, 2, 2), nn.Sigmoid(), nn.Conv2d(12, 12, 3, 1, 1), nn.Sigmoid(), nn.Flatten(),
        nn.Linear(192, classes),
    )  # fmt: skip
    for parameter in layers.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return layers


def audit(size: int, attacks: list[dict[str, Any]], *, large: bool, batches: int = 20, **more: Any) -> dict[str, Any]:
    """An audit, as an audit file has it.

    Args:
        size: records of a batch.
        attacks: rows beside the yardstick and the control.
        large: pictures of mnist-5k and a perceptron; otherwise small digits and a smooth net.
        batches: that are sought.
        more: `head` of the threat, `defenses` and `transfer` of the stage.
    """
    data = "mnist-5k" if large else "exchange_records:small"
    rows = ("0:2500", "2500:3000", "3000:4000") if large else ("0:900", "900:1100", "1100:1400")
    names = ("source", "receiver", "own")
    defenses = {"defenses": more["defenses"]} if "defenses" in more else {}
    return {
        "name": "records",
        "data": {name: {"data": data, "rows": own} for name, own in zip(names, rows, strict=True)},
        "stage": [
            {
                "name": "joint", "transfer": more.get("transfer", "fedsgd"),
                "parties": {"source": "source", "receiver": "receiver"},
                "model": f"exchange_records:{'perceptron' if large else 'smooth'}",
                "batch_size": size, "epochs": 1, "lr": 0.05, "momentum": 0.0, **defenses,
            }
        ],
        "threat": {
            "family": "exchange", "question": "records", "victim": "source", "adversary": "receiver",
            "auxiliary": "own", "steps": 100, "batches": batches, "head": more.get("head", "private"),
        },
        "attack": [*attacks, {"name": "mean_record"}, {"name": "any_record"}],
    }  # fmt: skip


def found_in(raw: dict[str, Any]) -> dict[str, Any]:
    """Numbers of each attack of an audit, with their intervals."""
    base = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        verbs.run(parse(raw, base=base), Path(folder) / "run", workers=1, store=Path(folder) / "store")
        (threat,) = json.loads((Path(folder) / "run" / "result.json").read_text("utf-8"))["threats"]
    found: dict[str, Any] = {}
    for row in threat["estimates"]:
        if row["attack"] is not None:
            found.setdefault(row["attack"], {})[row["metric"]] = [
                round(row[end], 4) for end in ("value", "low", "high")
            ]
    return found


DENSE = [{"name": "dense_inversion"}]
RIDGE = [{"name": "ridge_inversion"}]
NOISE = {"name": "noise", "clip": 1.0, "scale": 1.0}
SEARCHES = [{"name": "dlg"}, {"name": "idlg"}, {"name": "inverting_gradients"}]
STEPS = {
    **{f"dense {size}": lambda size=size: found_in(audit(size, DENSE, large=True)) for size in SIZES},
    "dense 8, signs": lambda: found_in(audit(8, DENSE, large=True, defenses=[{"name": "compress", "how": "sign"}])),
    "dense 8, noise": lambda: found_in(audit(8, DENSE, large=True, defenses=[{"name": "sgld", "scale": 0.01}])),
    "dense 32, shown": lambda: found_in(audit(32, RIDGE, large=True, transfer="mmd")),
    "dense 32, hidden": lambda: found_in(audit(32, RIDGE, large=True, transfer="mmd", defenses=[NOISE])),
    **{
        f"smooth {size}, private": lambda size=size: found_in(audit(size, SEARCHES[:1], large=False, batches=10))
        for size in (1, 2)
    },
    **{
        f"smooth {size}, seen": lambda size=size: found_in(audit(size, SEARCHES, large=False, batches=10, head="seen"))
        for size in (1, 2)
    },
}
WHAT = {"dense": "perceptron 784-256", "smooth": "smooth convolutions"}


def lines(content: dict[str, Any]) -> list[str]:
    """Rows of the table: each step, each attack that reads messages, and the mean picture."""
    rows = []
    for step in (one for one in STEPS if one in content):
        net, _, rest = step.partition(" ")
        size, _, how = rest.partition(", ")
        for attack, numbers in content[step].items():
            if attack in ("any_record", "mean_record"):
                continue
            shares = [f"{numbers[one][0]:.2f} ({numbers[one][1]:.2f} to {numbers[one][2]:.2f})" for one in SHARES]
            own, mean = numbers["psnr"][0], content[step]["mean_record"]["psnr"][0]
            cells = (WHAT[net], size, HOW[how], f"`{attack.split()[0]}`", *shares, f"{own:.1f}", f"{mean:.1f}")
            rows.append(f"| {' | '.join(cells)} |")
    return rows


SHARES = ("recovered", "identified")
HOW = {
    "": "gradient", "signs": "its signs (`compress`)", "noise": "with noise (`sgld`, 0.01)",
    "private": "gradient", "seen": "gradient, last layer seen", "shown": "representations (`mmd`)",
    "hidden": "with noise (`noise`, 1)",
}  # fmt: skip


def filled(page: str, content: dict[str, Any]) -> str:
    """A page with its table as the figures have it."""
    return fill(page, {"records": lines(content)})


def main(words: list[str]) -> None:
    """Measures the steps that are named, or all."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}
    if words == ["table"]:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), content), encoding="utf-8")
        return
    torch.set_num_threads(1)
    again = "--again" in words
    for name in [word for word in words if word != "--again"] or list(STEPS):
        if name in content and not again:
            continue
        started = time.time()
        content[name] = STEPS[name]()
        print(f"{name}: {time.time() - started:.0f} s", flush=True)
        content["hardware"] = hardware()
        PATH.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
