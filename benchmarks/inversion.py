"""Frozen layers as a defense against inversion: the audit of `examples/inversion`, once for each of some seeds.

`python benchmarks/inversion.py` writes `results/inversion.json`: of each variant the accuracy on photos that it was not
trained on, the share of people who are recognised in what each attack made, and its paired difference to full
finetuning. Runs are kept in the folder that DOSIMETER_RUNS names, so that a further call goes on where one stopped.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

from machine import hardware

from dosimeter.config.audit import parse
from dosimeter.families import FAMILIES
from dosimeter.pipeline import verbs
from dosimeter.results.reading import read_result

PATH = Path(__file__).parent / "results" / "inversion.json"
EXAMPLE = Path(__file__).parents[1] / "examples" / "inversion" / "audit.toml"
SEEDS = (0,)
ORDER = ("none", "last-2", "last-1", "head", "stopped")
METRICS = ("recognised", "placed", "recognised_change")


def numbers(folder: Path) -> dict[str, Any]:
    """What one run came to, by variant."""
    result = read_result(folder / "result.json", families=FAMILIES, name="result.json", absent="run the benchmark")
    (threat,) = result["threats"]
    names = ["none", *(one["id"] for one in result["variants"])]
    found: dict[str, Any] = {name: {"accuracy": {}, "attacks": {}} for name in names}
    for row in result["utility"]:
        if row["conditions"]["split"] == "nonmember":
            found[row["variant"]]["accuracy"][row["metric"]] = [row["value"], row["low"], row["high"]]
    for row in threat["estimates"]:
        if row["metric"] in METRICS and row["conditions"].get("top", 1) == 1 and not row["reason"]:
            own = found[row["variant"]]["attacks"].setdefault(row["attack"], {})
            own[row["metric"]] = [row["value"], row["low"], row["high"]]
    return {
        "verdict": threat["verdict"]["status"],
        "judges": threat["details"]["judges"],
        "null_audit": {row["attack"]: row["value"] for row in threat["null_audit"]},
        "identities": threat["data"]["identities"],
        "targets": threat["adversary"]["targets"],
        "variants": found,
    }


def lines(content: dict[str, Any]) -> list[str]:
    """Rows of the table in `docs/inversion.md`, of the first seed."""

    def share(value: list[float]) -> str:
        return f"{100 * value[0]:.0f} % ({100 * value[1]:.0f} to {100 * value[2]:.0f})"

    def points(value: list[float] | None) -> str:
        return "" if value is None else f"{100 * value[0]:+.0f} ({100 * value[1]:+.0f} to {100 * value[2]:+.0f})"

    rows, found = [], content["runs"][str(SEEDS[0])]["variants"]
    for name in ORDER:
        one, attacks = found[name], found[name]["attacks"]
        cells = [
            "all layers" if name == "none" else f"`{name}`", share(one["accuracy"]["accuracy"]),
            *(share(attacks[attack]["recognised"]) for attack in ("gmi logit", "miface", "prior_best")),
            points(attacks["gmi logit"].get("recognised_change")),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Runs all seeds and writes the figures."""
    with tempfile.TemporaryDirectory() as draft:
        base, started, runs = Path(os.environ.get("DOSIMETER_RUNS", draft)), time.time(), {}
        for seed in SEEDS:
            audit = parse({**tomllib.loads(EXAMPLE.read_text("utf-8")), "seed": seed}, base=EXAMPLE.parent)
            verbs.run(audit, base / f"seed-{seed}", workers=1)
            runs[str(seed)] = numbers(base / f"seed-{seed}")
    content = {"seconds": round(time.time() - started), "hardware": hardware(), "runs": runs}
    PATH.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
