"""What attacks on language models tell for their time: dose, L*, seconds and frontier.

Seconds are those of the processor to judge all texts of one target, as in `docs/leakage-per-minute.md`: to train and
ask the shadows that an attack reads, to ask the base where it compares with it, to ask the target again where its one
pass does not suffice, and to play. The target and that pass are left out, because every attack needs them.
"""

from __future__ import annotations

import time

import numpy as np
from leakage_per_minute import corrected, frontier, seconds_of

from dosimeter.statistics.dose.measure import dose_of_bits

TRAINED, ASKED = "one shadow trained", "one shadow asked"
OUTSIDE, BASE, AGAIN = "one shadow asked about texts outside", "base asked", "target asked again for "
"""Names of the seconds that attacks share."""
LEAST = 0.01
"""Seconds below it count as equal: they are less than what one pass differs by from another."""


def processor(work):
    """Seconds of the processor that some work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def told(scores, is_member):
    """Dose in bits, and Log-MIA less what chance gives, both with 95 % ends, of all targets together `[t n]`."""
    dose = dose_of_bits(scores, is_member, np.arange(scores.shape[1]), rng=np.random.default_rng(0))
    return {
        "dose": [round(float(one), 4) for one in (dose.value, dose.low, dose.high)],
        "log_mia_corrected": corrected(scores, is_member),
    }


def spent(attack, game, shadows, further=()):
    """What an attack reads beside the target's one pass, and seconds to play it on one target.

    Args:
        attack: the attack.
        game: with one target.
        shadows: how many it reads.
        further: signals for which a target is asked again.
    """
    return {
        "shadows": shadows,
        "base": attack.needs.base,
        "outside": attack.needs.population > 0,
        "again": [name for name in attack.signals if name in further],
        "labelled": int(getattr(attack, "labels", 0) or 0),
        "play": round(seconds_of(attack, game), 4),
    }


def priced(rows, shared):
    """Gives each row its seconds, from what it reads and what that takes, and says which are on the frontier.

    A row is on it if no other has at least its AUC for no more seconds and no more labelled records.
    """
    for row in rows.values():
        reads = row["reads"]
        asked = reads["shadows"] * (shared[ASKED] + reads["outside"] * shared[OUTSIDE]) + reads["base"] * shared[BASE]
        asked += sum(shared[AGAIN + name] for name in reads["again"])
        row["seconds"] = {
            "train": round(reads["shadows"] * shared[TRAINED], 3), "ask": round(asked, 3), "play": reads["play"],
        }  # fmt: skip
    plain = [
        {
            "labelled": row["reads"]["labelled"],
            "seconds": {"all": max(LEAST, sum(row["seconds"].values()))},
            "auc": row["auc"]["mean"],
        }
        for row in rows.values()
    ]
    for row, best in zip(rows.values(), frontier(plain, found=lambda one: one["auc"]), strict=True):
        row["frontier"] = best
