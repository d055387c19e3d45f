"""Models trained against adversaries, attacked by fresh ones: does the claim of Privacy Partitioning hold here?

`python benchmarks/split_construction.py [thickness] [reconstruction] [census] [small_batches]` writes
`results/split_construction.json`. Of each training it has the accuracy on records that the model was not trained on,
what the adversaries of the training can do at its end, and what fresh attacks find. `thickness` and `reconstruction`
use digits of `mnist-5k`, the others the Census-Income data of `census-kdd`, if it is installed. Runs are kept in the
folder that DOSIMETER_RUNS names, and figures are written after each seed, so that a further call goes on where one
stopped.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import hardware
from split import COLUMNS
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data import Dataset, Options, load
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import AuditError
from dosimeter.pipeline import verbs
from dosimeter.results.reading import read_result

PATH = Path(__file__).parent / "results" / "split_construction.json"
FIVE = (0, 1, 2, 3, 4)
SEEDS = {"thickness": FIVE, "reconstruction": (0, 1, 2), "census": FIVE, "small_batches": FIVE}
ROOM = 0.05
"""Least AUC above the floor of which a share can be taken away."""
ADULT, WEEKS = 18, 26
"""Least age of a person, years, and weeks of work of a year above which the answer of the task is yes."""
METRICS = ("attribute_auc", "ssim", "mse", "identified", "accuracy")


def digits(seed: int) -> Dataset:
    """Digits in an order of their own, with their stroke: thicker than that of half of all of the digit, or not."""
    found = load("mnist-5k", seed=seed)
    ink = np.pad(found.inputs[:, 0] > 127, ((0, 0), (1, 1), (1, 1)))
    edges = (ink[:, 1:] != ink[:, :-1]).sum((1, 2)) + (ink[:, :, 1:] != ink[:, :, :-1]).sum((1, 2))
    width = 2 * ink.sum((1, 2)) / edges
    usual = np.array([np.median(width[found.labels == digit]) for digit in range(10)])
    told = {"stroke": np.where(width > usual[found.labels], "thick", "thin")}
    made = Dataset(found.inputs, found.labels, found.classes, found.ids, noun="digit", attributes=told, part=True)
    return made.take(np.random.default_rng(seed).permutation(len(made)))


def adults(seed: int) -> Dataset:
    """Adults in an order of their own: did they work more than half of the year? Their sex is no input.

    Of people who are alike in every input one is kept, so that no adversary knows a victim's record.
    """
    found = load("census-kdd", rows="0:120000", seed=seed, options=Options(attributes=("sex",)))
    columns = found.columns or ()
    own = [place for place, name in enumerate(columns) if name.partition("=")[0].partition(":")[0] in COLUMNS]
    age, weeks = (found.inputs[:, columns.index(name)] for name in ("age", "weeks_worked"))
    _, first = np.unique(found.inputs[:, own], axis=0, return_index=True)
    rows = np.sort(first[np.round(100 * age[first]) >= ADULT])
    worked = (np.round(weeks / weeks.max() * 52) > WEEKS)[rows].astype(np.int64)
    told = {name: values[rows] for name, values in found.attributes.items()}
    made = Dataset(
        found.inputs[rows][:, own], worked, ("less", "more"), found.ids[rows], noun="person", attributes=told, part=True
    )
    return made.take(np.random.default_rng(seed).permutation(len(made)))


def partitioned(shape: tuple[int, ...], classes: int) -> nn.Module:
    """784-128-32 on the device, 64-10 on the server."""
    size = int(np.prod(shape))
    device = (nn.Flatten(), nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU())
    return nn.Sequential(*device, nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, classes))


def narrow(shape: tuple[int, ...], classes: int) -> nn.Module:
    """The inputs, 64 and 16 units on the device; a linear layer on the server."""
    device = (nn.Flatten(), nn.Linear(int(np.prod(shape)), 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU())
    return nn.Sequential(*device, nn.Linear(16, classes))


def fight(name: str, against: str, weight: float, **more: Any) -> dict[str, Any]:
    """A row of `[[defense]]`."""
    return {"name": "adversarial", "id": name, "cut": "4", "against": against, "weight": weight, **more}


def audit(seed: int, data: str, model: str, sizes: tuple[int, int, int], **more: Any) -> dict[str, Any]:
    """An audit of a model that is cut after its fourth layer.

    Args:
        seed: of the order of the records, and of all training.
        data: module and function that makes the records.
        model: module and function that makes the model.
        sizes: records to train on, of the adversary, and of victims.
        more: further tables; `stage` and `threat` are joined with those here.
    """
    ends = np.cumsum((0, *sizes))
    parts = ("training", "others", "queries")
    rows = {name: f"{a}:{b}" for name, a, b in zip(parts, ends[:-1], ends[1:], strict=True)}
    return {
        "name": data.partition(":")[2], "seed": seed,
        "data": {name: {"data": data, "rows": one} for name, one in rows.items()},
        "stage": [
            {
                "name": "train", "data": "training", "model": model, "batch_size": 64,
                "optimizer": "adam", "lr": 0.001, **more.pop("stage"),
            }
        ],
        "threat": {"family": "split", "cuts": ["4"], "auxiliary": "others", "victims": "queries", **more.pop("threat")},
        **more,
    }  # fmt: skip


OF_ATTRIBUTE = [
    {"name": "attribute_pool"}, {"name": "attribute_pool", "id": "linear", "classifiers": ["logistic"]},
    {"name": "output_only", "mode": "attribute"}, {"name": "raw_input"},
]  # fmt: skip
OF_INPUT = [{"name": "ridge"}, {"name": "decoder"}, {"name": "output_only", "mode": "input"}, {"name": "mean_input"}]


DIGITS = ("split_construction:digits", "split_construction:partitioned")


def thickness(seed: int) -> dict[str, Any]:
    """S4 of our notes: digits, whose stroke is the secret."""
    aim = "attribute:stroke"
    return audit(
        seed, *DIGITS, (2500, 1500, 1000), stage={"epochs": 40}, threat={"attributes": ["stroke"]},
        attack=OF_ATTRIBUTE,
        defense=[
            fight("weight-1", aim, 1.0, steps=2), fight("weight-5", aim, 5.0, steps=2),
            fight("pool-3", aim, 5.0, steps=2, pool=3, reset=4),
        ],
    )  # fmt: skip


def reconstruction(seed: int) -> dict[str, Any]:
    """S5: digits, which are the secret themselves; the weights are in units of the records' spread."""
    return audit(
        seed, *DIGITS, (2500, 1500, 1000), stage={"epochs": 40}, threat={}, attack=OF_INPUT,
        defense=[fight("weight-0.1", "input", 0.1, steps=2), fight("weight-0.5", "input", 0.5, steps=2)],
    )  # fmt: skip


