"""Judges of pictures that see with trained networks, where a linear comparison of pixels recognises too little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.learners import embedder
from dosimeter.training.learners.drawing import Drawing, settled_on
from dosimeter.training.loop import seed_torch

EPISODE = (20, 4, 2)
"""Of one step: identities, records by which each is known, records that are to be named."""
BATCH = 64
"""Records of one step of the classifier."""
FEATURES = 64
"""Numbers that a network sees in a record."""
TURN, SCALE, SHEAR, SHIFT = 0.2, 0.15, 0.2, 0.15
"""Largest changes of a training picture: radians, share, share, and half sides."""
RATE = 2e-3
"""Learning rate of Adam at the start."""
SEEN = 512
"""Records of one pass."""


@dataclass(frozen=True)
class SeeingLineup:
    """A lineup on what a network sees in a record.

    Attributes:
        network: from records to features.
        shape: of a record.
        gallery: each identity's mean features `[v k]`.
    """

    network: nn.Module
    shape: tuple[int, ...]
    gallery: Float[Array, "v k"]

    def similarity(self, records: Float[Array, "n d"]) -> Float[Array, "n v"]:
        """Minus half of the squared distance to each identity; `records` are flattened."""
        return np.asarray(-0.5 * ((self.places(records)[:, None] - self.gallery) ** 2).sum(-1))

    def places(self, records: Float[Array, "n d"]) -> Float[Array, "n k"]:
        """What the network sees in flattened records."""
        return seen_by(self.network, records, self.shape)


@dataclass(frozen=True)
class SeeingClassifier:
    """A network that was trained to tell the identities apart, and others beside them.

    Attributes:
        network: from records to logits of all.
        shape: of a record.
        identities: how many of the first logits count.
    """

    network: nn.Module
    shape: tuple[int, ...]
    identities: int

    def similarity(self, records: Float[Array, "n d"]) -> Float[Array, "n v"]:
        """Log-odds of each identity, but for a constant; `records` are flattened."""
        found: Array = seen_by(self.network, records, self.shape)[:, : self.identities]
        return found


def seen_by(network: nn.Module, records: Float[Array, "n d"], shape: tuple[int, ...]) -> Float[Array, "n k"]:
    """What a network makes of flattened records, float64.

    Args:
        network: in evaluation mode.
        records: flattened.
        shape: of one record.
    """
    pictures = torch.from_numpy(np.ascontiguousarray(records, dtype=np.float32)).reshape(-1, *shape)
    with torch.inference_mode():
        found = [network(batch).double().numpy() for batch in torch.split(pictures, SEEN)]
    return np.concatenate(found)


def gallery_of(
    network: nn.Module, records: Float[Array, "n d"], labels: Int[Array, " n"], shape: tuple[int, ...]
) -> Float[Array, "v k"]:
    """Mean features of each identity.

    Args:
        network: in evaluation mode.
        records: flattened.
        labels: their identities, from 0 on.
        shape: of one record.
    """
    seen = seen_by(network, records, shape)
    return np.stack([seen[labels == one].mean(0) for one in range(int(labels.max()) + 1)])


def fit_eye(
    others: tuple[Float[Tensor, "p c h w"], Int[Array, " p"]], value_range: tuple[float, float], steps: int, seed: int
) -> nn.Module:
    """Trains a network whose features are near for records of one identity and apart for those of two.

    Snell, Swersky, Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017,
    https://arxiv.org/abs/1703.05175, algorithm 1. Each step names records by the mean features of some others. Square
    pictures are turned by quarters too, each turn as a further identity.

    Args:
        others: pictures and identities of other people.
        value_range: least and largest value of a record.
        steps: of Adam.
        seed: of all randomness, which is drawn on the CPU.

    Raises:
        ValueError: fewer than two identities with two records.
    """
    pictures, named = _turned(*others)
    rows = [np.flatnonzero(named == one) for one in np.unique(named)]
    rows = [one for one in rows if len(one) >= 2]
    if len(rows) < 2:
        raise ValueError("others must be 2 identities or more with 2 records each")
    network, optimiser, draw = _started(pictures, FEATURES, value_range, (seed, "eye"))
    for step in range(steps):
        known, asked, truth = _episode(rows, draw.rng)
        features = network(_changed(pictures[torch.from_numpy(np.concatenate([known.ravel(), asked]))], draw))
        centres = features[: known.size].reshape(*known.shape, -1).mean(1)
        apart = torch.cdist(features[known.size :], centres) ** 2 / features.shape[1] ** 0.5
        _improve(optimiser, nn.functional.cross_entropy(-apart, torch.from_numpy(truth).to(apart.device)), step, steps)
    return settled_on(network, pictures, draw)


def fit_seeing_classifier(
    known: tuple[Float[Tensor, "n c h w"], Int[Array, " n"]],
    others: tuple[Float[Tensor, "p c h w"], Int[Array, " p"]],
    value_range: tuple[float, float],
    steps: int,
    seed: int,
) -> nn.Module:
    """Trains a network to name the identities, with other people as further classes, from whom it learns to see.

    Half of each batch shows the identities.

    Args:
        known: pictures and identities, from 0 on.
        others: the same of other people.
        value_range: least and largest value of a record.
        steps: of Adam, each on 64 records.
        seed: of all randomness, which is drawn on the CPU.

    Returns:
        From pictures to logits, of the identities first.
    """
    first = int(known[1].max()) + 1
    strangers = np.unique(others[1], return_inverse=True)[1].reshape(-1)
    pictures = torch.cat([known[0], others[0]])
    named = torch.from_numpy(np.concatenate([known[1], first + strangers])).to(pictures.device)
    network, optimiser, draw = _started(pictures, int(named.max()) + 1, value_range, (seed, "seeing classifier"))
    for step in range(steps):
        own, other = draw.rows(len(known[1]), BATCH // 2), draw.rows(len(strangers), BATCH // 2) + len(known[1])
        rows = torch.cat([own, other])
        loss = nn.functional.cross_entropy(network(_changed(pictures[rows], draw)), named[rows])
        _improve(optimiser, loss, step, steps)
    return settled_on(network, pictures, draw)


def _started(
    pictures: Tensor, numbers: int, value_range: tuple[float, float], drawn: tuple[int, str]
) -> tuple[nn.Module, torch.optim.Optimizer, Drawing]:
    """A fresh network with its optimiser and its randomness, of a seed and a purpose."""
    seed, purpose = drawn
    with seed_torch(seed_for(seed, f"{purpose} weights")):
        network = embedder(tuple(pictures.shape[1:]), numbers, value_range)
    network = network.to(pictures.device).train()
    draw = Drawing(generator(seed, f"{purpose} draws"), pictures.device)
    return network, torch.optim.Adam(network.parameters(), lr=RATE), draw


def _improve(optimiser: torch.optim.Optimizer, loss: Tensor, step: int, steps: int) -> None:
    """One step; the learning rate falls to zero over all of them."""
    for group in optimiser.param_groups:
        group["lr"] = RATE * (1 - step / steps)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _turned(records: Tensor, labels: Array) -> tuple[Tensor, Array]:
    """Square pictures in all four turns, each turn of an identity as another one; other pictures as they are."""
    if records.shape[-1] != records.shape[-2]:
        return records, labels
    turns = torch.cat([torch.rot90(records, turn, (2, 3)) for turn in range(4)])
    named = np.concatenate([labels + turn * (int(labels.max()) + 1) for turn in range(4)])
    return turns, named


def _episode(rows: list[Array], rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Rows by which some identities are known `[w s]`, rows to be named `[q]`, and their place among those `[q]`."""
    ways, shots, queries = EPISODE
    chosen = rng.choice(len(rows), min(ways, len(rows)), replace=False)
    known, asked, truth = [], [], []
    for place, one in enumerate(chosen):
        own = rng.permutation(rows[one])
        left = own[1:][-queries:]
        known.append(rng.choice(own[: len(own) - len(left)], shots))
        asked.append(left)
        truth.append(np.full(len(left), place))
    return np.stack(known), np.concatenate(asked), np.concatenate(truth)


def _changed(pictures: Float[Tensor, "b c h w"], draw: Drawing) -> Float[Tensor, "b c h w"]:
    """Pictures a little turned, scaled, sheared and shifted, each differently."""
    drawn = (2 * draw.uniform(6, len(pictures)) - 1) * torch.tensor(
        [[TURN], [SCALE], [SCALE], [SHEAR], [SHIFT], [SHIFT]], device=pictures.device
    )
    angle, wide, high, shear, right, down = drawn
    rows = [
        torch.stack([(1 + wide) * angle.cos(), shear - angle.sin(), right], 1),
        torch.stack([angle.sin(), (1 + high) * angle.cos(), down], 1),
    ]
    places = nn.functional.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    found: Tensor = nn.functional.grid_sample(pictures, places, padding_mode="border", align_corners=False)
    return found
