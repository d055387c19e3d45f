"""The settings of `learned_ratio` beside dearer ones; `python benchmarks/learned_ratio_settings.py` prints JSON.

The fleets of `few_shadow_power.py`, 4, 8 and 16 shadows, two draws. Of each: TPR at 1 % FPR and AUC of the attack as it
is, less those with 40 trees of 15 leaves and a comparison with eight sets of shadows: mean over targets and draws with
a standard error over targets; and the seconds of the processor of both.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from pathlib import Path
from unittest import mock

import few_shadow_power as power
import numpy as np
import torch
from machine import hardware

from dosimeter.families.membership.attacks.shadows import learned_ratio

NUMBERS = (4, 8, 16)
DEARER, SETS = learned_ratio.LearnedRatio(trees=40, rate=0.2, leaves=15), 8


def played(attack, sets, games, shadows):
    """TPR and AUC of each target `[t 2]`, mean over draws, and seconds."""
    start, found = time.process_time(), []
    with mock.patch.object(learned_ratio, "_SUBSETS", sets):
        for game, is_member in games:
            drawn = [power.thin(game, pairs) for pairs in power.draws(shadows, 2)]
            found.append(np.mean([power.measured(power.run(attack, one), is_member) for one in drawn], axis=0))
    return np.concatenate(found), time.process_time() - start


def compared(games):
    """The rows of one kind of fleet, by number of shadows."""
    rows = {}
    for shadows in NUMBERS:
        now, quick = played(learned_ratio.LearnedRatio(), learned_ratio._SUBSETS, games, shadows)
        before, slow = played(DEARER, SETS, games, shadows)
        gain = now - before
        rows[str(shadows)] = {
            "tpr": power.with_error(gain[:, 0]),
            "auc": power.with_error(gain[:, 1]),
            "seconds": [round(quick, 2), round(slow, 2)],
        }
    return rows


def main():
    """Run the fleets that are asked for; with `--out`, the file's other fleets stay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="?", help="a table of pictures, such as cifar10:FILE.npz")
    parser.add_argument("--only", choices=[*power.WORLDS, "badge", "cifar10 nets"], help="run one kind of fleet")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(asked.out.read_text("utf-8")) if asked.out and asked.out.exists() else {"fleets": {}}
    makers = {world: functools.partial(power.noisy, world) for world in power.WORLDS}
    makers["badge"] = lambda: power.heads(power.pictures("orl-faces", 128), power.TARGETS["badge"])
    if asked.pictures:
        makers["cifar10 nets"] = lambda: power.nets(asked.pictures, power.TARGETS["cifar10 nets"])
    for name, make in makers.items():
        if asked.only in (None, name):
            found["fleets"][name] = {"machine": hardware(), "shadows": compared(list(make()))}
            if asked.out:
                asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
