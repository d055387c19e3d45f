"""Defenses against inversion: the audit of `examples/inversion` on frozen layers, and others made from it.

`python benchmarks/inversion.py [layers] [defenses] [fisher]` writes `results/inversion.json`. `layers` and `defenses`
have of each variant the accuracy on photos that it was not trained on, `defenses` also under small changes of them, the
share of people who are recognised in what each attack made, and its paired difference to full finetuning. `fisher` says
which layers of the fully finetuned model attack and task depend on. Runs are kept in the folder that DOSIMETER_RUNS
names, and figures are written after each seed, so that a further call goes on where one stopped.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from machine import hardware

from dosimeter.config.audit import parse
from dosimeter.families.registry import FAMILIES
from dosimeter.jobs.arrays import read_arrays
from dosimeter.pipeline import verbs
from dosimeter.results.reading import read_result
from dosimeter.statistics.identification import recognised
from dosimeter.statistics.paired import accuracy_difference
from dosimeter.training.sensitivity.perturbations import agreement

PATH = Path(__file__).parent / "results" / "inversion.json"
EXAMPLE = Path(__file__).parents[1] / "examples" / "inversion" / "audit.toml"
SEEDS = {"layers": (0,), "defenses": (0,), "fisher": (0, 1, 2)}
ORDER = ("none", "last-2", "last-1", "head", "stopped")
LARGEST = 0.0025
"""Size of the small changes under which an accuracy is kept."""
METRICS = ("recognised", "placed", "recognised_change")


def variant(name: str, *defenses: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A row of `[[variant]]` that finetunes otherwise."""
    return {"id": name, "stage": {"finetune": {**({"defenses": list(defenses)} if defenses else {}), **changed}}}


BIDO = {"name": "bido", "measure": "hsic", "lambda_x": 0.5, "lambda_y": 5.0}
VARIANTS = (
    *(variant(f"stopped-{epochs}", epochs=epochs) for epochs in (40, 20, 10)),
    variant("last-2", transfer="last-k", last_k=2),
    variant("last-1", transfer="last-k", last_k=1),
    variant("mid", {"name": "mid", "beta": 0.1}),
    variant("bido-hsic", BIDO),
    variant("bido-coco", {"name": "bido", "measure": "coco", "lambda_x": 0.1, "lambda_y": 5.0}),
    variant("negative-labels", {"name": "negative_label_smoothing", "alpha": -0.05}),
    variant("last-2-bido", BIDO, transfer="last-k", last_k=2),
    variant("dp-100", {"name": "dp_sgd", "epsilon": 100.0}, batch_size=50, lr=0.2),
)
"""What the audit `defenses` compares; all start from the same pretrained weights."""


def audit(case: str, seed: int) -> dict[str, Any]:
    """The tables of an audit file. Private training needs group normalisation, so all models of `defenses` have it."""
    made = {**tomllib.loads(EXAMPLE.read_text("utf-8")), "seed": seed}
    if case == "layers":
        return made
    made["threat"]["targets"] = 1
    made["attack"] = [{"name": "gmi", "restarts": 2, "steps": 100}, {"name": "prior_best"}, {"name": "mean_public"}]
    if case == "fisher":
        made["threat"]["fisher"] = True
        return {name: table for name, table in made.items() if name != "variant"}
    made["stage"][0]["options"]["norm"] = "group"
    return {**made, "variant": list(VARIANTS)}


def numbers(folder: Path) -> dict[str, Any]:
    """What one run came to, by variant."""
    result = read_result(folder / "result.json", families=FAMILIES, name="result.json", absent="run the benchmark")
    (threat,) = result["threats"]
    names = ["none", *(one["id"] for one in result["variants"])]
    found: dict[str, Any] = {name: {"accuracy": {}, "attacks": {}} for name in names}
    for row in result["utility"]:
        if row["conditions"]["split"] == "nonmember" and row["conditions"].get("epsilon", LARGEST) == LARGEST:
            found[row["variant"]]["accuracy"][row["metric"]] = [row["value"], row["low"], row["high"]]
    for row in threat["estimates"]:
        paired = row["metric"] != "recognised_change" or not row["reason"]  # of one attack, not of two strongest
        if row["metric"] in METRICS and row["conditions"].get("top", 1) == 1 and paired:
            own = found[row["variant"]]["attacks"].setdefault(row["attack"], {})
            own[row["metric"]] = [row["value"], row["low"], row["high"]]
    return {
        "verdict": threat["verdict"]["status"],
        "judges": threat["details"]["judges"],
        "null_audit": {row["attack"]: row["value"] for row in threat["null_audit"]},
        "identities": threat["data"]["identities"],
        "targets": threat["adversary"]["targets"],
        "variants": found,
        **({"fisher": threat["details"]["fisher"]} if threat["details"].get("fisher") else {}),
    }


