"""What the adversary's prior changes: the same model, attacks and starts with principal components and with generators.

`python benchmarks/inversion_priors.py` writes `results/inversion_priors.json`: of each prior the share of people who
are recognised in what each attack made, and the difference to principal components, paired by person. Runs are kept in
the folder that DOSIMETER_RUNS names, so that a further call goes on where one stopped.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import hardware

from dosimeter.config.audit import parse
from dosimeter.families.registry import FAMILIES
from dosimeter.jobs.arrays import read_arrays
from dosimeter.pipeline import verbs
from dosimeter.results.reading import read_result
from dosimeter.statistics.paired import accuracy_difference

PATH = Path(__file__).parent / "results" / "inversion_priors.json"
PRIORS = ({"prior": "principal"}, {"prior": "vae", "prior_steps": 2000}, {"prior": "wgan", "prior_steps": 400})
ATTACKS = (
    {"name": "gmi", "mode": "logit", "restarts": 2, "steps": 100},
    {"name": "gmi", "mode": "ce", "restarts": 2, "steps": 100},
    {"name": "ppa", "restarts": 2, "steps": 75},
    {"name": "ppa", "id": "ppa views", "copies": 4, "copied": "views", "restarts": 2, "steps": 75},
    {"name": "miface"},
    {"name": "prior_best"},
    {"name": "mean_public"},
)


def audit(prior: dict[str, Any]) -> dict[str, Any]:
    """One audit of a convolutional net that knows 20 people, with 20 others as public records."""
    options = {"data": "orl-faces", "data_options": {"size": [28, 23]}}
    people = [f"s{number:02d}" for number in range(1, 41)]
    return {
        "name": f"convnet-{prior['prior']}",
        "data": {
            "private": {**options, "where": {"label": people[:20]}},
            "others": {**options, "where": {"label": people[20:]}},
        },
        "stage": [
            {
                "name": "train", "data": "private", "model": "convnet", "epochs": 60, "batch_size": 16, "lr": 0.05,
                "augment": ["flip", "shift"],
            }
        ],
        "threat": {"family": "inversion", "public": "others", **prior},
        "attack": list(ATTACKS),
    }  # fmt: skip


def hits(folder: Path, index: int) -> np.ndarray:
    """Whether each person is recognised in what an attack made."""
    lineup = read_arrays(folder / "threats" / "inversion" / "evidence" / f"{index}.npz")["lineup"][0, :, 0]
    return lineup.argmax(1) == np.arange(len(lineup))


def numbers(folder: Path) -> dict[str, Any]:
    """What one run came to."""
    result = read_result(folder / "result.json", families=FAMILIES, name="result.json", absent="run the benchmark")
    (threat,) = result["threats"]
    found: dict[str, Any] = {}
    for row in threat["estimates"]:
        if row["metric"] in ("recognised", "placed") and row["conditions"].get("top", 1) == 1 and row["status"] == "ok":
            found.setdefault(row["attack"], {})[row["metric"]] = [row["value"], row["low"], row["high"]]
    work = json.loads((folder / "provenance.json").read_text("utf-8"))["work"]["inversion"]
    return {
        "attacks": found,
        "verdict": threat["verdict"]["status"],
        "null_audit": {row["attack"]: row["value"] for row in threat["null_audit"]},
        "seconds": {name: work["phases"].get(name) for name in ("prior", "attacks")},
        "accuracy": [row["value"] for row in result["utility"] if row["conditions"]["split"] == "nonmember"],
    }


def change(before: np.ndarray, after: np.ndarray) -> list[float]:
    """Difference of two shares with the ends of its 95 % interval, paired by person."""
    every = np.ones((1, len(before)), bool)
    found = accuracy_difference(after[None], before[None], every, record=np.arange(len(before)))
    return [found.value, found.low, found.high]


def lines(audits: dict[str, Any]) -> list[str]:
    """Rows of the table in `docs/inversion.md`."""

    def cell(one: dict[str, Any], attack: str) -> str:
        value, low, high = (100 * number for number in one["attacks"][attack]["recognised"])
        change, least, most = (100 * number for number in one["change"][attack])
        return f"{value:.0f} % ({low:.0f} to {high:.0f}); {change:+.0f} ({least:+.0f} to {most:+.0f})"

    names = [name for name in audits["principal"]["attacks"] if name not in ("miface", "mean_public")]
    head = [f"| attack | {' | '.join(f'`{prior}`' for prior in audits)} |", f"| --- |{' --- |' * len(audits)}"]
    return head + [f"| `{name}` | {' | '.join(cell(one, name) for one in audits.values())} |" for name in names]


def main() -> None:
    """Runs all audits and writes the figures."""
    with tempfile.TemporaryDirectory() as draft:
        base, found = Path(os.environ.get("DOSIMETER_RUNS", draft)), {}
        first = base / audit(PRIORS[0])["name"]
        for prior in PRIORS:
            raw = audit(prior)
            folder = base / raw["name"]
            if not (folder / "result.json").is_file():
                verbs.run(parse(raw, base=base), folder, workers=1, store=base / "store")
            one = numbers(folder)
            one["change"] = {
                name: change(hits(first, index), hits(folder, index)) for index, name in enumerate(one["attacks"])
            }
            found[prior["prior"]] = one
    print("\n".join(lines(found)))
    PATH.write_text(
        json.dumps({"hardware": hardware(), "audits": found}, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