def census(seed: int) -> dict[str, Any]:
    """S7: adults, whose sex is the secret."""
    aim = "attribute:sex"
    return audit(
        seed, "split_construction:adults", "split_construction:narrow", (20_000, 1500, 4000),
        stage={"epochs": 8, "batch_size": 256}, threat={"attributes": ["sex"]},
        attack=OF_ATTRIBUTE, defense=[fight("weight-1", aim, 1.0), fight("weight-5", aim, 5.0)],
    )  # fmt: skip


def small_batches(seed: int) -> dict[str, Any]:
    """The same adults with four times as many updates."""
    made = census(seed)
    made["stage"][0]["batch_size"] = 64
    return made


CASES = {
    "thickness": thickness, "reconstruction": reconstruction, "census": census, "small_batches": small_batches,
}  # fmt: skip
TABLES = ("thickness", "reconstruction", "census")
"""Cases whose tables are in `docs/split.md`."""


def training(folder: Path, name: str) -> dict[str, Any]:
    """The figures of one training, from its run."""
    result = read_result(folder, families=FAMILIES)
    (view,) = result["threats"]
    rows = [*view["estimates"], *result["utility"]]
    kept = [one for one in rows if one["metric"] in METRICS and one["variant"] == "none"]
    return {
        "training": name,
        "n": view["data"]["records"],
        "auxiliary": view["data"]["auxiliary"],
        "status": view["verdict"]["status"],
        "rows": [
            {key: one[key] for key in ("attack", "metric", "value", "low", "high")}
            for one in kept
            if one["conditions"].get("top", 1) == 1
        ],
        "in_training": [
            {key: one[key] for key in ("metric", "value", "low", "high")} for one in view["details"]["in_training"]
        ],
    }


