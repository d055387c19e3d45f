"""Synthetic games of inversion: people whose looks are known, and linear models that know them or know nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from dosimeter.families.inversion.attacks.reading import margin
from dosimeter.families.inversion.game import Asked, InversionGame, Starts
from dosimeter.models.access import Access
from dosimeter.models.learners import inert
from dosimeter.training.deployment.network import Opened
from dosimeter.training.learners.guided import Guided, fit_guided, pseudo_labelled
from dosimeter.training.learners.principal import fit_prior
from dosimeter.training.learners.students import fit_students

SHAPE = (1, 6, 5)
PICTURE = (1, 12, 10)
"""Shape of smooth pictures that look the same in a mirror, as faces nearly do."""
TRAITS = 8
"""Numbers in which people differ."""


@dataclass(frozen=True)
class People:
    """What is true of a game: how its identities look `[n d]`."""

    looks: np.ndarray

    def similarity(self, records: np.ndarray) -> np.ndarray:
        """Minus the squared distance of records `[n ...]` to each look, the common part left out `[n v]`."""
        flat = records.reshape(len(records), -1)
        centre = self.looks.mean(0)
        a, b = flat - centre, self.looks - centre
        a, b = (one / np.linalg.norm(one, axis=1, keepdims=True).clip(1e-9) for one in (a, b))
        return a @ b.T


class Linear(nn.Module):
    """Logits of the nearest look, at a temperature."""

    def __init__(self, looks: np.ndarray, sharpness: float) -> None:
        super().__init__()
        self.head = nn.Linear(looks.shape[1], len(looks))
        weight = torch.from_numpy(looks).float() * sharpness
        self.head.weight = nn.Parameter(weight, requires_grad=False)
        self.head.bias = nn.Parameter(-sharpness * torch.from_numpy((looks**2).sum(1) / 2).float(), requires_grad=False)

    def forward(self, x):
        return self.head(x.flatten(1))


def smooth(rng, count):
    """Smooth pictures that look the same in a mirror, flattened `[n d]`."""
    coarse = torch.from_numpy(rng.normal(0, 0.12, (count, 1, 4, 3)))
    fine = nn.functional.interpolate(coarse, size=PICTURE[1:], mode="bilinear", align_corners=False)
    return ((fine + fine.flip(-1)) / 2).flatten(1).numpy()


def game_of(
    seed, *, leaks, identities=10, access=Access.WEIGHTS, classes=None, sharpness=40.0, tell=None, pictures=False
):
    """A game and the truth about it; a model that does not leak knows people other than those at risk."""
    rng = np.random.default_rng(seed)
    shape = PICTURE if pictures else SHAPE
    traits = smooth(rng, TRAITS) if pictures else rng.normal(0, 0.08, (TRAITS, int(np.prod(SHAPE))))
    people, strangers = (0.5 + rng.normal(size=(identities, TRAITS)) @ traits for _ in range(2))
    public = 0.5 + rng.normal(size=(60, TRAITS)) @ traits + rng.normal(0, 0.01, (60, traits.shape[1]))
    public = torch.from_numpy(public.astype(np.float32)).reshape(-1, *shape)
    model = Linear(people if leaks else strangers, sharpness).eval()
    tell = tell or (lambda logits: logits)
    classes = np.arange(identities) if classes is None else np.array(classes)
    prior = fit_prior(public, 12)
    game = InversionGame(
        ids=classes.astype(str), classes=classes, public=public, prior=prior,
        starts=Starts(seed, classes, prior.latent),
        asked=Asked(lambda records: tell(model(records)), access),
        opened=Opened(model, model.head) if access == Access.WEIGHTS else None,
    )  # fmt: skip
    return game, People(people)


def helped(game, needs):
    """The game with all that an attack needs beside the model; training sees public records and answers alone."""
    model, shape = game.opened.model, game.prior.shape
    found = game.asked.log_probs(game.public)
    if needs.guided is not None:
        network = fit_guided(
            game.public,
            pseudo_labelled(found, needs.guided.top),
            lambda made, labels: margin(model(made), labels),
            needs.guided,
            0,
        )
        guided = Guided(inert(network), needs.guided.latent, shape, game.prior.low, game.prior.high)
        game = replace(game, guided=guided)
    if needs.students is not None:
        game = replace(game, students=tuple(map(inert, fit_students(game.public, found, needs.students, 0))))
    if needs.checkpoint != "none":
        blank = Linear(np.random.default_rng(9).normal(0.5, 0.1, model.head.weight.shape), 1.0)
        game = replace(game, origin=Opened(blank, blank.head))
    game.asked.count[0] = 0
    return game
