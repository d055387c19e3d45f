"""Attacks and judges on drawn faces, beside a verifier that takes nobody for somebody it has learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.data import load
from dosimeter.data.named.drawn_faces import looks
from dosimeter.families.inversion.attacks import PPA, PriorBest
from dosimeter.families.inversion.game import Asked, InversionGame, Starts
from dosimeter.models.access import Access
from dosimeter.training.deployment.network import Opened
from dosimeter.training.learners.judges import fit_lineup
from dosimeter.training.learners.principal import fit_prior
from families.inversion.drawn import verifier

PEOPLE = 50
CHANCE = 1 / PEOPLE


class Net(nn.Module):
    """Softmax regression on pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1024, PEOPLE)

    def forward(self, x):
        return self.head(x.flatten(1) - 0.5)


def trained(records, labels):
    """A network that knows some people; whole batches, so that it is the same whatever the seed."""
    torch.manual_seed(0)
    net = Net()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.003)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(records), labels).backward()
        optimiser.step()
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def faces():
    """Pictures [n 1 32 32] from 0 to 1, the person of each, and the group."""
    data = load("drawn-faces")
    return data.inputs.astype(np.float32) / 255, data.labels, data.groups


@pytest.fixture(scope="module")
def reader():
    return verifier()


@pytest.fixture(scope="module")
def attacked(faces):
    """By the order of names, what two attacks make of a network that learned them so [50 1 32 32]."""
    pictures, labels, groups = (torch.from_numpy(one) if one.dtype.kind in "fi" else one for one in faces)
    own, public = labels < PEOPLE, pictures[np.flatnonzero(groups == "2")]
    prior, classes = fit_prior(public, 24), np.arange(PEOPLE)
    names = [classes, *(np.random.default_rng(seed).permutation(PEOPLE) for seed in range(4))]
    found = []
    for order in names:
        net = trained(pictures[own], torch.from_numpy(order)[labels[own]])
        game = InversionGame(
            ids=classes.astype(str), classes=classes, public=public, prior=prior,
            starts=Starts(0, classes, prior.latent), asked=Asked(net, Access.WEIGHTS), opened=Opened(net, net.head),
        )  # fmt: skip
        attacks = {"ppa": PPA(aim="margin", restarts=4, steps=60), "prior_best": PriorBest()}
        made = {name: one.run(game, np.random.default_rng(1)) for name, one in attacks.items()}
        found.append({name: np.asarray(one.values)[0, :, 0] for name, one in made.items()})
    return found


def test_the_verifier_knows_people_of_whom_it_saw_no_picture(faces, reader):
    pictures, labels, _ = faces
    own = labels < PEOPLE
    named = reader.distances(pictures[own], looks()[:PEOPLE]).argmin(1)
    assert (named == labels[own]).mean() > 0.93


@pytest.mark.parametrize("attack", ["ppa", "prior_best"])
def test_what_is_made_has_the_traits_of_its_person_and_not_so_if_names_are_exchanged(attacked, reader, attack):
    true, *exchanged = (places(reader, found[attack]) for found in attacked)
    assert true.mean() > 0.85
    # 200 people whose place is uniform: 5 standard errors of the mean
    assert abs(np.concatenate(exchanged).mean() - 0.5) < 5 * np.sqrt(1 / 12 / 200)


def test_whom_the_lineup_recognises_the_verifier_places_high(faces, attacked, reader):
    """The lineup learns on other people and pictures; its successes are no likenesses that only it sees."""
    pictures, labels, groups = faces
    flat, others = pictures.reshape(len(pictures), -1), groups == "3"
    known = labels < PEOPLE
    lineup = fit_lineup((flat[others], labels[others] - labels[others].min()), (flat[known], labels[known]))
    made = np.concatenate([attacked[0][name] for name in ("ppa", "prior_best")])
    recognised = lineup.similarity(made.reshape(len(made), -1)).argmax(1) == np.tile(np.arange(PEOPLE), 2)
    place = np.concatenate([places(reader, attacked[0][name]) for name in ("ppa", "prior_best")])
    assert recognised.mean() > 5 * CHANCE
    assert (place[recognised] >= 1 - 3 / (PEOPLE - 1)).mean() > 0.8


def places(reader, made):
    """For each person the share of others to whom what was made of them is less similar."""
    distances = reader.distances(made, looks()[:PEOPLE])
    return (distances > np.diagonal(distances)[:, None]).sum(1) / (PEOPLE - 1)