def hits(folder: Path) -> np.ndarray:
    """Who is recognised in what the first attack, `gmi`, made `[t n]`."""
    return recognised(read_arrays(folder / "threats" / "inversion" / "evidence" / "0.npz")["lineup"][:, :, 0], 1)


def matched(folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Each defense beside the undefended model, or the one that stopped early, whose accuracy is nearest to its own.

    Args:
        folder: of the run.
        found: what `numbers` says of each variant.
    """
    places = {name: folder if name == "none" else folder / "variants" / name for name in found}
    plain = [name for name in found if name == "none" or name.startswith("stopped")]
    rows = {}
    for name in found:
        if name not in plain:
            own = found[name]["accuracy"]["accuracy"][0]
            near = min(plain, key=lambda one: abs(found[one]["accuracy"]["accuracy"][0] - own))
            first, second = hits(places[name]), hits(places[near])
            change = accuracy_difference(
                first, second, np.ones_like(first), record=np.arange(first.shape[1]), level=0.95
            )
            rows[name] = {"beside": near, "change": [change.value, change.low, change.high]}
    leaks = np.array([hits(place).mean() for place in places.values()])
    held = np.array([one["accuracy"]["perturbed_accuracy"][0] for one in found.values()])
    return {"rows": rows, "explained_by_perturbed_accuracy": agreement(held, leaks)}


def share(value: list[float]) -> str:
    """A share with its interval."""
    return f"{100 * value[0]:.0f} % ({100 * value[1]:.0f} to {100 * value[2]:.0f})"


def points(value: list[float] | None) -> str:
    """A difference of shares with its interval."""
    return "" if value is None else f"{100 * value[0]:+.0f} ({100 * value[1]:+.0f} to {100 * value[2]:+.0f})"


def lines(content: dict[str, Any]) -> list[str]:
    """Rows of the table on frozen layers in `docs/inversion.md`, of the first seed."""
    rows, found = [], content["runs"][str(SEEDS["layers"][0])]["variants"]
    for name in ORDER:
        one, attacks = found[name], found[name]["attacks"]
        cells = [
            "all layers" if name == "none" else f"`{name}`", share(one["accuracy"]["accuracy"]),
            *(share(attacks[attack]["recognised"]) for attack in ("gmi logit", "miface", "prior_best")),
            points(attacks["gmi logit"].get("recognised_change")),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def beside(run: dict[str, Any], name: str) -> str:
    """The difference of a defense to an undefended model of nearest accuracy."""
    row = run["matched"]["rows"].get(name)
    return "" if row is None else f"{points(row['change'])}, `{row['beside']}`"


def lines_of_defenses(content: dict[str, Any], seed: int) -> list[str]:
    """Rows of the table on defenses in `docs/inversion.md`."""
    rows, found = [], content["defenses"][str(seed)]["variants"]
    for name in ("none", *(row["id"] for row in VARIANTS)):
        one = found[name]
        accuracy, gmi = one["accuracy"], one["attacks"]["gmi logit"]
        cells = [
            "all layers" if name == "none" else f"`{name}`", share(accuracy["accuracy"]),
            share(accuracy["perturbed_accuracy"]), share(gmi["recognised"]), points(gmi.get("recognised_change")),
            share(one["attacks"]["prior_best"]["recognised"]), beside(content["defenses"][str(seed)], name),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def lines_of_layers(content: dict[str, Any]) -> list[str]:
    """Rows of the table on layers in `docs/inversion.md`, one for each seed."""

    def band(one: dict[str, float], shift: float = 0) -> str:
        value, low, high = (f"{one[end] + shift:.2f}" for end in ("value", "low", "high"))
        return f"{value} ({low} to {high})"

    rows = []
    for seed, run in content["fisher"].items():
        curves = {one["of"]: one for one in run["fisher"]["curves"]}
        slopes = {one["beside"]: one["slope"] for one in run["fisher"]["ratios"]}
        cells = [
            str(int(seed) + 1),
            *(band(curves[kind][how]["centre"], 1) for how in ("mean", "sum") for kind in ("made", "held_out")),
            *(band(slopes[kind]) for kind in ("train", "held_out", "prior")),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Runs the cases that are named, seed by seed, and writes the figures."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.is_file() else {"runs": {}}
    with tempfile.TemporaryDirectory() as draft:
        base = Path(os.environ.get("DOSIMETER_RUNS", draft))
        for case in sys.argv[1:] or list(SEEDS):
            for seed in SEEDS[case]:
                started, folder = time.time(), base / f"{case}-{seed}"
                verbs.run(parse(audit(case, seed), base=EXAMPLE.parent), folder, workers=1, store=base / ".store")
                key = "runs" if case == "layers" else case
                content.setdefault(key, {})[str(seed)] = {**numbers(folder), "seconds": round(time.time() - started)}
                if case == "defenses":
                    one = content[key][str(seed)]
                    one["matched"] = matched(folder, one["variants"])
                content |= {"hardware": hardware()}
                PATH.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
