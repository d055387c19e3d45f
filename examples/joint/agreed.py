"""What both organisations know: the recipe, the first weights, and how many batches there are."""

import numpy as np
import torch
from torch import nn

from dosimeter.data.reference import load
from dosimeter.foundation.seeds import seed_for
from dosimeter.training.chain import Link
from dosimeter.training.joint.job import agree, begin
from dosimeter.training.joint.organisation import Holding, Organisation
from dosimeter.training.recipe import Hyperparameters

PARTIES = ("hospital", "clinic")
METHOD, WEIGHT, SEED, STEPS, BATCH = "coral", 1.0, 0, 60, 32
HP = Hyperparameters(lr=0.1, momentum=0.9)
LINK = Link("joint", "mlp", (1, 8, 8), 10, options={"width": 32}, hyperparameters=HP)
AGREEMENT = agree(METHOD, PARTIES, HP, STEPS, weight=WEIGHT)


def first_weights() -> tuple[nn.Sequential, list[nn.Linear]]:
    """The trunk that both begin with, and the first head of each."""
    return begin((LINK,), torch.zeros(2, 1, 8, 8), len(PARTIES), SEED)


def draw(index: int, n: int) -> np.ndarray:
    """Rows of a party's records for each step `[steps b]`; in a real training the party keeps them to itself."""
    rng = np.random.default_rng(index)
    return np.stack([rng.permutation(n)[:BATCH] for _ in range(STEPS)])


def organisation(index: int, rows: slice) -> Organisation:
    """One party with its own records, here some rows of digits in place of its files."""
    torch.set_num_threads(1)
    whole, (trunk, heads) = load("digits"), first_weights()
    inputs, labels = (torch.from_numpy(one[rows]) for one in (whole.inputs, whole.labels))
    return Organisation(
        PARTIES[index], Holding(inputs, labels, draw(index, len(labels))), (trunk, heads[index]), HP,
        seed=seed_for(SEED, "party", index), device=torch.device("cpu"),
    )  # fmt: skip