def measured(case: str, seed: int, folder: Path) -> dict[str, Any]:
    """All trainings of one case and seed."""
    start, where = time.perf_counter(), folder / f"{case}-{seed}"
    settings = CASES[case](seed)
    verbs.run(parse(settings, base=Path(__file__).parent), where, workers=1)
    names = [one["id"] for one in settings["defense"]]
    return {
        "seed": seed,
        "seconds": round(time.perf_counter() - start, 1),
        **hardware(),
        "trainings": [training(where, "none"), *(training(where / "variants" / one, one) for one in names)],
    }


ANSWERS = "output_only attribute"
FRESH = {
    "reconstruction": ("ridge", "decoder"),
    "thickness": ("attribute_pool", "linear"),
    "census": ("attribute_pool", "linear"),
    "small_batches": ("attribute_pool", "linear"),
}
"""Fresh attacks of each case."""


def row(one: dict[str, Any], metric: str, attack: str | None) -> dict[str, Any]:
    """A figure of a training with its interval."""
    return next(found for found in one["rows"] if (found["metric"], found["attack"]) == (metric, attack))


def strongest(one: dict[str, Any], case: str) -> dict[str, Any]:
    """The figure of the fresh attack that does best: AUC, or SSIM of what it made."""
    metric = "ssim" if case == "reconstruction" else "attribute_auc"
    return max((row(one, metric, attack) for attack in FRESH[case]), key=lambda found: float(found["value"]))


def gone(trainings: list[dict[str, Any]], place: int, case: str) -> float | None:
    """The share of the strongest fresh attack's AUC above the floor that a training takes away.

    The floor is 0.5 for strokes, which the digit does not tell, and what the answers of that training tell of the sex.
    None where the plain model's features tell hardly more than that.
    """
    plain, own = (float(strongest(trainings[one], case)["value"]) for one in (0, place))
    floor = 0.5 if case == "thickness" else float(row(trainings[place], "attribute_auc", ANSWERS)["value"])
    return (plain - own) / (plain - floor) if plain - floor >= ROOM else None


def told(found: dict[str, Any] | None) -> str:
    """A figure with its 95 % interval."""
    return "–" if found is None else "{value:.3f} ({low:.3f} to {high:.3f})".format(**found)


def table(case: str, found: list[dict[str, Any]]) -> str:
    """The figures of a case as a table of `docs/split.md`, a line for each seed and training."""
    after = case == "reconstruction"
    heads = ["seed", "training", "accuracy", "its own adversary", "fresh attack"]
    heads += ["fresh attack, MSE"] if after else ["linear alone", "answers alone", "gone"]
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join(["---"] * len(heads)) + " |"]
    for seed in sorted(found, key=lambda one: int(one["seed"])):
        for place, one in enumerate(seed["trainings"]):
            cells = [str(seed["seed"]), f"`{one['training']}`", told(row(one, "accuracy", None))]
            cells += [told(one["in_training"][0] if one["in_training"] else None), told(strongest(one, case))]
            if after:
                cells.append(
                    told(min((row(one, "mse", attack) for attack in FRESH[case]), key=lambda one: one["value"]))
                )
            else:
                cells += [told(row(one, "attribute_auc", attack)) for attack in ("linear", ANSWERS)]
                share = gone(seed["trainings"], place, case)
                cells.append("–" if not place else "no room" if share is None else f"{100 * share:.0f} %")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(names: list[str]) -> None:
    """Measures what is missing."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.environ.get("DOSIMETER_RUNS", temporary))
        for case in names or list(CASES):
            for seed in SEEDS[case]:
                known = json.loads(PATH.read_text()) if PATH.is_file() else {}
                if any(one["seed"] == seed for one in known.get(case, [])):
                    continue
                try:
                    found = measured(case, seed, folder)
                except AuditError as error:
                    if "census-kdd" not in str(error):
                        raise
                    print(f"{case}: skipped, since its data are not installed: {error}")
                    break
                known = json.loads(PATH.read_text()) if PATH.is_file() else {}
                content = {**known, case: [*known.get(case, []), found]}
                PATH.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
                print(f"{case} {seed}: {found['seconds']} s", flush=True)
    content = json.loads(PATH.read_text()) if PATH.is_file() else {}
    for case in [one for one in CASES if one in content]:
        print(f"\n{case}\n\n{table(case, content[case])}")


if __name__ == "__main__":
    main(sys.argv[1:])
