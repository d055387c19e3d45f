"""How much of what is computed is arithmetic that nobody can leave out; `python benchmarks/arithmetic.py` writes JSON.

Each case runs a part of dosimeter, and beside it in the same process the bare work: the products, sums, draws or
sorting without which there is no answer, by PyTorch or NumPy on arrays that are ready. One thread, processor seconds,
the least of several runs in turn, so that other programs on the machine disturb both sides alike.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from attacks import RNG, game
from heads import CLASSES, FEATURES, RECORDS, records
from machine import case, hardware

from dosimeter.families.membership.attacks import RMIA, LiRA
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.jobs.runners import one_thread
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.intervals.crossed import auc_interval, rate_interval
from dosimeter.statistics.rates import randomisation_p
from dosimeter.training.heads import train_heads
from dosimeter.training.recipe import Hyperparameters

PATH = Path(__file__).parent / "results" / "arithmetic.json"
HEADS, BATCH, EPOCHS = 64, 32, 2
TARGETS, JUDGED, DRAWS = 8, 20_000, 1000
REPEATS = 5


def least(*calls):
    """The least processor seconds of each call, in turn."""
    seconds = [[] for _ in calls]
    for _ in range(REPEATS):
        for own, call in zip(seconds, calls, strict=True):
            start = time.process_time()
            call()
            own.append(time.process_time() - start)
    return [min(own) for own in seconds]


def compared(whole, bare, bare_is, **sizes):
    """Figures of one case."""
    seconds, floor = least(whole, bare)
    return case({**sizes, "seconds": seconds, "bare_seconds": floor, "bare": bare_is, "share": floor / seconds}, {})


def heads():
    """64 heads of 384 features in 10 classes, each on 2,000 records: two products of a step for all heads at once."""
    features, labels, _, _ = records()
    rows = np.stack([np.flatnonzero(row) for row in membership_matrix(RECORDS, HEADS, seed=0)])
    recipe, seeds = Hyperparameters(epochs=EPOCHS, batch_size=BATCH, lr=0.01, momentum=0.9), list(range(HEADS))
    steps = EPOCHS * -(-rows.shape[1] // BATCH)
    x, weight = torch.randn(HEADS, BATCH, FEATURES), torch.randn(HEADS, FEATURES, CLASSES)
    gradient = torch.randn(HEADS, CLASSES, BATCH)

    def whole():
        train_heads(features, labels, rows, recipe, classes=CLASSES, seeds=seeds, device=torch.device("cpu"))

    def bare():
        for _ in range(steps):
            torch.bmm(x, weight)
            torch.bmm(gradient, x)

    return compared(whole, bare, "two batched matrix products for each step", n=HEADS, steps=steps)


def attacks():
    """LiRA and RMIA as `attacks.py` has them."""
    one = game(10_000, 10, 64, "logit_confidence")
    phi, inside = one.shadow_outputs["logit_confidence"][:, 0], one.shadow_in

    def sums():
        for side in (inside, ~inside):
            own = phi * side
            own.sum(0)
            (own * own).sum(0)

    other = game(20_000, 10_000, 4, "logit_confidence_t2")
    judged, population = (part.outputs["logit_confidence_t2"][0, 0] for part in (other, other.population))

    def ranks():
        np.searchsorted(np.sort(population), np.sort(judged))

    return {
        "LiRA": compared(
            lambda: LiRA("online", "per-record").run(one, RNG), sums, "sums and sums of squares over the shadows",
            n=10_000, shadows=64,
        ),
        "RMIA": compared(
            lambda: RMIA(gamma=2.0).run(other, RNG), ranks, "sorting records and population once",
            n=20_000, population=10_000, shadows=4,
        ),
    }  # fmt: skip


def statistics():
    """Intervals and the randomisation test of 8 targets on 20,000 records."""
    rng = np.random.default_rng(0)
    is_member = rng.random((TARGETS, JUDGED)) < 0.5
    values, record = rng.normal(size=is_member.shape) + is_member, np.arange(JUDGED)
    hits, scores, truth = values > 2.5, Scores(record, values), Truth(record, is_member, record)
    weights = rng.integers(0, 2, (DRAWS, JUDGED)).astype(np.float32)
    cells = rng.normal(size=(JUDGED, 2 * TARGETS)).astype(np.float32)

    def product():
        rng.bytes(DRAWS * JUDGED // 8)
        np.argsort(values, axis=1)
        weights @ cells

    def coins():
        for _ in range(100):
            rng.integers(0, 2, (DRAWS // 100, JUDGED))

    own = {"n": JUDGED, "targets": TARGETS, "draws": DRAWS}
    return {
        "interval of a rate": compared(
            lambda: rate_interval(hits, is_member, record=record, rng=rng),
            lambda: rng.bytes(DRAWS * JUDGED // 8), "drawing a bit for each record and draw", **own,
        ),
        "interval of an AUC": compared(
            lambda: auc_interval(values, is_member, record=record, rng=rng), product,
            "drawing the bits, sorting the scores, one matrix product", **own,
        ),
        "randomisation test": compared(
            lambda: randomisation_p(scores, truth, thresholds=np.full(TARGETS, 2.5), rng=rng), coins,
            "drawing a coin for each record and draw", **own,
        ),
    }  # fmt: skip


def cases():
    """All cases."""
    with one_thread():
        return {"heads": heads(), **attacks(), **statistics()}


if __name__ == "__main__":
    found = {"machine": hardware(), "cases": cases()}
    text = json.dumps(found, indent=2)
    print(text)
    PATH.write_text(text + "\n", encoding="utf-8")
