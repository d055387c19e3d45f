"""What an adversary gains who has more than the model: a generator for it, students of it, the weights it started from.

`python benchmarks/beside_the_model.py [faces] [drawings]` writes `results/beside_the_model.json`: of each attack the
share of identities that are recognised and how far up they are placed, and the paired differences to the same attack
without the help, or for `plg_mi` to `ppa`. `faces` finetunes four nets, pretrained on digits, on 20 people of
`orl-faces`; `drawings` one on 70 characters of three alphabets of `omniglot`, which DOSIMETER_OMNIGLOT names. Runs are
kept in the folder that DOSIMETER_RUNS names, so a further call goes on where one stopped.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import hardware
from PIL import Image

from dosimeter.config.audit import parse
from dosimeter.data import load
from dosimeter.families.registry import FAMILIES
from dosimeter.jobs.arrays import read_arrays
from dosimeter.pipeline import verbs
from dosimeter.results.reading import read_result
from dosimeter.statistics.identification import recognised
from dosimeter.statistics.paired import accuracy_difference

PATH = Path(__file__).parent / "results" / "beside_the_model.json"
SHORT = {"name": "gmi", "restarts": 1, "steps": 150}
HELP = {
    "": {},
    "3 students": {"students": 3},
    "usual": {"checkpoint": "usual"},
    "usual, weight 1": {"checkpoint": "usual", "checkpoint_weight": 1.0},
    "change": {"checkpoint": "change"},
}
"""What helps `gmi`."""
ATTACKS = (
    *(
        {**SHORT, "mode": mode, "id": f"gmi {mode}{', ' if name else ''}{name}", **more}
        for mode in ("logit", "ce")
        for name, more in HELP.items()
    ),
    {"name": "ppa", "id": "ppa margin", "aim": "margin", "restarts": 2, "steps": 75},
    {"name": "plg_mi", "restarts": 2, "steps": 75},
    {"name": "prior_best"},
    {"name": "mean_public"},
)
TOGETHER = 18
"""Differences in a table: of nine attacks, the share and the place."""
METRICS = ("recognised", "placed", "classified")
SIDE = 28
PRIVATE = ("Balinese", "Greek", "Early_Aramaic")
PUBLIC = ("Japanese_(katakana)", "Sanskrit", "Korean")


def drawn(folder: Path, name: str, alphabets: tuple[str, ...]) -> str:
    """Some alphabets of Omniglot as a file of small pictures."""
    path, found = folder / f"{name}.npz", load("omniglot")
    if not path.is_file():
        rows = np.flatnonzero(np.isin(found.groups, alphabets))
        small = [Image.fromarray(found.inputs[row, 0]).resize((SIDE, SIDE), Image.Resampling.BOX) for row in rows]
        classes = np.array(found.classes)[found.labels[rows]]
        np.savez(path, inputs=np.stack([np.asarray(one) for one in small])[:, None], labels=classes)
    return str(path)


def audit(case: str, folder: Path) -> dict[str, Any]:
    """The tables of an audit file."""
    if case == "faces":
        options, people = {"data": "orl-faces", "data_options": {"size": [SIDE, SIDE]}}, range(1, 41)
        names = [f"s{number:02d}" for number in people]
        parts = {
            name: {**options, "where": {"label": some}}
            for name, some in (("private", names[:20]), ("others", names[20:]))
        }
        finetune = {"epochs": 80, "batch_size": 16, "lr": 0.02}
        threat = {"targets": 4}
    else:
        parts = {
            name: {"data": drawn(folder, name, alphabets)}
            for name, alphabets in (("private", PRIVATE), ("others", PUBLIC))
        }
        finetune = {"epochs": 60, "batch_size": 32, "lr": 0.05}
        threat = {"targets": 1, "prior": "vae", "prior_steps": 1500}
    pretrain = {"data": "mnist-5k", "model": "convnet", "epochs": 4, "batch_size": 64, "lr": 0.05}
    return {
        "name": case,
        "data": parts,
        "stage": [
            {"name": "pretrain", **pretrain, "options": {"widths": [16, 32, 32]}},
            {"name": "finetune", "data": "private", "transfer": "full", **finetune},
        ],
        "threat": {"family": "inversion", "public": "others", **threat},
        "attack": list(ATTACKS),
    }


def plain(attack: str) -> str | None:
    """The attack that another is compared with."""
    if attack.startswith("gmi") and "," in attack:
        return attack.partition(",")[0]
    return "ppa margin" if attack.startswith("plg_mi") else None


def judged(folder: Path, attack: int) -> tuple[np.ndarray, np.ndarray]:
    """Who is recognised, and which share of the others each is placed above, in what an attack made `[t n]`."""
    lineup = read_arrays(folder / "threats" / "inversion" / "evidence" / f"{attack}.npz")["lineup"][:, :, 0]
    own = np.diagonal(lineup, axis1=1, axis2=2)
    return recognised(lineup, 1), (lineup < own[..., None]).sum(2) / (lineup.shape[2] - 1)


def change(before: np.ndarray, after: np.ndarray) -> list[float]:
    """Difference of shares `[t n]` with the ends of its 95 % interval, paired by identity and model."""
    every = np.ones(after.shape, bool)
    found = accuracy_difference(after, before, every, record=np.arange(after.shape[1]), level=0.95)
    return [found.value, found.low, found.high]


def moved(before: np.ndarray, after: np.ndarray, of: int = 1) -> list[float]:
    """Difference of mean places `[t n]` with its 95 % bootstrap interval over identities, models as they are.

    Args:
        before: of the plain attack.
        after: of the attack with help.
        of: number of differences for which all intervals hold together, by Bonferroni.
    """
    each, tail = (after - before).mean(0), 0.025 / of
    means = each[np.random.default_rng(0).integers(len(each), size=(100_000, len(each)))].mean(1)
    return [each.mean(), *np.quantile(means, (tail, 1 - tail))]


def numbers(folder: Path) -> dict[str, Any]:
    """What one run came to."""
    result = read_result(folder / "result.json", families=FAMILIES, name="result.json", absent="run the benchmark")
    (threat,) = result["threats"]
    known = [one["id"] for one in threat["attacks"]]
    seen, rows = {attack: judged(folder, index) for index, attack in enumerate(known)}, {}
    for attack in known:
        rows[attack] = {
            row["metric"]: [row["value"], row["low"], row["high"]]
            for row in threat["estimates"]
            if row["attack"] == attack and row["metric"] in METRICS and row["conditions"].get("top", 1) == 1
        }
        if (other := plain(attack)) is not None:
            rows[attack]["changes"] = {
                "recognised": change(seen[other][0], seen[attack][0]),
                "placed": moved(seen[other][1], seen[attack][1]),
                "placed_together": moved(seen[other][1], seen[attack][1], TOGETHER),
            }
    (accuracy,) = (
        [row["value"], row["low"], row["high"]]
        for row in result["utility"]
        if (row["metric"], row["conditions"]["split"]) == ("accuracy", "nonmember")
    )
    work = json.loads((folder / "provenance.json").read_text("utf-8"))["work"]["inversion"]
    return {
        "attacks": rows, "accuracy": accuracy,
        "identities": threat["data"]["identities"], "targets": threat["adversary"]["targets"],
        "verdict": threat["verdict"]["status"], "judges": threat["details"]["judges"],
        "null_audit": {row["attack"]: [row["value"], row["status"]] for row in threat["null_audit"]},
        "seconds": work,
    }  # fmt: skip


def share(value: list[float]) -> str:
    """A share with its interval."""
    return f"{100 * value[0]:.0f} % ({100 * value[1]:.0f} to {100 * value[2]:.0f})"


def points(value: list[float]) -> str:
    """A difference of shares with its interval."""
    return f"{100 * value[0]:+.0f} ({100 * value[1]:+.0f} to {100 * value[2]:+.0f})"


def lines(case: dict[str, Any]) -> list[str]:
    """Rows of a table of `docs/inversion.md`."""
    rows = []
    for name, one in case["attacks"].items():
        if name != "mean_public":
            changes = [
                points(one["changes"][metric]) if "changes" in one else "" for metric in ("recognised", "placed")
            ]
            rows.append(f"| `{name}` | {share(one['recognised'])} | {changes[0]} | {changes[1]} |")
    return rows


def main() -> None:
    """Runs the audits that are asked for and writes the figures."""
    stored = json.loads(PATH.read_text("utf-8"))["audits"] if PATH.is_file() else {}
    with tempfile.TemporaryDirectory() as draft:
        base = Path(os.environ.get("DOSIMETER_RUNS", draft))
        base.mkdir(parents=True, exist_ok=True)
        for case in sys.argv[1:] or ("faces", "drawings"):
            folder = base / case
            if not (folder / "result.json").is_file():
                verbs.run(parse(audit(case, base), base=base), folder, workers=1, store=base / "store")
            stored[case] = numbers(folder)
            text = json.dumps({"hardware": hardware(), "audits": stored}, indent=1, sort_keys=True)
            PATH.write_text(text + "\n", encoding="utf-8")
            print("\n".join([case, *lines(stored[case])]))


if __name__ == "__main__":
    main()
