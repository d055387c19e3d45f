"""What both organisations know: the recipe, the first weights, and how many batches there are."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from dosimeter.data import Dataset
from dosimeter.data.reference import load
from dosimeter.foundation.seeds import seed_for
from dosimeter.training.chain import Link
from dosimeter.training.joint.job import agree, begin
from dosimeter.training.joint.organisation import Holding, Organisation
from dosimeter.training.recipe import Hyperparameters

PARTIES = ("hospital", "clinic")
METHOD, WEIGHT, SEED, STEPS, BATCH = "coral", 1.0, 0, 120, 32
HEAVY, LIGHT = 24, 8
"""Records with the property in a batch of the hospital, of either side: 75 % or 25 % of 32."""
HP = Hyperparameters(lr=0.1, momentum=0.9)
LINK = Link("joint", "mlp", (1, 8, 8), 10, options={"width": 32}, hyperparameters=HP)
AGREEMENT = agree(METHOD, PARTIES, HP, STEPS, weight=WEIGHT)


def records(seed: int = 0) -> Dataset:
    """Digits in place of files; private is whether a digit was drawn with more ink than half of its kind."""
    whole = load("digits")
    whole = whole.take(np.random.default_rng(0).permutation(len(whole)))  # writers stand one after another
    ink, heavy = whole.inputs.sum((1, 2, 3)), np.zeros(len(whole), bool)
    for kind in range(len(whole.classes)):
        heavy |= (whole.labels == kind) & (ink > np.median(ink[whole.labels == kind]))
    return replace(whole, attributes={"pen": np.where(heavy, "heavy", "light")})


def first_weights() -> tuple[nn.Sequential, list[nn.Linear]]:
    """The trunk that both begin with, and the first head of each."""
    return begin((LINK,), torch.zeros(2, 1, 8, 8), len(PARTIES), SEED)


def draw(index: int, heavy: np.ndarray) -> np.ndarray:
    """Rows of a party's records for each step `[steps b]`; in a real training the party keeps them to itself.

    The hospital wants to know what its batches tell, so a coin fills each with many heavy digits, or with few.
    """
    rng = np.random.default_rng(index)
    if index == 1:
        return np.stack([rng.permutation(len(heavy))[:BATCH] for _ in range(STEPS)])
    counts = np.where(rng.integers(2, size=STEPS) == 1, HEAVY, LIGHT)
    pools = np.flatnonzero(heavy), np.flatnonzero(~heavy)
    return np.stack([np.r_[rng.permutation(pools[0])[:n], rng.permutation(pools[1])[: BATCH - n]] for n in counts])


def held(index: int) -> tuple[Dataset, np.ndarray]:
    """Records of one party, here some rows of digits, and its batches."""
    own = records().take(np.arange(600 * index, 600 * (index + 1)))
    return own, draw(index, own.attributes["pen"] == "heavy")


def organisation(index: int) -> Organisation:
    """One party with its own records."""
    torch.set_num_threads(1)
    (own, batches), (trunk, heads) = held(index), first_weights()
    inputs, labels = (torch.from_numpy(one) for one in (own.inputs, own.labels))
    return Organisation(
        PARTIES[index], Holding(inputs, labels, batches), (trunk, heads[index]), HP,
        seed=seed_for(SEED, "party", index), device=torch.device("cpu"),
    )  # fmt: skip
