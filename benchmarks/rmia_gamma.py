"""RMIA's factor gamma on three kinds of fleets; writes `benchmarks/results/rmia_gamma.json`.

    python benchmarks/rmia_gamma.py

The miniature of `tests/families/membership/attacks/miniature.py` (24 targets, 64 shadows), linear heads on the photos
of the badge demo (64 targets, 16 shadows, four draws), heads on digits (12 targets, 16 shadows), and simulated models
that are sure of all records (40 targets, 16 shadows). TPR at 1 % FPR and AUC, mean and standard error over targets;
`gain` is the paired difference of the TPR to gamma 2, the authors' value. "auto" chooses on the shadows.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import peers_victims
import torch
from few_shadow_power import ROOT, TARGETS, draws, heads, measured, miniature, run, thin, with_error
from machine import hardware
from shadow_free import pictures

from dosimeter.families.membership.attacks import RMIA
from dosimeter.families.membership.game import MembershipGame, Population

GAMMAS, RESULTS = (1.0, 1.25, 1.5, 2.0, "auto"), ROOT / "benchmarks" / "results" / "rmia_gamma.json"


def digits(shadows=16):
    """Games of heads on digits, each target before all others but its complement."""
    with tempfile.TemporaryDirectory() as name:
        peers_victims.digits(Path(name), {"digits": shadows})
        file = dict(np.load(Path(name) / "digits.npz"))
    member, n = file["member"], file["member"].shape[1]
    ids, labels = np.arange(len(file["labels"])), file["labels"]
    for target in range(int(file["targets"])):
        pair = 2 * (target // 2)
        rest = np.delete(np.arange(len(member)), [pair, pair + 1])

        def signal(rows, part, values=file["phi2"]):
            return {"logit_confidence_t2": values[rows][:, None, part]}

        inside, outside, own = slice(n), slice(n, None), [target]
        population = Population(ids[outside], labels[outside], signal(own, outside), signal(rest, outside))
        parts = (signal(own, inside), signal(rest, inside))
        game = MembershipGame(ids[inside], labels[inside], 10, *parts, member[rest], population)
        yield game, member[own]


def sure(shadows=16, n=1000, outside=500):
    """Games of pairs of models whose logit confidences are about 6, and 1 more for members."""
    ids, labels = np.arange(n + outside), np.zeros(n + outside, int)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        half = [rng.permutation(n) < n // 2 for _ in range(shadows // 2 + 1)]
        member = np.stack([row for one in half for row in (one, ~one)])
        values = 6 + 2 * rng.normal(size=n + outside) + rng.normal(size=(shadows + 2, n + outside))
        values[:, :n] += member
        parts = [{"logit_confidence_t2": values[rows, None]} for rows in (slice(2), slice(2, None))]
        own, other = (
            [{"logit_confidence_t2": one["logit_confidence_t2"][..., part]} for one in parts]
            for part in (slice(n), slice(n, None))
        )
        population = Population(ids[n:], labels[n:], *other)
        yield MembershipGame(ids[:n], labels[:n], 2, *own, member[2:], population), member[:2]


def fleets():
    """Name, games with truths, and the pairs of shadows of each draw; None for all shadows."""
    yield "miniature, 64", list(miniature()), [None]
    badge = list(heads(pictures("orl-faces", 128), TARGETS["badge"]))
    yield "badge, 16", badge, draws(16, 4)
    yield "digits, 16", list(digits()), [None]
    yield "sure of all, 16", list(sure()), [None]


def main():
    """Both modes at every gamma."""
    torch.set_num_threads(1)
    found = {"machine": hardware(), "fleets": {}}
    for name, games, drawn in fleets():
        rows = found["fleets"][name] = {}
        for mode in ("online", "offline"):
            rates, areas = {}, {}
            for gamma in GAMMAS:
                attack = RMIA(mode, gamma)
                each = [
                    np.mean([measured(run(attack, game if one is None else thin(game, one)), bits) for one in drawn], 0)
                    for game, bits in games
                ]
                rates[gamma], areas[gamma] = np.concatenate(each)[:, :2].T
            rows[mode] = {
                str(gamma): {
                    "tpr": with_error(rate),
                    "auc": with_error(areas[gamma]),
                    "gain": with_error(rate - rates[2.0]),
                }
                for gamma, rate in rates.items()
            }
            rows["targets"] = len(rates[2.0])
        print(name, json.dumps(rows), flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
