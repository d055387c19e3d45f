"""Speed of inversion with all classes and restarts in one batch beside one latent at a time, as peers write it.

`gmi` for grey pictures of 28 x 28, 40 classes, 5 restarts each, 64 principal components; one thread, seconds of the
processor. Both do the same steps from the same starts; of the latents one at a time a tenth is timed, the first restart
of every other class, and scaled. `python benchmarks/batched_inversion.py` writes `results/batched_inversion.json`.

The bar holds for the model of `dosimeter init --family inversion`, whose steps are mostly overhead. A convolutional net
is stated without a bar: there one core is busy with the picture's own arithmetic, which no batch makes less.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from machine import case, hardware

from dosimeter.families.inversion.attacks import GMI
from dosimeter.families.inversion.game import Asked, InversionGame, Starts
from dosimeter.models.access import Access
from dosimeter.models.architectures import locate
from dosimeter.models.build import build
from dosimeter.models.learners import inert
from dosimeter.training.deployment.network import Opened
from dosimeter.training.learners.principal import fit_prior
from dosimeter.training.loop import seed_torch

PATH = Path(__file__).parent / "results" / "batched_inversion.json"
CLASSES, RESTARTS, STEPS, SIDE = 40, 5, 30, 28
TIMED = 20
"""Latents that are timed one at a time."""


MODELS = {"linear": {}, "convnet": {"widths": (16, 32, 32)}}


def game(name):
    """Blurred noise as public records, and a net that knows nothing; what it answers does not change the work."""
    with seed_torch(0):
        coarse = torch.rand(400, 1, 7, 7)
        model = inert(build(name, (1, SIDE, SIDE), CLASSES, MODELS[name], place="model"))
    public = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    prior, classes = fit_prior(public, 64), np.arange(CLASSES)
    return InversionGame(
        ids=classes.astype(str), classes=classes, public=public, prior=prior, starts=Starts(0, classes, prior.latent),
        asked=Asked(model, Access.WEIGHTS), opened=Opened(model, locate(model, public[:2]).head),
    )  # fmt: skip


def of(whole, some):
    """The game for some of the classes."""
    classes = np.array(some)
    return replace(
        whole, ids=classes.astype(str), classes=classes, starts=Starts(0, classes, whole.prior.latent),
        asked=Asked(whole.asked.answer, whole.asked.granted),
    )  # fmt: skip


def timed(attack, games, repeats):
    """What was made of the classes of each game, and the least seconds of the processor for all."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        found = [attack.run(one, np.random.default_rng(0)).values[0] for one in games]
        seconds.append(time.process_time() - start)
    return found, min(seconds)


def measured(name):
    """Seconds of both ways for one model, and by how much what they made differs."""
    whole, some = game(name), range(0, CLASSES, CLASSES // TIMED)
    every, alone = GMI(mode="ce", restarts=RESTARTS, steps=STEPS), GMI(mode="ce", restarts=1, steps=STEPS)
    _, seconds = timed(every, [whole], 5)
    singles, part = timed(alone, [of(whole, [one]) for one in some], 5)
    (together,), _ = timed(alone, [of(whole, some)], 1)
    peer = part * CLASSES * RESTARTS / TIMED
    return {
        "seconds": seconds, "n": CLASSES * RESTARTS, "classes": CLASSES, "restarts": RESTARTS, "steps": STEPS,
        "peer_seconds": peer, "peer_scaled_from": f"{TIMED} of {CLASSES * RESTARTS} latents, all steps",
        "ratio": peer / seconds,
        "largest_difference": float(np.abs(np.concatenate(singles) - together).max()),
    }  # fmt: skip


def cases():
    """The cases, the second one without a bar on its ratio."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    same = {"largest_difference": ("<=", 1e-3)}
    found = {
        "inversion_40_classes_5_restarts": case(measured("linear"), {"ratio": (">=", 10), **same}),
        "inversion_40_classes_5_restarts_convnet": case(measured("convnet"), same),
    }
    torch.set_num_threads(before)
    return found


if __name__ == "__main__":
    text = json.dumps({"machine": hardware(), "cases": cases()}, indent=2)
    PATH.write_text(text + "\n", encoding="utf-8")
    print(text)
